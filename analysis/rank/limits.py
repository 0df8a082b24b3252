"""Why: the limit of each model, named in a sentence made from the figures of steps.csv, and from nothing else.

A limit is looked for at the lowest ladder step at which the target was full or overloaded in most blocks; the figures
are medians over the blocks of that step. The rules for "full" are those of check 8 (`analysis/judge/checks_target.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from analysis.judge import checks_target
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.read.samples import Target
from study.formats.manifest_json import Manifest
from study.plan import Plan

Kind = Literal["CPU", "processes", "waiting", "accept queue", "descriptors", "generator", "none reached", "not known"]
"""`processes`: what it costs to start one for each client. `waiting`: its workers all waited while its CPU idled."""

TARGET = {
    "cpu_cores": "server_cpu_cores",
    "cores": "server_cores",
    "busiest_thread_cores": "server_busiest_thread_cores",
    "processes": "server_processes",
    "threads": "server_threads",
    "fds": "server_fds",
    "fd_limit": "server_fd_limit",
    "accept_queue": "accept_queue",
    "backlog": "backlog",
}
"""Fields of a Target by their columns in steps.csv."""


@dataclass(frozen=True)
class Declared:
    """What is known of a model beforehand: it is in its code and in the plan, not in the samples."""

    descriptors: int | None = None
    """The highest number of a descriptor that its design can watch, whatever the process may open."""
    wait_ms: float = 0.0
    """What the plan makes it wait in each request."""


def declared_by(plan: Plan, manifest: Manifest | None) -> dict[str, Declared]:
    """What the plan and the manifest say of each label; the control is the model that it repeats."""
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
    """`users` is the step from which on it shows; None where no limit was seen."""

    model: str
    kind: Kind
    users: int | None
    sentence: str


def limits(
    steps: pd.DataFrame, labels: Sequence[str], declared: Mapping[str, Declared] | None = None
) -> tuple[Limit, ...]:
    """One for each label, in their order, from the rows of steps.csv."""
    known = declared or {}
    return tuple(limit(steps, label, known.get(label, Declared())) for label in labels)


def limit(steps: pd.DataFrame, label: str, declared: Declared) -> Limit:
    """The limit of one model, at the lowest step at which it shows."""
    mine = steps[(steps["model"] == label) & (steps["kind"] == "ladder") & (steps["verdict"] != "not-measured")]
    if mine.empty:
        return Limit(label, "not known", None, "Not known: no step was measured.")
    rungs = [(int(str(users)), rows) for users, rows in mine.groupby("users")]
    for users, rows in rungs:
        if _most((rows["verdict"] == "overload") | (rows["saturated"] == "yes")):
            kind, figures = _server(rows, declared)
            return Limit(label, kind, users, _sentence(kind, users, [*figures, *_overflows(rungs, users)]))
        if _most(rows["verdict"] == "generator-limited"):
            return Limit(label, "generator", users, _sentence("generator", users, _generator(rows)))
    return _unlimited(label, rungs)


def _unlimited(label: str, rungs: Sequence[tuple[int, pd.DataFrame]]) -> Limit:
    valid = [(users, rows) for users, rows in rungs if _most(rows["verdict"] == "valid")]
    rest = [(users, rows) for users, rows in rungs if not _most(rows["verdict"] == "valid")]
    why = ""
    if rest:
        users, rows = rest[-1]
        first = rows[rows["verdict"] != "valid"].iloc[0]
        why = f" At {users:,} users {first['verdict']}: {first['reasons']}."
    if not valid:
        return Limit(label, "not known", None, f"Not known: no step is valid.{why}")
    users, rows = valid[-1]
    if rows["server_cpu_cores"].isna().all():
        return Limit(label, "not known", None, f"Not known: the target was not watched at {users:,} users.{why}")
    said = f"None reached up to {users:,} users: {_joined([*_cpu(rows), *_room(rows)])}.{why}"
    return Limit(label, "none reached", None, said)


def _server(rows: pd.DataFrame, declared: Declared) -> tuple[Kind, list[str]]:
    """What of the server was full in these rows of one step, with its figures; the costlier explanation last."""
    seen, in_flight = target(rows), _median(rows, "in_flight") or 0.0
    queued = checks_target.accept_queue(seen, in_flight)
    queue = [queued] if queued else []
    full = checks_target.descriptors(seen) or _watched(seen, declared)
    if full:
        return "descriptors", [full, *queue, *_turned_away(rows), *_cpu(rows)]
    busy = [words for words in (checks_target.cpu(seen), checks_target.thread(seen)) if words]
    if busy:
        ended = _median(rows, "server_ended_share")
        kind: Kind = "processes" if ended is not None and ended >= T.short_lived else "CPU"
        return kind, [busy[0], *_cost(rows), *queue]
    if queued:
        held = _held(rows, seen, declared)
        return ("waiting" if held else "accept queue"), [*held, queued, *_cpu(rows)]
    dropped = _kernel(rows)
    if dropped:
        return "accept queue", [dropped, *_queue_most(rows), *_cpu(rows)]
    return "not known", [str(rows["reasons"].iloc[0]), *_cpu(rows)]


def _generator(rows: pd.DataFrame) -> list[str]:
    """The first reason, and what the generator and the target were doing meanwhile."""
    reasons = str(rows.loc[rows["verdict"] == "generator-limited", "reasons"].iloc[0])
    late, busy = _median(rows, "generator_lag_p99_ms"), _median(rows, "generator_cpu_max")
    workers = [f"its users woke up to {late:.2g} ms late (p99)"] if late is not None else []
    workers += [f"its busiest worker used {busy:.2f} of a core"] if busy is not None else []
    target_had = [f"meanwhile on the target {words}" for words in (", ".join([*_cpu(rows), *_room(rows)]),) if words]
    return [reasons.partition("; on the target")[0], ", ".join(workers), *target_had]


_HEADS: Mapping[Kind, str] = {
    "CPU": "CPU",
    "processes": "The cost of starting processes",
    "waiting": "Waiting",
    "accept queue": "The accept queue",
    "descriptors": "Descriptors",
    "generator": "The generator and not the server",
    "not known": "Not known",
}


def _sentence(kind: Kind, users: int, figures: Sequence[str]) -> str:
    return f"{_HEADS[kind]}, from {users:,} users on: {_joined(figures)}."


def _joined(figures: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words for words in figures if words))


def _cost(rows: pd.DataFrame) -> list[str]:
    """CPU a request, and where it went."""
    each = _median(rows, "server_cpu_ms")
    if each is None:
        return []
    parts = [f"{each:.2g} ms of CPU a request at {_median(rows, 'rps') or 0:,.0f} requests/s"]
    kernel, ended, starts = (
        _median(rows, name) for name in ("server_kernel_share", "server_ended_share", "server_starts")
    )
    if kernel is not None:
        parts.append(f"{kernel:.0%} of its cores' busy time was the kernel's")
    if ended is not None and ended >= T.short_lived:
        started = "" if starts is None else f", and {starts:.1f} processes or threads were started a request"
        parts.append(f"{ended:.0%} of its CPU time was that of children that had ended{started}")
    return parts


def _cpu(rows: pd.DataFrame) -> list[str]:
    """CPU where it was not the limit."""
    used, cores, each = (_median(rows, name) for name in ("server_cpu_cores", "server_cores", "server_cpu_ms"))
    if used is None or cores is None or each is None:
        return []
    return [f"{used:.2f} of {cores:g} core{'' if cores == 1 else 's'} busy, {each:.2g} ms of CPU a request"]


def _room(rows: pd.DataFrame) -> list[str]:
    """What else could have been full, and wasn't."""
    queue, fds, most = (_median(rows, name) for name in ("accept_queue", "server_fds", "server_fd_limit"))
    parts = [f"{queue:,.0f} in the accept queue"] if queue is not None else []
    return parts + ([f"{fds:,.0f} of {most:,.0f} descriptors open"] if fds is not None and most else [])


