"""The limit of each model: what of the target was used up at the lowest step at which it was full, with the figures.

A limit is looked for at the ladder steps at which the target was full or overloaded in most blocks and that no larger
valid step contradicts. After a search those are the loads that most of the model's blocks tried; only where none of
them shows a limit are the others looked at, and the limit says of how many blocks it is. What was full is what the
checks of those steps report (check 8, `full.*` in codes.py): a limit never rests on a rule of its own. Figures are
medians over the blocks of that step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import median
from typing import Any, Literal

from analysis.judge.checks import checks_target
from analysis.judge.findings import Check, Finding, Reason
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.steps import MOST_BLOCKS, Steps
from study.formats.manifest_json import Manifest
from study.plan import Plan

Kind = Literal["CPU", "processes", "waiting", "accept queue", "descriptors", "generator", "none reached", "not known"]
"""`processes`: what it costs to start one for each client. `waiting`: all of a pool of known size waited. `none
reached`: valid at the largest step that the plan asks for, watched there, and nothing of the target full."""


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

    @property
    def top(self) -> int | None:
        """The users of the largest step, at which none was reached; None of any other kind."""
        first = self.findings[0] if self.kind == "none reached" else None
        return int(first["users"]) if isinstance(first, Finding) else None


def limits_of(steps: Steps, labels: Sequence[str], declared: Mapping[str, Declared] | None = None) -> tuple[Limit, ...]:
    """One limit for each label, in their order."""
    known = declared or {}
    return tuple(limit_of(steps, label, known.get(label, Declared())) for label in labels)


def limit_of(steps: Steps, label: str, declared: Declared) -> Limit:
    """The limit of one model, at the lowest step at which it shows."""
    ladder = steps.of_model(label).ladder
    mine = ladder.measured
    if mine.empty:
        return Limit(label, "not known", None, (Finding("limit.not-measured"),))
    rungs = mine.by_users()
    largest_valid = max((users for users, rows in rungs if rows.most_have("valid")), default=0)
    late = [users for users, rows in rungs if rows.most_have("generator-limited") and users > largest_valid]
    # The server's own limit first: a smaller load may be too much for the generator at some moment, and not for it.
    if full := mine.full_users():
        users, where = _lowest(full, mine)
        kind, findings = _server(mine.at(users), declared)
        said = (*findings, *_in_windows(mine.at(users), findings), *where, *_overflows(rungs, users))
        return Limit(label, kind, users, _once(said))
    if late:
        users, where = _lowest(late, mine)
        return Limit(label, "generator", users, _once([*_generator(mine.at(users)), *where]))
    return _unlimited(label, rungs, ladder.users[-1], mine)


def _lowest(shown: Sequence[int], mine: Steps) -> tuple[int, list[Finding]]:
    """The lowest of these users that most blocks tried, else the lowest; and what is to be said of the others."""
    usual = mine.of_most_blocks().users
    users = min(shown, key=lambda each: (each not in usual, each))
    lower = [Finding("limit.lower", users=shown[0])] if shown[0] < users else []
    return users, lower if users in usual else [_tried(mine.at(users), mine)]


def _tried(rows: Steps, mine: Steps) -> Finding:
    """How many of a model's blocks tried the load of these rows."""
    tried, blocks = (int(each.frame["block"].nunique()) for each in (rows, mine))
    return Finding("limit.few-blocks", tried=tried, blocks=blocks)


def _unlimited(label: str, rungs: Sequence[tuple[int, Steps]], top: int, mine: Steps) -> Limit:
    """`top` is the largest step that the plan asks for: below it nothing says that no limit was reached."""
    valid = [(users, rows) for users, rows in rungs if rows.most_have("valid")]
    if not valid:
        return Limit(label, "not known", None, (Finding("limit.none-valid"), *_above(rungs)))
    users, rows = valid[-1]
    if not rows.known("server_cpu_cores"):
        return Limit(label, "not known", None, (Finding("limit.not-watched", users=users), *_above(rungs)))
    target = _once([*_cpu(rows), *_room(rows)])
    watched = rows.targets()
    if sum(map(checks_target.crowded, watched)) > MOST_BLOCKS * len(watched):
        taken = Finding("limit.crowded", users=users, target=target)
        return Limit(label, "not known", None, (taken, *_above(rungs)))
    if users < top:
        above = min((other for other, _ in rungs if other > users), default=top)
        left = Finding("limit.none-below", users=users, above=above, target=target)
        return Limit(label, "not known", None, (left, *_above(rungs)))
    few = () if users in mine.of_most_blocks().users else (_tried(rows, mine),)
    return Limit(label, "none reached", None, (Finding("limit.none-reached", users=users, target=target), *few))


def _above(rungs: Sequence[tuple[int, Steps]]) -> tuple[Finding, ...]:
    """What became of the smallest step above the valid ones that was measured."""
    valid = max((users for users, rows in rungs if rows.most_have("valid")), default=0)
    rest = [(users, rows) for users, rows in rungs if users > valid]
    if not rest:
        return ()
    users, rows = rest[0]
    first = rows.frame[rows.frame["verdict"] != "valid"].iloc[0]
    return (Finding("limit.step-above", users=users, verdict=str(first["verdict"]), reasons=first["reasons"]),)


