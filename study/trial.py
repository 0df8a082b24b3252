"""The outcome of one trial of a search, from the figures that Locust's master has while the run goes on.

METHOD, "Capacity": a trial passes where the SLO holds and fails where it is broken; the load generator and lost users
come first, since their figures aren't the server's. Where users woke late and the server was slow as well, the larger
part of what is missing decides, as it does later; that the server was full is known from its samples only, and so only
to the analysis. The analysis judges the same trials again from all files, with the
thresholds below and more; where it comes to another outcome the report says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from study.search import Outcome, Trial

USERS_RIGHT = 0.99
"""Check 1: least share of the window in which every worker runs the users that it should."""
LAG_P99_MS = 10.0
"""Check 4: largest 99th percentile of how late requests start."""
SHORTFALL = 0.05
"""How far X may be under N / (R1 + Z), which a server without a limit would give."""
WORKER_CPU_P95 = 0.70
"""Check 4: largest 95th percentile of a worker's CPU time per second, in cores."""
SLOW_RATIO, SLOW_MS = 2.0, 5.0
"""A response time is well above R1 where it is more than twice as long, and by more than this many ms."""
TAIL = 0.01
"""Share of the answers that may take longer than the SLO's 99th percentile."""
LEAST_ANSWERS = 300
"""A trial with fewer is measured longer: with 300, the SLO is broken by the fourth slow answer."""
TIMED_OUT = "timed-out"
"""The kind of a failure that was waited for as long as the plan's timeout: its answer would have taken longer."""
Broken = Literal["p99", "failures"]
"""The part of the SLO that a trial breaks."""
LAW, LAW_SIGMAS = 0.05, 3.0
"""The users that L + X Z accounts for may miss N by this share, or by so many standard errors of X. Coarser than the
analysis's check 2, which knows the window's spread of response times; here the think times' longest spread is taken."""


@dataclass(frozen=True, kw_only=True)
class TrialFigures:
    """What the workers counted in a trial's measure window, added up."""

    users: int
    answers: int
    """Successes."""
    failures: int
    above: int
    """Successes that took longer than the SLO's p99."""
    overdue: int
    """Requests without an answer that have lasted longer than it: in flight at the end, or timed out."""
    rate: float
    """Requests that ended, per second: X."""
    in_flight: float
    """Mean number of requests in flight: L."""
    between_s: float
    """Mean time between an answer and the user's next request, as it passed: Z, in s."""
    lag_p99_ms: float
    """Of all workers, the latest."""
    worker_cpu_p95: float
    """Of all workers, the busiest; cores."""
    users_right: float
    """Of all workers, the least."""
    drawn_s: float = 0.0
    """Mean think time as drawn, in s."""
    late_s: float = 0.0
    """Mean think time passed less that drawn, in s."""
    idle_s: float | None = None
    """R1, the mean response time of the idle step, in s; None where it isn't known."""
    complete: bool = True
    """Whether every worker's record came."""

    @property
    def counted(self) -> int:
        """Requests whose time is known to be above the SLO's limit or not."""
        return self.answers + self.overdue


@dataclass(frozen=True)
class Shares:
    """What a user's cycle has too much, divided between the generator and the server (METHOD, "Verdict of a step")."""

    shortfall: float
    """1 - X / (N / (R1 + Z)): how far X is under what a server without a limit would give."""
    generator: float
    """Share of it, from 0 to 1, that the users' lateness explains."""
    server: float
    """The rest."""

    @property
    def verdict(self) -> Literal["generator-limited", "overload"]:
        """The larger part names it."""
        return "generator-limited" if self.generator > self.server else "overload"


def shares_explained(
    users: int, throughput: float, idle_response_s: float, think_drawn_s: float, late_s: float
) -> Shares:
    """Divide the shortfall of X; times in s, `throughput` in requests/s.

    A cycle takes N / X. It should take R1 + Z, with R1 the response time of the idle server and Z the mean think time
    as drawn. What it takes too long is a sum, of which `late_s`, the mean of think time passed less think time drawn,
    is the generator's and the rest the server's. (The 99th percentile of the lag explains nothing: it isn't added up.)
    Raises ValueError where no request ended.
    """
    if throughput <= 0:
        raise ValueError("no request ended: there is no cycle to divide")
    should = idle_response_s + think_drawn_s
    excess = users / throughput - should
    if excess <= 0:
        return Shares(1 - throughput * should / users, 0.0, 0.0)
    generator = min(1.0, max(0.0, late_s) / excess)
    return Shares(1 - throughput * should / users, generator, 1 - generator)


def outcome_of(figures: TrialFigures, failures_percent: float) -> Outcome:
    """What the trial came to; `failures_percent` is the SLO's.

    The SLO's p99 is decided by counting: it is broken where more than 1 % of the times are above the limit.
    """
    if not figures.complete or figures.users_right < USERS_RIGHT:
        return "unclear"
    late = figures.lag_p99_ms > LAG_P99_MS and not server_slower(figures)
    if late or figures.worker_cpu_p95 > WORKER_CPU_P95:
        return "generator"
    if law_miss(figures) > max(LAW, LAW_SIGMAS / max(figures.answers + figures.failures, 1) ** 0.5):
        return "unclear"
    if broken_by(figures.answers, figures.failures, figures.above, figures.overdue, failures_percent):
        return "failed"
    return "passed" if figures.counted >= LEAST_ANSWERS else "unclear"


def server_slower(figures: TrialFigures) -> bool:
    """Whether X is short of what an idle server would give, and late users explain the smaller part of that."""
    if figures.idle_s is None or figures.drawn_s <= 0 or figures.rate <= 0:
        return False
    shares = shares_explained(figures.users, figures.rate, figures.idle_s, figures.drawn_s, figures.late_s)
    return shares.shortfall > SHORTFALL and shares.verdict == "overload"


def broken_by(answers: int, failures: int, above: int, overdue: int, failures_percent: float) -> Broken | None:
    """What breaks the SLO: too many failures (`failures_percent` is the most), or too many times above its p99.

    `above` of the answers took longer than the limit, `overdue` requests without an answer have lasted longer: those in
    flight at the end and those that timed out, which are failures besides. Of fewer than LEAST_ANSWERS times, as many
    must be above as would break it if all others came in time.
    """
    if 100 * failures > failures_percent * (answers + failures):
        return "failures"
    return "p99" if above + overdue > TAIL * max(answers + overdue, LEAST_ANSWERS) else None


def as_trial(users: int, outcome: Outcome, long: bool, before: Sequence[Trial]) -> Trial:
    """The trial for the search. The generator decides only where it is late twice at one load: one bad second, such as
    another program's, is unclear, so that the search repeats it."""
    again = bool(before) and before[-1].users == users and before[-1].outcome == "unclear"
    return Trial(users, "unclear" if outcome == "generator" and not again else outcome, long)


def law_miss(figures: TrialFigures) -> float:
    """Share of the users that L + X Z doesn't account for, or accounts for twice."""
    return abs(figures.in_flight + figures.rate * figures.between_s - figures.users) / figures.users


def is_slow(response_s: float, unloaded_s: float) -> bool:
    """Whether a mean response time is well above that of an idle server (both s)."""
    return response_s > SLOW_RATIO * unloaded_s and response_s - unloaded_s > SLOW_MS / 1000
