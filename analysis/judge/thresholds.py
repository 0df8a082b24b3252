"""Every threshold of the checks and of the statistics, in this one table; the rules are those of METHOD.md."""

from __future__ import annotations

from dataclasses import dataclass

from study import trial


@dataclass(frozen=True)
class Thresholds:
    """Shares are 0 to 1, times in the unit that the name ends with, CPU in cores. The number names the check."""

    # 1 population
    users_right: float = trial.USERS_RIGHT
    """Least share of the window in which every worker runs the users that it should."""
    # 2 interactive law
    law: float = 0.02
    law_sigmas: float = 3.0
    outlast_share: float = 0.5
    """Where the mean response takes more than this share of the window, the balance N = L + X Z is used."""
    work_done: float = 0.9
    """Least share of the CPU time or of the wait that the plan makes each request cost."""
    # 3 Little
    little_requests: float = 0.5
    little_share: float = 0.05
    little_sigmas: float = 3.0
    batches: int = 10
    age_slack_s: float = 1.0
    """A sweep ends what is past its deadline, so an age may pass it by a little."""
    # 4 generator
    lag_ms: float = trial.LAG_P99_MS
    loop_lag_ms: float = 1.0
    loop_lag_share: float = 0.20
    standstill_ms: float = 100.0
    """An event loop later than this for 1 % of the window stood still. A stall gives one late think time per user but
    one lag sample per 10 ms."""
    worker_cpu: float = trial.WORKER_CPU_P95
    descriptors_used: float = 0.80
    ports_used: float = 0.80
    think_share: float = 0.01
    think_sigmas: float = 4.0
    # 5 stationarity
    drift: float = 0.05
    drift_sigmas: float = 4.5
    silent_expected: float = 20.0
    """A second is silent only where the law expects at least this many answers in it ..."""
    silent_share: float = 0.05
    """... and less than this share of them came; not zero, since two workers' ticks don't fall together exactly."""
    # 6 samples
    cycles: float = 4.0
    least_above_quantile: float = 10.0
    tail_in_flight: float = 0.10
    """Share of the tail beyond a quantile that may be in flight before the quantile is only a lower bound."""
    # 7 errors
    failures_pass: float = 0.001
    failures_flag: float = 0.01
    unanswered: float = 0.001
    """Most requests that may be left without an answer where nothing on the target is full: as few as pass without a
    flag, since each holds its user for as long as the timeout."""
    held: float = 0.01
    """Most of the users' time that such requests may hold: as much as check 1 lets users be missing."""
    hanging_s: float = 1.0
    hanging_times: float = 2.0
    """A request was left hanging where it is older than `hanging_s`, and than this many times the slowest answer."""
    reconcile_share: float = 0.005
    reconcile_requests: float = 2.0
    """The least difference that fails: in a run of a few hundred requests, 0.5 % is less than one request that ends
    while the run does."""
    # 8 who was the limit
    slow_ratio: float = trial.SLOW_RATIO
    slow_ms: float = trial.SLOW_MS
    """R is well above R1 where it is more than twice as long, and by more than this."""
    target_cpu: float = 0.90
    queue_least: float = 1.0
    queue_share: float = 0.20
    """The accept queue is evidence where its median holds at least this share of the requests in flight."""
    target_descriptors: float = 0.95
    busy_worker: float = 0.50
    busy_host: float = 0.70
    # 9 the target's kernel, as shares of the attempts: one retransmit is no overload
    dropped_share: float = 0.001
    """Listen overflows, listen drops and SYN cookies."""
    retransmit_share: float = 0.01
    # the limit of a model
    short_lived: float = 0.50
    """The limit is the cost of starting processes where ended children used at least this share of the CPU time."""
    # overload
    shortfall: float = 0.05
    # 10 repeatability
    cov: float = 0.05
    return_share: float = 0.03
    return_sigmas: float = 3.0
    # calibration
    planned_share: float = 0.5
    """A step is planned on at most this share of the rate that the generator holds."""
    # across blocks
    confidence: float = 0.95
    tie: float = 0.03
    least_blocks: int = 5


THRESHOLDS = Thresholds()