def _server(rows: Steps, declared: Declared) -> tuple[Kind, list[Reason]]:
    """What of the server was full in these rows of one step, with its figures."""
    full = _full(rows)
    queue = [full[code] for code in QUEUE if code in full]
    used_up = [full[code] for code in ("full.descriptors", "full.watched") if code in full]
    if not used_up and (watched := _watched(rows, declared)) is not None:
        used_up = [watched]
    if used_up:
        return "descriptors", [*used_up, *queue, *_failed(rows), *_cpu(rows)]
    busy = [full[code] for code in CPU if code in full]
    if busy:
        ended = rows.median("server_ended_share")
        kind: Kind = "processes" if ended is not None and ended >= T.short_lived else "CPU"
        return kind, [*busy[:1], *_cost(rows), *queue]
    pool = [finding for code, finding in full.items() if code in POOL]
    if pool:
        return "waiting", [*pool, *_waiting(rows, declared), *queue, *_cpu(rows)]
    if queue:
        return "accept queue", [*queue, *_cpu(rows)]
    dropped = [finding for code, finding in full.items() if code.startswith(DROPPED)]
    if dropped:
        return "accept queue", [*(each for each in (_dropped(rows),) if each), *_queue_most(rows), *_cpu(rows)]
    return "not known", [*rows.frame["reasons"].iloc[0], *_cpu(rows)]


CPU = ("full.cpu", "full.thread")
POOL = ("full.pool", "full.held")
QUEUE = ("full.accept-queue", "full.overflows")
"""Codes of check 8 by the kind of limit that they show."""
DROPPED = "evidence.kernel"
"""What the judge takes for evidence that connections to this server were dropped."""


def _full(rows: Steps) -> dict[str, Finding]:
    """What was full in more than half of the blocks, and dropped connections, by code."""
    every = [{finding.code: finding for finding in _full_of(reasons)} for reasons in rows.frame["reasons"]]
    codes = dict.fromkeys(code for findings in every for code in findings)
    having = {code: [findings[code] for findings in every if code in findings] for code in codes}
    return {code: typical(findings) for code, findings in having.items() if len(findings) > MOST_BLOCKS * len(every)}


def _in_windows(rows: Steps, findings: Sequence[Reason]) -> list[Finding]:
    """In how many windows what these findings say was full, where it wasn't in all: their figures are of those."""
    codes = {finding.code for finding in findings} & {*CPU, *POOL, *QUEUE, DROPPED}
    every = [{finding.code for finding in _full_of(reasons)} for reasons in rows.frame["reasons"]]
    full = min((sum(code in each for each in every) for code in codes), default=len(every))
    return [Finding("limit.blocks", full=full, windows=len(every))] if full < len(every) else []


def _full_of(reasons: Iterable[Reason]) -> Iterator[Finding]:
    """The findings `full.*` and of dropped connections among these reasons, and among the findings that they hold."""
    for reason in reasons:
        finding = reason.finding if isinstance(reason, Check) else reason
        if finding.code.startswith(("full.", DROPPED)):
            yield finding
        yield from _full_of(finding.figures.get("full", ()))


def typical(findings: Sequence[Finding]) -> Finding:
    """Of findings of one code, the medians of their numbers; what isn't a number is the first one's."""
    first = findings[0]
    figures: dict[str, Any] = dict(first.figures)
    for name in figures:
        known = [each[name] for each in findings if each[name] is not None]
        if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
            figures[name] = float(median(known))
    return Finding(first.code, **figures)


def _generator(rows: Steps) -> list[Reason]:
    """Why the first such row is generator-limited, and the figures of the generator and of the target."""
    limited = rows.with_verdict(["generator-limited"])
    reasons: tuple[Reason, ...] = limited.frame["reasons"].iloc[0]
    findings = list(takewhile(lambda reason: reason.code != "target.had-room", reasons))
    lag, cpu = limited.median("generator_lag_p99_ms"), limited.median("generator_cpu_max")
    if lag is not None or cpu is not None:
        findings.append(Finding("limit.workers", lag_ms=lag, cpu=cpu, windows=len(limited.frame)))
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
    taken = [checks_target.others(target) or 0.0 for target in rows.targets()]
    return [Finding("target.busy", cpu=used, cores=cores, others=median(taken) if taken else None, cpu_ms=each)]


def _room(rows: Steps) -> list[Finding]:
    """What else could have been full, and wasn't."""
    queue, fds, most = (rows.median(name) for name in ("accept_queue", "server_fds", "server_fd_limit"))
    findings = [Finding("target.queue", queue=queue)] if queue is not None else []
    return findings + ([Finding("target.descriptors", open=fds, limit=most)] if fds is not None and most else [])


def _watched(rows: Steps, declared: Declared) -> Finding | None:
    """A design such as select() that can't watch a descriptor from some number on."""
    most, used = declared.descriptors, rows.median("server_fds")
    if most is None or used is None or used < T.target_descriptors * most:
        return None
    return Finding("full.watched", open=used, limit=most)


def _waiting(rows: Steps, declared: Declared) -> list[Finding]:
    """X times the plan's wait: how many requests wait at a time. Empty where the plan makes none wait."""
    rate = rows.median("rps")
    if not rate or not declared.wait_ms:
        return []
    waiting = rate * declared.wait_ms / 1000
    return [Finding("waiting.planned", rate=rate, wait_ms=declared.wait_ms, waiting=waiting)]


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
