"""The checks of one step that need no samples of the target, each a small pure function of plain values.

Rules: METHOD.md (laws: Jain, The Art of Computer Systems Performance Analysis, ch. 33).
X throughput of attempts per second, R mean response time in s, Z mean think time in s, N users, L requests in flight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats as scipy_stats

from analysis.judge.findings import Check, Finding, Outcome, check, passed
from analysis.judge.reconciliation import Reconciled
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Second, Window
from analysis.read.histograms import EMPTY
from study.plan import Plan
from study.workload import Work


def think_sd(plan: Plan) -> float:
    """Standard deviation in s of think time uniform between the plan's bounds."""
    return (plan.think_time[1] - plan.think_time[0]) / math.sqrt(12)


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
            "load.worker-short",
            worker=worker.name,
            least=worker.users_min,
            wanted=worker.users_wanted,
            right=worker.users_right,
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
    return window.failures.get("timed-out", 0) > window.attempts / 2


def interactive_law(window: Window, plan: Plan) -> Check:
    """2: N = X (R + Z). Where requests outlast the window, or users go in step, the balance N = L + X Z is taken."""
    users, response, rate = window.step.users, window.cycle_response_s, window.throughput
    think = window.think_s if window.think_s is not None else plan.mean_think_s
    balance = response is None or response > T.outlast_share * window.seconds or in_step(window)
    accounted = window.in_flight + rate * think if balance else rate * ((response or 0.0) + think)
    cycle = (response or 0.0) + plan.mean_think_s
    cv = think_sd(plan) / cycle if cycle else 0.0
    allowed = max(T.law, T.law_sigmas * cv / math.sqrt(window.attempts)) if window.attempts else T.law
    off = abs(accounted - users) / users
    return check(
        passed(off <= allowed),
        "law.interactive",
        value=off,
        threshold=allowed,
        users=users,
        rate=rate,
        think_s=think,
        accounted=accounted,
        response_s=None if balance else response,
        in_flight=window.in_flight if balance else None,
    )


def little(window: Window) -> Check:
    """3: L = X R, L the exact integral of requests in flight."""
    in_flight = window.in_flight
    by_law = window.throughput * (window.cycle_response_s or 0.0)
    error = batch_error([s.in_flight_s - s.response_s for s in window.ticks], [s.seconds for s in window.ticks])
    allowed = max(T.little_requests, T.little_share * in_flight, T.little_sigmas * (error or 0.0))
    if in_step(window):  # up to a wave more or less of requests that began before the window or end after it
        allowed = max(allowed, window.step.users * (window.cycle_response_s or 0.0) / window.seconds)
    off = abs(in_flight - by_law)
    return check(passed(off <= allowed), "law.little", value=off, threshold=allowed, in_flight=in_flight, by_law=by_law)


def work_done(window: Window, work: Work) -> tuple[Check, ...]:
    """2: the work that the plan asks for was done: U >= X D for CPU time, and answers came after the wait."""
    checks: list[Check] = []
    if work.cpu_ms:
        asked = window.goodput * work.cpu_ms / 1000
        used = window.target.cpu_cores if window.target is not None else None
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


def stationary(window: Window) -> Check:
    """5: drift of goodput over the window, by Theil-Sen's slope (median of the slopes of all pairs of seconds)."""
    if len(window.ticks) < 3 or not window.successes:
        return check("not available", "steady.drift", value=None, threshold=T.drift, change=None, seconds=None)
    rates = [second.successes / second.seconds for second in window.ticks]
    middles = [second.start + second.seconds / 2 for second in window.ticks]
    slope = float(scipy_stats.theilslopes(rates, middles)[0])
    change = slope * window.seconds / window.goodput
    allowed = max(T.drift, T.drift_sigmas / math.sqrt(window.successes))
    return check(
        passed(abs(change) <= allowed),
        "steady.drift",
        value=abs(change),
        threshold=allowed,
        change=change,
        seconds=window.seconds,
    )


def silent(window: Window, plan: Plan, unloaded_s: float | None) -> Check:
    """5: no second without answers where 20 are expected: of N / (R1 + Z), but no more than the window's mean."""
    z = window.think_s if window.think_s is not None else plan.mean_think_s
    cycle = (unloaded_s or 0.0) + z
    expected = min(window.goodput, window.step.users / cycle if cycle else window.goodput)
    quiet = [
        second
        for second in window.ticks
        if expected * second.seconds >= T.silent_expected
        and second.successes < T.silent_share * expected * second.seconds
    ]
    outcome: Outcome = "fail" if quiet else "pass" if window.ticks else "not available"
    return check(
        outcome, "steady.silent", value=float(len(quiet)), threshold=0.0, spans=spans(quiet), expected=expected
    )


def spans(seconds: Sequence[Second]) -> tuple[tuple[float, float], ...]:
    """Start and end in s of each unbroken row of seconds, counted from the start of the window."""
    ranges: list[tuple[float, float]] = []
    for second in seconds:
        end = second.start + second.seconds
        if ranges and second.start - ranges[-1][1] < 0.01:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((second.start, end))
    return tuple(ranges)


def enough(window: Window) -> Check:
    """6: each user made at least four requests on average."""
    cycles = window.attempts / window.step.users
    return check(
        passed(cycles >= T.cycles),
        "samples.cycles",
        value=cycles,
        threshold=T.cycles,
        requests=window.attempts,
        users=window.step.users,
        seconds=window.seconds,
    )


def errors(window: Window) -> Check:
    """7: share of failed requests."""
    share = window.failed_share
    outcome: Outcome = "pass" if share <= T.failures_pass else "flag" if share <= T.failures_flag else "fail"
    return check(
        outcome,
        "errors.failures",
        value=share,
        threshold=T.failures_flag,
        failed=window.failed,
        requests=window.attempts,
        kinds={kind: count for kind, count in sorted(window.failures.items()) if count},
    )


def unanswered(window: Window, plan: Plan) -> Check:
    """7: requests left hanging, whether the timeout ended them or the window. They matter where nothing was full."""
    slowest = window.response.max_ms
    least_ms = 1000 * T.hanging_s if slowest is None else max(1000 * T.hanging_s, T.hanging_times * slowest)
    # Without a good answer there is no response time to compare ages with, so no request counts as hanging.
    hanging = window.ages.above(least_ms) if slowest is not None else EMPTY
    timed_out = window.failures.get("timed-out", 0)
    share = (timed_out + hanging.total) / max(1, window.attempts + hanging.total)
    held = (timed_out * plan.timeout + hanging.sum_s) / (window.step.users * window.seconds)
    return check(
        passed(share <= T.unanswered and held <= T.held),
        "errors.unanswered",
        value=share,
        threshold=T.unanswered,
        timed_out=timed_out,
        hanging=int(hanging.total),
        held=held,
    )


def counts(run: Reconciled) -> Check:
    """7: the whole run's attempts against the server's own counts, or the kernel's.

    The kernel counts every program's connections: a surplus there is a flag and no contradiction.
    """
    apart = run.apart
    allowed = max(T.reconcile_share * run.attempts, T.reconcile_requests)
    outcome: Outcome = "not available"
    if apart is not None:
        outcome = "pass" if apart <= allowed else "flag" if run.by_kernel and (run.surplus or 0) > 0 else "fail"
    return check(
        outcome,
        "errors.counts",
        value=None if apart is None else float(apart),
        threshold=allowed,
        attempts=run.attempts,
        answered=run.answered_client,
        server=run.answered_server,
        uncertain=run.uncertain,
        probes=run.probes,
        background=run.background,
        by_kernel=run.by_kernel,
        missing=run.missing,
    )
