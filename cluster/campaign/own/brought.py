"""The files that a plan's requests name: read with the plan on control, and brought from there to the load hosts.

There they have the server's name: `SERVER.body`, `SERVER.paths`, `SERVER.ca`. The fields of a request's head are in a
file as well, `SERVER.headers`, one line each: a command's arguments can be read by every user of a host.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from study.errors import PlanError
from study.layout import BODY, CA, HEADERS, PATHS
from study.plan import Plan
from study.plan_errors import whole_message
from study.workload import Server

MOST_BYTES = 64 * 1024 * 1024  # of one file
MOST_BACKGROUND_BODY = 8 * 1024  # bytes: a background client sends its request in one piece
_PATH = re.compile(r"/[!-~]{0,1999}")


def read_brought(plan: Plan, directory: Path, source: str) -> dict[str, bytes]:
    """The content of each file, by its name in a campaign. Names are relative to `directory`, the plan's own.

    Raises PlanError with everything that is wrong; `source` names the plan in it.
    """
    files: dict[str, bytes] = {}
    wrong: list[str] = []
    for server in map(plan.server, dict.fromkeys(plan.models)):
        of_plan = server.request is plan.request and plan.request is not None
        key = "request" if of_plan else f"servers.{server.name}.request"
        for suffix, name, where in (
            (BODY, server.asked.body_file, f"{key}.body_file"),
            (PATHS, server.asked.paths, f"{key}.paths"),
            (CA, server.ca, f"servers.{server.name}.ca"),
        ):
            if name is None:
                continue
            try:
                content = _content(directory / name)
                files[f"{server.name}{suffix}"] = content
                wrong += [f"{where}: {name}: {mistake}" for mistake in _mistakes(suffix, content)]
            except OSError as error:
                wrong.append(f"{where}: {name} can't be read: {error.strerror or error}")
        if server.asked.body is not None:
            files[f"{server.name}{BODY}"] = server.asked.body.encode()
        if server.asked.headers:
            lines = "".join(f"{name}: {value}\n" for name, value in server.asked.headers.items())
            files[f"{server.name}{HEADERS}"] = lines.encode("latin-1")
        wrong += _background_mistakes(plan, server, files)
    if wrong:
        raise PlanError(whole_message(source, list(dict.fromkeys(wrong))))
    return files


def may_hold_tokens(plan: Plan) -> bool:
    """Whether the plan's text has something that authenticates with a server, as far as its keys tell."""
    return any(server.asked.headers or server.environment for server in map(plan.server, plan.models))


def _content(path: Path) -> bytes:
    """At most MOST_BYTES of a regular file. Raises OSError."""
    if path.exists() and not path.is_file():
        raise OSError("it is no file")
    if path.stat().st_size > MOST_BYTES:
        raise OSError(f"it has more than {MOST_BYTES} bytes")
    return path.read_bytes()


def _mistakes(suffix: str, content: bytes) -> list[str]:
    """What is wrong with a file; of its lines the first wrong one."""
    if suffix == PATHS:
        lines = content.decode("latin-1").splitlines()
        wrong = "is no path that begins with /, without blanks and in ASCII"
        numbered = ((number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip())
        bad = [f"line {number} {wrong}" for number, path in numbered if not _PATH.fullmatch(path)]
        return bad[:1] if any(line.strip() for line in lines) else ["has no path"]
    if suffix == CA:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content.decode("latin-1"))
        except (ssl.SSLError, ValueError):
            return ["has no certificate in PEM form"]
    return []


def _background_mistakes(plan: Plan, server: Server, files: dict[str, bytes]) -> list[str]:
    """What the background clients, which are simpler than the users, can't send."""
    if not plan.background_clients:
        return []
    key = "idle_connections" if plan.idle_connections else "slow_clients"
    wrong = []
    if server.tls:
        wrong.append(f"{key}: background clients speak no TLS, and {server.name} does")
    if len(files.get(f"{server.name}{BODY}", b"")) > MOST_BACKGROUND_BODY:
        wrong.append(f"{key}: background clients send a body of at most {MOST_BACKGROUND_BODY} bytes")
    return wrong
