"""The ledger of a run, as every worker counted it: read whole, the cut last line skipped and named.

The keys and their units are those of docs/results.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from analysis.read import histograms
from analysis.read.histograms import Histogram, HistogramError
from study.errors import FormatError
from study.formats.json_files import check_format


@dataclass(frozen=True)
class Ticks:
    """About once a second, counted from the phase's start up to `at` seconds after it."""

    at: tuple[float, ...]
    successes: tuple[float, ...]
    failures: tuple[float, ...]
    response_s: tuple[float, ...]
    """Sum of the response times of the successes."""
    in_flight_s: tuple[float, ...]
    cpu_s: tuple[float, ...]

    def __post_init__(self) -> None:
        if len({len(getattr(self, field.name)) for field in fields(self)}) > 1:
            raise ValueError("columns of unequal length")


@dataclass(frozen=True)
class Record:
    """What one worker counted in one phase of one step."""

    step: int
    kind: str
    users: int
    phase: str
    worker: str
    started: float
    seconds: float
    attempts: int
    successes: int
    failures: dict[str, int]
    bytes: int
    response_us: str
    failed_us: str
    lag_us: str
    loop_lag_us: str
    draws: int
    draws_s: float
    think_count: int
    think_drawn_s: float
    think_passed_s: float
    in_flight_s: float
    in_flight_end: int
    in_flight_age_us: str
    users_wanted: int
    users_min: int
    users_mean: float
    users_right: float
    fds_used: int
    fds_limit: int
    ticks: Ticks

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise ValueError("a phase without length")

    def histogram(self, key: str) -> Histogram:
        """Decode one of the histograms; done when it is asked for, since most never are."""
        try:
            return histograms.decode(getattr(self, key))
        except HistogramError as error:
            raise FormatError(f"{key} of {self.worker}, step {self.step} {self.phase}: {error}") from None


@dataclass(frozen=True)
class Lost:
    """A record that didn't come."""

    step: int
    phase: str
    worker: str


@dataclass(frozen=True)
class Ledger:
    workers: tuple[str, ...] = ()
    """All that the run began with."""
    records: tuple[Record, ...] = ()
    lost: tuple[Lost, ...] = ()
    ended: bool = False
    """Its last line says that the ladder was walked to its end."""
    gaps: tuple[str, ...] = ()
    """What could not be read, in words."""

    def phase(self, step: int, phase: str) -> tuple[Record, ...]:
        """One record for each worker that sent one; a record sent twice counts once."""
        found = {record.worker: record for record in self.records if (record.step, record.phase) == (step, phase)}
        return tuple(found.values())

    @property
    def measured_until(self) -> float | None:
        """Unix time of the last measure window's end, by the workers' clocks; None of none."""
        ends = [record.started + record.seconds for record in self.records if record.phase == "measure"]
        return max(ends, default=None)

    def missing(self, step: int, phase: str) -> tuple[str, ...]:
        """Workers whose record of a phase didn't come."""
        lost = {entry.worker for entry in self.lost if (entry.step, entry.phase) == (step, phase)}
        came = {record.worker for record in self.phase(step, phase)} - lost
        return tuple(worker for worker in self.workers if worker not in came)


_RECORD = TypeAdapter(Record)
_LOST = TypeAdapter(Lost)


def read_ledger(path: Path) -> Ledger:
    """Read ledger.jsonl. A line that is cut or damaged is skipped and named under `gaps`, as is a missing file.

    Raises FormatError where the header says another version.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        return Ledger(gaps=(f"{_short(path)}: can't be read: {error.strerror}",))
    workers: tuple[str, ...] = ()
    records: list[Record] = []
    lost: list[Lost] = []
    gaps = [] if lines else [f"{_short(path)}: empty"]
    ended = False
    mistakes: dict[str, list[int]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            value = json.loads(line)
        except ValueError:
            gaps.append(f"{_short(path)}: line {number} is {'cut' if number == len(lines) else 'damaged'}, skipped")
            continue
        ended = isinstance(value, dict) and value.get("record") == "end"
        if number == 1:
            workers = tuple(str(name) for name in check_format(value, path).get("workers", ()))
        elif (mistake := _take(value, records, lost)) is not None:
            mistakes.setdefault(mistake, []).append(number)
    gaps = [f"{_short(path)}: {_lines(at)} skipped: {mistake}" for mistake, at in mistakes.items()] + gaps
    return Ledger(workers, tuple(records), tuple(lost), ended, tuple(gaps))


def _take(value: Any, records: list[Record], lost: list[Lost]) -> str | None:
    """Sort one line by its kind, or say what is wrong with it; kinds that this program doesn't know are passed over."""
    kind = value.get("record") if isinstance(value, dict) else None
    try:
        if kind == "phase":
            records.append(_RECORD.validate_python(value))
        elif kind == "lost":
            lost.append(_LOST.validate_python(value))
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return None


def _lines(numbers: list[int]) -> str:
    return f"line {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} lines, the first is {numbers[0]},"


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
