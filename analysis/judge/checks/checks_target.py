"""Checks 8 and 9: evidence on the target that the server, and not the generator or the network, was the limit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from analysis.judge.baseline import Baseline
from analysis.judge.findings import Check, Finding, Outcome, check
from analysis.judge.laws.expected_queue import QueueMean, judge_queue, pool_busy, pool_full
from analysis.judge.laws.strangers import judge_strangers
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window
from analysis.read.counter_span import CounterSpan
from analysis.read.samples import Target
from study.plan import Plan

DROPS = ("listen_overflows", "listen_drops", "syn_cookies")
"""The kernel's counters of connections that it dropped, or would have, before the server could accept them."""
TURNED_AWAY = ("refused", "reset", "bad-status")
"""Kinds of failures that a server which refuses a request can cause."""


def full(window: Window, service_cv: float = 1.0) -> tuple[Finding, ...]:
    """What on the target was full; nothing where it was not watched.

    `service_cv` is the coefficient of variation of the idle server's response times: a queue of requests that differ
    much in cost is longer at the same utilisation.
    """
    target = window.target
    if target is None:
        return ()
    every = (
        cpu(target),
        thread(target),
        held(window) or pool(window),
        accept_queue(window, service_cv),
        overflows(window),
        descriptors(target),
    )
    return tuple(finding for finding in every if finding is not None)


def cpu(target: Target) -> Finding | None:
    """The tree's CPU at 90 % of its cores, or of its processes where they are fewer: one Python process runs on one."""
    usable = usable_cores(target)
    if target.cpu_cores is None or usable is None or target.cpu_cores < T.target_cpu * usable:
        return None
    return Finding("full.cpu", cpu=target.cpu_cores, usable=usable)


def thread(target: Target) -> Finding | None:
    """The busiest thread at 90 % of a core."""
    if target.busiest_thread_cores is None or target.busiest_thread_cores < T.target_cpu:
        return None
    return Finding("full.thread", cpu=target.busiest_thread_cores)


def usable_cores(target: Target) -> float | None:
    """The cores that the server can use: no more than its processes, since one Python process runs on one."""
    if target.cores is None:
        return None
    return min(target.cores, max(1.0, target.processes)) if target.processes is not None else target.cores


def utilisation(window: Window) -> float | None:
    """The busy share of what serves requests: of the usable cores, or of a pool of known size; None if not watched."""
    target = window.target
    usable = usable_cores(target) if target is not None else None
    if target is None or target.cpu_cores is None or not usable:
        return None
    busy = target.cpu_cores / usable
    if held(window) is not None:
        return 1.0
    if window.slots:
        busy = max(busy, pool_busy(window.throughput, _held_s(window), window.slots))
    return busy


def _held_s(window: Window) -> float:
    """How long a request holds its member of a pool, at least: the wait that the plan asks for and its CPU time."""
    cpu_cores = window.target.cpu_cores if window.target is not None else None
    return window.wait_s + (cpu_cores / window.throughput if cpu_cores is not None and window.throughput else 0.0)


def held(window: Window) -> Finding | None:
    """All of a pool of known size held by background clients: each keeps its member for as long as it stays."""
    clients = sum(each.held for each in window.background)
    if not window.slots or clients < window.slots:
        return None
    return Finding("full.held", slots=window.slots, clients=clients)


def pool(window: Window) -> Finding | None:
    """All of a pool of known size busy: X x time held = k, with k as the server itself says. Never a thread count."""
    if not window.slots or not pool_full(window.throughput, _held_s(window), window.slots):
        return None
    return Finding("full.pool", slots=window.slots, rate=window.throughput, held_ms=1000 * _held_s(window))


def accept_queue(window: Window, service_cv: float = 1.0) -> Finding | None:
    """The accept queue is longer than random arrivals explain, and long enough to cost throughput."""
    queue = queued(window, service_cv)
    if queue is None or queue.mean < T.queue_users * window.step.users:
        return None
    backlog = window.target.backlog if window.target is not None else None
    return Finding(
        "full.accept-queue",
        queue=queue.mean,
        expected=queue.expected,
        allowed=queue.allowed,
        busy=utilisation(window),
        backlog=backlog,
    )


