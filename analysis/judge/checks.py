"""The checks of one step, each a small pure function of plain values: value, threshold, outcome, and why.

Rules: the project's METHOD (laws: Jain, The Art of Computer Systems Performance Analysis, ch. 33, for the laws).
X throughput of attempts per second, R mean response time in s, Z mean think time in s, N users, L requests in flight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats as scipy_stats

from analysis.judge.reconcile import Reconciled
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Second, Window
from analysis.read.histograms import EMPTY
from study.plan import Plan
from study.workload import Work

Outcome = Literal["pass", "flag", "fail", "not available"]
"""`flag`: it passes, and there is something to know. `not available`: the evidence was not recorded."""


@dataclass(frozen=True)
class Check:
    """One line of checks.csv. A number of METHOD.md can have several lines, one for each figure that it holds."""

    number: int
    name: str
    value: float | None
    threshold: float | None
    outcome: Outcome
    detail: str


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
    short = [
        f"{worker.name} had at least {worker.users_min} of {worker.users_wanted} users,"
        f" all of them in {worker.users_right:.1%} of the window"
        for worker in window.workers
        if worker.users_right < T.users_right
    ]
    wrong = [f"no record came from {name}" for name in window.missing] + short
    if not window.missing and wanted != window.step.users:
        wrong.append(f"the workers were told to run {wanted} users together, not {window.step.users}")
    detail = "; ".join(wrong) or f"{wanted} users on {len(window.workers)} workers, at least {right:.1%} of the window"
    return Check(1, "population", right, T.users_right, "fail" if wrong else "pass", detail)


def in_step(window: Window) -> bool:
    """Most requests ended by the timeout, so that users who began together go on together.

    The window then cuts a whole wave of them, where it cuts independent users at random.
    """
    return window.failures.get("timed-out", 0) > window.attempts / 2


def interactive_law(window: Window, plan: Plan) -> Check:
    """2: N = X (R + Z). Where requests outlast the window, or users go in step, the balance N = L + X Z is taken."""
    users, response, think = window.step.users, window.cycle_response_s, window.think_s
    x = window.throughput
    if response is None or response > T.outlast_share * window.seconds or in_step(window):
        accounted = window.in_flight + x * (think if think is not None else plan.mean_think_s)
        form = f"L + X Z = {window.in_flight:.1f} + {x:.2f} x {think or plan.mean_think_s:.3f}"
    else:
        z = think if think is not None else plan.mean_think_s
        accounted = x * (response + z)
        form = f"X (R + Z) = {x:.2f} x ({response:.4f} + {z:.4f})"
    cycle = (response or 0.0) + plan.mean_think_s
    cv = think_sd(plan) / cycle if cycle else 0.0
    allowed = max(T.law, T.law_sigmas * cv / math.sqrt(window.attempts)) if window.attempts else T.law
    off = abs(accounted - users) / users
    detail = f"{form} = {accounted:.1f} of {users} users, {off:.1%} off"
    return Check(2, "interactive law", off, allowed, "pass" if off <= allowed else "fail", detail)


def little(window: Window) -> Check:
    """3: L = X R, L the exact integral of requests in flight."""
    in_flight = window.in_flight
    by_law = window.throughput * (window.cycle_response_s or 0.0)
    error = batch_error([s.in_flight_s - s.response_s for s in window.ticks], [s.seconds for s in window.ticks])
    allowed = max(T.little_requests, T.little_share * in_flight, T.little_sigmas * (error or 0.0))
    if in_step(window):  # up to a wave more or less of requests that began before the window or end after it
        allowed = max(allowed, window.step.users * (window.cycle_response_s or 0.0) / window.seconds)
    off = abs(in_flight - by_law)
    detail = f"L = {in_flight:.2f} in flight, X R = {by_law:.2f}"
    return Check(3, "Little's law", off, allowed, "pass" if off <= allowed else "fail", detail)


def work_done(window: Window, work: Work) -> tuple[Check, ...]:
    """2: the work that the plan asks for was done: U >= X D for CPU time, and answers came after the wait."""
    made: list[Check] = []
    if work.cpu_ms:
        asked = window.goodput * work.cpu_ms / 1000
        used = window.target.cpu_cores if window.target is not None else None
        detail = f"{window.goodput:.1f} requests/s x {work.cpu_ms:g} ms of CPU each = {asked:.2f} cores"
        if used is None or not asked:
            made.append(
                Check(2, "CPU work", None, T.work_done, "not available", f"{detail}; the target was not watched")
            )
        else:
            done: Outcome = "pass" if used >= T.work_done * asked else "fail"
            made.append(Check(2, "CPU work", used / asked, T.work_done, done, f"{detail}, the server used {used:.2f}"))
    median = window.response.quantile_ms(0.5)
    if work.wait_ms and median is not None:
        waited: Outcome = "pass" if median >= T.work_done * work.wait_ms else "fail"
        detail = f"half of the answers took at least {median:.1f} ms, each waits {work.wait_ms:g} ms"
        made.append(Check(2, "waiting", median / work.wait_ms, T.work_done, waited, detail))
    return tuple(made)


def oldest(window: Window, plan: Plan) -> Check:
    """3: nothing is in flight for longer than the timeout."""
    age = (window.ages.max_ms or 0.0) / 1000
    allowed = plan.timeout + T.age_slack_s
    left = f"the oldest of {window.in_flight_end} in flight at the window's end is {age:.2f} s old"
    detail = f"{left}, timeout {plan.timeout:g} s" if window.in_flight_end else "nothing in flight at the window's end"
    return Check(3, "oldest in flight s", age, allowed, "pass" if age <= allowed else "fail", detail)


def stationary(window: Window) -> Check:
    """5: drift of goodput over the window, by Theil-Sen's slope (median of the slopes of all pairs of seconds)."""
    if len(window.ticks) < 3 or not window.successes:
        return Check(5, "drift", None, T.drift, "not available", "fewer than three seconds with answers were recorded")
    rates = [second.successes / second.seconds for second in window.ticks]
    middles = [second.start + second.seconds / 2 for second in window.ticks]
    slope = float(scipy_stats.theilslopes(rates, middles)[0])
    drift = abs(slope) * window.seconds / window.goodput
    allowed = max(T.drift, T.drift_sigmas / math.sqrt(window.successes))
    detail = f"goodput drifted by {slope * window.seconds / window.goodput:+.1%} over {window.seconds:.0f} s"
    return Check(5, "drift", drift, allowed, "pass" if drift <= allowed else "fail", detail)


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
    detail = (
        f"no answers in {spans(quiet)} of the window, {expected:.0f} a second expected"
        if quiet
        else "answers in every second"
    )
    outcome: Outcome = "fail" if quiet else "pass" if window.ticks else "not available"
    return Check(5, "silent seconds", float(len(quiet)), 0.0, outcome, detail)


