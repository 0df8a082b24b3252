"""A dataclass as a row of a CSV file: its fields are the columns, in their order."""

from __future__ import annotations

import csv
from dataclasses import fields
from typing import Any, TextIO, get_type_hints

from study.formats.units import StoredUnit, metadata_of
from study.safe_text import csv_cell


class RowWriter:
    """Writes rows of one dataclass to a stream: floats in their unit's format, None as empty.

    The header comes first, unless the stream has it already.
    """

    def __init__(self, stream: TextIO, kind: type, header: bool = True) -> None:
        hints = get_type_hints(kind, include_extras=True)
        self._columns = {
            name: next((unit.number for unit in metadata_of(hints[name], StoredUnit)), ".4g") for name in columns(kind)
        }
        self._sheet = csv.writer(stream)
        if header:
            self._sheet.writerow(self._columns)

    def write(self, row: Any) -> None:
        """Write one row."""
        self._sheet.writerow([_cell(getattr(row, name), number) for name, number in self._columns.items()])


def columns(kind: type) -> tuple[str, ...]:
    """The names of a dataclass's columns."""
    return tuple(field.name for field in fields(kind))


def text_columns(kind: type) -> tuple[str, ...]:
    """The columns that hold text."""
    hints = get_type_hints(kind)
    return tuple(name for name in columns(kind) if hints[name] is str)


def number_columns(kind: type) -> tuple[str, ...]:
    """The columns that hold numbers."""
    return tuple(name for name in columns(kind) if name not in text_columns(kind))


def _cell(value: object, number: str) -> object:
    if isinstance(value, float):
        return format(value, number)
    return csv_cell(value) if isinstance(value, str) else value
