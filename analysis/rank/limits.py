"""The limit of each model: what of the target was used up at the lowest step at which it was full, with the figures.

A limit is looked for at the lowest ladder step at which the target was full or overloaded in most blocks; the figures
are medians over the blocks of that step. The rules for "full" are those of check 8 (`analysis/judge/checks_target.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import takewhile
from statistics import median
from typing import Any, Literal

from analysis.judge import checks_target
from analysis.judge.findings import Finding, Reason
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.steps import Steps
from analysis.read.samples import Target
from study.formats.manifest_json import Manifest
from study.plan import Plan

Kind = Literal["CPU", "processes", "waiting", "accept queue", "descriptors", "generator", "none reached", "not known"]
"""`processes`: what it costs to start one for each client. `waiting`: all workers waited while the CPU was idle."""


@dataclass(frozen=True)
class Declared:
    """What the model's code and the plan declare about it, and no sample shows."""

    descriptors: int | None = None
    """The highest number of a descriptor that its design can watch, whatever the process may open."""
    wait_ms: float = 0.0
    """How long the plan makes it wait in each request."""


def declared_by(plan: Plan, manifest: Manifest | None) -> dict[str, Declared]:
    """What the plan and the manifest declare about each label; the control is the model that it repeats."""
    models = manifest.models if manifest else {}
    return {
        run.label: Declared(
            descriptors=models[run.model].descriptors if run.model in models else None,
            wait_ms=plan.server(run.model).wait_ms,
        )
        for run in plan.runs()
    }


@dataclass(frozen=True)
class Limit:
    """`users` is the lowest step at which the limit shows; None where no limit was reached or it isn't known."""

    model: str
    kind: Kind
    users: int | None
    findings: tuple[Reason, ...]


def limits_of(steps: Steps, labels: Sequence[str], declared: Mapping[str, Declared] | None = None) -> tuple[Limit, ...]:
    """One limit for each label, in their order."""
    known = declared or {}
    return tuple(limit_of(steps, label, known.get(label, Declared())) for label in labels)


def limit_of(steps: Steps, label: str, declared: Declared) -> Limit:
    """The limit of one model, at the lowest step at which it shows."""
    mine = steps.of_model(label).ladder.measured
    if mine.empty:
        return Limit(label, "not known", None, (Finding("limit.not-measured"),))
    rungs = mine.by_users()
    for users, rows in rungs:
        if rows.mostly_full():
            kind, findings = _server(rows, declared)
            return Limit(label, kind, users, _once([*findings, *_overflows(rungs, users)]))
        if rows.most_have("generator-limited"):
            return Limit(label, "generator", users, _once(_generator(rows)))
    return _unlimited(label, rungs)


def _unlimited(label: str, rungs: Sequence[tuple[int, Steps]]) -> Limit:
    valid = [(users, rows) for users, rows in rungs if rows.most_have("valid")]
    rest = [(users, rows) for users, rows in rungs if not rows.most_have("valid")]
    above: tuple[Finding, ...] = ()
    if rest:
        users, rows = rest[-1]
        first = rows.frame[rows.frame["verdict"] != "valid"].iloc[0]
        above = (Finding("limit.step-above", users=users, verdict=str(first["verdict"]), reasons=first["reasons"]),)
    if not valid:
        return Limit(label, "not known", None, (Finding("limit.none-valid"), *above))
    users, rows = valid[-1]
    if not rows.known("server_cpu_cores"):
        return Limit(label, "not known", None, (Finding("limit.not-watched", users=users), *above))
    left = Finding("limit.none-reached", users=users, target=_once([*_cpu(rows), *_room(rows)]))
    return Limit(label, "none reached", None, (left, *above))


def _server(rows: Steps, declared: Declared) -> tuple[Kind, list[Reason]]:
    """What of the server was full in these rows of one step, with its figures."""
    target, in_flight = typical(rows.targets()), rows.median("in_flight") or 0.0
    queued = checks_target.accept_queue(target, in_flight)
    queue = [queued] if queued else []
    full = checks_target.descriptors(target) or _watched(target, declared)
    if full:
        return "descriptors", [full, *queue, *_failed(rows), *_cpu(rows)]
    busy = checks_target.cpu(target) or checks_target.thread(target)
    if busy:
        ended = rows.median("server_ended_share")
        kind: Kind = "processes" if ended is not None and ended >= T.short_lived else "CPU"
        return kind, [busy, *_cost(rows), *queue]
    if queued:
        waiting = _waiting(rows, target, declared)
        return ("waiting" if waiting else "accept queue"), [*waiting, queued, *_cpu(rows)]
    dropped = _dropped(rows)
    if dropped:
        return "accept queue", [dropped, *_queue_most(rows), *_cpu(rows)]
    return "not known", [*rows.frame["reasons"].iloc[0], *_cpu(rows)]


