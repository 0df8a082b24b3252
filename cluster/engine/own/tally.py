"""What one worker counts of such user classes in the open phase, beside the recorder's own counts.

A user is in an iteration or it waits, so the integrals of both over a phase add up to N x T. As the recorder's, they
are sums over what has ended, with what is still open added at the phase's end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from hdrh.histogram import HdrHistogram

from cluster.engine.encoding import histogram, record_all, text
from study.formats.own_counts import (
    MOST_EXCEPTIONS,
    MOST_NAMES,
    MOST_TEXTS,
    OTHERS,
    ExceptionCount,
    NamedCounts,
    OwnCounts,
)

FOLD_AT = 10_000  # times of a name from which on they are put into its histogram, once a second
TEXT_LENGTH, TRACEBACK_LENGTH = 200, 4000


@dataclass(slots=True)
class NameTally:
    """The requests of one name; `answered` holds the times in s since the last `fold`."""

    outside: bool
    answered: list[float] = field(default_factory=list)
    timed_out: list[float] = field(default_factory=list)
    """How long those that timed out were waited for, in s."""
    successes: int = 0
    failed: int = 0
    bytes: int = 0
    response_s: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    response: HdrHistogram = field(default_factory=histogram)

    def fold(self) -> None:
        """Put the times into the histogram and the sums."""
        times = np.array(self.answered)
        self.answered.clear()
        self.successes += len(times)
        self.response_s += float(times.sum())
        record_all(self.response, times)

    def fail(self, why: str, waited_s: float | None = None) -> None:
        """Count a failure by its text; `waited_s` is how long a request that timed out was waited for."""
        self.failed += 1
        if waited_s is not None:
            self.timed_out.append(waited_s)
        why = why[:TEXT_LENGTH]
        self.failures[why if why in self.failures or len(self.failures) < MOST_TEXTS else OTHERS] += 1


@dataclass(slots=True)
class OwnTally:
    """The open phase's counts. Seconds."""

    by_name: bool
    """Whether requests are counted by name: in measure windows."""
    carried_iterating_s: float
    carried_waiting_s: float
    """Sums of what had passed of the open iterations and waits when the phase began."""
    iterations: list[float] = field(default_factory=list)
    """Times of the iterations that ended since the last `fold`."""
    iterations_ended: int = 0
    iteration_s: float = 0.0
    iteration: HdrHistogram = field(default_factory=histogram)
    waited_s: float = 0.0
    """Sum of the waits that ended."""
    broken_off_s: float = 0.0
    """Sum of the iterations that ended with their user."""
    names: dict[tuple[str, str], NameTally] = field(default_factory=dict)
    exceptions: dict[tuple[str, str], int] = field(default_factory=dict)

    def name(self, method: str, name: str, outside: bool) -> NameTally:
        """The tally of a name that comes for the first time; beyond MOST_NAMES, that of all others."""
        key = (str(method), str(name))
        if len(self.names) >= MOST_NAMES:
            key = ("", OTHERS)
        return self.names.setdefault(key, NameTally(outside))

    def raised(self, why: str, traceback: str) -> None:
        """Count an exception."""
        key = (why[:TEXT_LENGTH], traceback[-TRACEBACK_LENGTH:])
        if key not in self.exceptions and len(self.exceptions) >= MOST_EXCEPTIONS:
            key = (OTHERS, "")
        self.exceptions[key] = self.exceptions.get(key, 0) + 1

    def fold(self) -> None:
        """Put the iterations' times into the histogram and the sums, and those of names that have many."""
        times = np.array(self.iterations)
        self.iterations.clear()
        self.iterations_ended += len(times)
        self.iteration_s += float(times.sum())
        record_all(self.iteration, times)
        for named in self.names.values():
            if len(named.answered) >= FOLD_AT:
                named.fold()

    def counts(
        self, iterating_s: float, waiting_s: float, sent: int, received: int, received_s: float, exchanges: int
    ) -> OwnCounts:
        """The phase's counts at its end, with what has passed of open iterations and waits, and the clients'."""
        self.fold()
        return OwnCounts(
            iterations=self.iterations_ended,
            iteration_s=self.iteration_s,
            iteration_us=text(self.iteration),
            iterating_s=self.iteration_s + self.broken_off_s + iterating_s - self.carried_iterating_s,
            waiting_s=self.waited_s + waiting_s - self.carried_waiting_s,
            sent=sent,
            received=received,
            received_s=received_s,
            exchanges=exchanges,
            names=tuple(_named(method, name, tally) for (method, name), tally in self.names.items()),
            exceptions=tuple(
                ExceptionCount(text=why, traceback=where, count=count)
                for (why, where), count in self.exceptions.items()
            ),
        )


def _named(method: str, name: str, tally: NameTally) -> NamedCounts:
    tally.fold()
    timed_out = histogram()
    record_all(timed_out, np.array(tally.timed_out))
    return NamedCounts(
        method=method,
        name=name,
        outside=tally.outside,
        requests=tally.successes + tally.failed,
        failures=dict(tally.failures),
        bytes=tally.bytes,
        response_s=tally.response_s,
        response_us=text(tally.response),
        timed_out_us=text(timed_out),
    )
