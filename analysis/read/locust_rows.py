"""The rows of one of Locust's CSV files, as frames, and a value for each thing in it that can't be read.

A file is read row by row, so that the history of a long run takes no more memory than the columns that are kept.
"""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TextIO

import pandas as pd

from analysis.read.locust_dialects import (
    ALL,
    NO_TYPE,
    OLD_ALL,
    TEXT,
    Dialect,
    FileKind,
    begins_a_head,
    missing_columns,
    recognised,
    with_fractions,
)

MOST_BYTES, MOST_COLUMNS, MOST_ROWS, MOST_NAME_LINES = 2**30, 1_000, 4_000_000, 100
LONGEST_HEAD = 100_000


class GapKind(StrEnum):
    """What is missing or can't be read; `Gap` says which of its fields each kind has."""

    UNREADABLE = "unreadable"
    """detail: the operating system's reason."""
    NOT_A_FILE = "not-a-file"
    TOO_LARGE = "too-large"
    """count: rows or bytes that are read at most."""
    NOT_LOCUST = "not-locust"
    """columns that are missing; detail: "utf-16" or a separator, where that is why."""
    NO_COLUMN = "no-column"
    """columns that are missing."""
    NO_ROWS = "no-rows"
    CUT = "cut"
    """line of a last row that ends before its last field."""
    CUT_FIELD = "cut-field"
    """line; columns: the last field of a file that has no final line end, where it is one that is read."""
    FIELDS = "fields"
    """line of the first of `count` rows with another number of fields (detail) than the head."""
    NUMBERS = "numbers"
    """line of the first of `count` rows without a count of requests or a time."""
    BROKEN = "broken"
    """line from which on nothing can be read."""
    SECOND_HEAD = "second-head"
    """line of a head in the middle of a file."""
    CLOCK_BACK = "clock-back"
    """line; seconds by which the clock was set back."""
    NO_ROWS_FOR = "no-rows-for"
    """line; seconds before it without a row."""
    COUNTS_AGAIN = "counts-again"
    """line at which counts begin again from a smaller number."""
    NO_TOTAL = "no-total"
    SUM = "sum"
    """count: requests of the total; detail: those of all names together."""
    NO_DISTRIBUTION = "no-distribution"
    SECOND_FILE = "second-file"
    """file that is not read, since another has the same prefix."""


@dataclass(frozen=True)
class Gap:
    """Something in a file that is missing or was passed over; which fields it has depends on its kind."""

    kind: GapKind
    file: str
    line: int = 0
    """Counted from 1."""
    count: int = 0
    seconds: float = 0.0
    columns: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True)
class Part:
    """The rows below one head.

    `rows` has the columns of the dialect under this program's names, NaN where nothing is known, and `line`; `total`
    is true where a row is about all requests together.
    """

    dialect: Dialect
    rows: pd.DataFrame
    absent: frozenset[str]
    """Columns that the head lacks."""


@dataclass
class _Columns:
    """The columns of a part while its rows are read."""

    dialect: Dialect
    head: Sequence[str]
    numbers: dict[str, array[float]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    lines: array[int] = field(default_factory=lambda: array("q"))
    fractions: bool = False
    places: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.places = {ours: self.head.index(name) for name, ours in self.dialect.columns.items() if name in self.head}
        self.numbers = {name: array("d") for name in self.dialect.columns.values() if name not in TEXT}
        self.texts = {name: [] for name in self.dialect.columns.values() if name in TEXT}

    def add(self, line: int, fields: Sequence[str], known: dict[str, str]) -> bool:
        """False where a count or a time is no number, which leaves a row without meaning."""
        values = {name: number(fields[self.places[name]]) if name in self.places else math.nan for name in self.numbers}
        if math.isnan(values["requests"]) or math.isnan(values.get("seconds", 0.0)):
            return False
        for name, value in values.items():
            self.numbers[name].append(value)
        for name, texts in self.texts.items():
            text = fields[self.places[name]] if name in self.places else ""
            texts.append(known.setdefault(text, text))
        self.lines.append(line)
        if "mean_ms" in self.places:
            self.fractions |= "." in fields[self.places["mean_ms"]]
        return True

    def part(self) -> Part:
        rows = pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in self.texts.items()})
        for name, values in self.numbers.items():
            rows[name] = pd.Series(values, dtype="float64")
        rows["line"] = pd.Series(self.lines, dtype="int64")
        if "type" in rows:
            rows["total"] = rows["name"].isin((ALL, OLD_ALL)) & rows["type"].isin(NO_TYPE)
            if self.dialect.kind == FileKind.STATS:
                rows["total"] &= ~rows["total"].iloc[::-1].cumsum().gt(1)  # the last one
            rows.loc[rows["total"], "type"], rows.loc[rows["total"], "name"] = "", ALL
        dialect = with_fractions(self.dialect) if self.fractions else self.dialect
        absent = frozenset(self.dialect.columns.values()) - self.places.keys()
        return Part(dialect, rows, absent)