def _generator(rows: Steps) -> list[Reason]:
    """Why the first such row is generator-limited, and the figures of the generator and of the target."""
    limited = rows.with_verdict(["generator-limited"])
    reasons: tuple[Reason, ...] = limited.frame["reasons"].iloc[0]
    findings = list(takewhile(lambda reason: reason.code != "target.had-room", reasons))
    lag, cpu = rows.median("generator_lag_p99_ms"), rows.median("generator_cpu_max")
    if lag is not None or cpu is not None:
        findings.append(Finding("limit.workers", lag_ms=lag, cpu=cpu))
    target = (*_cpu(rows), *_room(rows))
    return [*findings, Finding("limit.meanwhile", target=target)] if target else findings


def _once(findings: Sequence[Reason]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(findings))


def _cost(rows: Steps) -> list[Finding]:
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


def _cpu(rows: Steps) -> list[Finding]:
    """CPU where it was not the limit."""
    used, cores, each = (rows.median(name) for name in ("server_cpu_cores", "server_cores", "server_cpu_ms"))
    if used is None or cores is None or each is None:
        return []
    return [Finding("target.busy", cpu=used, cores=cores, cpu_ms=each)]


def _room(rows: Steps) -> list[Finding]:
    """What else could have been full, and wasn't."""
    queue, fds, most = (rows.median(name) for name in ("accept_queue", "server_fds", "server_fd_limit"))
    findings = [Finding("target.queue", queue=queue)] if queue is not None else []
    return findings + ([Finding("target.descriptors", open=fds, limit=most)] if fds is not None and most else [])


def _watched(target: Target, declared: Declared) -> Finding | None:
    """A design such as select() that can't watch a descriptor from some number on."""
    most = declared.descriptors
    if most is None or target.fds is None or target.fds < T.target_descriptors * most:
        return None
    return Finding("full.watched", open=target.fds, limit=most)


def _waiting(rows: Steps, target: Target, declared: Declared) -> list[Finding]:
    """X = k / wait: with k workers that each wait so long, no more requests can be answered. Empty without its k."""
    rate, each = rows.median("rps"), rows.median("server_cpu_ms")
    if not rate or each is None:
        return []
    if declared.wait_ms:
        waiting = rate * declared.wait_ms / 1000
        return [Finding("waiting.planned", rate=rate, wait_ms=declared.wait_ms, waiting=waiting)]
    if target.threads is None:
        return []
    taken_ms = 1000 * target.threads / rate
    return [Finding("waiting.threads", threads=target.threads, taken_ms=taken_ms, rate=rate, cpu_ms=each)]


def _dropped(rows: Steps) -> Finding | None:
    """Connections that the kernel dropped before the server could accept them, where they are more than a few."""
    counted = {name: rows.median(name) or 0.0 for name in checks_target.DROPS}
    attempts = max(1.0, rows.median("requests") or 1.0)
    if sum(counted.values()) <= T.dropped_share * attempts:
        return None
    return Finding("target.dropped", counters=counted, requests=attempts)


def _queue_most(rows: Steps) -> list[Finding]:
    most, backlog = rows.median("accept_queue_max"), rows.median("backlog")
    return (
        [Finding("target.queue-most", most=most, backlog=backlog)] if most is not None and backlog is not None else []
    )


def _overflows(rungs: Sequence[tuple[int, Steps]], limited: int) -> list[Finding]:
    """The lowest step, this one or a larger one, at which the accept queue overflowed."""
    for users, rows in rungs:
        dropped = _dropped(rows)
        if dropped and users >= limited:
            return [Finding("target.overflowed", users=users, dropped=(dropped,))]
    return []


def _failed(rows: Steps) -> list[Finding]:
    failed, requests = rows.median("failures"), rows.median("requests")
    return [Finding("limit.failed", failed=failed, requests=requests)] if failed and requests else []


def typical(targets: Sequence[Target]) -> Target:
    """The median of each figure over the targets that have it; kernel counters and groups of cores are left out."""
    figures: dict[str, float | None] = {}
    for field in fields(Target):
        if field.name in ("kernel", "group"):
            continue
        known = [value for target in targets if (value := getattr(target, field.name)) is not None]
        figures[field.name] = float(median(known)) if known else None
    return Target(**figures)  # type: ignore[arg-type]
