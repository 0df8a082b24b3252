"""ledger.jsonl: what every worker counted, one JSON object a line. A header, then records as they come, then an end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from study.formats.json_files import FORMAT, made_by
from study.formats.own_counts import OwnCounts
from study.formats.units import Bytes, Cores, EncodedHistogram, Milliseconds, Seconds, Share, UnixTime


@dataclass(frozen=True, kw_only=True)
class LedgerHeader:
    """The first line."""

    record: Literal["header"] = "header"
    format: int = FORMAT
    made_by: str = field(default_factory=made_by)
    workers: tuple[str, ...] = ()
    """All workers that the run began with."""


@dataclass(frozen=True)
class Ticks:
    """About one sample a second; columns of equal length, each counted from the phase's beginning up to `at`."""

    at: tuple[Seconds, ...]
    """Since the phase's beginning; the last is the phase's end."""
    successes: tuple[float, ...]
    failures: tuple[float, ...]
    response_s: tuple[Seconds, ...]
    """Sum of the response times of the successes."""
    in_flight_s: tuple[Seconds, ...]
    """Integral of the requests in flight."""
    cpu_s: tuple[Seconds, ...]
    """CPU time of the worker's process."""


@dataclass(frozen=True, kw_only=True)
class PhaseRecord:
    """What one worker counted in one phase of one step."""

    record: Literal["phase"] = "phase"
    step: int
    """Counts from 1; 0 is the idle step."""
    kind: str
    """`idle`, `ladder` or `return`; of a search `trial` or `confirm`."""
    users: int
    """Of the whole step, over all workers."""
    phase: str
    """`ramp`, `settle`, `measure`; of a trial also `judge`, and `recover` where it failed; at the run's end `drain`."""
    worker: str
    started: UnixTime
    """By the worker's clock, to join samples by; no rate is computed from it."""
    seconds: Seconds
    """Length of the phase by the worker's monotonic clock."""
    attempts: int
    """Requests that ended in the phase: successes and all failures."""
    successes: int
    """Answered with the status and the body that the plan wants."""
    failures: Mapping[str, int]
    """Counts by kind: refused, reset, timed-out, bad-status, short-body, wrong-body, wrong-header, rejected,
    aborted, other.

    `rejected`: a whole answer that a locustfile's own check refused.
    """
    bytes: Bytes
    """Of bodies received."""
    response_us: EncodedHistogram
    """Response times of the successes."""
    failed_us: EncodedHistogram
    """Times of the failures."""
    lag_us: EncodedHistogram
    """Actual minus intended start of a request: after its think time, or without think time after the answer before."""
    loop_lag_us: EncodedHistogram
    """Lag of the event loop: a timer of 10 ms, actual minus intended."""
    draws: int
    """Think times that were drawn in the phase, those of length 0 included."""
    draws_s: Seconds
    """Their sum."""
    think_count: int
    """Think times that ended in the phase; those of length 0 are counted as turnarounds."""
    think_drawn_s: Seconds
    """Their sum as drawn."""
    think_passed_s: Seconds
    """Their sum as it passed."""
    in_flight_s: Seconds
    """Integral of the requests in flight over the phase."""
    in_flight_end: int
    """Requests in flight at the phase's end."""
    in_flight_age_us: EncodedHistogram
    """How long those have been in flight. The phase after this one begins with them at these ages."""
    users_wanted: int
    """Users that this worker was told to run, at the phase's end."""
    users_min: int
    """Fewest running users, sampled every 100 ms."""
    users_mean: float
    users_right: Share
    """Share of the samples in which the running users were the wanted ones."""
    fds_used: int
    """Descriptors at the phase's end."""
    fds_limit: int
    """The soft limit."""
    ticks: Ticks
    turnarounds: int = 0
    """Requests that followed an answer without a think time."""
    turnaround_s: Seconds = 0.0
    """Sum of the times from such an answer's arrival to the start of the request: neither response nor think time."""
    connects: int = 0
    """Successes for which the lean client established a connection over TLS."""
    connect_s: Seconds = 0.0
    """Sum of the times from their start to the end of their handshake, which are parts of response times."""
    read_late_s: Seconds = 0.0
    """Of answers that the kernel had received before the phase began, and that the worker read in it: the sum of the
    times from their receive stamps to the phase's beginning. The integral of the phase before has them too much, and
    that of this one too little."""
    wall_s: Seconds | None = None
    """Length of the phase by the worker's wall clock; None in older ledgers."""
    clock_step_s: Seconds | None = None
    """The largest change of the wall clock against the monotonic clock between two looks, ten a second; None in older
    ledgers. The kernel's receive stamps, which end the lean client's response times, are wall clock."""
    own: OwnCounts | None = None
    """Iterations and requests by name, of user classes from a locustfile of one's own; null with other clients."""


@dataclass(frozen=True, kw_only=True)
class LostRecord:
    """In place of a worker's record that didn't come within 10 s of its phase's end."""

    record: Literal["lost"] = "lost"
    step: int
    phase: str
    worker: str


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """What a search's trial came to by the master's own figures, while the run went on; the analysis judges again."""

    record: Literal["trial"] = "trial"
    step: int
    users: int
    long: bool
    """Measured twice as long, to confirm the load."""
    outcome: str
    """`passed`, `failed`, `generator` or `unclear`."""
    answers: int
    above: int
    """Times above the SLO's 99th percentile; those of requests still in flight, or timed out, included."""
    failures: int
    lag_p99_ms: Milliseconds
    """Of the worker with the largest."""
    worker_cpu_p95: Cores
    """Of the busiest worker."""
    users_right: Share
    """Of the worker with the least."""


@dataclass(frozen=True, kw_only=True)
class RecoveryRecord:
    """After a failed trial: the wait, with few users, for the response time of an idle server."""

    record: Literal["recovery"] = "recovery"
    step: int
    """The trial's."""
    users: int
    seconds: Seconds
    response_s: Seconds | None
    """Mean response time in the last second; null where nothing was answered."""
    recovered: bool
    """Whether that is an idle server's again; if not, the next trial began with a backlog."""
    fresh_server: bool = False
    """Whether a fresh server was started, since this one was not back in time."""


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """How the search of a run ended, by the master's own outcomes."""

    record: Literal["search"] = "search"
    low: int | None
    """The most users that passed; null where none did."""
    high: int | None
    """The fewest that failed; null where none did: the capacity is then at least `low`."""
    ended: str
    """`slo`, `most` (the plan's), `generator` or `unclear`."""
    confirmed: bool
    """Whether a trial twice as long passed at `low`."""


@dataclass(frozen=True, kw_only=True)
class EndRecord:
    """The last line: all steps were run."""

    record: Literal["end"] = "end"


LedgerLine = LedgerHeader | PhaseRecord | LostRecord | TrialRecord | RecoveryRecord | SearchRecord | EndRecord


def ledger_line(record: LedgerLine) -> str:
    """One record as a line of the file, its end included."""
    return json.dumps(asdict(record), separators=(",", ":")) + "\n"
