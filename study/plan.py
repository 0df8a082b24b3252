"""A plan: what is asked of a campaign, as one immutable value read from a TOML file.

The whole file is validated before anything starts; every mistake is in the one message, with its key.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from study.errors import PlanError
from study.workload import Frozen, Name, Server, Work, mistakes

Seconds = Annotated[float, Field(gt=0, le=3600)]
Beside = Annotated[int, Field(ge=0, le=60_000, strict=True)]

AUTO_SETTLE_S, AUTO_MEASURE_S, AUTO_MOST_S = 15.0, 45.0, 180.0  # least of each, and the most of both
RUN_OVERHEAD_S = 10.0  # start of server, master and workers, drain, stop
AA_SUFFIX = "-aa"  # the label of the first model's second run in a block


class Slo(Frozen):
    """What counts as good service: the largest step within it is a model's `sustained_users`."""

    p99_ms: Annotated[float, Field(gt=0)] = 500.0
    failures_percent: Annotated[float, Field(ge=0, le=100)] = 1.0


@dataclass(frozen=True)
class Step:
    """One rung of a run: `number` counts from 1, `kind` is ladder or return."""

    number: int
    kind: Literal["ladder", "return"]
    users: int


@dataclass(frozen=True)
class Run:
    """One model up the ladder once: the unit of the study. `label` differs from `model` for the A/A control."""

    block: int
    label: str
    model: str

    @property
    def directory(self) -> str:
        return f"{self.block}-{self.label}"


class Plan(Frozen):
    """Times in seconds, rates per second, memory in MiB."""

    name: Name
    models: tuple[str, ...] = Field(min_length=1)
    users: tuple[Annotated[int, Field(gt=0, strict=True)], ...] = Field(min_length=1)
    spawn_rate: Annotated[float, Field(gt=0, le=100_000)] = 100.0
    think_time: tuple[Annotated[float, Field(ge=0, le=3600)], Annotated[float, Field(ge=0, le=3600)]] = (
        1.0,
        5.0,
    )
    """Drawn uniformly between the two, Locust's `between`."""
    client: Literal["lean", "fast", "http"] = "lean"
    connection: Literal["close", "keep-alive"] = "close"
    idle_connections: Beside = 0
    """Held open beside the load: answered once, and asked again before the server's patience ends."""
    slow_clients: Beside = 0
    """Beside the load as well: they send their request a byte a second."""
    timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    """Deadline of a whole request, its connection included."""
    settle: Seconds | Literal["auto"] = "auto"
    measure: Seconds | Literal["auto"] = "auto"
    return_step: bool = True
    """Repeat a step at or below half of the ladder's top at the end of each run."""
    aa: bool = True
    """Run the first model twice in each block, the second time under another label."""
    blocks: Annotated[int, Field(ge=1, le=100)] = 1
    seed: Annotated[int, Field(ge=0)] = 1
    port: Annotated[int, Field(ge=1, le=65535)] = 8070
    master_port: Annotated[int, Field(ge=1, le=65535)] = 5557
    memory_floor_mb: Annotated[int, Field(ge=0)] = 512
    """A run is stopped, and recorded as stopped, when a host has less available memory than this."""
    work: Work = Work()
    servers: tuple[Server, ...] = ()
    slo: Slo = Slo()

    @field_validator("models")
    @classmethod
    def _models_once(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(models)) != len(models):
            raise ValueError("names a model twice (a second run of a model needs a name of its own under [[servers]])")
        return models

    @field_validator("users")
    @classmethod
    def _ladder_ascends(cls, users: tuple[int, ...]) -> tuple[int, ...]:
        if any(low >= high for low, high in pairwise(users)):
            raise ValueError("must ascend: each step has more users than the one before")
        return users

    @field_validator("think_time")
    @classmethod
    def _think_ordered(cls, think: tuple[float, float]) -> tuple[float, float]:
        if think[0] > think[1]:
            raise ValueError("the smaller bound comes first")
        return think

    @field_validator("master_port")
    @classmethod
    def _ports_differ(cls, master_port: int, info: ValidationInfo) -> int:
        if master_port == info.data.get("port"):
            raise ValueError("must differ from port, which is the server's")
        return master_port

    @property
    def mean_think_s(self) -> float:
        """Z of the interactive law as drawn."""
        return sum(self.think_time) / 2

    @property
    def bystanders(self) -> int:
        """Clients beside the load."""
        return self.idle_connections + self.slow_clients

    def steps(self) -> tuple[Step, ...]:
        """The ladder of users, and at its end the return step."""
        ladder = [Step(index, "ladder", users) for index, users in enumerate(self.users, start=1)]
        lower = [users for users in self.users if users <= self.users[-1] / 2]
        if self.return_step and lower:
            ladder.append(Step(len(ladder) + 1, "return", lower[-1]))
        return tuple(ladder)

    def run_seconds(self) -> tuple[float, float]:
        """How long one run takes, at least and at most (they differ where a phase is "auto")."""
        least = most = RUN_OVERHEAD_S
        users = 0
        for step in self.steps():
            ramp = 1.0 + abs(step.users - users) / self.spawn_rate
            users = step.users
            for planned, auto in ((self.settle, AUTO_SETTLE_S), (self.measure, AUTO_MEASURE_S)):
                least += auto if isinstance(planned, str) else planned
                most += AUTO_MOST_S if isinstance(planned, str) else planned
            least, most = least + ramp, most + ramp
        return least, most

    def server(self, name: str) -> Server:
        """What runs under this name, with the plan's work where it is a model that has none of its own."""
        own = next((server for server in self.servers if server.name == name), Server(name=name, model=name))
        return own if own.command is not None or own.work is not None else own.model_copy(update={"work": self.work})

    def runs(self) -> tuple[Run, ...]:
        """Every block's runs, in an order drawn from the seed: the same plan gives the same order."""
        drawn = random.Random(self.seed)
        runs: list[Run] = []
        for block in range(1, self.blocks + 1):
            of_block = [Run(block, name, name) for name in self.models]
            if self.aa:
                of_block.append(Run(block, self.models[0] + AA_SUFFIX, self.models[0]))
            drawn.shuffle(of_block)
            runs += of_block
        return tuple(runs)


