"""The verdict of a step: the first that applies, in the order of METHOD.md, with the findings that it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis.judge import checks, checks_generator, checks_target
from analysis.judge.findings import Check, Finding, Reason
from analysis.judge.reconciliation import Reconciled
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window
from study.plan import Plan
from study.workload import Work

Verdict = Literal[
    "worker-lost",
    "generator-limited",
    "inconsistent",
    "faulty",
    "too-few-samples",
    "overload",
    "unsteady",
    "valid",
    "not-measured",
]
"""`not-measured` is that of a step that the plan asks for and no ledger holds."""
VALID: tuple[Verdict, ...] = ("valid",)
SERVED: tuple[Verdict, ...] = ("valid", "overload")
"""Verdicts of the steps whose goodput is the server's own: an overload is a finding about the server."""
FLAGGED_IN_REASONS = (4, 7)
"""Checks whose flags a reader of the verdict should know."""


@dataclass(frozen=True)
class Judgement:
    """A step's verdict with its reasons and all its checks."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    checks: tuple[Check, ...]
    saturated: bool = False
    """A valid step in which something on the target was full."""
    upper_bounds: bool = False
    """The response times include the generator's own delay, so that they are upper bounds."""


def judge_step(
    window: Window, plan: Plan, run: Reconciled, unloaded_s: float | None, work: Work | None = None
) -> Judgement:
    """All checks of a step, 1 to 9, and the verdict that follows from them.

    `unloaded_s` is R1, the mean response time in s at the run's idle step, or in campaigns without one at its lowest
    ladder step; `work` is what the model is told to do for each request.
    """
    full = checks_target.full(window.target, window.in_flight, window.waited_for)
    kernel = checks_target.kernel(window)
    every = (
        checks.population(window),
        checks.interactive_law(window, plan),
        checks.little(window),
        *(checks.work_done(window, work) if work is not None else ()),
        checks.oldest(window, plan),
        *checks_generator.generator(window, plan),
        checks.stationary(window),
        checks.silent(window, plan, unloaded_s),
        checks.enough(window),
        checks.errors(window),
        checks.unanswered(window, plan),
        checks.counts(run),
        checks_target.who_was_the_limit(window, unloaded_s, full),
        kernel,
    )
    signs = checks_target.evidence(window, full, kernel, run.refused_server)
    verdict, reasons = _first(window, every, signs, full, shortfall(window, plan, unloaded_s))
    background = [
        Finding("background.held", kind=each.kind, held=each.held, wanted=each.wanted, turned_away=each.turned_away)
        for each in window.background
    ]
    flags = [check for check in every if check.outcome == "flag" and check.number in FLAGGED_IN_REASONS]
    unknown = [check for check in every if check.outcome == "not available"]
    return Judgement(
        verdict,
        (*reasons, *background, *flags, *unknown),
        every,
        saturated=verdict == "valid" and bool(full),
        upper_bounds=any(
            check.code == "generator.standstill" or (check.code == "generator.loop-lag" and check.outcome == "flag")
            for check in every
        ),
    )


def _first(
    window: Window,
    every: tuple[Check, ...],
    signs: tuple[Finding, ...],
    full: tuple[Finding, ...],
    short: Finding | None,
) -> tuple[Verdict, tuple[Reason, ...]]:
    """The first verdict of METHOD.md's list that applies, and why.

    `signs` are all that point to a limit of the server, `full` what on the target was full, `short` the shortfall.
    """
    failed = {number: tuple(c for c in every if c.number == number and c.outcome == "fail") for number in range(1, 10)}
    failing, unanswered, counts = (
        tuple(check for check in failed[7] if check.code == code)
        for code in ("errors.failures", "errors.unanswered", "errors.counts")
    )
    room = (checks_target.room(window.target),)
    if failed[1]:
        return "worker-lost", failed[1]
    if failed[4]:
        return "generator-limited", (*failed[4], Finding("target.had-room", room=room))
    busy = checks_generator.busy(window)
    if failed[8] and busy is not None:
        return "generator-limited", (*failed[8], busy)
    if failed[2] or failed[3] or counts:
        return "inconsistent", (*failed[2], *failed[3], *counts)
    if (failing or unanswered) and not signs:
        return "faulty", (*failing, *unanswered, Finding("target.no-sign", room=room))
    if failed[6]:
        return "too-few-samples", failed[6]
    if signs and (failing or short is not None):
        return "overload", (*failing, *((short,) if short is not None else ()), *signs)
    if failed[5]:
        return "unsteady", failed[5]
    saturated = (Finding("target.saturated", full=full),) if full else ()
    suspected = (Finding("generator.suspected"),) if failed[8] else ()
    return "valid", (*saturated, *failed[8], *suspected)


def shortfall(window: Window, plan: Plan, unloaded_s: float | None) -> Finding | None:
    """Where X is more than 5 % under N / (R1 + Z), which a server without a limit would give; else None."""
    z = window.think_s if window.think_s is not None else plan.mean_think_s
    cycle = (unloaded_s or 0.0) + z
    if unloaded_s is None or cycle <= 0:
        return None
    bound = window.step.users / cycle
    under = 1 - window.goodput / bound
    if under <= T.shortfall:
        return None
    return Finding("step.shortfall", rate=window.goodput, under=under, bound=bound)
