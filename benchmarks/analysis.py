"""Time and memory that the analysis of a campaign takes, from disk, against goals.

`python -m benchmarks.analysis` generates two campaigns - six blocks of six models, and ten blocks of fifteen models on
a ladder of twelve steps - with as many files, histograms and rows per second as real ones have, and analyses each in a
fresh process. `python -m benchmarks.analysis DIR` times a real campaign instead.
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
WINDOW_S = 45.0  # the least length of an automatic window


@dataclass(frozen=True)
class AnalysisCost:
    """Wall-clock seconds, peak resident memory in MiB and exit status of one analysis in its own process."""

    seconds: float
    peak_mib: float
    status: int


@dataclass(frozen=True)
class Goal:
    """The most that the analysis of a generated campaign may take; `mib` None: no limit."""

    plan: Plan
    seconds: float
    mib: float | None


GOALS = (Goal(SMALL, 10.0, None), Goal(LARGE, 60.0, 1024.0))


def load_of(run: Run, step: Step) -> Load:
    """A server that is full at 200 to 900 requests/s, so that every ladder has valid and overloaded steps."""
    limit = 150.0 + 50 * int(run.model.rpartition("-")[2])
    rate = min(step.users / 3.004, limit)
    response = max(0.004, step.users / rate - 3)
    return Load(rate=rate, response=response, spread=0.5, seconds=WINDOW_S, server_cpu=min(1.0, rate / limit))


def analysis_cost(directory: Path, figures: bool = True) -> AnalysisCost:
    """Analyse a campaign by `python -m analysis`, the start of Python included."""
    argv = [sys.executable, "-m", "analysis", str(directory), *(() if figures else ("--no-figures",))]
    began = time.monotonic()
    child = os.posix_spawn(
        sys.executable, argv, dict(os.environ), file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, usage = os.wait4(child, 0)  # ru_maxrss of this child alone
    return AnalysisCost(time.monotonic() - began, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark. Exit status 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analysis", description="Time an analysis from disk.")
    parser.add_argument("directory", nargs="?", type=Path, help="a campaign (default: two generated ones, with goals)")
    options = parser.parse_args(arguments)
    table = Table("campaign", "runs", "steps", "tables s", "with figures s", "peak MiB", show_edge=False)
    missed = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as generated:
        if options.directory is not None:
            add_row(table, str(options.directory), options.directory, "", "")
        for goal in GOALS if options.directory is None else ():
            directory = Path(generated) / goal.plan.name
            write_campaign(directory, goal.plan, load_of)
            runs = len(goal.plan.runs())
            whole = add_row(table, goal.plan.name, directory, str(runs), str(runs * len(goal.plan.steps())))
            if whole.status or whole.seconds > goal.seconds or (goal.mib is not None and whole.peak_mib > goal.mib):
                missed.append(goal.plan.name)
    Console().print(table)
    for name in missed:
        print(f"missed its goal: {name}", file=sys.stderr)
    return 1 if missed else 0


def add_row(table: Table, name: str, directory: Path, runs: str, steps: str) -> AnalysisCost:
    """Analyse one campaign without and with figures and add its row; returns the cost with figures."""
    tables, whole = analysis_cost(directory, figures=False), analysis_cost(directory)
    table.add_row(name, runs, steps, f"{tables.seconds:.1f}", f"{whole.seconds:.1f}", f"{whole.peak_mib:.0f}")
    return whole


if __name__ == "__main__":
    sys.exit(main())
