"""A plan: what a campaign measures and how, as one immutable value read from a TOML file.

The whole file is validated before anything starts; one message lists every mistake with its key. docs/plan-keys.md
documents each key, and a test checks that page against the types below.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from study.errors import PlanError
from study.plan_errors import check_text, messages, plan_text, whole_message
from study.raw_plan import Models, plan_mistakes, server_tables
from study.request import ExpectTable, Frozen, RequestTable
from study.search import Search
from study.workload import ClassName, Name, RelativePath, Server, Tag, Work

PhaseSeconds = Annotated[float, Field(gt=0, le=3600)]
UserCount = Annotated[int, Field(gt=0, le=10_000_000, strict=True)]
ClientCount = Annotated[int, Field(ge=0, le=60_000, strict=True)]

AUTO_SETTLE_S, AUTO_MEASURE_S = 15.0, 45.0  # shortest settle and measure phase where the plan says "auto"
AUTO_MOST_S = 180.0  # longest phase where the plan says "auto"
IDLE_SETTLE_S, IDLE_MEASURE_S = 0.3, 1.0  # phases of the idle step
OWN_IDLE_SETTLE_S, OWN_IDLE_MEASURE_S = 0.5, 3.0  # the same with a locustfile, whose user has several tasks
IDLE_STEP = 0  # its number
NO_THINK = (0.0, 0.0)  # think time of the idle step
NULL_MODEL = "null"  # the model that the generator is calibrated against
RECOVERY_S = 10.0  # longest wait for idle response times after a failed trial of a search
EXTENSIONS = 4  # a trial with too few answers is measured up to so many times as long
AA_SUFFIX = "-aa"  # ends the label of the first model's second run in a block


class Slo(Frozen):
    """The service level objective: the capacity is the largest load that keeps it."""

    p99_ms: Annotated[float, Field(gt=0, le=3_600_000)] = 500.0
    failures_percent: Annotated[float, Field(ge=0, le=100)] = 1.0
    must_carry: UserCount | None = None
    """Users that every model must carry within it: exit status 5 where one is known not to."""


class SearchTable(Frozen):
    """Instead of `users`: each run searches for the largest number of users within the SLO."""

    # Serialized as in the file, where the key is `from`: a word that Python keeps for itself.
    model_config = ConfigDict(serialize_by_alias=True)

    start: UserCount = Field(alias="from")
    most: UserCount
    resolution: Annotated[float, Field(ge=0.01, le=1)] = 0.1

    @field_validator("most")
    @classmethod
    def _start_within(cls, most: int, info: ValidationInfo) -> int:
        if most < info.data.get("start", 0):
            raise ValueError("must be at least from")
        return most


@dataclass(frozen=True)
class Step:
    """One level of load in a run. `number` counts from 1; a `return` step repeats an earlier level at the end.

    The `idle` step has the number IDLE_STEP: one user without think time, whose mean response time is R1, that
    of an idle server. A `trial` is a load that a search chose, a `confirm` one that is measured twice as long.
    """

    number: int
    kind: Literal["idle", "ladder", "return", "trial", "confirm"]
    users: int


@dataclass(frozen=True)
class Run:
    """One model measured at every step once. `label` differs from `model` only for the A/A control."""

    block: int
    label: str
    model: str

    @property
    def directory(self) -> str:
        """Name of the run's directory below runs/, unique within the campaign."""
        return f"{self.block}-{self.label}"


