"""What the server counts, exact in every design: rows of integers in memory that forked children share.

Each process writes its own row alone, under a lock of its own threads, so that one that is killed leaves
nothing locked. A parent lends a row to each child that it forks, and adds it to its own once the child
has ended. The peak of several processes that accept is the sum of their own peaks, which may have come
at different times.

A connection is counted once when it is accepted and once when it ends. With a connection for each request
accepted = answered + refused + timed_out + dropped + aborted.
"""

from __future__ import annotations

import _thread  # where `threading` is loaded too, each forked child puts it in order: 80 pages to copy
import errno
import mmap
from enum import IntEnum

from servers.core.http import REASONS


class Ending(IntEnum):
    """How a connection ended without an answer to what it was waiting for."""

    REFUSED = 0  # turned away unserved by a limit of the model
    TIMED_OUT = 1  # sent no whole head in time, or didn't take its answer in time
    DROPPED = 2  # the client went away before its answer
    ABORTED = 3  # our own stopping ended it


_STATUS_AT = {status: place for place, status in enumerate(REASONS, start=len(Ending))}
_ACCEPTED = len(Ending) + len(REASONS)
_OPEN = _ACCEPTED + 1
_PEAK = _OPEN + 1
_WIDTH = 16
_ROWS = 32768


class Counts:
    """Signal handlers may read them, and must not change them: they may have interrupted the holder of the lock."""

    def __init__(self) -> None:
        self._table = memoryview(mmap.mmap(-1, 8 * _WIDTH * _ROWS)).cast("q")
        self._lent: set[int] = set()
        self._free: list[int] = []
        self.use(0)

    def opened(self) -> None:
        """A connection was accepted."""
        with self._lock:
            row = self._row
            row[_ACCEPTED] += 1
            row[_OPEN] = now = row[_OPEN] + 1
            if now > row[_PEAK]:
                row[_PEAK] = now

    def answered(self, status: int) -> None:
        """An answer was sent whole."""
        place = _STATUS_AT[status]
        with self._lock:
            self._row[place] += 1

    def closed(self, ending: Ending | None = None) -> None:
        """A connection ended; without an ending, it had its answers."""
        with self._lock:
            self._row[_OPEN] -= 1
            if ending is not None:
                self._row[ending] += 1

    def finished(self, status: int) -> None:
        """The last answer was sent and the connection closed: both of the above at once."""
        place = _STATUS_AT[status]
        with self._lock:
            row = self._row
            row[place] += 1
            row[_OPEN] -= 1

    def lend(self) -> int:
        """In the parent, before a fork: a row for the child."""
        number = self._free.pop() if self._free else len(self._lent) + 1
        if number >= _ROWS:
            raise OSError(errno.EAGAIN, "no row left to count in")
        self._lent.add(number)
        return number

    def use(self, number: int) -> None:
        """In the child, after the fork: write to this row from now on."""
        self._row = self._table[number * _WIDTH : (number + 1) * _WIDTH]
        self._lock = _thread.allocate_lock()

    def settle(self, number: int) -> None:
        """In the parent, while a child has nothing in hand: what it ended is open no more, as our peak has to know."""
        at = number * _WIDTH + _OPEN
        if ended := self._table[at]:
            self._table[at] = 0
            with self._lock:
                self._row[_OPEN] += ended

    def take_back(self, number: int, owed: int = 0) -> None:
        """In the parent, after the child has ended: add its row to our own, and lend it again.

        `owed` connections were given to the child and not settled. Those that it didn't end, and those that it
        accepted itself and didn't end, were aborted by its own end.
        """
        lent = self._table[number * _WIDTH : (number + 1) * _WIDTH]
        left = max(owed + lent[_OPEN], 0)
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
        """Connections that are open now, in this process and in the children."""
        return self._totals()[_OPEN]

    def report(self) -> dict[str, object]:
        """The final line. What is still open is about to be cut off."""
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
            totals = [mine + theirs for mine, theirs in zip(totals, lent, strict=True)]
        return totals
