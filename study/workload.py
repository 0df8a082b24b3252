"""The servers of a plan: a model of servers/, any other command, or a server that runs already at a URL."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, PositiveInt

from study.request import (
    REQUEST_KEYS,
    Argument,
    ExpectTable,
    FileName,
    Frozen,
    Method,
    RequestTable,
    RequestTarget,
    Status,
    request_mistakes,
)

Milliseconds = Annotated[float, Field(ge=0, le=60_000)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=60)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]
Requirement = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$", max_length=60)]
RelativePath = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")]
ClassName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
Tag = Annotated[str, Field(pattern=r"^[!-~]+$", max_length=100)]

PLACEHOLDERS = {
    "host": "the address to listen on",
    "port": "the port to listen on",
    "cores": "how many cores the server has",
    "python": "the target's Python",
    "scratch": "the run's own directory on the target; its files are copied into the run's logs/",
}
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w+)\}")  # a brace is written twice
# Outside of quotation marks, what a shell would read as more than a word.
_OPERATOR = re.compile(r"[0-9]?[<>].*|[|&;].*|.*;")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*")
RUNNING_KEYS = (*REQUEST_KEYS, "request", "ca", "verify")  # of any server that is no model
COMMAND_KEYS = ("ready", "ready_s", "requires", "https", "directory", "environment", "setup", "files")
MODEL_KEYS = ("work", "options")
KINDS = ("model", "command", "url")


class Work(Frozen):
    """What a model does for each request: the body it sends, the CPU it burns, the time it waits."""

    bytes: PositiveInt | None = Field(default=None, le=64 * 1024 * 1024)
    """Length of the answer's body; None echoes the request, as in the class report."""
    cpu_ms: Milliseconds = 0.0
    """CPU time burnt."""
    wait_ms: Milliseconds = 0.0
    """Time waited without using the CPU."""


class Server(Frozen):
    """A registered model with work and options of its own, a command that starts any other server, or the URL of one
    that runs already.
    """

    name: Name
    model: str | None = None
    work: Work | None = None
    """None means the plan's [work]."""
    cores: PositiveInt | None = Field(default=None, le=4096)
    """How many of the target's cores for the server it is pinned to; None means all of them."""
    options: dict[str, int | float | str] = Field(default_factory=dict)
    """The model's own options, such as a pool's size."""
    command: Argument | None = None
    """Split into words as a shell would, but run without a shell; PLACEHOLDERS are replaced in each word."""
    ready: RequestTarget | None = None
    """Path of the readiness probe, which expects status 200; without it the server is ready when its port accepts."""
    path: RequestTarget = "/"
    method: Method = "GET"
    expect: Status | Argument | ExpectTable | None = None
    """`path`, `method` and `expect` are those of [request], for a server that needs no more of it."""
    request: RequestTable | None = None
    """None means the plan's [request], unless the server has a path, a method or an expectation of its own."""
    url: Annotated[str, Field(max_length=1000)] | None = None
    """Of a server that runs already: http or https, a name or an address, and a port."""
    https: bool = False
    """Whether the command's server speaks TLS."""
    ca: FileName | None = None
    """A file of certificates (PEM) that are trusted in place of the system's."""
    verify: bool = True
    """Whether the server's certificate is checked."""
    directory: FileName | None = None
    """Where the command runs: on the target, below `files` unless it begins with /."""
    environment: dict[Variable, Argument] = Field(default_factory=dict)
    """Variables of the command's environment."""
    setup: Argument | None = None
    """A command that is run once, before the server is started for the first time; split as `command` is."""
    python: FileName | None = None
    """The interpreter for a model, or for `{python}` in a command; None means the target's."""
    files: tuple[FileName, ...] = ()
    """Files and directories that are brought to the target."""
    ready_s: float | None = Field(default=None, gt=0, le=3600)
    """Seconds within which it must be ready; None means 15."""
    requires: tuple[Requirement, ...] = ()
    """Programs, or modules of the target's Python. Where one is missing, the run is skipped and the report says so."""

    @property
    def asked(self) -> RequestTable:
        """The request that the server gets; Plan.server has filled in the plan's."""
        if self.request is not None:
            return self.request
        return RequestTable(method=self.method, path=self.path, expect=self.expect)

    def filled(self, work: Work, request: RequestTable | None) -> Server:
        """The same with the plan's work and request, where it has none of its own."""
        if self.model is not None:
            own = self if self.work is not None else self.model_copy(update={"work": work})
            return own if request is None else own.model_copy(update={"request": request})
        if self.request is not None or request is None or self.model_fields_set.intersection(REQUEST_KEYS):
            return self
        return self.model_copy(update={"request": request})

    @property
    def is_started(self) -> bool:
        """Whether the study starts it, and ends it."""
        return self.url is None

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS."""
        return self.https or (self.url or "").startswith("https:")

    def location(self, address: str, port: int) -> tuple[str, int]:
        """Where the users reach it: at its URL, else at the target's address and the plan's port."""
        if self.url is None:
            return address, port
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (443 if self.tls else 80)

    @property
    def status(self) -> int:
        """The status of a good answer."""
        return 200 if self.model is not None else self.asked.wanted.status

    @property
    def wait_ms(self) -> float:
        """Milliseconds that the plan makes each request wait; 0 for a command, whose own waiting isn't known."""
        return self.work.wait_ms if self.work is not None else 0.0

    @property
    def echoes(self) -> bool:
        """Whether a good answer's body is the request, HTML-escaped."""
        return self.model is not None and (self.work is None or self.work.bytes is None)

    @property
    def body(self) -> bytes | None:
        """The body of a good answer; None where any body is good or the request is echoed."""
        if self.model is None:
            body = self.asked.wanted.body
            return None if body is None else body.encode()
        return b"x" * self.work.bytes if self.work is not None and self.work.bytes is not None else None

    def argv(self, values: Mapping[str, str], setup: bool = False) -> tuple[str, ...]:
        """The words of the command, or of its setup, with each placeholder replaced by its value in `values`.

        In `{host}:{port}` an IPv6 address stands in brackets.
        """
        command = self.setup if setup else self.command
        assert command is not None
        bracketed = "[{host}]:" if ":" in values["host"] else "{host}:"
        words = [word.replace("{host}:", bracketed) for word in shlex.split(command)]
        return tuple(
            _PLACEHOLDER.sub(lambda match: values[match[1]] if match[1] else match[0][0], word) for word in words
        )

    @property
    def program(self) -> str:
        """The first word of the command, empty where that is the target's Python or follows from the target."""
        first = shlex.split(self.command)[0] if self.command else ""
        return "" if "{" in first else first


