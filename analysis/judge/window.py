"""One step's measure window as plain frozen values, from which the checks and steps.csv are made.

Counts are taken over each worker's own phase length and then added; histograms are added bin by bin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.judge.own_window import OwnWindow, own_part
from analysis.judge.watched import QueueLooks, queue_looks
from analysis.read.background_rows import BackgroundClients, BackgroundWindow
from analysis.read.histograms import EMPTY, Histogram, merge
from analysis.read.ledger import Ledger, Record
from analysis.read.samples import Generator, Samples, Target, generator_of, target_of
from analysis.read.seconds import Second, joined, pooled
from study.formats.ledger_jsonl import Ticks
from study.plan import Step
from study.trial import TIMED_OUT

NOT_WATCHED = Generator()


@dataclass(frozen=True)
class Worker:
    """What one worker counted in the window."""

    name: str
    attempts: int
    users_wanted: int
    users_right: float
    users_min: int
    users_mean: float
    lag_p99_ms: float | None
    loop_lag_p99_ms: float | None
    cpu_p95: float | None
    """Cores, the 95th percentile of the window's seconds."""
    fds_used: int
    fds_limit: int
    seconds: float | None = None
    """Length of the window by its monotonic clock."""
    wall_s: float | None = None
    """The same by its wall clock; None in older ledgers."""
    clock_step_s: float | None = None
    """The largest change of the wall clock against the monotonic one between two looks; None in older ledgers."""
    run_s: float | None = None
    """Monotonic length of the run's phases up to the window's end; None where the workers don't have the same ones."""