def read_parts(path: Path, kind: FileKind) -> tuple[list[Part], list[Gap]]:
    """The parts of a file, one for each head, and what could not be read; no part where the file isn't Locust's."""
    name = path.name
    try:
        if not path.is_file():
            return [], [Gap(GapKind.NOT_A_FILE, name) if path.exists() else _not_there(name)]
        if path.stat().st_size > MOST_BYTES:
            return [], [Gap(GapKind.TOO_LARGE, name, count=MOST_BYTES)]
        with path.open("rb") as raw:
            start = raw.read(4096)
            raw.seek(-1 if start else 0, 2)
            ended = raw.read(1) in (b"\n", b"\r", b"")
        if start.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in start[:200]:
            return [], [Gap(GapKind.NOT_LOCUST, name, columns=missing_columns(kind, ()), detail="utf-16")]
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
            return _parts(text, name, kind, ended)
    except OSError as error:
        return [], [Gap(GapKind.UNREADABLE, name, detail=error.strerror or str(error))]


def _not_there(name: str) -> Gap:
    return Gap(GapKind.UNREADABLE, name, detail="No such file or directory")


def _parts(text: TextIO, file: str, kind: FileKind, ended: bool) -> tuple[list[Part], list[Gap]]:
    line, first = 1, text.readline(LONGEST_HEAD)
    while first and not first.strip():
        line, first = line + 1, text.readline(LONGEST_HEAD)
    try:
        head = next(csv.reader([first]), [])
    except csv.Error:
        head = []
    dialect = recognised(kind, head) if len(head) <= MOST_COLUMNS and len(first) < LONGEST_HEAD else None
    if dialect is None:
        if not first or (not ended and not text.readline(1) and begins_a_head(kind, head)):
            return [], [Gap(GapKind.NO_ROWS, file)]
        separator = next((mark for mark in ";\t" if first.count(mark) > first.count(",")), "")
        return [], [Gap(GapKind.NOT_LOCUST, file, columns=missing_columns(kind, head), detail=separator)]
    reader = _Reader(file, kind, ended, _Columns(dialect, head))
    unescaped = dialect.unescaped and first.startswith('"')
    records = _with_last(_unescaped(text, head, line + 1) if unescaped else _escaped(text, line + 1))
    try:
        for line, fields, last in records:
            reader.take(line, fields, last)
            if reader.rows > MOST_ROWS:
                reader.gaps.append(Gap(GapKind.TOO_LARGE, file, line, count=MOST_ROWS))
                break
    except csv.Error:
        reader.gaps.append(Gap(GapKind.BROKEN, file, line + 1))
    return reader.finish()


