"""What is measured: a model of servers/ or any other command, each under a name, and what a request asks of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

Milliseconds = Annotated[float, Field(ge=0, le=60_000)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=60)]
Target = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=2000)]
Status = Annotated[int, Field(ge=200, le=599, strict=True)]
Requirement = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$", max_length=60)]

PLACEHOLDERS = {
    "host": "the address to listen on",
    "port": "the port to listen on",
    "cores": "how many cores the server has",
    "python": "the target's Python",
    "scratch": "a directory of the run's own on the target, gathered into its logs/",
}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
OF_A_COMMAND = ("ready", "path", "method", "expect", "requires")
OF_A_MODEL = ("work", "options")


class Frozen(BaseModel):
    # protected_namespaces: `model` and `models` are this study's own words.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())


class Work(Frozen):
    """What a model does for each request: the body it sends, the CPU it burns, the time it waits."""

    bytes: PositiveInt | None = Field(default=None, le=64 * 1024 * 1024)
    """Length of the body; without it the request is echoed, as in the class report."""
    cpu_ms: Milliseconds = 0.0
    wait_ms: Milliseconds = 0.0


class Server(Frozen):
    """Either a registered model, with work and options of its own, or a command that starts any other server."""

    name: Name
    model: str | None = None
    work: Work | None = None
    """None: the plan's."""
    options: dict[str, int | float | str] = {}
    """Of the model's own, such as a pool's size."""
    command: str | None = None
    """Split as a shell would, run without one; PLACEHOLDERS are replaced in its words."""
    ready: Target | None = None
    """Answered with 200 once the server is ready; without it, it is ready when its port accepts."""
    path: Target = "/"
    method: Literal["GET", "HEAD", "POST"] = "GET"
    """POST sends an empty body."""
    expect: Status | str | None = None
    """A status, or the whole body of an answer with status 200; without it any body with status 200 is good."""
    requires: tuple[Requirement, ...] = ()
    """Programs, or modules of the target's Python. Where one is missing the run is skipped, and the report says so."""

    @property
    def status(self) -> int:
        """The status of a good answer."""
        return self.expect if isinstance(self.expect, int) else 200

    @property
    def wait_ms(self) -> float:
        """What a request is made to wait, by the study's doing; what a command does itself isn't known."""
        return self.work.wait_ms if self.work is not None else 0.0

    @property
    def echoes(self) -> bool:
        """A good answer's body is the request, escaped."""
        return self.command is None and (self.work is None or self.work.bytes is None)

    @property
    def body(self) -> bytes | None:
        """The body of a good answer where it can be known without the request; None: any, or the request's echo."""
        if self.command is not None:
            return self.expect.encode() if isinstance(self.expect, str) else None
        return b"x" * self.work.bytes if self.work is not None and self.work.bytes is not None else None

    def argv(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The command's words; `values` are those of PLACEHOLDERS."""
        assert self.command is not None
        return tuple(_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in shlex.split(self.command))


def mistakes(entry: Mapping[str, Any], key: str) -> list[str]:
    """What no single key shows to be wrong with one `[[servers]]` table, each with its key's name."""
    model, command = entry.get("model"), entry.get("command")
    if (model is None) == (command is None):
        return [f"{key}: needs either a model or a command" + ("" if model is None else ", not both")]
    stray, owner = (OF_A_COMMAND, "a server with a command") if command is None else (OF_A_MODEL, "a model")
    found = [f"{key}.{name}: belongs to {owner}" for name in stray if name in entry]
    if isinstance(command, str):
        found += [f"{key}.command: {wrong}" for wrong in _wrong_command(command)]
    if entry.get("method") == "HEAD" and isinstance(entry.get("expect"), str):
        found.append(f"{key}.expect: the answer to HEAD has no body: expect a status")
    return found


def _wrong_command(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        return [f"can't be split into words: {str(error).lower()}"]
    if not words:
        return ["is empty"]
    used = {name for word in words for name in _PLACEHOLDER.findall(word)}
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    wrong = [f"{{{name}}} stands for nothing (known: {known})" for name in sorted(used - set(PLACEHOLDERS))]
    return wrong if "port" in used else [*wrong, "must hold {port}: the server listens where the plan says"]