@dataclass(frozen=True)
class Window:
    """A step's measure window. Rates per second, times as named."""

    step: Step
    workers: tuple[Worker, ...]
    missing: tuple[str, ...]
    """Workers whose record didn't come."""
    seconds: float
    """Mean length of the window over the workers."""
    attempts: int
    successes: int
    failures: Mapping[str, int]
    bytes: int
    goodput: float
    """Successes per second."""
    throughput: float
    """X of the laws: attempts that ended, per second; a failed request ends a user's cycle too."""
    response: Histogram
    """Times of the successes."""
    response_s: float
    """Their exact sum."""
    failed_s: float
    """Sum of the failures' times."""
    in_flight: float
    """L of Little's law: mean number of requests in flight."""
    in_flight_end: int
    ages: Histogram
    """Ages of those in flight at the window's end."""
    draws: int
    draws_s: float
    think_count: int
    think_drawn_s: float
    think_passed_s: float
    ticks: tuple[Second, ...]
    timed_out: Histogram = EMPTY
    """How long those that timed out were waited for: their answers would have taken at least so long."""
    target: Target | None = None
    generator: Generator = NOT_WATCHED
    background: tuple[BackgroundWindow, ...] = ()
    """The background clients, by kind."""
    wait_s: float = 0.0
    """How long the plan makes each request wait in the server."""
    turnarounds: int = 0
    """Requests that followed an answer without a think time."""
    turnaround_s: float = 0.0
    """Sum of the times from such an answer to the request."""
    connects: int = 0
    """Connections established over TLS."""
    connect_s: float = 0.0
    """Sum of the times that took."""
    ages_start: Histogram | None = None
    """Ages of the requests in flight at the window's beginning; None where a record of the phase before is missing."""
    read_late_s: tuple[float, float] = (0.0, 0.0)
    """By how much the ages at the beginning and at the end are too large: answers that had come and weren't read."""
    slots: int | None = None
    """How many requests the server says that it serves at once; None where it has no fixed number."""
    kernel_stamps: bool = False
    """The response times end at the kernel's receive stamp, so that a late event loop doesn't lengthen them."""
    queue: QueueLooks | None = None
    """The accept queue as a mean over time."""
    own: OwnWindow | None = None
    """Iterations and requests by name, with a locustfile of one's own."""

    @property
    def thinking(self) -> float:
        """Mean number of users who think."""
        return self.think_passed_s / self.seconds

    @property
    def turning(self) -> float:
        """Mean number of users between an answer and the next request where the plan has no think time."""
        return self.turnaround_s / self.seconds

    @property
    def started(self) -> int:
        """Requests that began in the window: each follows a think time, or an answer where there is none.

        Those of a locustfile of one's own are counted as they begin.
        """
        return self.own.sent if self.own is not None else self.think_count + self.turnarounds

    @property
    def ended(self) -> int:
        """Requests that ended in the window, whether a locustfile of one's own reported them or not."""
        return self.own.received if self.own is not None else self.attempts

    @property
    def ended_s(self) -> float:
        """Sum of their times."""
        return self.own.received_s if self.own is not None else self.response_s + self.failed_s

    @property
    def cycles(self) -> int:
        """How often a user's cycle ended: a request with its think time, or an iteration with its wait."""
        return self.own.iterations if self.own is not None else self.attempts

    @property
    def late_s(self) -> float:
        """Mean time by which a user's cycle is longer for the generator: waking late, and turning around."""
        late = self.think_passed_s - self.think_drawn_s + self.turnaround_s
        cycles = self.attempts if self.own is not None else self.started
        return max(0.0, late) / cycles if cycles else 0.0

    @property
    def drawn_s(self) -> float | None:
        """Mean think time as drawn, of a cycle; None where none was drawn."""
        if self.own is not None:
            return None if self.think_s is None else max(0.0, self.think_s - self.late_s)
        return self.draws_s / self.draws if self.draws else None

    @property
    def clock_step_s(self) -> float | None:
        """The largest step of a worker's wall clock; None in older ledgers."""
        steps = [worker.clock_step_s for worker in self.workers if worker.clock_step_s is not None]
        return max(steps, default=None)

    @property
    def failed(self) -> int:
        """Attempts that failed."""
        return self.attempts - self.successes

    @property
    def failed_share(self) -> float:
        """Failed attempts over all attempts."""
        return self.failed / self.attempts if self.attempts else 0.0

    @property
    def mean_ms(self) -> float | None:
        """Mean response time of the successes, from the exact sum."""
        return 1000 * self.response_s / self.successes if self.successes else None

    @property
    def cycle_response_s(self) -> float | None:
        """R of the laws: mean time of all attempts, failed ones included."""
        return (self.response_s + self.failed_s) / self.attempts if self.attempts else None

    @property
    def think_s(self) -> float | None:
        """Z of the laws: mean think time that really passed, or without think time the mean turnaround.

        With a locustfile of one's own, a request's share of the time in which its user has none in flight: its waits,
        and what its tasks do between requests.
        """
        if self.own is not None:
            return max(0.0, self.step.users - self.in_flight) / self.throughput if self.throughput else None
        if self.think_count:
            return self.think_passed_s / self.think_count
        return self.mean_turnaround_s

    @property
    def mean_turnaround_s(self) -> float | None:
        """G: the client's own time between an answer and the next request where the plan has no think time."""
        return self.turnaround_s / self.turnarounds if self.turnarounds else None


