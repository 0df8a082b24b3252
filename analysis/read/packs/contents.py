"""What a derived file says, by place: cells of a table, values of a JSON object, lines of a text or a page.

Two files with the same content may differ as bytes: by a library that draws otherwise, or by the last digit of a sum.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import PurePosixPath
from typing import Any

PRECISION = 1e-9
"""Numbers of a JSON file that differ by less, as a share, are the same: sums depend on the order of the summands."""
Content = Mapping[str, str]
"""A text by its place in a file."""


@dataclass(frozen=True)
class DifferingCell:
    """A place of a derived file with two values. Empty where one side doesn't have it."""

    file: str
    place: str
    packed: str
    again: str


def differing_cells(name: str, packed: bytes, again: bytes) -> tuple[DifferingCell, ...] | None:
    """Where the contents differ, in their order; None for a kind of file that has no such places, such as a figure."""
    suffix = PurePosixPath(name).suffix
    texts = packed.decode("utf-8", "replace"), again.decode("utf-8", "replace")
    if suffix in CELLS:
        first, second = map(CELLS[suffix], texts)
        return tuple(
            DifferingCell(name, place, first.get(place, ""), second.get(place, ""))
            for place in dict.fromkeys((*first, *second))
            if not _same(first.get(place), second.get(place), suffix)
        )
    if suffix in LINES:
        first_lines, second_lines = (list(LINES[suffix](text)) for text in texts)
        gone = Counter(first_lines) - Counter(second_lines)
        come = Counter(second_lines) - Counter(first_lines)
        return (
            *(DifferingCell(name, "", line, "") for line in gone.elements()),
            *(DifferingCell(name, "", "", line) for line in come.elements()),
        )
    return None


def cells_of(name: str, content: bytes) -> int:
    """How many cells or lines a file has; 0 for a kind that has none."""
    suffix, text = PurePosixPath(name).suffix, content.decode("utf-8", "replace")
    return len(CELLS[suffix](text)) if suffix in CELLS else len(list(LINES[suffix](text))) if suffix in LINES else 0


def _same(first: str | None, second: str | None, suffix: str) -> bool:
    if first == second:
        return True
    if suffix != ".json" or first is None or second is None:
        return False
    try:
        return math.isclose(float(first), float(second), rel_tol=PRECISION)
    except ValueError:
        return False


def _csv_cells(text: str) -> Content:
    """By row, its first cells, and column."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error:
        return {"the file": "can't be read as a table"}
    heads = rows[0] if rows else []
    cells = {f"head {at}": head for at, head in enumerate(heads, 1)}
    for number, row in enumerate(rows[1:], 1):
        for at, cell in enumerate(row):
            column = heads[at] if at < len(heads) else f"column {at + 1}"
            cells[f"row {number} ({' '.join(row[:3])}), {column}"] = cell
    return cells


def _json_cells(text: str) -> Content:
    """By dotted path."""
    try:
        return dict(_leaves(json.loads(text), ""))
    except (ValueError, RecursionError):
        return {"the file": "can't be read as JSON"}


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for at, each in enumerate(value):
            yield from _leaves(each, f"{path}[{at}]")
    else:
        yield path, json.dumps(value)


class _Page(HTMLParser):
    """The texts of a page, and where its links lead. Styles and pictures are left out."""

    silent = ("style", "svg", "script")

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._depth = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in self.silent:
            self._depth += 1
        kept = {name: value for name, value in attributes if name in ("href", "alt", "title", "aria-label")}
        self.lines += [f"{name}: {value}" for name, value in kept.items() if value and not value.startswith("data:")]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.silent and self._depth:
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if not self._depth:
            self.lines += filter(None, (" ".join(line.split()) for line in data.splitlines()))


def _html_lines(text: str) -> Iterator[str]:
    page = _Page()
    page.feed(text)
    page.close()
    return iter(page.lines)


def _text_lines(text: str) -> Iterator[str]:
    return filter(None, map(str.strip, text.splitlines()))


CELLS: Mapping[str, Callable[[str], Content]] = {".csv": _csv_cells, ".json": _json_cells}
LINES: Mapping[str, Callable[[str], Iterator[str]]] = {".md": _text_lines, ".html": _html_lines}
