"""The course of a whole run in seconds: what its workers counted, and what the hosts' samples have of the same time.

It serves the report's charts over time; no check and no figure is made from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.read.ledger import Ledger, Record
from analysis.read.samples import Samples
from analysis.read.seconds import joined
from study.formats.ledger_jsonl import Ticks

Column = npt.NDArray[np.float64]
NO_COLUMN: Column = np.empty(0)


@dataclass(frozen=True)
class PhaseSpan:
    """One phase of one step; seconds since the run's first phase began."""

    step: int
    kind: str
    users: int
    phase: str
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Series:
    """Columns over time: the end of each interval in seconds since the run began, and figures of that interval."""

    at: Column = field(default_factory=lambda: NO_COLUMN)
    figures: Mapping[str, Column] = field(default_factory=dict)
    """NaN where a figure isn't known."""


@dataclass(frozen=True, eq=False)
class RunCourse:
    """One run: its phases, `counts` of all workers together, and `host`, the samples of the target and the workers.

    Figures of `counts`: `rps` and `failures` per second, `mean_ms` of the successes, `worker_cpu` in cores, of the
    busiest worker. Figures of `host`: `server_cpu` in cores, `others`, cores that other programs took of the server's,
    `accept_queue`, connections, and `memory_mb`.
    """

    spans: tuple[PhaseSpan, ...] = ()
    counts: Series = field(default_factory=Series)
    host: Series = field(default_factory=Series)


def course_of(ledger: Ledger, samples: Samples) -> RunCourse:
    """The course of a run; empty where no worker sent a record."""
    phases: dict[tuple[int, str], dict[str, Record]] = {}
    for record in ledger.records:
        phases.setdefault((record.step, record.phase), {})[record.worker] = record
    if not phases:
        return RunCourse()
    began = min(record.started for each in phases.values() for record in each.values())
    spans, parts = [], []
    for records in (tuple(each.values()) for each in phases.values()):
        first = records[0]
        start = min(record.started for record in records) - began
        longest = max(record.seconds for record in records)
        spans.append(PhaseSpan(first.step, first.kind, first.users, first.phase, start, start + longest))
        if (part := _counts(records)) is not None:
            parts.append(Series(part.at + start, part.figures))
    order = sorted(parts, key=lambda part: float(part.at[0]))
    return RunCourse(tuple(sorted(spans, key=lambda span: span.start)), _joined(order), _samples(samples.frame, began))


def _counts(records: Sequence[Record]) -> Series | None:
    """The seconds of one phase, all workers added at the times of the first; None where a worker has no ticks."""
    ticks = [joined(record.ticks) for record in records]
    if not all(each.at for each in ticks):
        return None
    at = np.asarray(ticks[0].at)
    took = np.diff(at, prepend=0.0)
    added = {name: np.sum([_at(each, name, at) for each in ticks], axis=0) for name in ("successes", "failures")}
    times = np.sum([_at(each, "response_s", at) for each in ticks], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_ms = np.where(added["successes"] > 0, 1000 * times / added["successes"], np.nan)
    cpu = np.max([_at(each, "cpu_s", at) for each in ticks], axis=0) / took
    figures = {"rps": added["successes"] / took, "failures": added["failures"] / took, "mean_ms": mean_ms}
    return Series(at, {**figures, "worker_cpu": cpu})


def _at(ticks: Ticks, name: str, grid: Column) -> Column:
    """What a column grew by in each interval of the grid."""
    return np.diff(np.interp(grid, (0.0, *ticks.at), (0.0, *getattr(ticks, name))), prepend=0.0)


def _joined(parts: Sequence[Series]) -> Series:
    if not parts:
        return Series()
    names = parts[0].figures
    columns = {name: np.concatenate([part.figures[name] for part in parts]) for name in names}
    return Series(np.concatenate([part.at for part in parts]), columns)


def _samples(frame: pd.DataFrame, began: float) -> Series:
    """The rows of the server, by its host's clock, from the run's beginning."""
    rows = frame[(frame["role"] == "server") & (frame["time"] - frame["seconds"] >= began - 1)].sort_values("time")
    if rows.empty:
        return Series()
    queue = rows["accept_queue_mean"].where(rows["accept_queue_mean"].notna(), rows["accept_queue"])
    others = ((rows["group_busy_s"] - rows["group_own_s"]) / rows["seconds"]).clip(lower=0)
    columns = {
        "server_cpu": rows["cpu_cores"],
        "others": others,
        "accept_queue": queue,
        "memory_mb": rows["memory_mb"].where(rows["memory_mb"].notna(), rows["pss_mb"]),
    }
    figures = {name: column.to_numpy(dtype=float) for name, column in columns.items()}
    return Series(rows["time"].to_numpy(dtype=float) - began, figures)