class _Reader:
    """Takes the records of a file in order and keeps what they hold."""

    def __init__(self, file: str, kind: FileKind, ended: bool, head: _Columns) -> None:
        self.file, self.kind, self.ended = file, kind, ended
        self.rows = 0
        self.gaps: list[Gap] = []
        self._all = [head]
        self._known: dict[str, str] = {}
        self._passed_over: dict[tuple[GapKind, str], Gap] = {}

    def take(self, line: int, fields: Sequence[str], last: bool) -> None:
        """A record that begins on this line of the file; `last` where no other follows."""
        if not fields:
            return
        if "Name" in fields and (dialect := recognised(self.kind, fields)):
            self.gaps.append(Gap(GapKind.SECOND_HEAD, self.file, line))
            self._all.append(_Columns(dialect, list(fields)))
            return
        columns = self._all[-1]
        size = len(columns.head)
        cut = last and not self.ended
        if len(fields) > size and not any(fields[size:]):
            fields = fields[:size]
        if len(fields) < size and cut:
            self.gaps.append(Gap(GapKind.CUT, self.file, line))
        elif len(fields) != size:
            self._pass_over(GapKind.FIELDS, line, f"{len(fields)} of {size}")
        elif not columns.add(line, self._known_whole(columns, line, fields) if cut else fields, self._known):
            self._pass_over(GapKind.NUMBERS, line)
        else:
            self.rows += 1

    def _known_whole(self, columns: _Columns, line: int, fields: Sequence[str]) -> Sequence[str]:
        """The last row of a file without a final line end, less its last field where that may be cut."""
        ours = columns.dialect.columns.get(columns.head[-1])
        if columns.dialect.last_line_ends and ours is not None:
            self.gaps.append(Gap(GapKind.CUT_FIELD, self.file, line, columns=(columns.head[-1],)))
            return [*fields[:-1], ""]
        return fields

    def _pass_over(self, kind: GapKind, line: int, detail: str = "") -> None:
        known = self._passed_over.get((kind, detail))
        self._passed_over[kind, detail] = Gap(
            kind, self.file, known.line if known else line, known.count + 1 if known else 1, detail=detail
        )

    def finish(self) -> tuple[list[Part], list[Gap]]:
        """All parts, and the gaps."""
        gaps = [*self.gaps, *self._passed_over.values()]
        absent = {name for part in self._all for name in part.dialect.columns if name not in part.head}
        if absent:
            names = tuple(name for name in self._all[0].dialect.columns if name in absent)
            gaps.append(Gap(GapKind.NO_COLUMN, self.file, columns=names))
        if not self.rows:
            gaps.append(Gap(GapKind.NO_ROWS, self.file))
        return [part.part() for part in self._all], gaps


def _with_last(records: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str], bool]]:
    held: tuple[int, list[str]] | None = None
    for record in records:
        if held is not None:
            yield (*held, False)
        held = record
    if held is not None:
        yield (*held, True)


def _escaped(text: TextIO, start: int) -> Iterator[tuple[int, list[str]]]:
    """First line and fields of each record of a file that the csv module wrote, from the line `start` on."""
    reader = csv.reader(text)
    line = start
    for fields in reader:
        yield line, fields
        line = start + reader.line_num


def _unescaped(text: TextIO, head: Sequence[str], start: int) -> Iterator[tuple[int, list[str]]]:
    """The same of a file whose names stand between quotes as they are: a row is known by the fields around its name."""
    texts = {"Type": r'"([^"]*)"', "Method": r'"([^"]*)"', "Name": r'"(.*)"'}
    row = re.compile(",".join(texts.get(name, r'"?([^",\n]*)"?') for name in head), re.DOTALL)
    waiting: list[str] = []  # lines that are no row yet: a name may have line ends
    at = start
    for at, line in enumerate(text, start):
        bare = line.rstrip("\r\n")
        if alone := row.fullmatch(bare):
            if any(waiting):
                yield at - len(waiting), _split(waiting)
            waiting = []
            yield at, list(alone.groups())
        elif together := row.fullmatch("\n".join([*waiting, bare])):
            yield at - len(waiting), list(together.groups())
            waiting = []
        elif waiting or bare:
            waiting.append(bare)
            if len(waiting) > MOST_NAME_LINES:
                raise csv.Error
    if waiting:
        yield at + 1 - len(waiting), _split(waiting)


def _split(lines: Sequence[str]) -> list[str]:
    return next(csv.reader(["\n".join(lines)]), [])


def number(text: str) -> float:
    """NaN where it is none, or negative, or not finite."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if 0 <= value < math.inf else math.nan
