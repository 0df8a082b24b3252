"""What a load comes to: in one run its outcome by verdict and SLO, and of several runs the verdict that they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from analysis.judge.judging import StepResult
from analysis.judge.verdicts import SERVED
from study.plan import Slo
from study.search import Outcome
from study.trial import LEAST_ANSWERS, Broken, broken_by

MOST_BLOCKS = 0.5
"""What holds in more than this share of a model's blocks holds for the step."""
NOT_THE_SERVERS = ("worker-lost", "disturbed", "inconsistent", "not-measured")
"""Verdicts of a step that says nothing of the server, whether the SLO holds in it or not."""


def slo_broken(result: StepResult, slo: Slo) -> Broken | None:
    """What of the SLO a measured step breaks; None where it holds."""
    window = result.window
    if window is None:
        return None
    above, *overdue = (each.above(slo.p99_ms).total for each in (window.response, window.ages, window.timed_out))
    return broken_by(window.successes, window.failed, above, sum(overdue), slo.failures_percent)


def final_outcome(result: StepResult, slo: Slo) -> Outcome:
    """The outcome of a measured step by its verdict and the SLO."""
    verdict = result.judgement.verdict
    if verdict == "generator-limited":
        return "generator"
    if verdict in NOT_THE_SERVERS or result.window is None:
        return "unclear"
    if slo_broken(result, slo) is not None:
        return "failed"
    return "passed" if verdict in SERVED and result.window.successes >= LEAST_ANSWERS else "unclear"


def counting(result: StepResult, slo: Slo) -> bool:
    """Whether what a step shows is the server's own: valid, an overload, or a broken SLO; of the idle step, R1."""
    if result.step.kind == "idle":
        return result.judgement.gives_r1
    return result.judgement.verdict in SERVED or final_outcome(result, slo) == "failed"


def verdict_of(verdicts: Iterable[str]) -> str:
    """The verdict of a load from those of its runs, which every table, figure and sentence gives.

    The one that more than half of the measured runs have. Where none does, `overload` if the valid ones and the
    overloads together are more than half, so that the figures count and not all users were served; else the commonest
    of the others.
    """
    runs = Counter(str(verdict) for verdict in verdicts if verdict != "not-measured")
    most = MOST_BLOCKS * runs.total()
    for verdict, count in runs.items():
        if count > most:
            return verdict
    if sum(runs[verdict] for verdict in SERVED) > most:
        return "overload"
    others = sorted(set(runs) - set(SERVED))
    return max(others, key=lambda verdict: runs[verdict], default="not-measured")
