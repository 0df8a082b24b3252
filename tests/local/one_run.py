"""One run by the campaign's own code, with room for a fault: in the server, in a worker's command, or in the window.

Nothing in the product knows of faults. What a fault replaces is replaced here, for the time of one run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd

from analysis import analyze
from analysis.tell.sentences import joined
from cluster.campaign import cleanup, commands, resume
from cluster.campaign import run as campaign
from cluster.campaign.launch import SERVER
from cluster.campaign.observer import StepOutcome
from cluster.campaign.prepare import Choice, Setup, exclusive, make_setup
from cluster.remote import supervise
from study.formats.live_json import LiveFigures
from study.layout import CampaignFiles, RunFiles
from study.plan import Plan, Run, load_plan
from tests.running import PROJECT, free_ports, live, measures, until

INVENTORY = PROJECT / "inventory.ini"
LOCUSTFILES = PROJECT / "tests" / "locustfiles"
WORKERS = ("load1-1", "load1-2")
MODEL = "thread"  # a thread for each client: a slow or hanging answer delays no other client

PLAN = """
name = "lab"
models = ["{model}"]
users = [{users}]
spawn_rate = 200
think_time = [{think[0]}, {think[1]}]
settle = {settle}
measure = {measure}
timeout = {timeout}
return_step = false
aa = false
client = "{client}"
port = {port}
master_port = {master_port}
"""


@dataclass(frozen=True)
class Shape:
    """What is asked of a run, faulted or not. Seconds."""

    client: str = "lean"
    users: int | tuple[int, ...] = 60
    """Of the one step, or of each step of a ladder."""
    think: tuple[float, float] = (0.05, 0.15)
    settle: float = 1
    measure: float = 6
    timeout: float = 2
    cpu_ms: float = 0
    """CPU time that each request costs the server."""
    search: str = ""
    """The tables [search] and [slo], in place of the users."""
    user_class: str = ""
    """A class of tests/locustfiles/shopper.py, in place of `client` and `think`."""

    def plan(self) -> str:
        port, master_port = free_ports(2)
        users = self.users if isinstance(self.users, int) else ", ".join(map(str, self.users))
        text = PLAN.format(model=MODEL, port=port, master_port=master_port, **{**vars(self), "users": users})
        if self.user_class:
            kept = [line for line in text.splitlines() if not line.startswith(("client", "think_time"))]
            own = (
                f'locustfile = "{LOCUSTFILES}/shopper.py"\nuser_classes = ["{self.user_class}"]\n[work]\nbytes = 100\n'
            )
            text = "\n".join((*kept, own))
        text += f"\n[work]\ncpu_ms = {self.cpu_ms}\n" if self.cpu_ms else ""
        return re.sub("^users = .*$", "", text, flags=re.MULTILINE) + self.search if self.search else text


@dataclass
class Running:
    """A run while it measures, for a fault to lay hands on."""

    ready: Setup
    files: RunFiles

    def pid(self, worker: str) -> int:
        return _pid(self.ready.load[0].state, worker)

    @property
    def server(self) -> int:
        return _pid(self.ready.target.state, SERVER)

    @property
    def measures(self) -> bool:
        """Whether a step that loads the server is being measured."""
        return measures(self.files.directory.parents[1], self.files.directory.name)

    @property
    def step(self) -> int | None:
        """The step that is going on; None once the run has ended."""
        return live(self.files.directory.parents[1], self.files.directory.name).get("step")


def _pid(state: Path, name: str) -> int:
    found = supervise.read(state, name)
    assert found is not None
    assert not found.ended
    return found.pid


@dataclass(frozen=True)
class Fault:
    """What goes wrong: all of it None or empty in a control."""

    server: str = ""
    """The fault of tests/local/faulty.py that the server has."""
    worker_think: tuple[float, float] | None = None
    """Think time of the second worker, by a plan of its own."""
    measuring: Callable[[Running], None] | None = None
    """Called within the first seconds of the measure window, beside the run."""


@dataclass(frozen=True)
class Outcome:
    """What the study says of the one step, and the counts behind it."""

    step: dict[str, Any]
    checks: pd.DataFrame
    ledger: str = field(repr=False)
    live: tuple[LiveFigures, ...] = field(repr=False)
    """The running figures, as a person sees them."""

    @property
    def verdict(self) -> str:
        return str(self.step["verdict"])

    @property
    def reasons(self) -> str:
        return joined(self.step["reasons"])

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reasons}"


class Watching:
    """Keeps the live figures; shows nothing."""

    def __init__(self) -> None:
        self.figures: list[LiveFigures] = []

    def message(self, text: str) -> None: ...

    def run_started(self, plan: Plan, run: Run, number: int, total: int) -> None: ...

    def progress(self, figures: LiveFigures) -> None:
        self.figures.append(figures)

    def run_ended(self, run: Run, state: str, outcomes: Sequence[StepOutcome]) -> None: ...


def run(directory: Path, shape: Shape, fault: Fault) -> Outcome:
    """One campaign of one run and one step, from its plan to its verdict."""
    (outcome,) = run_steps(directory, shape, fault)
    return outcome


def campaign_of(directory: Path, shape: Shape, fault: Fault) -> tuple[CampaignFiles, Watching]:
    """One campaign of one run, which is done."""
    directory.mkdir(parents=True)
    plan_file = directory / "lab.toml"
    plan_file.write_text(shape.plan(), encoding="utf-8")
    with exclusive(), mock.patch.multiple(commands, **replaced(directory, shape, fault)):
        ready = replace(make_setup(Choice(INVENTORY, plan_file)), results=directory / "results")
        cleanup.end_leftovers(ready.hosts)
        watching = Watching()
        files = resume.open_campaign(ready, watching, fresh=True)
        (one,) = ready.plan.runs()
        with ThreadPoolExecutor(max_workers=1) as beside:
            done = beside.submit(while_measuring, Running(ready, files.run(one.directory)), fault.measuring)
            state = campaign.execute(ready, files, one, watching)
            done.result()
    assert state == "done", files.run(one.directory).state.read_text(encoding="utf-8")
    return files, watching


def run_steps(directory: Path, shape: Shape, fault: Fault) -> list[Outcome]:
    """One campaign of one run, and what is said of each step of its ladder."""
    files, watching = campaign_of(directory, shape, fault)
    (one,) = load_plan(files.plan).plan.runs()
    found = analyze(files.directory, figures=False)
    ledger = files.run(one.directory).ledger.read_text(encoding="utf-8")
    return [
        Outcome(
            {str(name): value for name, value in step.items()},
            found.checks[found.checks["step"] == step["step"]],
            ledger,
            tuple(watching.figures),
        )
        for step in found.steps[found.steps["kind"] == "ladder"].to_dict("records")
    ]


def replaced(directory: Path, shape: Shape, fault: Fault) -> dict[str, Any]:
    """The commands that a fault may change, by name."""
    sound_server, sound_worker = commands.server, commands.worker

    def server(*asked: Any) -> tuple[str, ...]:
        if not fault.server and not shape.user_class:
            return sound_server(*asked)
        python, _, _, *rest = sound_server(*asked)
        return (python, "-m", "tests.local.faulty", fault.server or "none", *rest, "--drain", "1")

    def worker(python: str, plan_file: Path, *asked: Any) -> tuple[str, ...]:
        own = plan_file
        if fault.worker_think is not None and WORKERS[1] in asked:
            own = directory / "other.toml"
            own.write_text(replace(shape, think=fault.worker_think).plan(), encoding="utf-8")
        return sound_worker(python, own, *asked)

    return {"server": server, "worker": worker}


def while_measuring(running: Running, fault: Callable[[Running], None] | None) -> None:
    """Wait for the measure window, then let the fault happen."""
    if fault is None:
        return
    until(lambda: running.measures, 40, "the measure window")
    fault(running)


def starve(pid: int, seconds: float) -> None:
    """Take the CPU away from a process: busy loops on each of its cores, and it comes after them.

    SCHED_IDLE needs no privilege. Where each session is scheduled as a group of its own, the group has to come last as
    well; the loops have sessions of their own, so that they count for more than one.
    """
    cores = os.sched_getaffinity(pid)
    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists():
        group.write_text("19")
    loop = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"
    hogs = [
        subprocess.Popen([sys.executable, "-c", loop, str(core)], start_new_session=True)
        for core in cores
        for _ in range(2)
    ]
    try:
        time.sleep(seconds)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
