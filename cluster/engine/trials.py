"""The search of one run on Locust's master: each trial judged from the workers' records, and the next load to try.

study/search.py has the rule for the next load, study/trial.py that for an outcome.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hdrh.histogram import HdrHistogram

from study.formats.ledger_jsonl import PhaseRecord, SearchRecord, TrialRecord
from study.formats.live_json import TriedLoad
from study.plan import IDLE_STEP, Plan, Step
from study.search import Bracket, Next, Trial, next_trial
from study.trial import TIMED_OUT, TrialFigures, as_trial, outcome_of

TRIALS = ("trial", "confirm")
"""The kinds of a search's steps."""
FEW_USERS = 10  # between a failed trial and the next, while the server works off its backlog
SHORT_TICK_S = 0.5  # a worker's CPU over a shorter time is no sample


class TrialRun:
    """The trials so far. `add` takes every record of the workers, `judge` is called when a trial's have come."""

    def __init__(self, plan: Plan) -> None:
        """`plan` must have a search."""
        assert plan.capacity_search is not None
        self._plan, self._search = plan, plan.capacity_search
        self._trials: list[Trial] = []
        self._number = 0
        self._measured: dict[int, dict[str, PhaseRecord]] = {}

    @property
    def tried(self) -> tuple[TriedLoad, ...]:
        """The trials that were judged, for live.json."""
        return tuple(TriedLoad(**vars(trial)) for trial in self._trials)

    @property
    def few_users(self) -> int:
        """Users between a failed trial and the next: fewer than any trial has."""
        return max(1, min(FEW_USERS, self._search.start // 2))

    @property
    def unloaded_s(self) -> float | None:
        """R1, the mean response time of the idle step, in s; None where nothing was answered in it."""
        records = self._measured.get(IDLE_STEP, {}).values()
        answers = sum(record.successes for record in records)
        return sum(record.ticks.response_s[-1] for record in records if record.ticks.at) / answers if answers else None

    @property
    def to_recover(self) -> bool:
        """Whether the last trial failed and another one follows."""
        return self._trials[-1].outcome == "failed" and isinstance(next_trial(self._search, self._trials), Next)

    def add(self, record: PhaseRecord) -> None:
        """Keep a worker's record of a measure window."""
        if record.phase == "measure":
            self._measured.setdefault(record.step, {})[record.worker] = record

    def next_step(self) -> Step | SearchRecord:
        """The next trial, or how the search ended."""
        answer = next_trial(self._search, self._trials)
        if isinstance(answer, Bracket):
            return SearchRecord(low=answer.low, high=answer.high, ended=answer.ended, confirmed=answer.confirmed)
        self._number += 1
        return Step(self._number, "confirm" if answer.long else "trial", answer.users)

    def judge(self, step: Step, workers: Sequence[str]) -> TrialRecord:
        """The outcome of a trial, by the records that have come from these workers."""
        records = self._measured.pop(step.number, {})
        figures = figures_of(list(records.values()), step.users, self._plan.slo.p99_ms, len(workers), self.unloaded_s)
        outcome = outcome_of(figures, self._plan.slo.failures_percent)
        long = step.kind == "confirm"
        self._trials.append(as_trial(step.users, outcome, long, self._trials))
        return TrialRecord(
            step=step.number,
            users=step.users,
            long=long,
            outcome=outcome,
            answers=figures.answers,
            above=figures.above + figures.overdue,
            failures=figures.failures,
            lag_p99_ms=figures.lag_p99_ms,
            worker_cpu_p95=figures.worker_cpu_p95,
            users_right=figures.users_right,
        )


def figures_of(
    records: Sequence[PhaseRecord], users: int, limit_ms: float, workers: int, idle_s: float | None = None
) -> TrialFigures:
    """The workers' records of one measure window, added up. `limit_ms` is the SLO's p99, `idle_s` R1."""
    own = [record.own for record in records if record.own is not None]
    between = sum(record.think_count + record.turnarounds for record in records)
    passed_s = sum(record.think_passed_s + record.turnaround_s for record in records)
    drawn_s = sum(record.think_drawn_s for record in records)
    return TrialFigures(
        users=users,
        answers=sum(record.successes for record in records),
        failures=sum(record.attempts - record.successes for record in records),
        above=sum(count_above(record.response_us, limit_ms) for record in records),
        overdue=sum(overdue(record, limit_ms) for record in records),
        rate=sum(record.attempts / record.seconds for record in records),
        # The users of a locustfile of one's own are all in an iteration or wait, whatever their requests.
        in_flight=sum(record.in_flight_s / record.seconds for record in records)
        if not own
        else sum(
            (each.iterating_s + each.waiting_s) / record.seconds for each, record in zip(own, records, strict=True)
        ),
        between_s=passed_s / between if between and not own else 0.0,
        lag_p99_ms=max((quantile_ms(record.lag_us, 0.99) for record in records), default=0.0),
        worker_cpu_p95=max(map(busiest, records), default=0.0),
        drawn_s=drawn_s / between if between and not own else 0.0,
        late_s=(passed_s - drawn_s) / between if between and not own else 0.0,
        idle_s=idle_s,
        users_right=min((record.users_right for record in records), default=0.0),
        complete=len(records) == workers,
    )


def count_above(encoded: str, limit_ms: float) -> int:
    """How many times of an encoded histogram lie in bins wholly above the limit."""
    times = HdrHistogram.decode(encoded)
    at = times._counts_index_for(int(limit_ms * 1000))
    return int(np.frombuffer(times.counts, dtype=np.uint64)[at + 1 :].sum())


def overdue(record: PhaseRecord, limit_ms: float) -> int:
    """How many requests of a record have no answer and have lasted longer: in flight, or timed out."""
    timed_out = min(record.failures.get(TIMED_OUT, 0), count_above(record.failed_us, limit_ms))
    return count_above(record.in_flight_age_us, limit_ms) + timed_out


def quantile_ms(encoded: str, q: float) -> float:
    """A quantile of an encoded histogram in ms; 0 where it is empty."""
    return float(HdrHistogram.decode(encoded).get_value_at_percentile(100 * q)) / 1000


def busiest(record: PhaseRecord) -> float:
    """The 95th percentile of a worker's CPU time per second, in cores."""
    spent, took = np.diff(record.ticks.cpu_s, prepend=0.0), np.diff(record.ticks.at, prepend=0.0)
    whole = took >= SHORT_TICK_S
    return float(np.quantile(spent[whole] / took[whole], 0.95)) if whole.any() else 0.0
