"""Checks 1 to 3: the users were there, the laws hold, and the work that the plan asks for was done.

Rules: METHOD.md (laws: Jain, The Art of Computer Systems Performance Analysis, ch. 33). X throughput of attempts per
second, R mean response time in s, Z mean think time in s, N users, L requests in flight. The laws come from one clock
and nearly the same sums: they find lost users and requests, never a client that is slow (docs/method.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from analysis.judge.findings import Check, Finding, Outcome, check, passed
from analysis.judge.laws.law_error import balance, clocks_apart, counts_miss, host_of, little_miss
from analysis.judge.own_window import OwnWindow
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window
from study.plan import Plan
from study.trial import TIMED_OUT
from study.workload import Work

TOO_MANY = "load.worker-over"
"""The finding of a worker on which users of the load before had not left yet: none is lost, the generator is late."""


def batch_error(values: Sequence[float], weights: Sequence[float]) -> float | None:
    """Standard error of a mean over time by batch means, at most ten equal runs of seconds; None of fewer than two."""
    count = min(T.batches, len(values))
    if count < 2:
        return None
    batches = zip(np.array_split(np.asarray(values), count), np.array_split(np.asarray(weights), count), strict=True)
    means = [float(value.sum() / weight.sum()) for value, weight in batches]
    return float(np.std(means, ddof=1) / math.sqrt(count))


def population(window: Window) -> Check:
    """1: every worker runs the users that it should, and every record came."""
    right = min((worker.users_right for worker in window.workers), default=0.0)
    wanted = sum(worker.users_wanted for worker in window.workers)
    wrong = [Finding("load.no-record", workers=(name,)) for name in window.missing]
    wrong += [
        Finding(
            "load.worker-short" if worker.users_min < worker.users_wanted else TOO_MANY,
            worker=worker.name,
            wanted=worker.users_wanted,
            right=worker.users_right,
            **({"least": worker.users_min} if worker.users_min < worker.users_wanted else {"mean": worker.users_mean}),
        )
        for worker in window.workers
        if worker.users_right < T.users_right
    ]
    if not window.missing and wanted != window.step.users:
        wrong.append(Finding("load.told-otherwise", told=wanted, wanted=window.step.users))
    return check(
        passed(not wrong),
        "load.population",
        value=right,
        threshold=T.users_right,
        users=wanted,
        workers=len(window.workers),
        wrong=tuple(wrong),
    )


def in_step(window: Window) -> bool:
    """Whether most requests ended by the timeout, so that users who began together go on together.

    The window then cuts a whole wave of them, where it cuts independent users at random.
    """
    return window.failures.get(TIMED_OUT, 0) > window.attempts / 2


def _late_s(window: Window) -> float:
    """How late the busiest worker's event loop reads the message that begins or ends a phase: the p99 of its lag."""
    return max((worker.loop_lag_p99_ms or 0.0 for worker in window.workers), default=0.0) / 1000


def clocks(window: Window) -> Check:
    """2: every worker's clock runs as fast as its wall clock and as the others', since each rate is made by one."""
    stepped = window.clock_step_s is not None and window.clock_step_s > T.clock_step_s
    phases = {
        worker.name: (worker.seconds, None if stepped else worker.wall_s)
        for worker in window.workers
        if worker.seconds is not None
    }
    # A short window can't tell a fast clock from ends that were read late; the run has the same two ends, and is long.
    whole = {worker.name: (worker.run_s, None) for worker in window.workers if worker.run_s is not None}
    apart = clocks_apart(phases, _late_s(window)) or clocks_apart(whole, _late_s(window))
    known = len({host_of(name) for name in phases}) > 1 or any(wall is not None for _, wall in phases.values())
    worst = max(apart.values(), key=abs, default=0.0)
    return check(
        passed(not apart) if known else "not available",
        "law.clocks",
        value=abs(worst) if known else None,
        threshold=T.clock,
        workers=tuple(apart),
        fast=worst,
    )


def wall_clock(window: Window) -> tuple[Check, ...]:
    """2: no worker's wall clock was set in the window: the kernel's receive stamps are wall clock."""
    step = window.clock_step_s
    if step is None or not window.kernel_stamps:
        return ()
    outcome: Outcome = "pass" if step <= T.clock_step_s else "flag"
    return (check(outcome, "law.clock-step", value=1000 * step, threshold=1000 * T.clock_step_s),)


