"""The running figures are sums of the workers' own seconds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cluster.engine.encoding import binned
from cluster.engine.live import FRESH_S, RunningFigures, SecondCounts
from study.errors import FormatError
from study.formats.ledger_jsonl import PhaseRecord, Ticks


def second(worker: str, requests: int, so_far: int, failures: int = 0, step: int = 1) -> dict[str, object]:
    counts = SecondCounts(
        worker=worker,
        step=step,
        phase="measure",
        seconds=1.01,
        requests=requests,
        requests_so_far=so_far,
        failures_so_far=failures,
    )
    return dataclasses.asdict(counts)


def record(worker: str, successes: int, failures: dict[str, int], ticks: Ticks | None = None) -> PhaseRecord:
    return PhaseRecord(
        step=1, kind="ladder", users=2, phase="measure", worker=worker, started=0.0, seconds=2.5,
        attempts=successes + sum(failures.values()), successes=successes, failures=failures, bytes=0, response_us="",
        failed_us="", lag_us="", loop_lag_us="", draws=0, draws_s=0.0, think_count=0, think_drawn_s=0.0,
        think_passed_s=0.0, in_flight_s=0.0, in_flight_end=0, in_flight_age_us="", users_wanted=1, users_min=1,
        users_mean=1.0, users_right=1.0, fds_used=1, fds_limit=1, ticks=ticks or Ticks((), (), (), (), (), ()),
    )  # fmt: skip


def test_the_rate_is_of_the_last_second_of_all_workers() -> None:
    at = 100.0
    figures = RunningFigures(lambda: at)
    figures.entered(1, "measure")
    assert figures.rate is None
    figures.second(second("a", 101, 101))
    figures.second(second("b", 202, 202, failures=2))
    assert figures.rate == pytest.approx(300)
    assert (figures.requests, figures.failures) == (303, 2)
    at += 1.0
    figures.second(second("a", 0, 101))
    assert figures.rate == pytest.approx(200)
    at += FRESH_S - 0.5  # b's next second is overdue
    assert figures.rate == 0
    at += FRESH_S
    assert figures.rate is None
    assert (figures.requests, figures.failures) == (303, 2)


def test_a_phase_that_has_ended_counts_by_its_records_without_users_that_the_ladder_ended() -> None:
    figures = RunningFigures(lambda: 100.0)
    figures.entered(1, "measure")
    figures.second(second("a", 101, 101))
    figures.entered(2, "ramp")
    figures.second(second("a", 50, 151))  # sent before the worker heard of the new phase: the record has it
    assert figures.requests == 101
    figures.record(record("a", 170, {"aborted": 30, "reset": 2}))
    assert (figures.requests, figures.failures) == (172, 2)
    assert figures.rate == pytest.approx(100)  # until the new phase has a second


def test_the_end_of_a_phase_is_its_last_second_until_the_next_phase_has_one() -> None:
    figures = RunningFigures(lambda: 100.0)
    figures.entered(1, "measure")
    figures.second(second("a", 101, 101))
    figures.entered(2, "ramp")
    ticks = Ticks((1.01, 1.91), (101, 280), (0, 1), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    figures.record(record("a", 280, {"reset": 1}, ticks))
    assert figures.rate == pytest.approx(180 / 0.9)
    short = Ticks((1.01, 1.31), (101, 281), (0, 0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    figures.record(record("a", 281, {}, short))
    assert figures.rate == pytest.approx(180 / 0.9)
    figures.second({**second("a", 10, 10, step=2), "phase": "ramp"})
    figures.record(record("a", 280, {"reset": 1}, ticks))  # late
    assert figures.rate == pytest.approx(10 / 1.01)


def test_times_lag_and_cpu_are_those_of_whole_seconds_until_the_next_phase_has_one() -> None:
    at = 100.0
    figures = RunningFigures(lambda: at)
    figures.entered(1, "measure")
    assert figures.response_ms(0.5) is None
    for worker, cpu, times in (("a", 0.2, [0.001] * 98), ("b", 0.7, [0.05, 0.4])):
        bins = {"response": binned([np.array(times)]), "lag": binned([np.array([0.002])]), "cpu_cores": cpu}
        figures.second({**second(worker, len(times), len(times)), **bins})
    assert figures.response_ms(0.5) == pytest.approx(1, rel=0.0101)
    assert figures.response_ms(0.99) == pytest.approx(50, rel=0.0101)  # the 99th of 100, whichever worker had it
    assert figures.lag_ms(0.99) == pytest.approx(2, rel=0.0101)
    assert figures.worker_cpu == 0.7
    figures.entered(2, "ramp")
    figures.record(record("a", 280, {}, Ticks((1.01, 1.91), (98, 280), (0, 0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))))
    assert figures.rate == pytest.approx(182 / 0.9 + 2 / 1.01)
    assert figures.response_ms(0.5) == pytest.approx(1, rel=0.0101)
    at += FRESH_S + 0.1
    assert figures.response_ms(0.5) is None
    assert figures.lag_ms(0.5) is None


def test_another_message_is_refused() -> None:
    with pytest.raises(FormatError, match="a worker's message: step"):
        RunningFigures(lambda: 0.0).second({"worker": "a"})
