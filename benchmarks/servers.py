"""What being correct costs each model: requests a second beside its bare twin, nginx and uvicorn, in one run.

`python -m benchmarks.servers`. The server has the first core, wrk the last one; 50 connections. Each measurement has a
fresh process; a model and its twin follow each other, in turned order every second round, and their ratio is taken
within the round: what drifts disturbs both. Medians are shown. Where the server's core was not busy the figure is wrk's
and no ratio is judged by it.
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
from benchmarks.peers import BODY, CONNECTIONS, Trouble
from servers.core.model import Model, measured

ROUNDS = 3
BUSY = 0.9  # of the server's core; below it something else was the limit
FILE_WIDTH = 120  # of the tables, where they go to a file
CLOSE, KEEP = "close", "keep-alive"
KEPT = ("asyncio", "uvloop", "epoll-loop")
TWIN_GOAL = 0.8  # of its bare twin, each model, a connection for each request
# mode, model, whose rate it is held against, the least ratio
PEER_GOALS = ((CLOSE, "epoll-loop", "nginx", 0.9), *((KEEP, name, "uvicorn", 2.0) for name in KEPT))

Begin = Callable[[Path, int], contextlib.AbstractContextManager[int]]


class Subject(NamedTuple):
    """What is measured in one mode: a model, a bare twin or a peer."""

    mode: str
    kind: str
    name: str


class Figure(NamedTuple):
    rate: float  # requests a second
    busy: float  # share of the server's core that was used


Figures = dict[Subject, list[Figure]]  # one a round


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.servers", description="What being correct costs each model, beside a bare twin."
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each measurement lasts (2)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each is measured (%(default)s)")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="these alone; all without")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        models = chosen(asked.models)
        peers.require("wrk", "taskset")
        with tempfile.TemporaryDirectory(prefix="servers-") as directory:
            figures = measure(Path(directory), subjects(models, console), asked.seconds, max(1, asked.rounds), console)
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything that was started is ended", file=sys.stderr)
        return 130
    console.print(twins_table(figures))
    console.print(peers_table(figures))
    return 0


def chosen(names: list[str]) -> list[Model]:
    models = measured()
    if unknown := set(names) - {model.name for model in models}:
        known = ", ".join(model.name for model in models)
        raise Trouble(f"no model is called {', '.join(sorted(unknown))}; there are {known}")
    return [model for model in models if not names or model.name in names]


def subjects(models: list[Model], console: Console) -> dict[Subject, Begin]:
    """All that can be measured here, each model beside its twin; what can't be is said."""
    found: dict[Subject, Begin] = {}
    for model in models:
        if missing := model.missing():
            console.print(f"{model.name} is left out: it needs {', '.join(missing)}, which isn't installed here")
            continue
        found[Subject(CLOSE, "model", model.name)] = ours(model.name, CLOSE)
        if importlib.util.find_spec(f"benchmarks.bare.{model.name.replace('-', '_')}"):
            found[Subject(CLOSE, "twin", model.name)] = twin(model.name)
        if model.name in KEPT:
            found[Subject(KEEP, "model", model.name)] = ours(model.name, KEEP)
    if peers.program("nginx"):
        found[Subject(CLOSE, "peer", "nginx")] = peers.nginx
    else:
        console.print("nginx is left out: it isn't installed here (it comes with the system's packages)")
    if importlib.util.find_spec("uvicorn"):
        found[Subject(CLOSE, "peer", "uvicorn")] = peers.uvicorn
        found[Subject(KEEP, "peer", "uvicorn")] = peers.uvicorn
    else:
        console.print("uvicorn is left out: it isn't installed here")
    return found


def ours(name: str, mode: str) -> Begin:
    def begin(directory: Path, core: int) -> contextlib.AbstractContextManager[int]:
        port = peers.free_port()
        options = ("--port", str(port), "--bytes", str(len(BODY)), "--connection", mode)
        command = (sys.executable, "-m", "servers", name, *options)
        return peers.serving(name, port, *command, core=core, log=directory / f"{name}.log")

    return begin


