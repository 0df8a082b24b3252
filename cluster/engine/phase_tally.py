"""The counts of one phase on one worker, while it lasts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

from cluster.engine.encoding import binned, histogram, record_all
from cluster.engine.live import SecondCounts, aborted
from study.formats.ledger_jsonl import Ticks


@dataclass(frozen=True)
class Phase:
    """A phase of a step, as the master sends it to the workers; copied into every record."""

    step: int
    kind: str
    phase: str
    users: int


@dataclass(slots=True)
class Tally:
    """The open phase's counts. Times in seconds, histograms in microseconds.

    `answered`, `unanswered`, `drawn`, `passed` and `turned` hold the times since the last `fold`.
    """

    phase: Phase
    began: float
    started: float
    cpu_began: float
    carried_s: float
    """Sum of the ages, at the phase's beginning, of the requests then in flight."""
    successes: int = 0
    bytes: int = 0
    response_s: float = 0.0
    failed_s: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    response: HdrHistogram = field(default_factory=histogram)
    failed: HdrHistogram = field(default_factory=histogram)
    lag: HdrHistogram = field(default_factory=histogram)
    loop_lag: HdrHistogram = field(default_factory=histogram)
    draws: int = 0
    draws_s: float = 0.0
    think_count: int = 0
    think_drawn_s: float = 0.0
    think_passed_s: float = 0.0
    turnarounds: int = 0
    turnaround_s: float = 0.0
    connects: int = 0
    connect_s: float = 0.0
    read_late_s: float = 0.0
    clock_step_s: float = 0.0
    answered: list[float] = field(default_factory=list)
    unanswered: list[float] = field(default_factory=list)
    drawn: list[float] = field(default_factory=list)
    passed: list[float] = field(default_factory=list)
    turned: list[float] = field(default_factory=list)
    reported: int = 0
    """Requests up to the last second that was told."""
    running: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    ticks: dict[str, list[float]] = field(default_factory=lambda: {column.name: [] for column in fields(Ticks)})
    second: list[npt.NDArray[np.float64]] = field(default_factory=list)
    """Response times since the last second that was told, in parts."""
    second_lag: list[npt.NDArray[np.float64]] = field(default_factory=list)
    """The same of the lag."""

    def fold(self) -> None:
        """Add the times since the last call to the sums and the histograms."""
        answered, unanswered = np.array(self.answered), np.array(self.unanswered)
        drawn, passed, turned = np.array(self.drawn), np.array(self.passed), np.array(self.turned)
        for times in (self.answered, self.unanswered, self.drawn, self.passed, self.turned):
            times.clear()
        self.successes += len(answered)
        self.response_s += float(answered.sum())
        self.failed_s += float(unanswered.sum())
        self.think_count += len(drawn)
        self.think_drawn_s += float(drawn.sum())
        self.think_passed_s += float(passed.sum())
        record_all(self.response, answered)
        record_all(self.failed, unanswered)
        self.turnarounds += len(turned)
        self.turnaround_s += float(turned.sum())
        self.draws += len(turned)
        late = passed - drawn
        record_all(self.lag, late)
        record_all(self.lag, turned)
        self.second.append(answered)
        self.second_lag += (late, turned)

    def last_second(self, worker: str) -> SecondCounts:
        """The counts of the last tick; aborted requests, which the ladder's own end of users causes, aren't counted."""
        left_out = aborted(self.failures)
        requests = self.successes + self.failures.total() - left_out
        before, self.reported = self.reported, requests
        seconds, answers, response_s, cpu_s = (self._since(name) for name in ("at", "successes", "response_s", "cpu_s"))
        response, lag = binned(self.second), binned(self.second_lag)
        self.second.clear()
        self.second_lag.clear()
        return SecondCounts(
            worker=worker,
            step=self.phase.step,
            phase=self.phase.phase,
            seconds=seconds,
            requests=requests - before,
            requests_so_far=requests,
            failures_so_far=self.failures.total() - left_out,
            answers=int(answers),
            response_s=response_s,
            response=response,
            lag=lag,
            cpu_cores=cpu_s / seconds,
        )

    def _since(self, column: str) -> float:
        """What the last tick added to a column."""
        values = self.ticks[column]
        return values[-1] - (values[-2] if len(values) > 1 else 0.0)
