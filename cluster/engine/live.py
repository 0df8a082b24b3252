"""The running figures of a run, from the workers' own seconds: Locust's rate is a mean over ten seconds that lags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.engine.encoding import Bins, quantile_s
from study.formats.ledger_jsonl import PhaseRecord
from study.reading import parse_as

FRESH_S = 3.0  # age up to which a worker's last second counts: the next one is overdue
LEAST_S = 0.5  # a shorter end of a phase gives no rate
ABORTED = "aborted"  # the kind of failure of a request whose user was ended, which only the ladder does


@dataclass(frozen=True)
class SecondCounts:
    """What a worker counted in about one second of a phase; it sends one at the end of each."""

    worker: str
    step: int
    phase: str
    seconds: float
    """Length of that second."""
    requests: int
    """Requests that ended in it, without aborted ones."""
    requests_so_far: int
    """The same since the phase's beginning."""
    failures_so_far: int
    answers: int = 0
    """Successes in that second."""
    response_s: float = 0.0
    """Sum of their response times."""
    response: Bins = ()
    """Their response times."""
    lag: Bins = ()
    """How late requests started in that second, as in the ledger."""
    cpu_cores: float | None = None
    """CPU time of the worker's process over `seconds`."""


def _last_second(record: PhaseRecord) -> SecondCounts | None:
    """The second with which the phase ended; None of a phase that was shorter than LEAST_S."""
    at = record.ticks.at
    if not at or at[-1] - (before := (0.0, *at)[-2]) < LEAST_S:
        return None
    so_far = [int(good + bad) for good, bad in zip(record.ticks.successes, record.ticks.failures, strict=True)]
    requests = so_far[-1] - [0, *so_far][-2]
    failures = int(record.ticks.failures[-1])
    return SecondCounts(record.worker, record.step, record.phase, at[-1] - before, requests, so_far[-1], failures)


def aborted(failures: Mapping[str, int]) -> int:
    """How many requests failed because the ladder ended their users."""
    return failures.get(ABORTED, 0)


@dataclass
class RunningFigures:
    """The master's sums over the workers. A phase that has ended counts by its records, the open one by its seconds.

    The last second of a phase, which ends with the phase, is in the record and in no message of its own.
    """

    clock: Callable[[], float]
    """A monotonic clock in s."""
    _where: tuple[int, str] | None = None
    _seconds: dict[str, tuple[float, SecondCounts]] = field(default_factory=dict)
    """Each worker's last second, with the time at which it came."""
    _told: dict[str, tuple[float, SecondCounts]] = field(default_factory=dict)
    """The same of the whole seconds alone: the end of a phase has no times and no CPU of its own."""
    _ended: dict[tuple[int, str, str], tuple[int, int]] = field(default_factory=dict)
    """Requests and failures by step, phase and worker, of records or of last seconds."""

    def entered(self, step: int, phase: str) -> None:
        """A phase begins. Until each worker's first second of it is over, the last one before stands for it."""
        self._where = (step, phase)

    def second(self, message: Mapping[str, Any]) -> None:
        """A worker's second. Raises FormatError for anything else."""
        counts = parse_as(SecondCounts, message, "a worker's message")
        key = (counts.step, counts.phase, counts.worker)
        if (counts.step, counts.phase) != self._where:
            return  # sent before the worker heard of this phase: its record has it
        self._seconds[counts.worker] = self._told[counts.worker] = (self.clock(), counts)
        self._ended[key] = (counts.requests_so_far, counts.failures_so_far)

    def record(self, record: PhaseRecord) -> None:
        """A worker's record of a phase that has ended."""
        left_out = aborted(record.failures)
        failures = record.attempts - record.successes - left_out
        self._ended[record.step, record.phase, record.worker] = (record.attempts - left_out, failures)
        if not left_out and (last := _last_second(record)) is not None:
            _, known = self._seconds.get(record.worker, (0.0, None))
            if known is None or (known.step, known.phase) != self._where:
                self._seconds[record.worker] = (self.clock(), last)

    @property
    def rate(self) -> float | None:
        """Requests per second in the workers' last second, failures included; None before any worker has had one.

        A worker whose next second is overdue doesn't count.
        """
        fresh = self._fresh(self._seconds)
        return sum(counts.requests / counts.seconds for counts in fresh) if fresh else None

    def response_ms(self, share: float) -> float | None:
        """The response time (ms) up to which this share of the answers of the workers' last whole second lies."""
        return _milliseconds(quantile_s((counts.response for counts in self._fresh(self._told)), share))

    def lag_ms(self, share: float) -> float | None:
        """The same of how late requests started."""
        return _milliseconds(quantile_s((counts.lag for counts in self._fresh(self._told)), share))

    @property
    def worker_cpu(self) -> float | None:
        """CPU (cores) of the busiest worker in its last whole second."""
        return max(
            (counts.cpu_cores for counts in self._fresh(self._told) if counts.cpu_cores is not None), default=None
        )

    @property
    def response_s(self) -> float | None:
        """Mean response time (s) of the answers in the workers' last second of the open phase; None where none came."""
        here = [counts for counts in self._fresh(self._seconds) if (counts.step, counts.phase) == self._where]
        answers = sum(counts.answers for counts in here)
        return sum(counts.response_s for counts in here) / answers if answers else None

    @property
    def requests_here(self) -> int:
        """Requests that ended in the open phase, up to each worker's last second."""
        return sum(requests for (step, phase, _), (requests, _) in self._ended.items() if (step, phase) == self._where)

    @property
    def requests(self) -> int:
        """Requests that ended since the run began."""
        return sum(requests for requests, _ in self._ended.values())

    @property
    def failures(self) -> int:
        """Those of them that failed."""
        return sum(failures for _, failures in self._ended.values())

    def _fresh(self, seconds: Mapping[str, tuple[float, SecondCounts]]) -> list[SecondCounts]:
        """The last second of each worker whose next one isn't overdue."""
        now = self.clock()
        return [counts for came, counts in seconds.values() if now - came <= FRESH_S]


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds
