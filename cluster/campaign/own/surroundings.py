"""The surroundings of a server of one's own: the files that it is brought with, its setup, its interpreter.

Each server has a directory of its own on the target. It is made anew, and the setup is run, where the files or the
setup have changed since; beside the directory, a file has the digest of what is there.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster.campaign import commands
from cluster.hosts.host import Host
from study.errors import HostError, PlanError
from study.plan import Plan
from study.workload import Server

SETUP_S = 900.0
LAST_LINES, LAST_LENGTH = 8, 300
BROUGHT = "brought"  # below the study's directory on the target
ENVIRONMENT = ".environment"


def own_directory(server: Server, target: Host) -> Path:
    """Where the server's files are on the target."""
    return target.directory / BROUGHT / server.name


def environment_file(server: Server, target: Host) -> Path | None:
    """Where the server's environment is on the target, as JSON; None where it has none of its own."""
    return own_directory(server, target).with_name(f"{server.name}{ENVIRONMENT}") if server.environment else None


def interpreter(server: Server, target: Host) -> str:
    """The Python for a model, or for `{python}` in a command."""
    if server.python is None:
        return target.python
    return str(own_directory(server, target) / server.python) if "/" in server.python else server.python


def bring_surroundings(plan: Plan, directory: Path, target: Host, report: Callable[[str], None]) -> None:
    """Have each server's files on the target, and its setup done. `directory` is that of the plan.

    Raises PlanError for a file that isn't here, HostError with the last lines of a setup that failed.
    """
    for server in map(plan.server, dict.fromkeys(plan.models)):
        if (variables := environment_file(server, target)) is not None:
            _put(json.dumps(server.environment), target, variables)
        if not _has_own_directory(server):
            continue
        there = own_directory(server, target)
        marker = there.with_name(f"{server.name}.digest")
        digest = digest_of_surroundings(server, directory)
        if target.run(["cat", str(marker)]).out.strip() == digest:
            continue
        _must(target, ["rm", "-rf", "--", str(there), str(marker)])
        _must(target, ["mkdir", "-p", "--", str(there)])
        for name in server.files:
            target.put(directory / name, there / Path(name).name, SETUP_S)
        if server.files:
            report(f"{target.entry.name}: {server.name} has its files")
        if server.setup is not None:
            report(f"{target.entry.name}: {server.name} is set up: {server.setup}")
            _set_up(server, target, there)
        _put(digest, target, marker)


def digest_of_surroundings(server: Server, directory: Path) -> str:
    """SHA-256 of what makes the server's directory: its files, and how it is set up. Raises PlanError."""
    digest = hashlib.sha256(repr((server.setup, sorted(server.environment.items()), server.directory)).encode())
    for name in server.files:
        for path, relative in _below(directory / name, server):
            digest.update(f"{relative}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def digests(plan: Plan, directory: Path) -> dict[str, bytes]:
    """Of each server that has surroundings; they decide whether a campaign is the same."""
    servers = filter(_has_own_directory, map(plan.server, dict.fromkeys(plan.models)))
    return {f"{server.name}/": digest_of_surroundings(server, directory).encode() for server in servers}


def _below(path: Path, server: Server) -> Iterator[tuple[Path, str]]:
    """The files of a file or a directory, each with its name below it."""
    if not path.exists():
        raise PlanError(f"servers.{server.name}.files: {path} isn't there")
    if path.is_file():
        yield path, path.name
    for each in sorted(path.rglob("*")) if path.is_dir() else ():
        if each.is_symlink() and path.resolve() not in each.resolve().parents:
            raise PlanError(f"servers.{server.name}.files: {each} is a link to what isn't brought with it")
        if each.is_file() and "__pycache__" not in each.parts:
            yield each, str(each.relative_to(path.parent))


def _has_own_directory(server: Server) -> bool:
    relative = server.directory is not None and not server.directory.startswith("/")
    return bool(server.files) or server.setup is not None or relative


def _set_up(server: Server, target: Host, there: Path) -> None:
    """Run the setup in the server's directory. `{python}` is the target's there: the server's own may be its work."""
    values = {"host": target.entry.address, "port": "", "cores": "", "python": target.python, "scratch": str(there)}
    place = commands.ServerPlace(there, target.python, environment_file(server, target))
    argv = commands.surrounded(target.python, server, server.argv(values, setup=True), place)
    done = target.run(argv, SETUP_S)
    if done.status:
        last = "".join(f"\n    {line[:LAST_LENGTH]}" for line in (done.err + done.out).splitlines()[-LAST_LINES:])
        raise HostError(f"{target.entry.name}: the setup of {server.name} ended with {done.status}{last}")


def _put(text: str, target: Host, there: Path) -> None:
    """Write a file on the target that nobody else there can read."""
    with tempfile.NamedTemporaryFile("w", prefix="study-", encoding="ascii") as file:
        file.write(text)
        file.flush()
        target.put(Path(file.name), there)


def _must(target: Host, argv: list[str]) -> None:
    done = target.run(argv)
    if done.status:
        raise HostError(f"{target.entry.name}: {' '.join(argv[:2])} ended with {done.status}: {done.err.strip()}")
