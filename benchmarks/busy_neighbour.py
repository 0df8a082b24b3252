"""How often check 11 finds another program on the study's cores: `python -m benchmarks.busy_neighbour`.

One run of `thread`, whose steps have another program beside them and none in turns: a busy loop that takes 20 or 50 %
of the server's or of a worker's core for the length of the window. The machine must be quiet otherwise. The exit status
is 1 where a step with the loop names nobody, or one without it names somebody.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.local.beside import LIGHT, Whose, beside, taken
from tests.local.one_run import Fault, Outcome, Running, run_steps
from tests.running import until

FIRST_USERS = 40
STEP_S = 60.0  # the longest that a step of this plan can take


@dataclass(frozen=True)
class Injection:
    """A busy loop on one of the cores."""

    whose: Whose
    share: float

    def __str__(self) -> str:
        return f"{self.share:.0%} of a core of the {self.whose}"


KINDS = tuple(Injection(whose, share) for share in (0.2, 0.5) for whose in ("server", "workers"))


def injections(repeats: int) -> list[Injection | None]:
    """For each step what goes on beside it; every other step is a control."""
    return [each for number in range(repeats) for each in (None, KINDS[number % len(KINDS)])]


def measured(planned: Sequence[Injection | None]) -> list[Outcome]:
    """The steps' outcomes."""

    def take(running: Running) -> None:
        for number, each in enumerate(planned, start=1):
            until(partial(_is_measured, running, number), STEP_S, f"step {number}")
            if each is not None:
                beside(running, each.whose, each.share)
            else:
                until(lambda: not running.measures, STEP_S, "the end of the window")

    shape = replace(LIGHT, users=tuple(range(FIRST_USERS, FIRST_USERS + len(planned))))
    with tempfile.TemporaryDirectory() as directory:
        return run_steps(Path(directory) / "run", shape, Fault(measuring=take))


def _is_measured(running: Running, step: int) -> bool:
    return running.measures and running.step == step


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 where check 11 was wrong about a step."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.busy_neighbour", description="Count what check 11 finds."
    )
    parser.add_argument("--repeats", type=int, default=20, help="steps with another program (default: 20)")
    planned = injections(parser.parse_args(arguments).repeats)
    outcomes = measured(planned)
    table = Table("another program took", "steps", "named", "least and most that was named", show_edge=False)
    wrong = 0
    for kind in (None, *KINDS):
        steps = [outcome for outcome, each in zip(outcomes, planned, strict=True) if each == kind]
        found = [taken(step).get(kind.whose) if kind else max(taken(step).values(), default=None) for step in steps]
        shares = [share for share in found if share is not None]
        wrong += len(shares) if kind is None else len(steps) - len(shares)
        spread = f"{min(shares):.1%} to {max(shares):.1%}" if shares else ""
        table.add_row(str(kind or "nothing"), str(len(steps)), str(len(shares)), spread)
    Console(width=120).print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