Models = Mapping[str, Collection[str]]
"""The models that can be run here, each with the names of its own options."""


def parse_plan(text: str, source: str, known_models: Models | None = None) -> Plan:
    """Read a plan from TOML text. Without `known_models` any name will do: a finished campaign is only read.

    Raises PlanError with every mistake in one message.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{source}: not valid TOML: {error}") from None
    wrong = _unknown_models(data, known_models) if known_models is not None else []
    wrong += [mistake for key, entry in _servers(data).items() for mistake in mistakes(entry, key)]
    wrong += _labels_clash(data)
    try:
        plan = Plan.model_validate(data)
    except ValidationError as error:
        wrong = _sentences(error.errors(), list(_servers(data))) + wrong
    if wrong:
        count = "1 mistake" if len(wrong) == 1 else f"{len(wrong)} mistakes"
        raise PlanError(f"{source}: {count}\n" + "\n".join(f"  {mistake}" for mistake in wrong))
    return plan


def load_plan(path: Path, known_models: Models | None = None) -> Plan:
    """Read a plan file; see parse_plan."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PlanError(f"plan {path}: can't be read: {reason} (plans are in campaigns/)") from None
    return parse_plan(text, f"plan {path}", known_models)


def _sentences(details: Sequence[Any], servers: Sequence[str]) -> list[str]:
    """One line for each key: `key: what is wrong (got ...)`. `servers` are the keys of the [[servers]], in order."""
    found: dict[str, tuple[list[str], str]] = {}
    for detail in details:
        parts = [str(part) for part in detail["loc"] if not str(part).startswith(_VARIANTS)]
        if parts[:1] == ["servers"] and len(parts) > 1 and int(parts[1]) < len(servers):
            parts[:2] = [servers[int(parts[1])]]
        key = ".".join(parts) or "plan"
        if detail["type"] == "too_short" and any(other.startswith(f"{key}.") for other in found):
            continue  # it is short only of the items that were refused
        message = "unknown key" if detail["type"] == "extra_forbidden" else detail["msg"].removeprefix("Value error, ")
        given = "" if detail["type"] in ("missing", "extra_forbidden") else f" (got {detail['input']!r})"
        found.setdefault(key, ([], given))[0].append(message)
    return [f"{key}: {', or: '.join(messages)}{given}" for key, (messages, given) in found.items()]


_VARIANTS = (
    "constrained",
    "literal[",
    "int",
    "float",
    "str",
)  # what pydantic adds to a key that may have several types


def _servers(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The [[servers]] as they stand in the file, by a key that a person finds there: the name, or the number."""
    listed = _listed(data.get("servers"))
    names = [
        str(entry.get("name", number)) if isinstance(entry, dict) else "" for number, entry in enumerate(listed, 1)
    ]
    return {
        f"servers.{name if names.count(name) == 1 else number}": entry if isinstance(entry, dict) else {}
        for number, (name, entry) in enumerate(zip(names, listed, strict=True), 1)
    }


def _labels_clash(data: dict[str, Any]) -> list[str]:
    """Two runs of one name would share a directory."""
    names = [entry.get("name") for entry in _listed(data.get("servers")) if isinstance(entry, dict)]
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    mistakes = [f"servers.{name}: named twice" for name in twice]
    models = [name for name in _listed(data.get("models")) if isinstance(name, str)]
    if data.get("aa", True) and models and models[0] + AA_SUFFIX in models:
        mistakes.append(f"models: {models[0]}{AA_SUFFIX} is the A/A control's name: choose another, or set aa = false")
    return mistakes


def _unknown_models(data: dict[str, Any], known: Models) -> list[str]:
    """Looked up in the raw file, so that they stand beside the other mistakes and not after them."""
    registered = ", ".join(sorted(known))
    servers = _servers(data)
    own = {entry.get("name") for entry in servers.values()}
    wrong = [
        f"models: unknown model {name!r} (known: {registered})"
        for name in _listed(data.get("models"))
        if isinstance(name, str) and name not in known and name not in own
    ]
    for key, entry in servers.items():
        model, options = entry.get("model"), entry.get("options")
        if isinstance(model, str) and model not in known:
            wrong.append(f"{key}: unknown model {model!r} (known: {registered})")
        elif isinstance(model, str) and isinstance(options, dict):
            there = f"it has {', '.join(known[model])}" if known[model] else "it has none"
            wrong += [
                f"{key}.options: {model} has no option {name!r} ({there})" for name in set(options) - {*known[model]}
            ]
        if isinstance(entry.get("name"), str) and entry["name"] in known:
            wrong.append(f"{key}: a registered model has this name already")
    return wrong


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