def queued(window: Window, service_cv: float = 1.0) -> QueueMean | None:
    """More connections wait to be accepted, as a mean over time, than random arrivals give at what is busy; else None.

    It explains slow answers. It is no limit where the generator sends in bursts and the server has room.
    """
    looked, busy = window.queue, utilisation(window)
    if looked is None or busy is None:
        return None
    queue = judge_queue(
        looked.mean, looked.looks, window.seconds, busy, window.throughput, service_cv=max(1.0, service_cv)
    )
    return queue if queue.full else None


def overflows(window: Window) -> Finding | None:
    """Connections that the listening socket itself dropped: its queue was full."""
    drops = window.target.listen_socket_drops if window.target is not None else None
    if drops is None or drops.least <= T.dropped_share * max(1, window.attempts):
        return None
    return Finding("full.overflows", drops=drops.least, most=drops.most, requests=window.attempts)


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


def expected_s(window: Window, baseline: Baseline) -> float:
    """R1 / (1 - U), U the measured utilisation; from 90 % on as there.

    As of M/M/1, whose requests wait twice as long as those of M/D/1: one whose requests differ in cost isn't slow.
    """
    busy = utilisation(window) or 0.0
    return baseline.response_s / (1 - min(busy, T.target_cpu))


def _grown(window: Window, baseline: Baseline, beyond_s: float) -> bool:
    """Whether R is above `beyond_s` by more than chance: R1 may be the mean of a few requests, and R's tail heavy.

    Both errors have the window's own spread, as if all these requests were of one kind.
    """
    response = window.cycle_response_s
    if response is None or not window.attempts or not baseline.requests:
        return False
    error = window.response.sd_s * math.sqrt(1 / baseline.requests + 1 / window.attempts)
    return response - beyond_s > T.growth_sigmas * error


def who_was_the_limit(window: Window, baseline: Baseline | None, used_up: Sequence[Finding]) -> Check:
    """8: R well above what the idle server's R1 becomes at this utilisation needs evidence on the target.

    `used_up` is what `full` gives for this window. A queue that is no limit explains slow answers as well.
    """
    response, target = window.cycle_response_s, window.target
    ratio, slow, allowed = None, False, T.slow_ratio
    own = baseline is not None and not baseline.idle and baseline.step == window.step.number
    if response is not None and baseline is not None:
        usual = expected_s(window, baseline)
        ratio = response / baseline.response_s if baseline.response_s else 1.0
        allowed = T.slow_ratio * usual / baseline.response_s if baseline.response_s else T.slow_ratio
        slow = ratio > allowed and (response - usual) * 1000 > T.slow_ms and _grown(window, baseline, usual)
        slow = slow and queued(window, baseline.cv) is None
    unknown = ratio is None or target is None or own
    outcome: Outcome = "flag" if used_up else "not available" if unknown else "fail" if slow else "pass"
    return check(
        outcome,
        "target.slow",
        value=ratio,
        threshold=allowed,
        response_ms=None if response is None else 1000 * response,
        unloaded_ms=None if baseline is None else 1000 * baseline.response_s,
        at_most=baseline is not None and not baseline.idle,
        watched=target is not None,
        own=own,
        full=tuple(used_up),
        room=(room(window),) if outcome == "fail" else (),
    )


