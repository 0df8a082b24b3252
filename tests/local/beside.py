"""Another program on the server's or on a worker's core for the whole of a measure window, and what the study says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from analysis.judge.findings import Check
from tests.local.busy_loop import busy_core
from tests.local.one_run import WORKERS, Fault, Outcome, Running, Shape
from tests.running import until

Whose = Literal["server", "workers"]
WINDOW_S = 60
LIGHT = Shape(users=60, think=(0.1, 0.3), settle=1, measure=5)
"""A server and workers that have most of their cores to spare: their figures stay what they were."""
FULL = Shape(users=60, think=(0.1, 0.3), settle=1, measure=5, timeout=5, cpu_ms=5)
"""A server that would use 1.5 cores and has one: its figures are those of what the others leave it."""


def strangers(whose: Whose, shares: Sequence[float]) -> Fault:
    """A busy loop that takes the first share in the window of the first step, the second in that of the second."""

    def in_turn(running: Running) -> None:
        for step, share in enumerate(shares, start=1):
            until(lambda: running.measures and running.step == step, WINDOW_S, f"the window of step {step}")  # noqa: B023 - called at once
            beside(running, whose, share)

    return Fault(measuring=in_turn)


def stranger(whose: Whose, share: float) -> Fault:
    """A busy loop that takes a share of the server's or of the first worker's core."""
    return Fault(measuring=lambda running: beside(running, whose, share))


def beside(running: Running, whose: Whose, share: float) -> None:
    """Take a share of a core until the window that is being measured ends."""
    pid = running.server if whose == "server" else running.pid(WORKERS[0])
    with busy_core(min(os.sched_getaffinity(pid)), share):
        until(lambda: not running.measures, WINDOW_S, "the end of the window")


def taken(outcome: Outcome) -> dict[str, float]:
    """The share of the server's and of the workers' cores that others took, where check 11 failed and a reason says so.

    A single second that was too much counts as a share of nothing.
    """
    failed = [each for each in outcome.step["reasons"] if isinstance(each, Check) and each.outcome == "fail"]
    shares = {str(each.finding["whose"]): 0.0 for each in failed if each.code == "strangers.second"}
    return shares | {str(each.finding["whose"]): each.value or 0.0 for each in failed if each.code == "strangers.share"}


def can_be_told(outcome: Outcome, whose: Whose) -> bool:
    """Whether check 11 had its evidence of these cores in the step's window."""
    checks = outcome.checks[outcome.checks["code"] == "strangers.share"]
    mine = checks[[finding["whose"] == whose for finding in checks["finding"]]]
    return bool(len(mine)) and not (mine["outcome"] == "not available").any()
