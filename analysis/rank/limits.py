"""The limit of each model: what of the target was used up at the lowest step at which it was full, with the figures.

A limit is looked for at the ladder steps at which the target was full or overloaded in most blocks, without those in
which a larger valid step contradicts it. After a search those are the loads that most of the model's blocks tried; only
where none of them shows a limit are the others looked at, and the limit says of how many blocks it is. What was full is
what the checks of those steps report (check 8, `full.*` in codes.py): a limit never rests on a rule of its own. Figures
are medians over the blocks of that step.
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
from analysis.judge.verdicts import SERVED
from analysis.rank.load_outcomes import MOST_BLOCKS
from analysis.rank.steps import Steps
from analysis.rank.target_figures import (
    busy_cpu,
    dropped_connections,
    failed_requests,
    longest_queue,
    other_room,
    planned_waiting,
    request_cost,
    watched_descriptors,
)
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
    """`users` is the step at which the limit is shown; None where no limit was reached or it isn't known.

    It is the lowest one at which most runs show it, of the loads that most blocks tried where any of those does.
    """

    model: str
    kind: Kind
    users: int | None
    findings: tuple[Reason, ...]

    @property
    def first(self) -> bool:
        """Whether no run shows it at a smaller load."""
        return not any(reason.code in LOWER.values() for reason in self.findings)

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
        users, showing = _lowest(full, mine), _full_runs(mine)
        of = len(mine.at(users).frame)
        kind, findings = _server(showing.at(users), declared, of)
        where = (*_few_blocks(users, mine), *_lower("server", showing, users, mine))
        said = (*findings, *_in_windows(showing.at(users), findings, of), *where, *_overflows(rungs, users))
        return Limit(label, kind, users, _once(said))
    if late:
        users = _lowest(late, mine)
        where = (*_few_blocks(users, mine), *_lower("generator", _late_runs(mine), users, mine))
        return Limit(label, "generator", users, _once([*_generator(mine.at(users)), *where]))
    return _unlimited(label, rungs, ladder.users[-1], mine)


def _lowest(shown: Sequence[int], mine: Steps) -> int:
    """The lowest of these users that most blocks tried, else the lowest."""
    usual = mine.of_most_blocks().users
    return min(shown, key=lambda each: (each not in usual, each))


def _few_blocks(users: int, mine: Steps) -> list[Finding]:
    """How many blocks tried a load, where it is half of them or fewer."""
    return [] if users in mine.of_most_blocks().users else [_tried(mine.at(users), mine)]


LOWER: Mapping[str, str] = {"server": "limit.lower", "generator": "limit.lower-generator"}
"""The code of a limit that some run shows at a smaller load already, by whose limit it is."""


def _lower(whose: str, showing: Steps, users: int, mine: Steps) -> list[Finding]:
    """The lowest load below `users` at which any run shows the limit, with in how many; none where no run does."""
    lowest = min(showing.users, default=users)
    if lowest >= users:
        return []
    shown, tried = (len(rows.at(lowest).frame) for rows in (showing, mine))
    return [Finding(LOWER[whose], users=lowest, shown=shown, tried=tried)]


def _full_runs(mine: Steps) -> Steps:
    """The runs of each load in which the server was full, but for those that a larger valid step contradicts."""
    return Steps(mine.frame[mine.full & ~mine.withdrawn()])


def _late_runs(mine: Steps) -> Steps:
    """The runs of each load in which the generator was the limit, and no larger load of the same block counts."""
    served = mine.with_verdict(SERVED).frame.groupby("block")["users"].max()
    late = mine.with_verdict(["generator-limited"]).frame
    return Steps(late[~(late["block"].map(served) > late["users"])])


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
    target = _once([*busy_cpu(rows), *other_room(rows)])
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
    reasons = rows.with_verdict([rows.verdict]).frame["reasons"]
    shown, runs = len(reasons), len(rows.frame)
    first = reasons.iloc[0] if shown else ()
    return (Finding("limit.step-above", users=users, verdict=rows.verdict, shown=shown, runs=runs, reasons=first),)


def _server(rows: Steps, declared: Declared, windows: int) -> tuple[Kind, list[Reason]]:
    """What of the server was full in these rows of one load, of so many windows in all, with its figures."""
    full = _full(rows, windows)
    queue = [full[code] for code in QUEUE if code in full]
    used_up = [full[code] for code in ("full.descriptors", "full.watched") if code in full]
    if not used_up and (watched := watched_descriptors(rows, declared.descriptors)) is not None:
        used_up = [watched]
    if used_up:
        return "descriptors", [*used_up, *queue, *failed_requests(rows), *busy_cpu(rows)]
    busy = [full[code] for code in CPU if code in full]
    if busy:
        ended = rows.median("server_ended_share")
        kind: Kind = "processes" if ended is not None and ended >= T.short_lived else "CPU"
        return kind, [*busy[:1], *request_cost(rows), *queue]
    pool = [finding for code, finding in full.items() if code in POOL]
    if pool:
        return "waiting", [*pool, *planned_waiting(rows, declared.wait_ms), *queue, *busy_cpu(rows)]
    if queue:
        return "accept queue", [*queue, *busy_cpu(rows)]
    dropped = [finding for code, finding in full.items() if code.startswith(DROPPED)]
    if dropped:
        drops = dropped_connections(rows)
        return "accept queue", [*([drops] if drops else []), *longest_queue(rows), *busy_cpu(rows)]
    return "not known", [*rows.frame["reasons"].iloc[0], *busy_cpu(rows)]


CPU = ("full.cpu", "full.thread")
POOL = ("full.pool", "full.held")
QUEUE = ("full.accept-queue", "full.overflows")
"""Codes of check 8 by the kind of limit that they show."""
DROPPED = "evidence.kernel"
"""What the judge takes for evidence that connections to this server were dropped."""


def _full(rows: Steps, windows: int) -> dict[str, Finding]:
    """What was full, and dropped connections, by code: what these rows show of more than half of the load's windows."""
    every = [{finding.code: finding for finding in _full_of(reasons)} for reasons in rows.frame["reasons"]]
    codes = dict.fromkeys(code for findings in every for code in findings)
    having = {code: [findings[code] for findings in every if code in findings] for code in codes}
    return {code: typical(findings) for code, findings in having.items() if len(findings) > MOST_BLOCKS * windows}


def _in_windows(rows: Steps, findings: Sequence[Reason], windows: int) -> list[Finding]:
    """In how many of the load's windows what these findings say was full, where it wasn't in all."""
    codes = {finding.code for finding in findings} & {*CPU, *POOL, *QUEUE, DROPPED}
    every = [{finding.code for finding in _full_of(reasons)} for reasons in rows.frame["reasons"]]
    full = min((sum(code in each for each in every) for code in codes), default=len(every))
    return [Finding("limit.blocks", full=full, windows=windows)] if full < windows else []


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
    target = (*busy_cpu(rows), *other_room(rows))
    return [*findings, Finding("limit.meanwhile", target=target)] if target else findings


def _once(findings: Sequence[Reason]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(findings))


def _overflows(rungs: Sequence[tuple[int, Steps]], limited: int) -> list[Finding]:
    """The lowest step, this one or a larger one, at which the accept queue overflowed."""
    for users, rows in rungs:
        dropped = dropped_connections(rows)
        if dropped and users >= limited:
            return [Finding("target.overflowed", users=users, dropped=(dropped,))]
    return []