def window_of(
    ledger: Ledger,
    step: Step,
    samples: Samples,
    background: BackgroundClients | None = None,
    wait_s: float = 0.0,
    slots: int | None = None,
    stamps: bool = False,
) -> Window | None:
    """The measure window of a step; None where no worker sent a record of it.

    `stamps`: the plan's client takes the kernel's receive stamps. In older ledgers, which lack the wall clock, it
    didn't yet.
    """
    records = ledger.phase(step.number, "measure")
    if not records:
        return None
    failures: Counter[str] = Counter()
    for record in records:
        failures.update(record.failures)
    failed = merge(record.histogram("failed_us") for record in records)
    ticks = [joined(record.ticks) for record in records]
    start = max(record.started for record in records)
    end = min(record.started + record.seconds for record in records)
    rows = samples.window(start, end)
    so_far, read_late = _so_far(ledger, records), [_read_late(ledger, record) for record in records]
    return Window(
        step=step,
        workers=tuple(
            _worker(record, tick, so_far.get(record.worker)) for record, tick in zip(records, ticks, strict=True)
        ),
        missing=ledger.missing(step.number, "measure"),
        seconds=sum(record.seconds for record in records) / len(records),
        attempts=sum(record.attempts for record in records),
        successes=sum(record.successes for record in records),
        failures=dict(failures),
        bytes=sum(record.bytes for record in records),
        goodput=sum(record.successes / record.seconds for record in records),
        throughput=sum(record.attempts / record.seconds for record in records),
        response=merge(record.histogram("response_us") for record in records),
        response_s=sum(_response_sum(record) for record in records),
        failed_s=failed.sum_s,
        timed_out=failed.longest(failures[TIMED_OUT]),  # a client waits for none longer than for these
        in_flight=sum(
            (record.in_flight_s + here - after) / record.seconds
            for record, (here, after) in zip(records, read_late, strict=True)
        ),
        read_late_s=(sum(here for here, _ in read_late), sum(after for _, after in read_late)),
        in_flight_end=sum(record.in_flight_end for record in records),
        ages=merge(record.histogram("in_flight_age_us") for record in records),
        draws=sum(record.draws for record in records),
        draws_s=sum(record.draws_s for record in records),
        think_count=sum(record.think_count for record in records),
        think_drawn_s=sum(record.think_drawn_s for record in records),
        think_passed_s=sum(record.think_passed_s for record in records),
        turnarounds=sum(record.turnarounds for record in records),
        turnaround_s=sum(record.turnaround_s for record in records),
        connects=sum(record.connects for record in records),
        connect_s=sum(record.connect_s for record in records),
        ages_start=_ages_start(ledger, step, records),
        ticks=pooled(ticks),
        target=target_of(samples, start, end),
        generator=generator_of(rows),
        wait_s=wait_s,
        background=background.window(start, end) if background is not None else (),
        slots=slots,
        kernel_stamps=stamps and all(record.wall_s is not None for record in records),
        queue=queue_looks(rows),
        own=own_part(records, [*ledger.phase(step.number, "ramp"), *ledger.phase(step.number, "settle")]),
    )


def _ages_start(ledger: Ledger, step: Step, records: Sequence[Record]) -> Histogram | None:
    """The ages at the end of the phase before, which is the instant at which the measure phase begins."""
    before = {record.worker: record for record in ledger.phase(step.number, "settle")}
    if any(record.worker not in before for record in records):
        return None
    return merge(before[record.worker].histogram("in_flight_age_us") for record in records)


def _read_late(ledger: Ledger, record: Record) -> tuple[float, float]:
    """Seconds by which answers that were read late lengthen the phase before a record's, and the record's own.

    Both are known only afterwards: in the phase in which the answers were read.
    """
    mine = [each for each in ledger.records if each.worker == record.worker]
    after = mine[mine.index(record) + 1 :]
    return record.read_late_s, after[0].read_late_s if after else 0.0


def _so_far(ledger: Ledger, records: Sequence[Record]) -> dict[str, float]:
    """Seconds from each worker's first phase to the end of its record here: a phase begins as the one before ends.

    Empty where the workers don't have the same phases.
    """
    lengths: dict[str, float] = {}
    phases = set()
    for record in records:
        mine = {(each.step, each.phase): each.seconds for each in ledger.records if each.worker == record.worker}
        until = list(mine).index((record.step, record.phase)) + 1
        phases.add(tuple(mine)[:until])
        lengths[record.worker] = sum(list(mine.values())[:until])
    return lengths if len(phases) == 1 else {}


def _response_sum(record: Record) -> float:
    """The exact sum where the ticks carry it, else the histogram's."""
    return record.ticks.response_s[-1] if record.ticks.at else record.histogram("response_us").sum_s


def _worker(record: Record, ticks: Ticks, run_s: float | None) -> Worker:
    spent, took = np.diff(ticks.cpu_s, prepend=0.0), np.diff(ticks.at, prepend=0.0)
    return Worker(
        name=record.worker,
        seconds=record.seconds,
        wall_s=record.wall_s,
        clock_step_s=record.clock_step_s,
        run_s=run_s,
        attempts=record.attempts,
        users_wanted=record.users_wanted,
        users_right=record.users_right,
        users_min=record.users_min,
        users_mean=record.users_mean,
        lag_p99_ms=record.histogram("lag_us").quantile_ms(0.99),
        loop_lag_p99_ms=record.histogram("loop_lag_us").quantile_ms(0.99),
        cpu_p95=float(np.quantile(spent / took, 0.95)) if len(took) else None,
        fds_used=record.fds_used,
        fds_limit=record.fds_limit,
    )
