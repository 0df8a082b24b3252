"""The verdict of a step: the first that applies, in the order of METHOD.md, with reasons that carry their figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis.judge import checks, checks_generator, checks_target
from analysis.judge.checks import Check
from analysis.judge.reconcile import Reconciled
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


@dataclass(frozen=True)
class Judged:
    verdict: Verdict
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    saturated: bool = False
    """A valid step in which something on the target was full."""
    upper_bounds: bool = False
    """Its response times hold the generator's own delay: they print as `<=`."""


def check_step(
    window: Window, plan: Plan, run: Reconciled, unloaded_s: float | None, work: Work | None = None
) -> tuple[Check, ...]:
    """Checks 1 to 9. `unloaded_s` is R1, the mean response time at the lowest ladder step of the run."""
    return (
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
        checks_target.who_was_the_limit(window, unloaded_s),
        checks_target.kernel(window),
    )


def judge_step(
    window: Window, plan: Plan, run: Reconciled, unloaded_s: float | None, work: Work | None = None
) -> Judged:
    """All checks of a step, and what they come to. `work` is what the model is told to do for each request."""
    made = check_step(window, plan, run, unloaded_s, work)
    signs = checks_target.evidence(window, run.refused_server)
    verdict, reasons = _first(window, plan, made, signs, unloaded_s)
    flags = [
        f"{check.detail} (check {check.number}: a flag)"
        for check in made
        if check.outcome == "flag" and check.number in (4, 7)
    ]
    unknown = [
        f"check {check.number} ({check.name}) not available: {check.detail}"
        for check in made
        if check.outcome == "not available"
    ]
    full = checks_target.full(window.target, window.in_flight, window.waited_for) if window.target is not None else ()
    return Judged(
        verdict,
        (*reasons, *(each.sentence() for each in window.beside), *flags, *unknown),
        made,
        saturated=verdict == "valid" and bool(full),
        upper_bounds=any(check.name == "event-loop lag p99 ms" and check.outcome in ("flag", "fail") for check in made),
    )


def _first(
    window: Window, plan: Plan, made: tuple[Check, ...], signs: tuple[str, ...], unloaded_s: float | None
) -> tuple[Verdict, tuple[str, ...]]:
    failed = {
        number: tuple(_said(c) for c in made if c.number == number and c.outcome == "fail") for number in range(1, 10)
    }
    if failed[1]:
        return "worker-lost", failed[1]
    if failed[4]:
        return "generator-limited", (*failed[4], f"on the target: {checks_target.room(window.target)}")
    working = checks_generator.busy(window)
    if failed[8] and working is not None:
        return "generator-limited", (*failed[8], f"while {working}")
    counts = tuple(_said(check) for check in made if check.name == "counts of the run" and check.outcome == "fail")
    if failed[2] or failed[3] or counts:
        return "inconsistent", (*failed[2], *failed[3], *counts)
    failing = tuple(_said(check) for check in made if check.name == "failures" and check.outcome == "fail")
    unanswered = tuple(_said(c) for c in made if c.name == "left without an answer" and c.outcome == "fail")
    if (failing or unanswered) and not signs:
        nothing_full = f"with no sign of a limit on the target: {checks_target.room(window.target)}"
        return "faulty", (*failing, *unanswered, nothing_full)
    if failed[6]:
        return "too-few-samples", failed[6]
    short = shortfall(window, plan, unloaded_s)
    if signs and (failing or short is not None):
        return "overload", (*failing, *((short,) if short is not None else ()), *signs)
    if failed[5]:
        return "unsteady", failed[5]
    suspected = tuple(f"{said}; the generator or the network is suspected" for said in failed[8])
    full = checks_target.full(window.target, window.in_flight, window.waited_for) if window.target is not None else ()
    return "valid", (*(("saturated: " + "; ".join(full),) if full else ()), *suspected)


def shortfall(window: Window, plan: Plan, unloaded_s: float | None) -> str | None:
    """In words where X is more than 5 % under N / (R1 + Z), which a server without a limit would give."""
    z = window.think_s if window.think_s is not None else plan.mean_think_s
    cycle = (unloaded_s or 0.0) + z
    if unloaded_s is None or cycle <= 0:
        return None
    bound = window.step.users / cycle
    under = 1 - window.goodput / bound
    if under <= T.shortfall:
        return None
    return f"{window.goodput:.1f} requests/s are {under:.1%} under N / (R1 + Z) = {bound:.1f}"


def _said(check: Check) -> str:
    value = (
        "" if check.value is None or check.threshold is None else f": {check.value:.3g} against {check.threshold:.3g}"
    )
    return f"{check.detail} (check {check.number}, {check.name}{value})"
