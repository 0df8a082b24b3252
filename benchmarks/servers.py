"""What correctness costs each model: requests per second compared with its bare twin, nginx and uvicorn, in one run.

`python -m benchmarks.servers`. The server has the first core, wrk the last one; 50 connections. Each measurement starts
a fresh process. A model and its twin run one after the other, in reverse order every second round, and their ratio is
taken within the round, so that drift of the machine affects both. Medians are printed. Where the server's core was not
busy, wrk was the limit, and the ratio is marked.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.peers import BODY, CONNECTIONS, BenchmarkError
from servers.core.model import Model, measured

ROUNDS = 3
BUSY = 0.9  # if a smaller share of the server's core was busy, wrk was the limit
FILE_WIDTH = 120  # of the tables, where stdout is not a terminal
CLOSE, KEEP = "close", "keep-alive"
KEEP_ALIVE_MODELS = ("asyncio", "uvloop", "epoll-loop")
TWIN_GOAL = 0.8  # least ratio of each model to its bare twin, one request per connection
# mode, model, peer with which it is compared, least ratio
PEER_GOALS = ((CLOSE, "epoll-loop", "nginx", 0.9), *((KEEP, name, "uvicorn", 2.0) for name in KEEP_ALIVE_MODELS))

Start = Callable[[Path, int], contextlib.AbstractContextManager[int]]


class Subject(NamedTuple):
    """What is measured in one mode: `kind` is model, twin or peer."""

    mode: str
    kind: str
    name: str


class Figure(NamedTuple):
    """One round of a subject."""

    rate: float  # requests/s
    busy: float  # busy share of the server's core, 0 to 1


Figures = dict[Subject, list[Figure]]  # one per round


def main() -> int:
    """Run the benchmark. Exit status 1 where a program is missing or fails, 130 if interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.servers", description="What correctness costs each model, compared with a bare twin."
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of each measurement (2)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements of each subject (%(default)s)")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="models to measure (default: all)")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        models = chosen(given.models)
        peers.require("wrk", "taskset")
        with tempfile.TemporaryDirectory(prefix="servers-") as directory:
            figures = measure(Path(directory), subjects(models, console), given.seconds, max(1, given.rounds), console)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; all started processes have been ended", file=sys.stderr)
        return 130
    console.print(twins_table(figures))
    console.print(peers_table(figures))
    return 0


def chosen(names: list[str]) -> list[Model]:
    """The models with these names, or all where there are none. Raises BenchmarkError for an unknown name."""
    models = measured()
    if unknown := set(names) - {model.name for model in models}:
        known = ", ".join(model.name for model in models)
        raise BenchmarkError(f"there is no model {', '.join(sorted(unknown))}; there are: {known}")
    return [model for model in models if not names or model.name in names]


def subjects(models: list[Model], console: Console) -> dict[Subject, Start]:
    """All subjects that can be measured here, each with its start function; prints what is left out and why."""
    starts: dict[Subject, Start] = {}
    for model in models:
        if missing := model.missing():
            console.print(f"{model.name} is left out: it needs {', '.join(missing)}, which isn't installed here")
            continue
        starts[Subject(CLOSE, "model", model.name)] = start_model(model.name, CLOSE)
        if importlib.util.find_spec(f"benchmarks.bare.{model.name.replace('-', '_')}"):
            starts[Subject(CLOSE, "twin", model.name)] = start_twin(model.name)
        if model.name in KEEP_ALIVE_MODELS:
            starts[Subject(KEEP, "model", model.name)] = start_model(model.name, KEEP)
    if peers.program("nginx"):
        starts[Subject(CLOSE, "peer", "nginx")] = peers.nginx
    else:
        console.print("nginx is left out: it isn't installed here (it comes with the system's packages)")
    if importlib.util.find_spec("uvicorn"):
        starts[Subject(CLOSE, "peer", "uvicorn")] = peers.uvicorn
        starts[Subject(KEEP, "peer", "uvicorn")] = peers.uvicorn
    else:
        console.print("uvicorn is left out: it isn't installed here")
    return starts


def start_model(name: str, mode: str) -> Start:
    """A function that starts a model of servers/ on a free port."""

    def begin(directory: Path, core: int) -> contextlib.AbstractContextManager[int]:
        port = peers.free_port()
        options = ("--port", str(port), "--bytes", str(len(BODY)), "--connection", mode)
        command = (sys.executable, "-m", "servers", name, *options)
        return peers.serving(name, port, *command, core=core, log=directory / f"{name}.log")

    return begin


