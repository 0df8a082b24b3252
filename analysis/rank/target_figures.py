"""What the target used at a load, as findings: medians over the runs of the load, which are rows of steps."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from analysis.judge.checks import checks_target
from analysis.judge.findings import Finding
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.load_outcomes import MOST_BLOCKS
from analysis.rank.steps import Steps
from analysis.read.counter_span import CounterSpan


def request_cost(rows: Steps) -> list[Finding]:
    """CPU time of a request, and whose it was."""
    each = rows.median("server_cpu_ms")
    if each is None:
        return []
    findings = [Finding("cost.cpu", cpu_ms=each, rate=rows.median("rps") or 0.0)]
    kernel, ended, starts = (
        rows.median(name) for name in ("server_kernel_share", "server_ended_share", "server_starts")
    )
    if kernel is not None:
        findings.append(Finding("cost.kernel", share=kernel))
    if ended is not None and ended >= T.short_lived:
        findings.append(Finding("cost.ended", share=ended, starts=starts))
    return findings


def busy_cpu(rows: Steps) -> list[Finding]:
    """CPU where it was not the limit."""
    used, cores, each = (rows.median(name) for name in ("server_cpu_cores", "server_cores", "server_cpu_ms"))
    if used is None or cores is None or each is None:
        return []
    taken = [checks_target.others(target) or 0.0 for target in rows.targets()]
    return [Finding("target.busy", cpu=used, cores=cores, others=median(taken) if taken else None, cpu_ms=each)]


def other_room(rows: Steps) -> list[Finding]:
    """What else could have been full, and wasn't."""
    queue, fds, most = (rows.median(name) for name in ("accept_queue", "server_fds", "server_fd_limit"))
    findings = [Finding("target.queue", queue=queue)] if queue is not None else []
    return findings + ([Finding("target.descriptors", open=fds, limit=most)] if fds is not None and most else [])


def watched_descriptors(rows: Steps, most: int | None) -> Finding | None:
    """A design such as select() that can't watch a descriptor from `most` on."""
    used = rows.median("server_fds")
    if most is None or used is None or used < T.target_descriptors * most:
        return None
    return Finding("full.watched", open=used, limit=most)


def planned_waiting(rows: Steps, wait_ms: float) -> list[Finding]:
    """X times the plan's wait: how many requests wait at a time. Empty where the plan makes none wait."""
    rate = rows.median("rps")
    if not rate or not wait_ms:
        return []
    return [Finding("waiting.planned", rate=rate, wait_ms=wait_ms, waiting=rate * wait_ms / 1000)]


def dropped_connections(rows: Steps) -> Finding | None:
    """Connections that the kernel dropped before the server could accept them, where they are more than a few."""
    watched = [target.kernel for target in rows.targets() if target.kernel]
    if len(watched) <= MOST_BLOCKS * len(rows.frame):
        return None
    counted = {name: _typical_span([each[name] for each in watched if name in each]) for name in checks_target.DROPS}
    attempts = max(1.0, rows.median("requests") or 1.0)
    if sum(span.least for span in counted.values()) <= T.dropped_share * attempts:
        return None
    return Finding("target.dropped", counters=counted, requests=attempts)


def _typical_span(spans: Sequence[CounterSpan]) -> CounterSpan:
    """The medians of the bounds; no upper one where some run has none."""
    most = [span.most for span in spans if span.most is not None]
    least = median(span.least for span in spans) if spans else 0.0
    return CounterSpan(least, median(most) if most and len(most) == len(spans) else None)


def longest_queue(rows: Steps) -> list[Finding]:
    """The most connections that waited to be accepted at a moment, and how many may."""
    most, backlog = rows.median("accept_queue_max"), rows.median("backlog")
    return (
        [Finding("target.queue-most", most=most, backlog=backlog)] if most is not None and backlog is not None else []
    )


def failed_requests(rows: Steps) -> list[Finding]:
    """How many requests failed; empty where none did."""
    failed, requests = rows.median("failures"), rows.median("requests")
    return [Finding("limit.failed", failed=failed, requests=requests)] if failed and requests else []