class Plan(Frozen):
    """Every key of a plan file. Times in seconds, rates per second, memory in MiB."""

    name: Name
    models: tuple[Annotated[str, Field(max_length=100)], ...] = Field(min_length=1)
    users: tuple[UserCount, ...] = ()
    """The steps of every run; empty where the plan has a search."""
    spawn_rate: Annotated[float, Field(ge=0.001, le=100_000)] = 100.0
    think_time: tuple[Annotated[float, Field(ge=0, le=3600)], Annotated[float, Field(ge=0, le=3600)]] = (
        1.0,
        5.0,
    )
    """Each wait is drawn uniformly between the two, as by Locust's `between`."""
    client: Literal["lean", "fast", "http"] = "lean"
    locustfile: RelativePath | None = None
    """A locustfile of one's own, relative to the plan's file; its user classes are then the client."""
    user_classes: tuple[ClassName, ...] = ()
    """Those of its user classes that run; empty: all of them."""
    files: tuple[RelativePath, ...] = ()
    """Files and directories that it needs, relative to the plan's file, below the locustfile's directory."""
    requirements: RelativePath | None = None
    """A requirements file with hashes, for what the locustfile imports; relative to the plan's file."""
    tags: tuple[Tag, ...] = ()
    """Only tasks with one of these tags run; empty: all tasks."""
    connection: Literal["close", "keep-alive"] = "close"
    idle_connections: ClientCount = 0
    """Background clients that hold a connection open: each sends a request and repeats it before the server's idle
    timeout."""
    slow_clients: ClientCount = 0
    """Background clients that send their request at one byte a second."""
    timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    """Deadline of a whole request, including its connect."""
    settle: PhaseSeconds | Literal["auto"] = "auto"
    measure: PhaseSeconds | Literal["auto"] = "auto"
    return_step: bool = True
    """Whether each run ends by repeating the largest step at or below half of the largest number of users."""
    aa: bool = True
    """Whether each block runs the first model twice, the second time under another label (the A/A control)."""
    blocks: Annotated[int, Field(ge=1, le=100)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1
    port: Annotated[int, Field(ge=1, le=65535)] = 8070
    master_port: Annotated[int, Field(ge=1, le=65535)] = 5557
    memory_floor_mb: Annotated[int, Field(ge=0, le=2**30)] = 512
    """A host with less available memory than this stops the run, which is recorded as failed."""
    work: Work = Work()
    request: RequestTable | None = None
    """What every user sends; None: GET / with any body of status 200 as a good answer."""
    servers: tuple[Server, ...] = ()
    slo: Slo = Slo()
    search: SearchTable | None = None

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
    def keeps_alive(self) -> bool:
        """Whether users may hold a connection: with a locustfile, as its own classes do."""
        return self.connection == "keep-alive" or self.locustfile is not None

    @property
    def mean_think_s(self) -> float:
        """Mean think time in seconds: Z of the interactive response time law; 0 with a locustfile, whose users wait as
        they themselves say."""
        return 0.0 if self.locustfile else sum(self.think_time) / 2

    @property
    def most_users(self) -> int:
        """The users of the largest step that a run may have."""
        return self.search.most if self.search is not None else self.users[-1]

    @property
    def most_steps(self) -> int:
        """The most steps that a run may have; of a search at the bound on its trials, each of them repeated."""
        search = self.capacity_search
        return len(self.steps()) + (2 * search.most_trials(search.most) if search is not None else 0)

    @property
    def capacity_search(self) -> Search | None:
        """The search that each run does; None for a plan with a list of users."""
        asked = self.search
        return None if asked is None else Search(asked.start, asked.most, asked.resolution)

    @property
    def background_clients(self) -> int:
        """Number of clients, idle and slow, that connect in addition to the users."""
        return self.idle_connections + self.slow_clients

    @property
    def calibrates(self) -> bool:
        """Whether only the null responder is measured, so that the figures are the generator's and no server's."""
        return self.models == (NULL_MODEL,)

    def steps(self) -> tuple[Step, ...]:
        """The idle step, the ladder of users, and the return step if there is one.

        The trials of a search aren't known before a run: they are in its ledger.
        A calibration has no idle step: nothing in it is compared with the response time of an idle server.
        """
        idle = [] if self.calibrates else [Step(IDLE_STEP, "idle", 1)]
        return (*idle, *self.load_steps())

    def load_steps(self) -> tuple[Step, ...]:
        """The steps that load the server: those of `steps` without the idle step; none of a search."""
        if not self.users:
            return ()
        ladder = [Step(index, "ladder", users) for index, users in enumerate(self.users, start=1)]
        lower = [users for users in self.users if users <= self.users[-1] / 2]
        if self.return_step and lower:
            ladder.append(Step(len(ladder) + 1, "return", lower[-1]))
        return tuple(ladder)

    def phases(self, step: Step) -> tuple[float | Literal["auto"], float | Literal["auto"]]:
        """How long a step settles and is measured, in s."""
        if step.kind == "idle":
            return (OWN_IDLE_SETTLE_S, OWN_IDLE_MEASURE_S) if self.locustfile else (IDLE_SETTLE_S, IDLE_MEASURE_S)
        longer = step.kind == "confirm" and not isinstance(self.measure, str)
        return self.settle, (2 * float(self.measure) if longer else self.measure)

    def during(self, step: Step) -> Plan:
        """The plan as it holds for one step: the idle step has no think time."""
        return self.model_copy(update={"think_time": NO_THINK}) if step.kind == "idle" else self

    def server(self, name: str) -> Server:
        """The server called `name`. One without work or request of its own gets the plan's."""
        own = next((server for server in self.servers if server.name == name), Server(name=name, model=name))
        return own.filled(self.work, self.request)

    def runs(self) -> tuple[Run, ...]:
        """Every block's runs, shuffled within the block by the plan's seed: the same plan gives the same order."""
        drawn = random.Random(self.seed)
        runs: list[Run] = []
        for block in range(1, self.blocks + 1):
            block_runs = [Run(block, name, name) for name in self.models]
            if self.aa:
                block_runs.append(Run(block, self.models[0] + AA_SUFFIX, self.models[0]))
            drawn.shuffle(block_runs)
            runs += block_runs
        return tuple(runs)


@dataclass(frozen=True)
class PlanFile:
    """A plan and the text it was parsed from, both from one read of the file."""

    plan: Plan
    text: str
    directory: Path = Path()
    """That of the file, which its other paths are relative to."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The contents of the files that its requests name (cluster/campaign/own/brought.py), where they were read too."""


def parse_plan(text: str, source: str, known_models: Models | None = None) -> Plan:
    """Parse and validate a plan's TOML text; `source` names it in messages.

    Without `known_models` any model name is accepted, as the analysis of a finished campaign needs it. Raises
    PlanError with every mistake in one message.
    """
    if too_much := check_text(text, source):
        raise PlanError(too_much)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{source}: not valid TOML: {error}") from None
    except (ValueError, RecursionError):  # an int of more than 4,300 digits; deep nesting
        raise PlanError(f"{source}: has a number that is too long, or is nested too deeply") from None
    wrong = plan_mistakes(data, known_models, AA_SUFFIX)
    try:
        plan = Plan.model_validate(data)
    except ValidationError as error:
        wrong = messages(error.errors(), data, list(server_tables(data)), _TABLES) + wrong
    if wrong:
        raise PlanError(whole_message(source, wrong))
    return plan


def load_plan(path: Path, known_models: Models | None = None) -> PlanFile:
    """Read a plan file once; parse_plan says what is checked. Raises PlanError, also where it can't be read."""
    text = plan_text(path)
    return PlanFile(parse_plan(text, f"plan {path}", known_models), text, path.parent)


_TABLES = {
    "": tuple(Plan.model_fields), "work": tuple(Work.model_fields), "slo": tuple(Slo.model_fields),
    "search": ("from", "most", "resolution"), "servers": tuple(Server.model_fields),
    "request": tuple(RequestTable.model_fields), "expect": tuple(ExpectTable.model_fields),
}  # fmt: skip
"""The known keys of each table, for the nearest one to an unknown key."""
