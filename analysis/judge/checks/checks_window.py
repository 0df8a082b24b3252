"""Checks 5 to 7: was the window steady, long enough, and were the answers right."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.judge.baseline import Baseline
from analysis.judge.checks.checks_laws import batch_error
from analysis.judge.findings import Check, Outcome, check, passed
from analysis.judge.laws.law_error import cycle_cv, drift_of_rate, drift_of_response, warm_up
from analysis.judge.reconciliation import Reconciled
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window
from analysis.read.histograms import EMPTY
from analysis.read.seconds import Second
from study.plan import Plan
from study.trial import TIMED_OUT


def stationary(window: Window, plan: Plan) -> tuple[Check, ...]:
    """5: drift of goodput and of R over the window, and R at its beginning against its end."""
    ticks = window.ticks
    sums, counts = [second.response_s for second in ticks], [second.successes for second in ticks]
    mean_s = (window.mean_ms or 0.0) / 1000
    cv = cycle_cv(plan.think_time, mean_s, window.response.sd_s)
    # Requests of one iteration come together: as if at random, until the scatter of the seconds says more.
    often = 0.0 if window.own is not None else window.throughput / window.step.users
    rate = drift_of_rate([s.successes / s.seconds for s in ticks], often, cv)
    response = drift_of_response(sums, counts, window.response.sd_s)
    early = warm_up(sums, counts)
    checks = [
        check(
            "not available" if miss is None else passed(not miss.fails),
            code,
            value=None if miss is None else miss.value,
            threshold=T.drift if miss is None else miss.allowed,
            change=None if miss is None else miss.change,
            seconds=None if miss is None else window.seconds,
        )
        for code, miss in (("steady.drift", rate), ("steady.drift-response", response))
    ]
    if early is not None:
        checks.append(check(passed(not early.fails), "steady.warm-up", value=early.value, threshold=early.allowed))
    return tuple(checks)


def silent(window: Window, plan: Plan, baseline: Baseline | None) -> Check:
    """5: no second without answers where 20 are expected: of N / (R1 + Z), but no more than the window's mean.

    A few users may all wait for slow answers at one time; of many that is no chance. Users of a locustfile of one's own
    may all wait between tasks at one time, as with `constant_pacing`: a second counts where requests were in flight.
    """
    z = window.think_s if window.think_s is not None else plan.mean_think_s
    cycle = (baseline.response_s if baseline is not None else 0.0) + z
    expected = min(window.goodput, window.step.users / cycle if cycle else window.goodput)
    quiet = [
        second
        for second in window.ticks
        if expected * second.seconds >= T.silent_expected
        and second.successes < T.silent_share * expected * second.seconds
        and (window.own is None or second.in_flight_s >= T.silent_in_flight * second.seconds)
    ]
    slow_s = window.response.above(1000).sum_s + window.ages.above(1000).sum_s
    by_chance = min(1.0, slow_s / (window.step.users * window.seconds)) ** window.step.users
    quiet = [] if by_chance > T.silent_chance else quiet
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


def enough(window: Window, overloaded: bool) -> Check:
    """6: each user made at least four requests on average, or past the knee X is known to 3 %.

    Iterations of a locustfile of one's own count only where any of them had a request that ended.
    """
    cycles = window.cycles / window.step.users if window.attempts else 0.0
    error = None
    if overloaded and window.attempts:
        # Answers of a full server come more evenly than at random; a burst shows in the batch means.
        batches = batch_error([s.successes for s in window.ticks], [s.seconds for s in window.ticks])
        error = max((batches or 0.0) / window.goodput if window.goodput else 0.0, 1 / math.sqrt(window.attempts))
    return check(
        passed(cycles >= T.cycles or (error is not None and error <= T.rate_error)),
        "samples.cycles" if window.own is None else "samples.iterations",
        value=cycles,
        threshold=T.cycles,
        **{"requests" if window.own is None else "iterations": window.cycles},
        users=window.step.users,
        seconds=window.seconds,
        rate_error=error,
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
    timed_out = window.failures.get(TIMED_OUT, 0)
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
        answered=run.answered_client - run.beyond,
        beyond=run.beyond,
        never_sent=run.never_sent,
        in_doubt=run.in_doubt,
        besides={kind: count for kind, count in run.uncertain.items() if kind not in run.in_doubt},
        server=run.answered_server,
        refused=run.refused_server,
        probes=run.probes,
        background=run.background,
        by_kernel=run.by_kernel,
        missing=run.missing,
    )