def _watched(seen: Target, declared: Declared) -> str | None:
    """A design such as select() that can't watch a descriptor from some number on."""
    most = declared.descriptors
    if most is None or seen.fds is None or seen.fds < T.target_descriptors * most:
        return None
    return f"it had {seen.fds:,.0f} descriptors open, and its design can't watch one from {most:,} on"


def _held(rows: pd.DataFrame, seen: Target, declared: Declared) -> list[str]:
    """X = k / wait: with k workers that each wait so long, no more requests can be answered. None without its k."""
    rate, each = _median(rows, "rps"), _median(rows, "server_cpu_ms")
    if not rate or each is None:
        return []
    if declared.wait_ms:
        waiting = rate * declared.wait_ms / 1000
        return [
            f"X = k / wait with {rate:,.1f} requests/s and the plan's wait of {declared.wait_ms:g} ms in each gives"
            f" k = {waiting:.1f} requests waiting at a time"
        ]
    if seen.threads is None:
        return []
    threads = seen.threads
    return [
        f"its {threads:.0f} thread{' was' if threads == 1 else 's were'} taken for up to {1000 * threads / rate:.1f} ms"
        f" a request (k / X = {threads:.0f} / {rate:,.1f} requests/s), of which {each:.2g} ms was CPU"
    ]


def _kernel(rows: pd.DataFrame) -> str | None:
    """Connections that the kernel dropped before the server could accept them, where they are more than stray ones."""
    counted = {name: _median(rows, name) or 0.0 for name in ("listen_overflows", "listen_drops", "syn_cookies")}
    attempts = max(1.0, _median(rows, "requests") or 1.0)
    if sum(counted.values()) <= T.dropped_share * attempts:
        return None
    seen = ", ".join(f"{count:,.0f} {name.replace('_', ' ')}" for name, count in counted.items() if count)
    return f"the kernel counted {seen} beside {attempts:,.0f} requests"


def _queue_most(rows: pd.DataFrame) -> list[str]:
    most, backlog = _median(rows, "accept_queue_max"), _median(rows, "backlog")
    if most is None or backlog is None:
        return []
    return [f"up to {most:,.0f} connections were seen in it, its backlog is {backlog:,.0f}"]


def _overflows(rungs: Sequence[tuple[int, pd.DataFrame]], limited: int) -> list[str]:
    """From which step on the accept queue overflowed, if it did at this one or above."""
    for users, rows in rungs:
        dropped = _kernel(rows)
        if dropped and users >= limited:
            return [f"the accept queue overflowed from {users:,} users on ({dropped})"]
    return []


def _turned_away(rows: pd.DataFrame) -> list[str]:
    failed, requests = _median(rows, "failures"), _median(rows, "requests")
    return [f"{failed:,.0f} of {requests:,.0f} requests failed"] if failed and requests else []


def target(rows: pd.DataFrame) -> Target:
    """The target at one step: medians over the rows."""
    medians: dict[str, Any] = {name: _median(rows, column) for name, column in TARGET.items()}
    return Target(**medians)


def _median(rows: pd.DataFrame, column: str) -> float | None:
    values: Any = rows[column].astype(float).median()
    return None if pd.isna(values) else float(values)


def _most(holds: pd.Series[bool]) -> bool:
    return bool(holds.mean() > 0.5)