def interactive_law(window: Window, plan: Plan) -> Check:
    """2: N = X (R + Z) in the form L + X Z: the users in flight and those who think are all that there are."""
    users = window.step.users
    if window.own is not None:
        return iterations(window.own, users)
    before = window.ages_start
    miss = balance(
        users,
        window.seconds,
        window.in_flight,
        window.think_passed_s + window.turnaround_s,
        window.started,
        plan.think_time,
        (users - int(before.total), users - window.in_flight_end) if before is not None else None,
        in_step(window),
        _late_s(window),
    )
    return check(
        passed(not miss.fails),
        "law.interactive",
        value=miss.value,
        threshold=miss.allowed,
        users=users,
        in_flight=window.in_flight,
        thinking=window.thinking,
        turning=window.turning,
        cut=window.in_flight + window.thinking + window.turning - users * (1 + miss.change),
        accounted=users * (1 + miss.change),
    )


def iterations(own: OwnWindow, users: int) -> Check:
    """2 with a locustfile of one's own: N = X (R + Z) of iterations, with R their time and Z the wait after them.

    Both as exact integrals over the window, so that neither its ends nor the spread of either is left to allow for.
    """
    accounted = own.iterating + own.waiting
    off = abs(accounted - users) / users
    return check(
        passed(off <= T.law),
        "law.iterations",
        value=off,
        threshold=T.law,
        users=users,
        iterating=own.iterating,
        waiting=own.waiting,
        accounted=accounted,
    )


def little(window: Window) -> Check:
    """3: L = X R, L the exact integral; with the ages at both ends of the window it is an identity."""
    in_flight, total = window.in_flight, window.ended_s
    here, after = window.read_late_s
    ages = None if window.ages_start is None else (window.ages_start.sum_s - here, window.ages.sum_s - after)
    error = batch_error([s.in_flight_s - s.response_s for s in window.ticks], [s.seconds for s in window.ticks])
    miss = little_miss(in_flight, window.seconds, total, ages, error or 0.0)
    allowed, edges = miss.allowed, 0.0
    if ages is not None:
        edges = (ages[1] - ages[0]) / window.seconds
    elif in_step(window):  # up to a wave more or less of requests that began before the window or end after it
        allowed = max(allowed, window.step.users * (window.cycle_response_s or 0.0) / window.seconds)
    return check(
        passed(miss.value <= allowed),
        "law.little",
        value=miss.value,
        threshold=allowed,
        in_flight=in_flight,
        by_law=total / window.seconds,
        edges=edges,
    )


def requests_counted(window: Window) -> Check:
    """3: every request that began has ended or is in flight, and none ended twice."""
    before = window.ages_start.total if window.ages_start is not None else None
    known = before is not None and window.started > 0
    miss = counts_miss(window.started, window.ended, before or 0, window.in_flight_end)
    return check(
        passed(not miss.fails) if known else "not available",
        "law.counts",
        value=miss.value if known else None,
        threshold=miss.allowed,
        started=window.started,
        ended=window.ended,
        before=before,
        after=window.in_flight_end,
    )


def work_done(window: Window, work: Work) -> tuple[Check, ...]:
    """2: the work that the plan asks for was done: U >= X D for CPU time, and answers came after the wait."""
    checks: list[Check] = []
    if work.cpu_ms:
        asked = window.goodput * work.cpu_ms / 1000
        # In a window as short as the sampler's interval, half of the row that there is may lie outside.
        known = window.target is not None and window.seconds >= T.sampled_s
        used = window.target.cpu_cores if known and window.target is not None else None
        share = used / asked if used is not None and asked else None
        checks.append(
            check(
                "not available" if share is None else passed(share >= T.work_done),
                "work.cpu",
                value=share,
                threshold=T.work_done,
                rate=window.goodput,
                cpu_ms=work.cpu_ms,
                asked=asked,
                used=used,
            )
        )
    median = window.response.quantile_ms(0.5)
    if work.wait_ms and median is not None:
        checks.append(
            check(
                passed(median >= T.work_done * work.wait_ms),
                "work.wait",
                value=median / work.wait_ms,
                threshold=T.work_done,
                median_ms=median,
                wait_ms=work.wait_ms,
            )
        )
    return tuple(checks)


def oldest(window: Window, plan: Plan) -> Check:
    """3: nothing is in flight for longer than the timeout."""
    age = (window.ages.max_ms or 0.0) / 1000
    allowed = plan.timeout + T.age_slack_s
    return check(
        passed(age <= allowed),
        "law.oldest",
        value=age,
        threshold=allowed,
        in_flight=window.in_flight_end,
        timeout_s=plan.timeout,
    )