def start_twin(name: str) -> Start:
    """A function that starts a model's bare twin on a free port."""

    def begin(directory: Path, core: int) -> contextlib.AbstractContextManager[int]:
        port = peers.free_port()
        command = (sys.executable, "-m", "benchmarks.bare", name, str(port))
        return peers.serving(f"the twin of {name}", port, *command, core=core, log=directory / f"{name}-twin.log")

    return begin


def measure(directory: Path, starts: dict[Subject, Start], seconds: float, rounds: int, console: Console) -> Figures:
    """All subjects in turn, in reverse order every second round."""
    figures: Figures = {subject: [] for subject in starts}
    server, client = peers.two_cores()
    for number in range(1, rounds + 1):
        for subject in list(starts) if number % 2 else reversed(list(starts)):
            with (
                console.status(f"round {number} of {rounds}: {subject.kind} {subject.name}, {subject.mode}"),
                starts[subject](directory, server) as port,
            ):
                before, began = idle_seconds(server), time.monotonic()
                try:
                    rate = peers.wrk(port, subject.mode, client, seconds)
                except BenchmarkError as error:
                    raise BenchmarkError(f"{subject.kind} {subject.name}, {subject.mode}: {error}") from error
                elapsed = time.monotonic() - began
                figures[subject].append(Figure(rate, 1 - (idle_seconds(server) - before) / elapsed))
    return figures


def idle_seconds(core: int) -> float:
    """Idle time of this core in seconds since the system started."""
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith(f"cpu{core} "):
            return int(line.split()[4]) / os.sysconf("SC_CLK_TCK")
    raise BenchmarkError(f"/proc/stat has no core {core}")


def ratio(figures: Figures, one: Subject, other: Subject) -> float | None:
    """Median over the rounds of the ratio of two rates; None where one was not measured."""
    pairs = zip(figures.get(one, ()), figures.get(other, ()), strict=False)
    return statistics.median(shares) if (shares := [a.rate / b.rate for a, b in pairs]) else None


def limited(figures: Figures, *subjects: Subject) -> bool:
    """Whether the server's core was less than BUSY in the median round, so that wrk was the limit."""
    return any(statistics.median(each.busy for each in figures[subject]) < BUSY for subject in subjects)


def goal_cells(figures: Figures, one: Subject, other: Subject, least: float) -> tuple[str, str]:
    """Two cells: the ratio, and whether the goal is reached."""
    share = ratio(figures, one, other)
    if share is None:
        return "-", "not measured"
    outcome = "pass" if share >= least else "miss"
    return f"{share:.2f}", outcome + (" (wrk was the limit)" if limited(figures, one, other) else "")


def rate_cells(figures: Figures, subject: Subject) -> tuple[str, str]:
    """Two cells: the median rate with its range, and the median busy share of the server's core."""
    if not figures.get(subject):
        return "-", "-"
    rates = [each.rate for each in figures[subject]]
    busy = statistics.median(each.busy for each in figures[subject])
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} - {max(rates):,.0f})", f"{busy:.0%}"


def twins_table(figures: Figures) -> Table:
    """Each model compared with its bare twin, and the peers' rates."""
    rounds = max(map(len, figures.values()))
    table = Table(title=f"One request per connection: requests/s, {CONNECTIONS} connections, {rounds} rounds")
    table.add_column("model")
    for heading in ("median (range)", "core", "bare twin", "core", "ratio"):
        table.add_column(heading, justify="right")
    table.add_column(f">= {TWIN_GOAL}")
    for subject in figures:
        if subject.mode == CLOSE and subject.kind == "model":
            other = subject._replace(kind="twin")
            goal = goal_cells(figures, subject, other, TWIN_GOAL)
            table.add_row(subject.name, *rate_cells(figures, subject), *rate_cells(figures, other), *goal)
    table.add_section()
    for subject in figures:
        if subject.mode == CLOSE and subject.kind == "peer":
            table.add_row(subject.name, *rate_cells(figures, subject))
    return table


def peers_table(figures: Figures) -> Table:
    """The goals against nginx and uvicorn."""
    table = Table(title="Compared with nginx and uvicorn")
    for heading in ("connection", "model", "requests/s", "core", "against", "requests/s", "core", "ratio", "goal", ""):
        table.add_column(heading)
    for mode, name, other, least in PEER_GOALS:
        one, peer = Subject(mode, "model", name), Subject(mode, "peer", other)
        share, outcome = goal_cells(figures, one, peer, least)
        table.add_row(
            mode, name, *rate_cells(figures, one), other, *rate_cells(figures, peer), share, f">= {least}", outcome
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
