"""requests.csv: a row for each block, model, step and name of a request, with a locustfile of one's own."""

from __future__ import annotations

from dataclasses import dataclass

from study.formats.units import Milliseconds, PerSecond


@dataclass(frozen=True, kw_only=True)
class RequestRow:
    """One name in one measure window, all workers together. Percentiles follow the rules of steps.csv."""

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
    """Of the successes, as all times here."""
    p50_ms: Milliseconds | None
    p90_ms: Milliseconds | None
    p95_ms: Milliseconds | None
    p99_ms: Milliseconds | None
    max_ms: Milliseconds | None
    outside: str
    """`yes` where the locustfile itself reported the request, which is then in no other figure of the step."""
    failure_texts: str
    """Each failure's text with its count, the most frequent first."""
