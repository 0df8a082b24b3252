"""Check 4: was the generator able to make the load that was asked for, each worker on its own."""

from __future__ import annotations

import math
from collections.abc import Callable

from analysis.judge.findings import Check, Finding, Outcome, check, passed
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window, Worker
from study.plan import Plan


def generator(window: Window, plan: Plan) -> tuple[Check, ...]:
    """All parts of check 4. The one user of the idle step doesn't think, and so keeps its worker busy."""
    busy_ = () if window.step.kind == "idle" else (cpu(window), *shared_cpu(window))
    return (
        lag(window),
        *turnaround(window, plan),
        *loop_lag(window),
        *busy_,
        descriptors(window),
        ports(window),
        *(() if window.own is not None else (think(window, plan),)),  # no plan says how long its users wait
    )


def lag(window: Window) -> Check:
    """How late users wake after their think time, at the 99th percentile of the worst worker, in ms."""
    name, value = _worst(window, lambda worker: worker.lag_p99_ms)
    late = value is not None and value > T.lag_ms and window.think_count > 0
    return check(
        _at_most(value, T.lag_ms),
        "generator.lag",
        value=value,
        threshold=T.lag_ms,
        worker=name,
        drawn_s=window.think_drawn_s / window.think_count if late else None,
        passed_s=window.think_passed_s / window.think_count if late else None,
    )


def turnaround(window: Window, plan: Plan) -> tuple[Check, ...]:
    """The mean gap in ms between an answer and the next request where the plan has no think time: neither R nor Z."""
    if not window.turnarounds or plan.mean_think_s > 0:
        return ()
    gap = 1000 * window.turnaround_s / window.turnarounds
    cycle = 1000 * window.step.users * window.seconds / window.cycles if window.cycles else 0.0
    return (
        check(
            passed(gap <= T.lag_ms),
            "generator.turnaround",
            value=gap,
            threshold=T.lag_ms,
            share=gap / cycle if cycle else 0.0,
        ),
    )


def loop_lag(window: Window) -> tuple[Check, ...]:
    """The event loop's own lag in ms. Above the threshold response times hold the client's delay too: a flag.

    Not asked where the times end at the kernel's receive stamps. A worker that stood still fails all the same: its
    users' lags alone are too few to show it where think times are short.
    """
    name, value = _worst(window, lambda worker: worker.loop_lag_p99_ms)
    if value is not None and value > T.standstill_ms:
        return (check("fail", "generator.standstill", value=value, threshold=T.standstill_ms, worker=name),)
    if window.kernel_stamps:
        return ()
    p99 = window.response.quantile_ms(0.99)
    allowed = max(T.loop_lag_ms, T.loop_lag_share * (p99 or 0.0))
    outcome: Outcome = "not available" if value is None else "flag" if value > allowed else "pass"
    return (check(outcome, "generator.loop-lag", value=value, threshold=allowed, worker=name),)


def cpu(window: Window) -> Check:
    """CPU in cores of the busiest worker, 95th percentile of the window's seconds; one worker runs on one core."""
    name, value = _worst(window, lambda worker: worker.cpu_p95)
    return check(_at_most(value, T.worker_cpu), "generator.cpu", value=value, threshold=T.worker_cpu, worker=name)


def shared_cpu(window: Window) -> tuple[Check, ...]:
    """The same of a host's workers together, over the cores that they share, where they are more than these."""
    value = window.generator.shared_cpu_p95
    if value is None:
        return ()
    return (check(passed(value <= T.shared_cpu), "generator.shared-cpu", value=value, threshold=T.shared_cpu),)


def descriptors(window: Window) -> Check:
    """Open descriptors of the worker that is nearest to its limit, as a share of the limit."""
    name, value = _worst(window, lambda worker: worker.fds_used / worker.fds_limit if worker.fds_limit > 0 else None)
    return check(
        _at_most(value, T.descriptors_used),
        "generator.descriptors",
        value=value,
        threshold=T.descriptors_used,
        worker=name,
    )


def ports(window: Window) -> Check:
    """Local ports towards the target in use on the load host that is nearest to its limit, as a share of the limit."""
    value = window.generator.ports_share
    return check(_at_most(value, T.ports_used), "generator.ports", value=value, threshold=T.ports_used)


def think(window: Window, plan: Plan) -> Check:
    """The mean of the think times drawn against the plan's, within 1 % or four standard errors."""
    low, high = plan.think_time
    planned, sd = (low + high) / 2, (high - low) / math.sqrt(12)
    if not window.draws:
        return check(
            "not available", "generator.think", value=None, threshold=T.think_share, drawn_s=None, planned_s=planned
        )
    drawn = window.draws_s / window.draws
    off, allowed = drawn, 0.0
    if planned:
        off = abs(drawn - planned) / planned
        allowed = max(T.think_share, T.think_sigmas * sd / planned / math.sqrt(window.draws))
    outcome = passed(off <= allowed if planned else drawn <= 1e-6)
    return check(outcome, "generator.think", value=off, threshold=allowed, drawn_s=drawn, planned_s=planned)


def busy(window: Window) -> Finding | None:
    """The workers' CPU where they are busy enough to be the limit; None where they are not."""
    name, cpu_p95 = _worst(window, lambda worker: worker.cpu_p95)
    if cpu_p95 is not None and cpu_p95 >= T.busy_worker:
        return Finding("generator.busy-worker", worker=name, cpu=cpu_p95)
    share = window.generator.cpu_share
    if share is not None and share >= T.busy_host:
        return Finding("generator.busy-host", cpu=share)
    return None


def _at_most(value: float | None, threshold: float) -> Outcome:
    return "not available" if value is None else passed(value <= threshold)


def _worst(window: Window, figure: Callable[[Worker], float | None]) -> tuple[str | None, float | None]:
    """The worker with the largest figure, and the figure; None and None where no worker has it."""
    known = [(worker.name, value) for worker in window.workers if (value := figure(worker)) is not None]
    return max(known, key=lambda pair: pair[1], default=(None, None))