def twin(name: str) -> Begin:
    def begin(directory: Path, core: int) -> contextlib.AbstractContextManager[int]:
        port = peers.free_port()
        command = (sys.executable, "-m", "benchmarks.bare", name, str(port))
        return peers.serving(f"the twin of {name}", port, *command, core=core, log=directory / f"{name}-twin.log")

    return begin


def measure(directory: Path, begins: dict[Subject, Begin], seconds: float, rounds: int, console: Console) -> Figures:
    """All subjects in turns, every second round backwards."""
    figures: Figures = {subject: [] for subject in begins}
    server, client = peers.two_cores()
    for number in range(1, rounds + 1):
        for subject in list(begins) if number % 2 else reversed(list(begins)):
            with (
                console.status(f"round {number} of {rounds}: {subject.kind} {subject.name}, {subject.mode}"),
                begins[subject](directory, server) as port,
            ):
                before, began = idle_seconds(server), time.monotonic()
                try:
                    rate = peers.wrk(port, subject.mode, client, seconds)
                except Trouble as trouble:
                    raise Trouble(f"{subject.kind} {subject.name}, {subject.mode}: {trouble}") from trouble
                took = time.monotonic() - began
                figures[subject].append(Figure(rate, 1 - (idle_seconds(server) - before) / took))
    return figures


def idle_seconds(core: int) -> float:
    """How long this core has had nothing to do, since the system started."""
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith(f"cpu{core} "):
            return int(line.split()[4]) / os.sysconf("SC_CLK_TCK")
    raise Trouble(f"/proc/stat doesn't know core {core}")


def ratio(figures: Figures, one: Subject, other: Subject) -> float | None:
    """The median over the rounds; None where one wasn't measured."""
    pairs = zip(figures.get(one, ()), figures.get(other, ()), strict=False)
    return statistics.median(shares) if (shares := [a.rate / b.rate for a, b in pairs]) else None


def limited(figures: Figures, *subjects: Subject) -> bool:
    """Whether the server's core had room left in the median round: then wrk was the limit."""
    return any(statistics.median(each.busy for each in figures[subject]) < BUSY for subject in subjects)


def reached(figures: Figures, one: Subject, other: Subject, least: float) -> tuple[str, str]:
    """Ratio and word for it."""
    share = ratio(figures, one, other)
    if share is None:
        return "-", "not measured"
    word = "pass" if share >= least else "miss"
    return f"{share:.2f}", word + (" (a core had room)" if limited(figures, one, other) else "")


def shown(figures: Figures, subject: Subject) -> tuple[str, str]:
    """Median rate with its range, and how busy the server's core was."""
    if not figures.get(subject):
        return "-", "-"
    rates = [each.rate for each in figures[subject]]
    busy = statistics.median(each.busy for each in figures[subject])
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} - {max(rates):,.0f})", f"{busy:.0%}"


def twins_table(figures: Figures) -> Table:
    rounds = max(map(len, figures.values()))
    table = Table(title=f"A connection for each request: requests a second, {CONNECTIONS} connections, {rounds} rounds")
    table.add_column("model")
    for heading in ("median (range)", "core", "bare twin", "core", "ratio"):
        table.add_column(heading, justify="right")
    table.add_column(f">= {TWIN_GOAL}")
    for subject in figures:
        if subject.mode == CLOSE and subject.kind == "model":
            other = subject._replace(kind="twin")
            goal = reached(figures, subject, other, TWIN_GOAL)
            table.add_row(subject.name, *shown(figures, subject), *shown(figures, other), *goal)
    table.add_section()
    for subject in figures:
        if subject.mode == CLOSE and subject.kind == "peer":
            table.add_row(subject.name, *shown(figures, subject))
    return table


def peers_table(figures: Figures) -> Table:
    table = Table(title="Against what people run")
    for heading in ("connection", "model", "requests/s", "core", "against", "requests/s", "core", "ratio", "goal", ""):
        table.add_column(heading)
    for mode, name, other, least in PEER_GOALS:
        one, peer = Subject(mode, "model", name), Subject(mode, "peer", other)
        share, word = reached(figures, one, peer, least)
        table.add_row(mode, name, *shown(figures, one), other, *shown(figures, peer), share, f">= {least}", word)
    return table


if __name__ == "__main__":
    sys.exit(main())
