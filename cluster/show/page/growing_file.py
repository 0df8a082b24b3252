"""A file that another program appends to, read on from where the last look ended."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterator
from pathlib import Path

MOST_AT_ONCE = 2**24  # bytes read in one look; the next one goes on


class GrowingFile:
    """Lines of a file as they come; a line counts once its end is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def is_another(self) -> bool:
        """Whether the file is shorter than what was read: another one has its name now."""
        try:
            return self.path.stat().st_size < self._offset
        except OSError:
            return self._offset > 0

    def new_lines(self) -> list[str]:
        """The lines since the last call; none where there is no regular file."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return []
        with open(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return []
            if status.st_size <= self._offset:
                return []
            stream.seek(self._offset)
            whole, newline, _ = stream.read(MOST_AT_ONCE).rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        return whole.decode("utf-8", "replace").splitlines() if newline else []


class GrowingTable(GrowingFile):
    """A CSV file that grows by rows; its first line names the columns."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._columns: list[str] = []

    def new_rows(self) -> Iterator[dict[str, str]]:
        """The rows since the last call, by column. A row that isn't as long as the first line is passed over."""
        for cells in csv.reader(self.new_lines()):
            if not self._columns:
                self._columns = cells
            elif len(cells) == len(self._columns) and cells != self._columns:
                yield dict(zip(self._columns, cells, strict=True))


def number(cell: str) -> float | None:
    """A cell as a number; None where it has none."""
    try:
        return float(cell)
    except ValueError:
        return None
