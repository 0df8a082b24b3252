"""The server's own counts, exact in every model: rows of integers in memory that forked children share.

Each process writes only its own row, under a lock shared by its own threads, so that a killed process leaves no lock
held. The parent lends a row to each child that it forks, and adds the row to its own once the child has ended. The
peak of several accepting processes is the sum of their own peaks, which may have been reached at different times.

A connection is counted once when it is accepted and once when it ends. With one request per connection,
accepted = answered + refused + timed_out + dropped + aborted.
"""

from __future__ import annotations

import _thread  # not threading: its after-fork hook dirties 80 copy-on-write pages in every child
import errno
import mmap
from enum import IntEnum

from servers.core.http import REASONS


class Ending(IntEnum):
    """How a connection ended while an answer was due."""

    REFUSED = 0  # answered 503: a limit of the model was reached
    TIMED_OUT = 1  # no whole head within the timeout, or the answer not read within it
    DROPPED = 2  # the client closed before its answer was sent
    ABORTED = 3  # the server stopped, or the process that served it ended


_STATUS_AT = {status: place for place, status in enumerate(REASONS, start=len(Ending))}
_ACCEPTED = len(Ending) + len(REASONS)
_OPEN = _ACCEPTED + 1
_PEAK = _OPEN + 1
_WIDTH = 16
_ROWS = 32768


class Counts:
    """The counters of this process and its children.

    Signal handlers may read them but must not change them: the interrupted code may hold the lock.
    """

    def __init__(self) -> None:
        self._table = memoryview(mmap.mmap(-1, 8 * _WIDTH * _ROWS)).cast("q")
        self._lent: set[int] = set()
        self._free: list[int] = []
        self.use_row(0)

    def opened(self) -> None:
        """Count an accepted connection."""
        with self._lock:
            row = self._row
            row[_ACCEPTED] += 1
            row[_OPEN] = now = row[_OPEN] + 1
            if now > row[_PEAK]:
                row[_PEAK] = now

    def answered(self, status: int) -> None:
        """Count an answer that was sent whole."""
        place = _STATUS_AT[status]
        with self._lock:
            self._row[place] += 1

    def closed(self, ending: Ending | None = None) -> None:
        """Count the end of a connection; `ending` is None where no answer was due."""
        with self._lock:
            self._row[_OPEN] -= 1
            if ending is not None:
                self._row[ending] += 1

    def finished(self, status: int) -> None:
        """Count the last answer of a connection and its end: `answered` and `closed` under one lock."""
        place = _STATUS_AT[status]
        with self._lock:
            row = self._row
            row[place] += 1
            row[_OPEN] -= 1

    def lend_row(self) -> int:
        """In the parent, before a fork: reserve a row for the child. Raises OSError (EAGAIN) where none is left."""
        number = self._free.pop() if self._free else len(self._lent) + 1
        if number >= _ROWS:
            raise OSError(errno.EAGAIN, "no counter row left")
        self._lent.add(number)
        return number

    def use_row(self, number: int) -> None:
        """In the child, after the fork: write to this row from now on."""
        self._row = self._table[number * _WIDTH : (number + 1) * _WIDTH]
        self._lock = _thread.allocate_lock()

    def merge_open(self, number: int) -> None:
        """In the parent, while a child is idle: add the child's balance of open connections to our own.

        The parent counted those connections as opened and the child as ended; without this, open connections and the
        peak would be too high until the child ends.
        """
        at = number * _WIDTH + _OPEN
        if ended := self._table[at]:
            self._table[at] = 0
            with self._lock:
                self._row[_OPEN] += ended

    def return_row(self, number: int, assigned: int = 0) -> None:
        """In the parent, after a child has ended: add its row to our own and free it.

        `assigned` connections were given to the child and not merged. Those that it didn't end, and those that it
        accepted itself and didn't end, count as aborted.
        """
        lent = self._table[number * _WIDTH : (number + 1) * _WIDTH]
        left = max(assigned + lent[_OPEN], 0)
        lent[Ending.ABORTED] += left
        lent[_OPEN] -= left
        with self._lock:
            for place, value in enumerate(lent):
                self._row[place] += value
                lent[place] = 0
        self._lent.discard(number)
        self._free.append(number)

    @property
    def open(self) -> int:
        """Connections open now, in this process and its children."""
        return self._totals()[_OPEN]

    def report(self) -> dict[str, object]:
        """The final line. Connections that are still open count as aborted: the process is about to end."""
        values = self._totals()
        statuses = {str(status): values[place] for status, place in _STATUS_AT.items() if values[place]}
        return {
            "accepted": values[_ACCEPTED],
            "answered": sum(statuses.values()),
            "refused": values[Ending.REFUSED],
            "timed_out": values[Ending.TIMED_OUT],
            "dropped": values[Ending.DROPPED],
            "aborted": values[Ending.ABORTED] + values[_OPEN],
            "statuses": statuses,
            "peak_connections": values[_PEAK],
        }

    def _totals(self) -> list[int]:
        totals = self._row.tolist()
        for number in tuple(self._lent):
            lent = self._table[number * _WIDTH : (number + 1) * _WIDTH].tolist()
            totals = [total + value for total, value in zip(totals, lent, strict=True)]
        return totals
