"""The parts of a page as plain values: tables whose cells may link, and pictures with what they show in words."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis.draw.style import DARK


@dataclass(frozen=True)
class Cell:
    """A cell of a table. `note`, such as an interval, is shown small below the text.

    `href` makes the text a link: to a part of the page, as `#models`, or to a file below the campaign's directory.
    """

    text: str
    href: str = ""
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is the row's head."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def text_columns(self) -> frozenset[int]:
        """The columns, counted from 0, that hold words and not numbers."""
        return frozenset(at for row in self.rows for at, cell in enumerate(row) if cell.text[:1].isalpha())

    def without_empty_columns(self) -> Table:
        """The same without the columns in which no row has anything."""
        kept = [at for at in range(len(self.heads)) if not self.rows or any(row[at].text for row in self.rows)]
        rows = tuple(tuple(row[at] for at in kept) for row in self.rows)
        return Table(self.caption, tuple(self.heads[at] for at in kept), rows)


@dataclass(frozen=True)
class Picture:
    """A figure. `summary` says what it shows, for readers who can't see it; `data` are the tables it was drawn from."""

    name: str
    """Of its files, without their ending."""
    source: str
    """Empty where nothing was drawn: title and summary then stand alone."""
    title: str
    summary: str
    data: tuple[Table, ...] = ()


def cells(*texts: str) -> tuple[Cell, ...]:
    """Cells of plain text."""
    return tuple(Cell(text) for text in texts)


def inlined(svg: Path) -> str:
    """A figure as a data URI, its colours changed where the page is dark; empty where there is no such file."""
    if not svg.is_file():
        return ""
    text = svg.read_text(encoding="utf-8")
    variables = {colour: f"--c{at}" for at, colour in enumerate(DARK)}
    for colour, name in variables.items():
        text = text.replace(colour, f"var({name})")
    style = f"<style>:root{{{_declared(variables, {c: c for c in DARK})}}}"
    style += f"@media (prefers-color-scheme: dark){{:root{{{_declared(variables, DARK)}}}}}</style>"
    text = text.replace("<defs>", f"<defs>{style}", 1)
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode("ascii")


def _declared(variables: Mapping[str, str], colours: Mapping[str, str]) -> str:
    return "".join(f"{name}:{colours[colour]};" for colour, name in variables.items())
