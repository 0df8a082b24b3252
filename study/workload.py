"""The servers of a plan: a model of servers/ or any other command, each with a name, and the work of one request."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Milliseconds = Annotated[float, Field(ge=0, le=60_000)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=60)]
RequestTarget = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=2000)]
Status = Annotated[int, Field(ge=200, le=599, strict=True)]
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
COMMAND_KEYS = ("ready", "ready_s", "path", "method", "expect", "requires")
MODEL_KEYS = ("work", "options")


class Frozen(BaseModel):
    """Base of a plan's tables: immutable, refuses unknown keys."""

    # protected_namespaces: pydantic reserves names that begin with `model`, which are keys of a plan.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())


class Work(Frozen):
    """What a model does for each request: the body it sends, the CPU it burns, the time it waits."""

    bytes: PositiveInt | None = Field(default=None, le=64 * 1024 * 1024)
    """Length of the answer's body; None echoes the request, as in the class report."""
    cpu_ms: Milliseconds = 0.0
    """CPU time burnt."""
    wait_ms: Milliseconds = 0.0
    """Time waited without using the CPU."""


class Server(Frozen):
    """Either a registered model, with work and options of its own, or a command that starts any other server."""

    name: Name
    model: str | None = None
    work: Work | None = None
    """None means the plan's [work]."""
    cores: PositiveInt | None = Field(default=None, le=4096)
    """How many of the target's cores for the server it is pinned to; None means all of them."""
    options: dict[str, int | float | str] = {}
    """The model's own options, such as a pool's size."""
    command: str | None = None
    """Split into words as a shell would, but run without a shell; PLACEHOLDERS are replaced in each word."""
    ready: RequestTarget | None = None
    """Path of the readiness probe, which expects status 200; without it the server is ready when its port accepts."""
    path: RequestTarget = "/"
    method: Literal["GET", "HEAD", "POST"] = "GET"
    """POST sends an empty body."""
    expect: Status | str | None = None
    """Expected status, or expected body of an answer with status 200; without it any body with status 200 is good."""
    ready_s: float | None = Field(default=None, gt=0, le=3600)
    """Seconds within which it must be ready; None means 15."""
    requires: tuple[Requirement, ...] = ()
    """Programs, or modules of the target's Python. Where one is missing, the run is skipped and the report says so."""

    @property
    def status(self) -> int:
        """The status of a good answer."""
        return self.expect if isinstance(self.expect, int) else 200

    @property
    def wait_ms(self) -> float:
        """Milliseconds that the plan makes each request wait; 0 for a command, whose own waiting isn't known."""
        return self.work.wait_ms if self.work is not None else 0.0

    @property
    def echoes(self) -> bool:
        """Whether a good answer's body is the request, HTML-escaped."""
        return self.command is None and (self.work is None or self.work.bytes is None)

    @property
    def body(self) -> bytes | None:
        """The body of a good answer; None where any body is good or the request is echoed."""
        if self.command is not None:
            return self.expect.encode() if isinstance(self.expect, str) else None
        return b"x" * self.work.bytes if self.work is not None and self.work.bytes is not None else None

    def argv(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The command's words, with each placeholder replaced by its value in `values`.

        In `{host}:{port}` an IPv6 address stands in brackets.
        """
        assert self.command is not None
        bracketed = "[{host}]:" if ":" in values["host"] else "{host}:"
        words = [word.replace("{host}:", bracketed) for word in shlex.split(self.command)]
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
    model, command = entry.get("model"), entry.get("command")
    if (model is None) == (command is None):
        return [f"{key}: needs either a model or a command" + ("" if model is None else ", not both")]
    stray, owner = (COMMAND_KEYS, "a server with a command") if command is None else (MODEL_KEYS, "a model")
    wrong = [f"{key}.{name}: belongs to {owner}" for name in stray if name in entry]
    if isinstance(command, str):
        wrong += [f"{key}.command: {mistake}" for mistake in _command_mistakes(command)]
    if entry.get("method") == "HEAD" and isinstance(entry.get("expect"), str):
        wrong.append(f"{key}.expect: the answer to HEAD has no body: expect a status")
    return wrong


def _command_mistakes(command: str) -> list[str]:
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
    return wrong if "port" in used else [*wrong, "must hold {port}: the server listens where the plan says"]


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
