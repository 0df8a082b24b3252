"""The outcome of one trial of a search, from the figures that Locust's master has while the run goes on.

METHOD, "Capacity": a trial passes where the SLO holds and fails where it is broken; the load generator and lost users
come first, since their figures aren't the server's. The analysis judges the same trials again from all files, with the
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
    complete: bool = True
    """Whether every worker's record came."""

    @property
    def counted(self) -> int:
        """Requests whose time is known to be above the SLO's limit or not."""
        return self.answers + self.overdue


def outcome_of(figures: TrialFigures, failures_percent: float) -> Outcome:
    """What the trial came to; `failures_percent` is the SLO's.

    The SLO's p99 is decided by counting: it is broken where more than 1 % of the times are above the limit.
    """
    if not figures.complete or figures.users_right < USERS_RIGHT:
        return "unclear"
    if figures.lag_p99_ms > LAG_P99_MS or figures.worker_cpu_p95 > WORKER_CPU_P95:
        return "generator"
    if law_miss(figures) > max(LAW, LAW_SIGMAS / max(figures.answers + figures.failures, 1) ** 0.5):
        return "unclear"
    if broken_by(figures.answers, figures.failures, figures.above, figures.overdue, failures_percent):
        return "failed"
    return "passed" if figures.counted >= LEAST_ANSWERS else "unclear"


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
