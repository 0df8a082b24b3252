"""Checks 8 and 9: evidence on the target that the server, and not the generator or the network, was the limit."""

from __future__ import annotations

from collections.abc import Callable

from analysis.judge.checks import Check
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window
from analysis.read.samples import Target


def full(target: Target, in_flight: float, waited_for: float = 0.0) -> tuple[str, ...]:
    """What on the target was full, each in words with its figures. `in_flight` is L, mean requests in flight.

    `waited_for` is the part of them whose wait, which the plan asks for, is going on: X times that wait.
    """
    found = (
        cpu(target),
        thread(target),
        accept_queue(target, in_flight),
        descriptors(target),
        workers(target, in_flight, waited_for),
    )
    return tuple(words for words in found if words is not None)


def cpu(target: Target) -> str | None:
    """The tree's CPU at 90 % of its cores, or of its processes where they are fewer: one Python process runs on one."""
    if target.cpu_cores is None or target.cores is None:
        return None
    usable = min(target.cores, max(1.0, target.processes)) if target.processes is not None else target.cores
    if target.cpu_cores < T.target_cpu * usable:
        return None
    return f"its process tree used {target.cpu_cores:.2f} of {usable:g} core{'' if usable == 1 else 's'}"


def thread(target: Target) -> str | None:
    if target.busiest_thread_cores is None or target.busiest_thread_cores < T.target_cpu:
        return None
    return f"its busiest thread used {target.busiest_thread_cores:.2f} of a core"


def accept_queue(target: Target, in_flight: float) -> str | None:
    """Connections that wait to be accepted: whoever should take them is busy or waiting, whatever its CPU says."""
    if target.accept_queue is None or target.accept_queue < max(T.queue_least, T.queue_share * in_flight):
        return None
    limit = "" if target.backlog is None else f" (backlog {target.backlog:.0f})"
    return f"{target.accept_queue:.0f} connections waited in its accept queue{limit}"


def descriptors(target: Target) -> str | None:
    """All descriptors of the tree against the limit of its processes together; a lone process is the usual case."""
    if target.fds is None or not target.fd_limit:
        return None
    limit = target.fd_limit * max(1.0, target.processes or 1.0)
    return (
        f"it had {target.fds:.0f} of {limit:.0f} descriptors open"
        if target.fds >= T.target_descriptors * limit
        else None
    )


def workers(target: Target, in_flight: float, waited_for: float) -> str | None:
    """All its workers wait, each for one request, and more requests want one.

    Processes or threads, of which one may be there to lead the others. Who waits for many at once has fewer of them.
    """
    count = max(target.processes or 0.0, target.threads or 0.0)
    each = T.work_done * max(1.0, count - 1) <= waited_for <= count / T.work_done
    if not count or not each or in_flight - waited_for < max(T.queue_least, T.queue_share * in_flight):
        return None
    return f"{waited_for:.1f} of its {count:.0f} threads and processes waited for a request each, all the time"


def who_was_the_limit(window: Window, unloaded_s: float | None) -> Check:
    """8: R well above R1, the response time at the lowest ladder step, needs evidence on the target. Times in s."""
    response = window.cycle_response_s
    target = window.target
    found = full(target, window.in_flight, window.waited_for) if target is not None else ()
    evidence = "; ".join(found)
    if response is None or unloaded_s is None:
        why = "no request ended" if response is None else "the lowest step gave no response time"
        return Check(
            8, "R over R1", None, T.slow_ratio, "flag" if found else "not available", f"{why}. {evidence}".strip(". ")
        )
    ratio = response / unloaded_s if unloaded_s else 1.0
    slow = ratio > T.slow_ratio and (response - unloaded_s) * 1000 > T.slow_ms
    said = f"R = {1000 * response:.1f} ms is {ratio:.1f} times R1 = {1000 * unloaded_s:.1f} ms"
    if found:
        return Check(8, "R over R1", ratio, T.slow_ratio, "flag", f"{said}; the target was full: {evidence}")
    if target is None:
        unwatched = f"{said}; the target was not watched"
        return Check(8, "R over R1", ratio, T.slow_ratio, "not available", unwatched)
    if not slow:
        return Check(8, "R over R1", ratio, T.slow_ratio, "pass", said)
    return Check(
        8, "R over R1", ratio, T.slow_ratio, "fail", f"{said}, and on the target nothing was full: {room(target)}"
    )


def kernel(window: Window) -> Check:
    """9: the target's kernel; a flag is evidence of overload, never a fault. Value: drops as a share of attempts."""
    counters = window.target.kernel if window.target is not None else None
    if counters is None:
        return Check(
            9,
            "target's kernel",
            None,
            T.dropped_share,
            "not available",
            "the target's kernel counters were not recorded",
        )
    attempts = max(1, window.attempts)
    dropped = sum(counters.get(name, 0.0) for name in ("listen_overflows", "listen_drops", "syn_cookies")) / attempts
    moved = dropped > T.dropped_share or counters.get("retransmits", 0.0) / attempts > T.retransmit_share
    seen = [f"{value:.0f} {name.replace('_', ' ')}" for name, value in counters.items() if value > 0]
    detail = ", ".join(seen) or "no overflow, drop, cookie, retransmit or timeout"
    return Check(9, "target's kernel", dropped, T.dropped_share, "flag" if moved else "pass", detail)


def evidence(window: Window, refused_by_server: int) -> tuple[str, ...]:
    """Signs of a limit of the server in this window: check 8's, 9's, and what the server itself turned away."""
    found = list(full(window.target, window.in_flight, window.waited_for)) if window.target is not None else []
    counters = kernel(window)
    if counters.outcome == "flag":
        found.append(f"its kernel counted {counters.detail}")
    turned_away = sum(window.failures.get(kind, 0) for kind in ("refused", "reset", "bad-status"))
    if refused_by_server and turned_away:
        said = f"it says that it refused {refused_by_server} in this run, {turned_away} turned away in this step"
        fds = window.target.fds if window.target is not None else None
        found.append(said if fds is None else f"{said}, with {fds:.0f} descriptors open")
    return tuple(found)


def room(target: Target | None) -> str:
    """Where the target had room left, in figures."""
    if target is None:
        return "the target was not watched"
    parts: list[tuple[float | None, Callable[[float], str]]] = [
        (
            target.cpu_cores,
            lambda cpu: f"CPU {cpu:.2f}" + (f" of {target.cores:g} cores" if target.cores is not None else " cores"),
        ),
        (target.accept_queue, lambda queue: f"accept queue {queue:.0f}"),
        (target.fds, lambda fds: f"{fds:.0f} descriptors" + (f" of {target.fd_limit:.0f}" if target.fd_limit else "")),
    ]
    return ", ".join(words(value) for value, words in parts if value is not None) or "the target's figures are empty"
