"""What a campaign calls while it runs: the observer that shows it to a person, and the analyst that judges its runs.

Both are given to the campaign by its caller. cluster/ doesn't import analysis/, so fabfile.py passes functions of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from study.formats.live_json import LiveFigures
from study.plan import Plan, Run


class StepOutcome(Protocol):
    """A step's verdict from the analysis; str() gives it as one line. `rps` is None where nothing was measured."""

    @property
    def step(self) -> int:
        """The step's number, from 1."""

    @property
    def verdict(self) -> str:
        """One of the verdicts of docs/results.md."""

    @property
    def rps(self) -> float | None:
        """Successful requests per second."""

    @property
    def reasons(self) -> Sequence[str]:
        """What the verdict rests on, as sentences."""


Judge = Callable[[Path, str], Sequence[StepOutcome]]
"""From a campaign's directory and a run's name to the run's verdicts, one for each step."""

DescribeCapacity = Callable[[Path, float, int], str]
"""From a calibration's directory, the plan's need (requests per second) and the load's cores to one sentence."""


class Observer(Protocol):
    """Shows a campaign to a person."""

    def message(self, text: str) -> None:
        """Something happened that the person should know."""

    def run_started(self, plan: Plan, run: Run, number: int, total: int) -> None:
        """Run `number` of `total` starts."""

    def progress(self, figures: LiveFigures) -> None:
        """The master's running figures, every RENEW_S seconds during a run."""

    def run_ended(self, run: Run, state: str, outcomes: Sequence[StepOutcome]) -> None:
        """The run is done, failed or skipped; `outcomes` are its verdicts."""
