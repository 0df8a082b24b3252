"""ledger.jsonl of a run, as every worker counted: a line that is cut or damaged is skipped and named.

The types of its lines are in study/formats/ledger_jsonl.py.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from analysis.read import histograms
from analysis.read.histograms import Histogram, HistogramError
from study.errors import FormatError
from study.formats.bounded import parse_json, read_bounded
from study.formats.json_files import check_format
from study.formats.ledger_jsonl import LostRecord, PhaseRecord, RecoveryRecord, SearchRecord, Ticks, TrialRecord
from study.plan import IDLE_STEP, Plan, Step
from study.reading import first_mistake
from study.safe_text import short_name


@dataclass(frozen=True, kw_only=True)
class Record(PhaseRecord):
    """What one worker counted in one phase of one step. Raises ValueError for a phase that can't be.

    Kinds of failures that aren't the study's own are shortened to a name that can be shown.
    """

    def __post_init__(self) -> None:
        named: Counter[str] = Counter()
        for kind, count in self.failures.items():
            named[short_name(kind)] += count
        object.__setattr__(self, "failures", dict(named))
        if not self.seconds > 0:
            raise ValueError("a phase without length")
        if len({len(getattr(self.ticks, column.name)) for column in fields(Ticks)}) > 1:
            raise ValueError("columns of unequal length in its ticks")

    def histogram(self, key: str) -> Histogram:
        """Decode one of the histograms, when it is asked for, since most never are. Raises FormatError."""
        try:
            return histograms.decode(getattr(self, key))
        except HistogramError as error:
            raise FormatError(f"{key} of {self.worker}, step {self.step} {self.phase}: {error}") from None


@dataclass(frozen=True)
class Ledger:
    """All records of one run."""

    workers: tuple[str, ...] = ()
    """All workers that the run began with."""
    records: tuple[Record, ...] = ()
    lost: tuple[LostRecord, ...] = ()
    trials: tuple[TrialRecord, ...] = ()
    """What a search's trials came to while the run went on."""
    recoveries: tuple[RecoveryRecord, ...] = ()
    search: SearchRecord | None = None
    """How the run's search ended; None where there was none, or the run ended before it."""
    ended: bool = False
    """Its last line says that all steps were run."""
    gaps: tuple[str, ...] = ()
    """What could not be read, for a person."""

    def phase(self, step: int, phase: str) -> tuple[Record, ...]:
        """One record for each worker that sent one; a record sent twice counts once."""
        by_worker = {record.worker: record for record in self.records if (record.step, record.phase) == (step, phase)}
        return tuple(by_worker.values())

    @property
    def tried(self) -> tuple[Step, ...]:
        """The trials of a search, in order, by the workers' records."""
        kinds: dict[str, Literal["trial", "confirm"]] = {"trial": "trial", "confirm": "confirm"}
        users = {
            each.step: (kinds[each.kind], each.users)
            for each in self.records
            if each.phase == "ramp" and each.kind in kinds
        }
        return tuple(Step(number, kind, many) for number, (kind, many) in sorted(users.items()))

    def has(self, step: int) -> bool:
        """Whether any record is of this step, a lost one included."""
        return any(e.step == step for e in self.records) or any(e.step == step for e in self.lost)

    @property
    def measured_until(self) -> float | None:
        """Unix time (s) of the last measure window's end, by the workers' clocks; None where nothing was measured."""
        ends = [record.started + record.seconds for record in self.records if record.phase == "measure"]
        return max(ends, default=None)

    def missing(self, step: int, phase: str) -> tuple[str, ...]:
        """Workers whose record of a phase didn't come."""
        lost = {entry.worker for entry in self.lost if (entry.step, entry.phase) == (step, phase)}
        received = {record.worker for record in self.phase(step, phase)} - lost
        return tuple(worker for worker in self.workers if worker not in received)


_KINDS: dict[str, TypeAdapter[Any]] = {
    "phase": TypeAdapter(Record),
    "lost": TypeAdapter(LostRecord),
    "trial": TypeAdapter(TrialRecord),
    "recovery": TypeAdapter(RecoveryRecord),
    "search": TypeAdapter(SearchRecord),
}


def read_ledger(path: Path) -> Ledger:
    """Read ledger.jsonl. A line that is cut or damaged is skipped and named under `gaps`, as is a missing file.

    Raises FormatError where the header has another version.
    """
    try:
        lines = read_bounded(path).splitlines()
    except OSError as error:
        return Ledger(gaps=(f"{_short(path)}: can't be read: {error.strerror}",))
    workers: tuple[str, ...] = ()
    taken: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
    gaps = [] if lines else [f"{_short(path)}: empty"]
    ended = False
    mistakes: dict[str, list[int]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            value = parse_json(line)
        except ValueError:
            gaps.append(f"{_short(path)}: line {number} is {'cut' if number == len(lines) else 'damaged'}, skipped")
            continue
        ended = isinstance(value, dict) and value.get("record") == "end"
        if number == 1:
            named = check_format(value, path).get("workers", ())
            workers = tuple(map(str, named)) if isinstance(named, list | tuple) else ()
        elif (mistake := _take(value, taken)) is not None:
            mistakes.setdefault(mistake, []).append(number)
    gaps = [f"{_short(path)}: {_lines(at)} skipped: {mistake}" for mistake, at in mistakes.items()] + gaps
    return Ledger(
        workers=workers,
        records=tuple(taken["phase"]),
        lost=tuple(taken["lost"]),
        trials=tuple(taken["trial"]),
        recoveries=tuple(taken["recovery"]),
        search=next(iter(taken["search"]), None),
        ended=ended,
        gaps=tuple(gaps),
    )


def _take(value: Any, taken: dict[str, list[Any]]) -> str | None:
    """Append one line by its kind, or return what is wrong with it; other kinds of records are skipped."""
    kind = value.get("record") if isinstance(value, dict) else None
    try:
        if isinstance(kind, str) and kind in _KINDS:
            taken[kind].append(_KINDS[kind].validate_python(value))
    except ValidationError as error:
        return first_mistake(error)
    return None


def steps_of_run(ledger: Ledger, plan: Plan) -> tuple[Step, ...]:
    """The steps of a run: those that the plan asks for, and of a search the trials in its ledger.

    Campaigns of older versions have no idle step.
    """
    asked = plan.steps() if ledger.has(IDLE_STEP) else plan.load_steps()
    return (*asked, *(ledger.tried if plan.search is not None else ()))


def _lines(numbers: list[int]) -> str:
    return f"line {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} lines, the first is {numbers[0]},"


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
