"""Checks 8 and 9: evidence on the target that the server, and not the generator or the network, was the limit."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.judge.findings import Check, Finding, Outcome, check
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window
from analysis.read.samples import Target

DROPS = ("listen_overflows", "listen_drops", "syn_cookies")
"""The kernel's counters of connections that it dropped, or would have, before the server could accept them."""
TURNED_AWAY = ("refused", "reset", "bad-status")
"""Kinds of failures that a server which refuses a request can cause."""


def full(target: Target | None, in_flight: float, waited_for: float = 0.0) -> tuple[Finding, ...]:
    """What on the target was full; nothing where it was not watched. `in_flight` is L, mean requests in flight.

    `waited_for` is the mean number of requests whose wait, which the plan asks for, is going on: X times that wait.
    """
    if target is None:
        return ()
    every = (
        cpu(target),
        thread(target),
        accept_queue(target, in_flight),
        descriptors(target),
        workers(target, in_flight, waited_for),
    )
    return tuple(finding for finding in every if finding is not None)


def cpu(target: Target) -> Finding | None:
    """The tree's CPU at 90 % of its cores, or of its processes where they are fewer: one Python process runs on one."""
    if target.cpu_cores is None or target.cores is None:
        return None
    usable = min(target.cores, max(1.0, target.processes)) if target.processes is not None else target.cores
    if target.cpu_cores < T.target_cpu * usable:
        return None
    return Finding("full.cpu", cpu=target.cpu_cores, usable=usable)


def thread(target: Target) -> Finding | None:
    """The busiest thread at 90 % of a core."""
    if target.busiest_thread_cores is None or target.busiest_thread_cores < T.target_cpu:
        return None
    return Finding("full.thread", cpu=target.busiest_thread_cores)


def accept_queue(target: Target, in_flight: float) -> Finding | None:
    """Connections that wait to be accepted: what should accept them is busy or waiting, whatever its CPU shows."""
    if target.accept_queue is None or target.accept_queue < max(T.queue_least, T.queue_share * in_flight):
        return None
    return Finding("full.accept-queue", queue=target.accept_queue, backlog=target.backlog)


def descriptors(target: Target) -> Finding | None:
    """All descriptors of the tree against the limit of its processes together; most servers are one process."""
    if target.fds is None or not target.fd_limit:
        return None
    limit = target.fd_limit * max(1.0, target.processes or 1.0)
    return (
        Finding("full.descriptors", open=target.fds, limit=limit)
        if target.fds >= T.target_descriptors * limit
        else None
    )


def workers(target: Target, in_flight: float, waited_for: float) -> Finding | None:
    """All workers of the server wait for one request each, and more requests want one.

    Workers are processes or threads, one of which may lead the others and wait for none. A server that waits for many
    requests in one thread has fewer of them than requests that wait.
    """
    count = max(target.processes or 0.0, target.threads or 0.0)
    each = T.work_done * max(1.0, count - 1) <= waited_for <= count / T.work_done
    if not count or not each or in_flight - waited_for < max(T.queue_least, T.queue_share * in_flight):
        return None
    return Finding("full.workers", waiting=waited_for, workers=count)


def who_was_the_limit(window: Window, unloaded_s: float | None, used_up: Sequence[Finding]) -> Check:
    """8: R well above R1, the mean response time in s of the idle server, needs evidence on the target.

    `used_up` is what `full` gives for this window.
    """
    response, target = window.cycle_response_s, window.target
    ratio, slow = None, False
    if response is not None and unloaded_s is not None:
        ratio = response / unloaded_s if unloaded_s else 1.0
        slow = ratio > T.slow_ratio and (response - unloaded_s) * 1000 > T.slow_ms
    outcome: Outcome = (
        "flag" if used_up else "not available" if ratio is None or target is None else "fail" if slow else "pass"
    )
    return check(
        outcome,
        "target.slow",
        value=ratio,
        threshold=T.slow_ratio,
        response_ms=None if response is None else 1000 * response,
        unloaded_ms=None if unloaded_s is None else 1000 * unloaded_s,
        watched=target is not None,
        full=tuple(used_up),
        room=(room(target),) if outcome == "fail" else (),
    )


def kernel(window: Window) -> Check:
    """9: the target's kernel; a flag is evidence of overload, never a fault. Value: drops as a share of attempts."""
    counters = window.target.kernel if window.target is not None else None
    if counters is None:
        return check("not available", "target.kernel", value=None, threshold=T.dropped_share, counters=None)
    attempts = max(1, window.attempts)
    dropped = sum(counters.get(name, 0.0) for name in DROPS) / attempts
    moved = dropped > T.dropped_share or counters.get("retransmits", 0.0) / attempts > T.retransmit_share
    return check(
        "flag" if moved else "pass", "target.kernel", value=dropped, threshold=T.dropped_share, counters=counters
    )


def evidence(
    window: Window, used_up: Sequence[Finding], kernel_check: Check, refused_by_server: int
) -> tuple[Finding, ...]:
    """Signs of a limit of the server in this window: what `full` gives, check 9's flag, and the server's refusals."""
    findings = list(used_up)
    if kernel_check.outcome == "flag":
        findings.append(Finding("evidence.kernel", counters=kernel_check.finding["counters"]))
    turned_away = sum(window.failures.get(kind, 0) for kind in TURNED_AWAY)
    if refused_by_server and turned_away:
        fds = window.target.fds if window.target is not None else None
        findings.append(Finding("evidence.refused", refused=refused_by_server, turned_away=turned_away, open=fds))
    return tuple(findings)


def room(target: Target | None) -> Finding:
    """What the target had left."""
    if target is None:
        return Finding("target.not-watched")
    return Finding(
        "target.room",
        cpu=target.cpu_cores,
        cores=target.cores,
        queue=target.accept_queue,
        open=target.fds,
        limit=target.fd_limit,
    )
