"""The verdict of a step: the first that applies, in the order of METHOD.md, with the findings that it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analysis.judge.baseline import Baseline
from analysis.judge.checks import checks_generator, checks_laws, checks_strangers, checks_target, checks_window
from analysis.judge.findings import Check, Finding, Reason
from analysis.judge.reconciliation import Reconciled
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window
from study.plan import Plan
from study.trial import Shares, shares_explained
from study.workload import Work

Verdict = Literal[
    "worker-lost",
    "disturbed",
    "generator-limited",
    "inconsistent",
    "faulty",
    "overload",
    "too-few-samples",
    "unsteady",
    "unexplained",
    "valid",
    "not-measured",
]
"""`unexplained`: slower than an idle server can be, or short of the line, and nothing that was watched says why.
`not-measured` is that of a step that the plan asks for and no ledger holds."""
VALID: tuple[Verdict, ...] = ("valid",)
SERVED: tuple[Verdict, ...] = ("valid", "overload")
"""Verdicts of the steps whose goodput is the server's own: an overload is a finding about the server."""
GIVES_R1: tuple[Verdict, ...] = ("valid", "too-few-samples")
"""Those of an idle step that gives R1: a slow server answers its one user fewer than four times in the window."""
FLAGGED_IN_REASONS = (2, 4, 7, 9, 11)
"""Checks whose flags a reader of the verdict should know."""
LATE = ("generator.lag", "generator.turnaround")
"""Checks of the generator that say by how much it lengthens a cycle, so that a shortfall can be divided."""
BUSY = ("generator.cpu", "generator.shared-cpu")
"""Those of its CPU: what that costs shows in how late its users are, where the kernel's stamps end response times."""


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
    full: tuple[Finding, ...] = ()
    """What on the target was full, whatever the verdict."""

    @property
    def disturbed(self) -> bool:
        """Whether check 11 failed: somebody else used the server's or the workers' cores."""
        return any(check.number == 11 and check.outcome == "fail" for check in self.checks)

    @property
    def gives_r1(self) -> bool:
        """Whether R of an idle step with this judgement is R1: no other program may have slowed it."""
        return self.verdict in GIVES_R1 and not self.disturbed


@dataclass(frozen=True)
class _Evidence:
    """What the order of verdicts is decided from."""

    every: tuple[Check, ...]
    full: tuple[Finding, ...]
    """What on the target was full."""
    signs: tuple[Finding, ...]
    """All that points to a limit of the server."""
    short: Finding | None
    """X under N / (R1 + Z) with the think time that passed."""
    at_least: bool
    """R1 is at most what is taken for it, so that the shortfall is at least what it seems."""
    shares: Shares | None
    """The same with the think time as drawn, divided; only where it is short."""
    room: Finding

    def failed(self, number: int) -> tuple[Check, ...]:
        """The checks of this number that failed."""
        return tuple(check for check in self.every if check.number == number and check.outcome == "fail")

    def failed_code(self, code: str) -> tuple[Check, ...]:
        """The checks of this code that failed."""
        return tuple(check for check in self.every if check.code == code and check.outcome == "fail")


def judge_step(
    window: Window, plan: Plan, run: Reconciled, baseline: Baseline | None, work: Work | None = None
) -> Judgement:
    """All checks of a step, 1 to 9 and 11, and the verdict that follows from them.

    `baseline` is R1 of the run; `work` is what the model is told to do for each request.
    """
    # The one user of the idle step never waits for others: it keeps a server busy and uses nothing up.
    idle = window.step.kind == "idle"
    full = () if idle else checks_target.full(window, baseline.cv if baseline is not None else 1.0)
    signs = checks_target.evidence(window, full, run.refused_server)
    short = shortfall(window, plan, baseline)
    every = (
        checks_laws.population(window),
        checks_laws.clocks(window),
        *checks_laws.wall_clock(window),
        checks_laws.interactive_law(window, plan),
        checks_laws.little(window),
        checks_laws.requests_counted(window),
        *(checks_laws.work_done(window, work) if work is not None else ()),
        checks_laws.oldest(window, plan),
        *checks_generator.generator(window, plan),
        *checks_window.stationary(window, plan),
        checks_window.silent(window, plan, baseline),
        checks_window.enough(window, overloaded=bool(signs) and short is not None),
        checks_window.errors(window),
        checks_window.unanswered(window, plan),
        checks_window.counts(run),
        checks_target.who_was_the_limit(window, baseline, full),
        *checks_target.short_of_the_line(window, plan, baseline, full),
        checks_target.kernel(window),
        *checks_strangers.strangers(window),
    )
    room = checks_target.room(window)
    least = baseline is not None and not baseline.idle
    shares = divided(window, plan, baseline)
    verdict, reasons = _first(window, _Evidence(every, full, signs, short, least, shares, room))
    background = [
        Finding(
            "background.held",
            kind=each.kind,
            held=each.held,
            wanted=each.wanted,
            turned_away=each.turned_away.least,
            most=each.turned_away.most,
        )
        for each in window.background
    ]
    raised = window.own.raised if window.own is not None else 0
    if window.own is not None and raised:
        most, *_ = window.own.exceptions[0]
        background.append(Finding("tasks.raised", count=raised, iterations=window.own.iterations, most=most))
    flags = [check for check in every if check.outcome == "flag" and check.number in FLAGGED_IN_REASONS]
    flags += [check for check in every if check.outcome == "fail" and check.number == 11 and check not in reasons]
    unknown = [check for check in every if check.outcome == "not available"]
    return Judgement(
        verdict,
        (*reasons, *background, *flags, *unknown),
        every,
        saturated=verdict == "valid" and bool(full),
        # Over TLS a response time holds what the client itself computes for the handshake.
        upper_bounds=window.connects > 0
        or any(
            (check.code == "generator.standstill" and not window.kernel_stamps)
            or (check.code == "generator.loop-lag" and check.outcome == "flag")
            for check in every
        ),
        full=full,
    )


