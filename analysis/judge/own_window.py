"""What a measure window has in addition with a locustfile of one's own: iterations, and requests by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.read import histograms
from analysis.read.histograms import EMPTY, Histogram, merge
from analysis.read.ledger import Record
from study.errors import FormatError


@dataclass(frozen=True)
class NamedRequests:
    """The requests of one name, all workers together."""

    method: str
    name: str
    outside: bool
    """Reported by the locustfile itself, and sent by none of Locust's HTTP clients."""
    requests: int
    rate: float
    """Per second."""
    failures: Mapping[str, int]
    """Counts by text."""
    bytes: int
    response_s: float
    """Exact sum of the successes' times."""
    response: Histogram
    timed_out: Histogram | None = EMPTY
    """How long those that timed out were waited for; None in older ledgers, which don't have it."""

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(self.failures.values())

    @property
    def mean_s(self) -> float | None:
        """Mean time of the successes; None where there are none."""
        successes = self.requests - self.failed
        return self.response_s / successes if successes else None


@dataclass(frozen=True)
class OwnWindow:
    """Every user is in an iteration, from its start or the end of a wait until it waits again, or it waits."""

    iterations: int
    iteration_s: float
    """Sum of the times of those that ended."""
    iterating: float
    """Mean number of users in an iteration."""
    waiting: float
    """Mean number of users who wait."""
    sent: int
    """Requests that began in Locust's HTTP clients."""
    received: int
    """And those that ended, reported or not."""
    received_s: float
    """Sum of their times."""
    names: tuple[NamedRequests, ...]
    exceptions: tuple[tuple[str, str, int], ...]
    """Text, traceback and count of what user classes raised, the most frequent first.

    Since the step's ramp: a user that its `on_start` ends is gone before the window begins.
    """

    @property
    def raised(self) -> int:
        """How many exceptions user classes raised."""
        return sum(count for *_, count in self.exceptions)


def own_part(records: Sequence[Record], before: Sequence[Record] = ()) -> OwnWindow | None:
    """The records of one window added up; None with the study's own clients. Raises FormatError for a damaged one.

    `before` are those of the step's phases before the window.
    """
    parts = [(record.own, record.seconds) for record in records if record.own is not None]
    if not parts:
        return None
    raised: Counter[tuple[str, str]] = Counter()
    for record in (*before, *records):
        for each in record.own.exceptions if record.own is not None else ():
            raised[each.text, each.traceback] += each.count
    return OwnWindow(
        iterations=sum(own.iterations for own, _ in parts),
        iteration_s=sum(own.iteration_s for own, _ in parts),
        iterating=sum(own.iterating_s / seconds for own, seconds in parts),
        waiting=sum(own.waiting_s / seconds for own, seconds in parts),
        sent=sum(own.sent for own, _ in parts),
        received=sum(own.received for own, _ in parts),
        received_s=sum(own.received_s for own, _ in parts),
        names=_names(records),
        exceptions=tuple((*key, count) for key, count in raised.most_common()),
    )


def _names(records: Sequence[Record]) -> tuple[NamedRequests, ...]:
    """By name and method, in alphabetical order."""
    keys = sorted({(each.name, each.method) for record in records if record.own for each in record.own.names})
    return tuple(_one_name(records, name, method) for name, method in keys)


def _one_name(records: Sequence[Record], name: str, method: str) -> NamedRequests:
    parts = [
        (each, record)
        for record in records
        if record.own is not None
        for each in record.own.names
        if (each.name, each.method) == (name, method)
    ]
    failures: Counter[str] = Counter()
    for each, _ in parts:
        failures.update(each.failures)
    waits = [each.timed_out_us for each, _ in parts if each.timed_out_us is not None]
    try:
        response = merge(histograms.decode(each.response_us) for each, _ in parts)
        timed_out = merge(map(histograms.decode, waits))
    except histograms.HistogramError as error:
        raise FormatError(f"times of {method} {name}: {error}") from None
    return NamedRequests(
        method=method,
        name=name,
        outside=any(each.outside for each, _ in parts),
        requests=sum(each.requests for each, _ in parts),
        rate=sum(each.requests / record.seconds for each, record in parts),
        failures=dict(failures.most_common()),
        bytes=sum(each.bytes for each, _ in parts),
        response_s=sum(each.response_s for each, _ in parts),
        response=response,
        timed_out=timed_out if len(waits) == len(parts) else None,
    )