def spans(seconds: Sequence[Second]) -> str:
    """Seconds of the window in words: `seconds 12-14 and 32-33`."""
    ranges: list[tuple[float, float]] = []
    for second in seconds:
        end = second.start + second.seconds
        if ranges and second.start - ranges[-1][1] < 0.01:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((second.start, end))
    return "seconds " + " and ".join(f"{start:.0f}-{end:.0f}" for start, end in ranges)


def enough(window: Window) -> Check:
    """6: each user went around at least four times on average."""
    cycles = window.attempts / window.step.users
    detail = f"{window.attempts} requests of {window.step.users} users in {window.seconds:.0f} s"
    return Check(6, "cycles of each user", cycles, T.cycles, "pass" if cycles >= T.cycles else "fail", detail)


def errors(window: Window) -> Check:
    """7: share of failed requests."""
    share = window.failed_share
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(window.failures.items()) if count)
    detail = f"{window.failed} of {window.attempts} failed ({share:.2%})" + (f": {kinds}" if kinds else "")
    outcome: Outcome = "pass" if share <= T.failures_pass else "flag" if share <= T.failures_flag else "fail"
    return Check(7, "failures", share, T.failures_flag, outcome, detail)


def unanswered(window: Window, plan: Plan) -> Check:
    """7: requests left hanging, whether the timeout ended them or the window. They matter where nothing was full."""
    slowest = window.response.max_ms
    least_ms = 1000 * T.hanging_s if slowest is None else max(1000 * T.hanging_s, T.hanging_times * slowest)
    # Without any answer nobody knows how long one takes; that window has too few samples.
    hanging = window.ages.above(least_ms) if slowest is not None else EMPTY
    timed_out = window.failures.get("timed-out", 0)
    share = (timed_out + hanging.total) / max(1, window.attempts + hanging.total)
    held = (timed_out * plan.timeout + hanging.sum_s) / (window.step.users * window.seconds)
    detail = (
        f"{timed_out} requests timed out and {hanging.total} were left hanging at the window's end:"
        f" {share:.2%} of the requests, {held:.1%} of the users' time"
    )
    outcome: Outcome = "pass" if share <= T.unanswered and held <= T.held else "fail"
    return Check(7, "left without an answer", share, T.unanswered, outcome, detail)


def counts(run: Reconciled) -> Check:
    """7: the whole run's attempts against the server's own counts, or the kernel's.

    The kernel counts every program's connections: what it has too many is worth a look, and proves nothing.
    """
    apart = run.apart
    allowed = max(T.reconcile_share * run.attempts, T.reconcile_requests)
    if apart is None:
        lacking = ", ".join(run.missing[:3]) + (" and more" if len(run.missing) > 3 else "")
        why = f"records are missing: {lacking}" if run.missing else "the server's own counts were not recorded"
        return Check(7, "counts of the run", None, allowed, "not available", f"{why}; {run.sentence()}")
    outcome: Outcome = "pass" if apart <= allowed else "flag" if run.by_kernel and (run.surplus or 0) > 0 else "fail"
    return Check(7, "counts of the run", float(apart), allowed, outcome, run.sentence())
