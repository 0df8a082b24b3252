"""Every threshold of the checks and of the statistics, in this one table; the rules are those of METHOD.md.

A threshold is of one of two kinds. `_limit`: a boundary of what is accepted, which no chance moves. `_chance(value,
alarms)`: it allows for sampling error, and was chosen so that of sound windows a share `alarms` fails. What the checks
really fail, all together at every plan that ships, is simulated in tests/unit/analysis/test_false_alarms.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from study import trial


def _limit(value: float) -> float:
    return field(default=value)


def _chance(value: float, alarms: float) -> float:
    return field(default=value, metadata={"alarms": alarms})


@dataclass(frozen=True)
class Thresholds:
    """Shares are 0 to 1, times in the unit that the name ends with, CPU in cores. The number names the check."""

    # 1 population
    users_right: float = _limit(trial.USERS_RIGHT)
    """Least share of the window in which every worker runs the users that it should."""
    # 2 interactive law, and the clocks that rates rest on
    law: float = _limit(0.01)
    law_sigmas: float = _chance(3.0, 0.003)
    """Two-sided normal: the error of the balance is a sum over all users."""
    clock: float = _limit(0.005)
    """How far a worker's phase may be from its length on another clock, as a share of it."""
    message_s: float = _limit(0.02)
    """Start and end of a phase reach two workers at moments that may be so far apart; seen: up to 9 ms."""
    clock_step_s: float = _limit(0.001)
    """A wall clock that was set by more than this in the window."""
    work_done: float = _limit(0.9)
    """Least share of the CPU time or of the wait that the plan makes each request cost."""
    # 3 Little
    little_requests: float = _limit(0.5)
    little_share: float = _limit(0.05)
    little_sigmas: float = _chance(3.0, 0.003)
    """Only where the ages at the window's start are unknown; with them the law is an identity."""
    batches: int = 10
    counts_share: float = _limit(0.001)
    """Requests of the window that neither ended nor are in flight, or ended twice: an identity, too."""
    counts_requests: float = _limit(1.0)
    age_slack_s: float = _limit(1.0)
    """A sweep ends what is past its deadline, so an age may pass it by a little."""
    # 4 generator
    lag_ms: float = _limit(trial.LAG_P99_MS)
    loop_lag_ms: float = _limit(1.0)
    loop_lag_share: float = _limit(0.20)
    standstill_ms: float = _limit(100.0)
    """An event loop later than this for 1 % of the window stood still. A stall gives one late think time per user but
    one lag sample per 10 ms."""
    worker_cpu: float = _limit(trial.WORKER_CPU_P95)
    shared_cpu: float = _limit(0.90)
    """Of cores that more workers share than there are cores: a core counts as full as early as the target's do."""
    descriptors_used: float = _limit(0.80)
    ports_used: float = _limit(0.80)
    think_share: float = _limit(0.01)
    think_sigmas: float = _chance(4.0, 0.0001)
    # 5 stationarity
    drift: float = _limit(0.05)
    drift_sigmas: float = _chance(3.0, 0.003)
    """In standard errors of independent answers ..."""
    drift_quantile: float = _chance(0.9975, 0.005)
    """... or this quantile of Student's t on each side, of the scatter that is left about the line."""
    warm_up_seconds: int = 12
    """Of fewer seconds a quarter and a half have too few to be compared by ranks."""
    warm_up_sigmas: float = _chance(3.0, 0.002)
    """One-sided."""
    silent_expected: float = _limit(20.0)
    """A second is silent only where the law expects at least this many answers in it ..."""
    silent_share: float = _limit(0.05)
    """... and less than this share of them came; not zero, since two workers' ticks don't fall together exactly."""
    silent_in_flight: float = _limit(1.0)
    """With a locustfile of one's own: mean requests in flight from which on a second without answers is silent."""
    silent_chance: float = _limit(1e-5)
    """Nor where all users can have waited for slow answers at once by chance: the share of their time that answers of
    more than a second took, to the power of their number."""
    # 6 samples
    cycles: float = _limit(4.0)
    rate_error: float = _limit(0.03)
    """Past the knee fewer cycles are enough where X is known to this share, as its standard error."""
    least_above_quantile: float = _limit(10.0)
    tail_in_flight: float = _limit(0.10)
    """Share of the tail beyond a quantile that may be in flight before the quantile is only a lower bound."""
    # 7 errors
    failures_pass: float = _limit(0.001)
    failures_flag: float = _limit(0.01)
    unanswered: float = _limit(0.001)
    """Most requests that may be left without an answer where nothing on the target is full: as few as pass without a
    flag, since each holds its user for as long as the timeout."""
    held: float = _limit(0.01)
    """Most of the users' time that such requests may hold: as much as check 1 lets users be missing."""
    hanging_s: float = _limit(3.5)
    """Two lost SYNs in a row cost 3 s, and their request is answered."""
    hanging_times: float = _limit(3.0)
    """A request was left hanging where it is older than `hanging_s`, and than this many times the slowest answer."""
    reconcile_share: float = _limit(0.005)
    reconcile_requests: float = _limit(2.0)
    """The least difference that fails: in a run of a few hundred requests, 0.5 % is less than one request that ends
    while the run does."""
    sampled_s: float = _limit(1.5)
    """A shorter window may have no sample of the target that lies within it: one is taken a second."""
    # 8 who was the limit
    slow_ratio: float = _limit(trial.SLOW_RATIO)
    slow_ms: float = _limit(trial.SLOW_MS)
    """R is well above R1 / (1 - U) where it is more than twice as long, and by more than this."""
    growth_sigmas: float = _chance(3.0, 0.002)
    """And by this many standard errors of R and R1, both with the window's own spread; one-sided."""
    shortfall: float = _limit(trial.SHORTFALL)
    target_cpu: float = _limit(0.90)
    target_descriptors: float = _limit(0.95)
    full_pool: float = _limit(0.95)
    """Share of a pool of known size from which on all of it counts as busy."""
    queue_least: float = _limit(1.0)
    """One connection seen in a queue is not evidence."""
    queue_users: float = _limit(0.01)
    """Share of a step's users that wait in the accept queue, from which on it is full: by N = X (R + Z) it is the share
    of the cycle that the wait takes. A generator that sends in bursts makes a longer queue than random arrivals do, at
    a server with room to spare."""
    queue_alarms: float = _chance(0.01, 0.01)
    """The share of sound windows in which a queue may be longer than what is allowed."""
    full_backlog: float = _limit(0.9)
    """A queue seen at this share of its limit may be the one whose overflows the kernel counted."""
    busy_worker: float = _limit(0.50)
    busy_host: float = _limit(0.70)
    # 9 the target's kernel, as shares of the attempts: one retransmit is no overload
    dropped_share: float = _limit(0.001)
    """Listen overflows, listen drops and SYN cookies."""
    retransmit_share: float = _limit(0.01)
    # the limit of a model
    short_lived: float = _limit(0.50)
    """The limit is the cost of starting processes where ended children used at least this share of the CPU time."""
    # 10 repeatability
    cov: float = _limit(0.05)
    return_share: float = _limit(0.03)
    return_sigmas: float = _chance(3.0, 0.003)
    # 11 strangers
    strangers: float = _limit(0.03)
    """Most of the cores that others may take in the window, steal included."""
    strangers_flag: float = _limit(0.01)
    strangers_sigmas: float = _chance(3.0, 0.002)
    """In standard errors of the kernel's sampling at ticks, one-sided."""
    strangers_second: float = _limit(0.20)
    """Most that they may take in one second."""
    strangers_second_sigmas: float = _chance(5.0, 0.001)
    timer_ticks: float = _limit(100.0)
    """Timer ticks a second, the least that a kernel is built with: more of them make the figure more exact."""
    other_blocks: int = 2
    """How many blocks must show what a disturbed block should have given."""
    # calibration
    planned_share: float = _limit(0.5)
    """A step is planned on at most this share of the rate that the generator holds."""
    # across blocks
    confidence: float = _chance(0.95, 0.05)
    tie: float = _limit(0.03)
    least_blocks: int = 5


THRESHOLDS = Thresholds()

FALSE_ALARMS: dict[str, float] = {
    each.name: each.metadata["alarms"] for each in fields(Thresholds) if "alarms" in each.metadata
}
"""For each threshold that allows for chance: the share of sound windows (for `confidence`, of reports) beyond it."""