def _first(window: Window, found: _Evidence) -> tuple[Verdict, tuple[Reason, ...]]:
    """The first verdict of METHOD.md's list that applies, and why."""
    short = (found.short,) if found.short is not None else ()
    if lost := found.failed(1):
        only_late = all(finding.code == checks_laws.TOO_MANY for check in lost for finding in check.finding["wrong"])
        return "generator-limited" if only_late else "worker-lost", lost
    if others := found.failed(11):
        # Where the server was full or short of the line, its rate is that of the cores which the others left it.
        failed = tuple(check for check in found.every if check.outcome == "fail" and check.number != 11)
        if failed or short or found.full:
            return "disturbed", (*others, *failed, *short, *found.full)
    limited = _generator(window, found)
    if limited is not None:
        return limited
    counts = found.failed_code("errors.counts")
    if found.failed(2) or found.failed(3) or counts:
        return "inconsistent", (*found.failed(2), *found.failed(3), *counts)
    failing, unanswered = found.failed_code("errors.failures"), found.failed_code("errors.unanswered")
    if (failing or unanswered) and not found.signs:
        return "faulty", (*failing, *unanswered, Finding("target.no-sign", room=(found.room,)))
    if found.signs and (failing or short):
        return "overload", (*failing, *short, *found.signs)
    for number, verdict in _LAST:
        if failed := found.failed(number):
            return verdict, failed
    if limit := found.failed(8):
        return "unexplained", (*limit, Finding("generator.suspected"))
    return "valid", (Finding("target.saturated", full=found.full),) if found.full else ()


_LAST: tuple[tuple[int, Verdict], ...] = ((6, "too-few-samples"), (5, "unsteady"))
"""What an overloaded server can't help, and so comes after it."""


def _generator(window: Window, found: _Evidence) -> tuple[Verdict, tuple[Reason, ...]] | None:
    """Check 4, or slow answers while the generator was busy; None where neither says that it was the limit.

    Where nothing but late users and busy workers failed, and the target was full, the larger part of the shortfall
    names the verdict.
    """
    measured = (*LATE, *BUSY) if window.kernel_stamps else LATE
    failed, limit = found.failed(4), found.failed(8)
    room = Finding("target.had-room", room=(found.room,))
    if failed:
        shares = found.shares
        if shares is None or not found.signs or any(check.code not in measured for check in failed):
            return "generator-limited", (*failed, room)
        divided_ = Finding(
            "step.divided",
            under=shares.shortfall,
            generator=shares.generator,
            server=shares.server,
            late_ms=1000 * window.late_s,
            at_least=found.at_least,
        )
        if shares.verdict == "generator-limited":
            return "generator-limited", (*failed, divided_, *found.signs)
        contradicted = found.failed(2) or found.failed(3) or found.failed_code("errors.counts")
        return None if contradicted else ("overload", (divided_, *found.signs, *failed))
    busy = checks_generator.busy(window)
    if limit and busy is not None:
        return "generator-limited", (*limit, busy)
    return None


def shortfall(window: Window, plan: Plan, baseline: Baseline | None) -> Finding | None:
    """Where X is more than 5 % under N / (R1 + Z), which a server without a limit would give; else None."""
    if baseline is None:
        return None
    z = window.think_s if window.think_s is not None else plan.mean_think_s
    cycle = baseline.response_s + z
    if cycle <= 0:
        return None
    bound = window.step.users / cycle
    under = 1 - window.goodput / bound
    if under <= T.shortfall:
        return None
    return Finding("step.shortfall", rate=window.goodput, under=under, bound=bound, at_least=not baseline.idle)


def divided(window: Window, plan: Plan, baseline: Baseline | None) -> Shares | None:
    """The shortfall with the think time as drawn, divided between generator and server; None where X isn't short."""
    if baseline is None or window.throughput <= 0:
        return None
    drawn = window.drawn_s if window.drawn_s is not None else plan.mean_think_s
    shares = shares_explained(window.step.users, window.throughput, baseline.response_s, drawn, window.late_s)
    return shares if shares.shortfall > T.shortfall else None