def mistakes(entry: Mapping[str, Any], key: str) -> list[str]:
    """Mistakes in one raw `[[servers]]` table that concern several keys together, each with its key's name."""
    kinds = [kind for kind in KINDS if entry.get(kind) is not None]
    if len(kinds) != 1:
        return [f"{key}: needs either a model, a command or a url" + (", and one of them alone" if kinds else "")]
    (kind,) = kinds
    owners = {
        "model": (RUNNING_KEYS + COMMAND_KEYS, "a server with a command"),
        "command": (MODEL_KEYS, "a model"),
        "url": (COMMAND_KEYS + MODEL_KEYS + ("python",), "a server that the study starts"),
    }
    stray, owner = owners[kind]
    wrong = [f"{key}.{name}: belongs to {owner}" for name in stray if name in entry]
    if isinstance(entry.get("command"), str):
        wrong += [f"{key}.command: {mistake}" for mistake in _command_mistakes(entry["command"])]
    if isinstance(entry.get("setup"), str):
        wrong += [f"{key}.setup: {mistake}" for mistake in _command_mistakes(entry["setup"], is_server=False)]
    if isinstance(entry.get("url"), str):
        wrong += [f"{key}.url: {mistake}" for mistake in _url_mistakes(entry["url"])]
    if isinstance(entry.get("files"), list):
        wrong += [f"{key}.files: {mistake}" for mistake in _files_mistakes(entry["files"])]
    if "request" in entry:
        wrong += [f"{key}.{name}: stands in [servers.request] already" for name in REQUEST_KEYS if name in entry]
        wrong += request_mistakes(entry["request"], f"{key}.request")
    tls = entry.get("https") is True or str(entry.get("url")).startswith("https:")
    for name in ("ca", "verify"):
        if name in entry and not tls and kind != "model":
            wrong.append(f"{key}.{name}: is about a certificate, and the server speaks no TLS (https = true)")
    if entry.get("verify") is False and "ca" in entry:
        wrong.append(f"{key}.ca: is of no use with verify = false")
    return wrong + request_mistakes({name: entry[name] for name in REQUEST_KEYS if name in entry}, key)


def _files_mistakes(files: list[Any]) -> list[str]:
    """Each file has a name of its own in the server's directory: the last part of what is given."""
    names = Counter(PurePosixPath(name).name for name in files if isinstance(name, str))
    wrong = [f"several are called {name}" for name, count in names.items() if count > 1]
    return ["what is in a directory is named, in place of . and .."] if {"", ".."} & set(names) else wrong


def _url_mistakes(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        port, name = parts.port, parts.hostname
    except ValueError as error:
        return [f"is no URL: {str(error).lower()}"]
    if parts.scheme not in ("http", "https"):
        return ["begins with http:// or https://"]
    if not name or not re.fullmatch(r"[a-z0-9_.:%-]+", name) or port == 0:
        return ["http://NAME:PORT is wanted, NAME in ASCII"]
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username is not None:
        return ["is the server's, as http://NAME:PORT; the path belongs to [request], a password to its headers"]
    return []


def _command_mistakes(command: str, is_server: bool = True) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        return [f"can't be split into words: {str(error).lower()}"]
    if not words:
        return ["is empty"]
    if shell := _shell_mistake(command, words):
        return [shell]
    used = {name for word in words for name in _PLACEHOLDER.findall(word) if name}
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    wrong = [
        f"{{{name}}} stands for nothing (known: {known}; a brace is written twice, {{{{)"
        for name in sorted(used - set(PLACEHOLDERS))
    ]
    return (
        wrong
        if "port" in used or not is_server
        else [*wrong, "must hold {port}: the server listens where the plan says"]
    )


def _shell_mistake(command: str, words: list[str]) -> str:
    """What of a command only a shell understands, since none reads it; empty where there is nothing."""
    quoted = shlex.shlex(command, posix=False, punctuation_chars=False)
    quoted.whitespace_split, quoted.commenters = True, ""
    raw = list(quoted)
    what = ""
    if operators := [word for word in raw if _OPERATOR.fullmatch(word)]:
        what = operators[0]
    elif _ASSIGNMENT.fullmatch(words[0]):
        return f"no shell reads it: for {words[0]}, begin it with `env {words[0]}`"
    elif words[0].startswith("~"):
        return f"no shell reads it: {words[0]} is no path; write the whole one"
    elif words[0].startswith("$") or words[0] in ("cd", "export", "source", ".", "exec", "ulimit"):
        what = words[0]
    return f"no shell reads it, and {what} is for one: write sh -c '... exec the-server ...'" if what else ""
