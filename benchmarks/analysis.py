"""How long a campaign's analysis takes from disk, and how much memory, against what it may.

`python -m benchmarks.analysis` makes campaigns up - six blocks of six models, and ten blocks of fifteen models on a
ladder of twelve steps - with the files, the histograms and the rows a second of real ones, and analyses each in a fresh
process. `python -m benchmarks.analysis DIR` times a real campaign instead.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from study.plan import Plan, Run, Step
from tests.unit.synthetic import Load, plan, write_campaign

MODELS = tuple(f"model-{number:02d}" for number in range(1, 16))
SMALL = plan(name="six-by-six", models=MODELS[:6], users=[100, 200, 400], blocks=6)
LADDER = (50, 100, 150, 200, 300, 400, 600, 800, 1200, 1600, 2400, 3200)
LARGE = plan(name="fifteen-by-twelve", models=MODELS, users=LADDER, return_step=False, blocks=10)
WINDOW_S = 45.0  # as long as METHOD's automatic window is at least


@dataclass(frozen=True)
class Cost:
    """Of one analysis in a process of its own."""

    seconds: float
    peak_mib: float
    status: int


@dataclass(frozen=True)
class Goal:
    asked: Plan
    seconds: float
    mib: float | None


GOALS = (Goal(SMALL, 10.0, None), Goal(LARGE, 60.0, 1024.0))


def load_of(run: Run, step: Step) -> Load:
    """A server that is full at 200 to 900 requests/s, so that every ladder has valid and overloaded steps."""
    limit = 150.0 + 50 * int(run.model.rpartition("-")[2])
    rate = min(step.users / 3.004, limit)
    response = max(0.004, step.users / rate - 3)
    return Load(rate=rate, response=response, spread=0.5, seconds=WINDOW_S, server_cpu=min(1.0, rate / limit))


def cost(directory: Path, figures: bool = True) -> Cost:
    """Analyse a campaign as a person would, from the start of Python on."""
    argv = [sys.executable, "-m", "analysis", str(directory), *(() if figures else ("--no-figures",))]
    began = time.monotonic()
    child = os.posix_spawn(
        sys.executable, argv, dict(os.environ), file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, used = os.wait4(child, 0)  # of this child alone: its own peak
    return Cost(time.monotonic() - began, used.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analysis", description="Time an analysis from disk.")
    parser.add_argument("directory", nargs="?", type=Path, help="a campaign (default: two made-up ones, with goals)")
    options = parser.parse_args(arguments)
    table = Table("campaign", "runs", "steps", "tables s", "with figures s", "peak MiB", show_edge=False)
    missed = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as made:
        if options.directory is not None:
            rows(table, str(options.directory), options.directory, "", "")
        for goal in GOALS if options.directory is None else ():
            directory = Path(made) / goal.asked.name
            write_campaign(directory, goal.asked, load_of)
            runs = len(goal.asked.runs())
            whole = rows(table, goal.asked.name, directory, str(runs), str(runs * len(goal.asked.steps())))
            if whole.status or whole.seconds > goal.seconds or (goal.mib is not None and whole.peak_mib > goal.mib):
                missed.append(goal.asked.name)
    Console().print(table)
    for name in missed:
        print(f"missed its goal: {name}", file=sys.stderr)
    return 1 if missed else 0


def rows(table: Table, name: str, directory: Path, runs: str, steps: str) -> Cost:
    """Time one campaign twice, and add its row."""
    tables, whole = cost(directory, figures=False), cost(directory)
    table.add_row(name, runs, steps, f"{tables.seconds:.1f}", f"{whole.seconds:.1f}", f"{whole.peak_mib:.0f}")
    return whole


if __name__ == "__main__":
    sys.exit(main())
