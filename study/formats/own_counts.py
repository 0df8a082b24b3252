"""What is counted of user classes that come from a locustfile of one's own: part of a phase record, and requests.csv.

Their requests are in the phase record itself, as the other clients' are; here are the users' iterations, the requests
by name, and what went wrong by its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from study.formats.units import Bytes, EncodedHistogram, Milliseconds, PerSecond, Seconds

MOST_NAMES, MOST_TEXTS, MOST_EXCEPTIONS = 200, 20, 20
"""Names of requests, texts of failures of a name, and exceptions of a phase that a worker tells apart."""
OTHERS = "(others)"
"""Stands for what comes after the most that are told apart."""


@dataclass(frozen=True, kw_only=True)
class NamedCounts:
    """The requests of one name in a measure window."""

    method: str
    """Locust's type of the request: the HTTP method, or what the locustfile itself reported."""
    name: str
    outside: bool
    """Reported by the locustfile itself, and sent by none of Locust's HTTP clients: not among the phase's attempts."""
    requests: int
    failures: Mapping[str, int]
    """Counts by the text that Locust gives the failure."""
    bytes: Bytes
    response_s: Seconds
    """Sum of the response times of the successes."""
    response_us: EncodedHistogram
    """Response times of the successes."""
    timed_out_us: EncodedHistogram | None = None
    """How long those that timed out were waited for. None in older ledgers."""


@dataclass(frozen=True, kw_only=True)
class ExceptionCount:
    """Exceptions of one kind that a task, `on_start` or `on_stop` raised."""

    text: str
    traceback: str
    count: int


@dataclass(frozen=True, kw_only=True)
class OwnCounts:
    """A user is either in an iteration, from its start or the end of a wait until it waits again, or it waits."""

    iterations: int
    """Iterations that ended in the phase."""
    iteration_s: Seconds
    """Sum of their times."""
    iteration_us: EncodedHistogram
    iterating_s: Seconds
    """Integral over the phase of the users in an iteration."""
    waiting_s: Seconds
    """Integral over the phase of the users who wait."""
    sent: int
    """Requests that began in Locust's HTTP clients."""
    received: int
    """Requests of these clients that ended, whether the locustfile reported them or not."""
    received_s: Seconds
    """Sum of their times."""
    exchanges: int
    """HTTP requests that these clients sent: more than `sent` where they followed redirects."""
    names: tuple[NamedCounts, ...]
    """Of a measure window; empty in all other phases."""
    exceptions: tuple[ExceptionCount, ...]


@dataclass(frozen=True, kw_only=True)
class RequestRow:
    """A row of requests.csv: one name in one measure window, all workers together. Percentiles as in steps.csv."""

    block: int
    model: str
    step: int
    users: int
    """Of the step."""
    verdict: str
    """Of the step."""
    method: str
    """As Locust was told: the HTTP method, or the type that the locustfile itself reported."""
    name: str
    requests: int
    """Of this name that ended in the window, failures included."""
    failures: int
    rps: PerSecond
    """Successes per second."""
    mean_ms: Milliseconds | None
    """Of the successes, as `max_ms`."""
    p50_ms: Milliseconds | None
    p90_ms: Milliseconds | None
    p95_ms: Milliseconds | None
    p99_ms: Milliseconds | None
    max_ms: Milliseconds | None
    outside: str
    """`yes` where the locustfile itself reported the request, which is then in no other figure of the step."""
    failure_texts: str
    """Each failure's text with its count, the most frequent first."""
    at_least: str
    """Names of the percentiles that are lower bounds: the time of requests that timed out."""
    times_bound: str
    """`<=` where the times are upper bounds, as in steps.csv."""
