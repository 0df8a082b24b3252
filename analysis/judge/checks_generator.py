"""Check 4: was the generator able to make the load that was asked for, each worker on its own."""

from __future__ import annotations

import math
from collections.abc import Callable

from analysis.judge.checks import Check, think_sd
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window, Worker
from study.plan import Plan


def generator(window: Window, plan: Plan) -> tuple[Check, ...]:
    """All parts of check 4."""
    return (lag(window), loop_lag(window), cpu(window), descriptors(window), ports(window), think(window, plan))


def lag(window: Window) -> Check:
    """How late users wake after their think time, at the 99th percentile of the worst worker."""
    worst = _worst(window, lambda worker: worker.lag_p99_ms)
    if worst is None:
        return Check(4, "think-time lag p99 ms", None, T.lag_ms, "not available", "no think time ended in the window")
    name, value = worst
    late = ""
    if window.think_count and value > T.lag_ms:
        drawn, passed = window.think_drawn_s / window.think_count, window.think_passed_s / window.think_count
        late = f"; think times drawn as {drawn:.3f} s passed in {passed:.3f} s on average"
    detail = f"users of {name} woke up to {value:.1f} ms late (p99){late}"
    return Check(4, "think-time lag p99 ms", value, T.lag_ms, "pass" if value <= T.lag_ms else "fail", detail)


def loop_lag(window: Window) -> Check:
    """The event loop's own lag. Past the threshold the times hold the client's delay too and print as `<=`: a flag.

    A worker that stood still fails: its users' lags alone are too few to show it where think times are short.
    """
    p99 = window.response.quantile_ms(0.99)
    allowed = max(T.loop_lag_ms, T.loop_lag_share * (p99 or 0.0))
    worst = _worst(window, lambda worker: worker.loop_lag_p99_ms)
    if worst is None:
        return Check(
            4, "event-loop lag p99 ms", None, allowed, "not available", "the event loop's lag was not recorded"
        )
    name, value = worst
    said = f"the event loop of {name} was up to {value:.2f} ms late (p99)"
    if value > T.standstill_ms:
        return Check(4, "event-loop lag p99 ms", value, T.standstill_ms, "fail", f"{said}: it stood still")
    if value > allowed:
        return Check(4, "event-loop lag p99 ms", value, allowed, "flag", f"{said}; response times are upper bounds")
    return Check(4, "event-loop lag p99 ms", value, allowed, "pass", said)


def cpu(window: Window) -> Check:
    """CPU of the busiest worker, 95th percentile of the window's seconds; one worker runs on one core."""
    worst = _worst(window, lambda worker: worker.cpu_p95)
    if worst is None:
        return Check(
            4, "worker CPU p95 cores", None, T.worker_cpu, "not available", "the workers' CPU was not recorded"
        )
    name, value = worst
    detail = f"{name} used {value:.2f} of a core (p95)"
    return Check(4, "worker CPU p95 cores", value, T.worker_cpu, "pass" if value <= T.worker_cpu else "fail", detail)


def descriptors(window: Window) -> Check:
    worst = _worst(window, lambda worker: worker.fds_used / worker.fds_limit if worker.fds_limit > 0 else None)
    if worst is None:
        return Check(
            4,
            "descriptors used",
            None,
            T.descriptors_used,
            "not available",
            "the workers' descriptors have no known limit",
        )
    name, value = worst
    detail = f"{name} used {value:.0%} of its descriptors"
    return Check(
        4, "descriptors used", value, T.descriptors_used, "pass" if value <= T.descriptors_used else "fail", detail
    )


def ports(window: Window) -> Check:
    value = window.generator.ports_share
    if value is None:
        return Check(
            4, "ports used", None, T.ports_used, "not available", "no count of the local ports fell into this window"
        )
    detail = f"{value:.0%} of a load host's local ports towards the target in use"
    return Check(4, "ports used", value, T.ports_used, "pass" if value <= T.ports_used else "fail", detail)


def think(window: Window, plan: Plan) -> Check:
    """The mean of the think times drawn against the plan's, within 1 % or four standard errors."""
    if not window.draws:
        return Check(
            4, "think times drawn", None, T.think_share, "not available", "no think time was drawn in the window"
        )
    planned, drawn = plan.mean_think_s, window.draws_s / window.draws
    detail = f"think times were drawn with a mean of {drawn:.3f} s, the plan's is {planned:.3f} s"
    if not planned:
        return Check(4, "think times drawn", drawn, 0.0, "pass" if drawn <= 1e-6 else "fail", detail)
    off = abs(drawn - planned) / planned
    allowed = max(T.think_share, T.think_sigmas * think_sd(plan) / planned / math.sqrt(window.draws))
    return Check(4, "think times drawn", off, allowed, "pass" if off <= allowed else "fail", detail)


def busy(window: Window) -> str | None:
    """The workers' figures in words where they are busy enough to be the limit; None where they are not."""
    worst = _worst(window, lambda worker: worker.cpu_p95)
    if worst is not None and worst[1] >= T.busy_worker:
        return f"{worst[0]} used {worst[1]:.2f} of a core (p95)"
    share = window.generator.cpu_share
    if share is not None and share >= T.busy_host:
        return f"the workers of a load host used {share:.0%} of the cores that they share"
    return None


def _worst(window: Window, figure: Callable[[Worker], float | None]) -> tuple[str, float] | None:
    known = [(worker.name, value) for worker in window.workers if (value := figure(worker)) is not None]
    return max(known, key=lambda pair: pair[1], default=None)