def short_of_the_line(
    window: Window, plan: Plan, baseline: Baseline | None, used_up: Sequence[Finding]
) -> tuple[Check, ...]:
    """8: X under N / (R + Z), with R = R1 / (1 - U), needs evidence on the target as well."""
    own = baseline is not None and not baseline.idle and baseline.step == window.step.number
    if baseline is None or own or window.target is None or not window.attempts:
        return ()
    usual = expected_s(window, baseline)
    z = window.think_s if window.think_s is not None else plan.mean_think_s
    cycle = usual + z
    bound = window.step.users / cycle if cycle > 0 else window.throughput
    under = 1 - window.throughput / bound if bound else 0.0
    beyond = under > T.shortfall and _grown(window, baseline, usual)
    outcome: Outcome = "pass" if not beyond else "flag" if used_up else "fail"
    return (
        check(
            outcome,
            "target.short",
            value=under,
            threshold=T.shortfall,
            rate=window.throughput,
            bound=bound,
            at_least=not baseline.idle,
            room=(room(window),) if outcome == "fail" else (),
        ),
    )


def kernel(window: Window) -> Check:
    """9: the target's kernel. Its counters are the whole host's: a flag, no fault.

    Value: the drops that are surely of the window, over the attempts; a ramp next to it may have those at its ends.
    """
    counters = window.target.kernel if window.target is not None else None
    if counters is None:
        return check("not available", "target.kernel", value=None, threshold=T.dropped_share, counters=None)
    attempts = max(1, window.attempts)
    dropped = sum(surely(counters, name) for name in DROPS) / attempts
    moved = dropped > T.dropped_share or surely(counters, "retransmits") / attempts > T.retransmit_share
    return check(
        "flag" if moved else "pass", "target.kernel", value=dropped, threshold=T.dropped_share, counters=counters
    )


def surely(counters: Mapping[str, CounterSpan], name: str) -> float:
    """How often a counter of the kernel moved at least; 0 where it was not recorded."""
    return counters[name].least if name in counters else 0.0


def evidence(window: Window, used_up: Sequence[Finding], refused_by_server: int) -> tuple[Finding, ...]:
    """Signs of a limit of the server in this window: what `full` gives, drops of its own, and its refusals.

    The kernel's counters are those of the whole host. Without the socket's own count they are evidence where its queue
    was seen near its limit.
    """
    findings = list(used_up)
    target = window.target
    counters = target.kernel if target is not None else None
    dropped = sum(surely(counters or {}, name) for name in DROPS)
    if (
        (target is None or target.listen_socket_drops is None)
        and dropped > T.dropped_share * max(1, window.attempts)
        and _queue_near_limit(window)
    ):
        findings.append(Finding("evidence.kernel", counters=counters))
    turned_away = sum(window.failures.get(kind, 0) for kind in TURNED_AWAY)
    if refused_by_server and turned_away:
        fds = window.target.fds if window.target is not None else None
        findings.append(Finding("evidence.refused", refused=refused_by_server, turned_away=turned_away, open=fds))
    return tuple(findings)


def _queue_near_limit(window: Window) -> bool:
    backlog = window.target.backlog if window.target is not None else None
    return window.queue is not None and bool(backlog) and window.queue.most >= T.full_backlog * (backlog or 0.0)


def room(window: Window) -> Finding:
    """What the target had left: nothing of its cores where others took the rest (`target.crowded`)."""
    target = window.target
    if target is None:
        return Finding("target.not-watched")
    return Finding(
        "target.crowded" if crowded(target) else "target.room",
        cpu=target.cpu_cores,
        cores=target.cores,
        others=others(target),
        queue=window.queue.mean if window.queue is not None else target.accept_queue,
        open=target.fds,
        limit=target.fd_limit,
    )


def others(target: Target) -> float | None:
    """What others took of the server's cores, in cores; None where check 11 has no flag, whose figure may be chance."""
    group = target.group
    taken = judge_strangers(group.busy, group.own, group.steal, group.seconds, group.cores) if group else None
    if group is None or taken is None or taken.outcome not in ("flag", "fail"):
        return None
    return taken.share * group.cores


def crowded(target: Target) -> bool:
    """Whether server and others together used the server's cores up, so that nothing says that it had room."""
    taken = others(target)
    if taken is None or target.cpu_cores is None or target.cores is None:
        return False
    return target.cpu_cores + taken >= T.target_cpu * target.cores
