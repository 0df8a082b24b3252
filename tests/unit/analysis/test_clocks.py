"""Clocks that run fast, in windows and runs whose ends each worker reads late: which are named, and which are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.judge.checks.checks_laws import clocks
from analysis.judge.laws.law_error import clocks_apart
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import window_of
from analysis.read.samples import Samples
from study.plan import Step
from tests.unit import simulate, simulated_run
from tests.unit.synthetic import encode

REPEATS = 100


def lengths(
    seconds: float, workers: int, late_p99_s: float, fast: float, draw: np.random.Generator
) -> dict[str, tuple[float, float | None]]:
    """A phase of so many seconds by each worker's clock: both ends are read late, by an exponential time."""
    late = draw.exponential(late_p99_s / np.log(100), (workers, 2))
    true = seconds + late[:, 1] - late[:, 0]
    true[-1] *= 1 + fast
    return {f"load{at + 1}-1": (float(each), None) for at, each in enumerate(true)}


def named(seconds: float, workers: int, late_p99_s: float, fast: float) -> int:
    """Of REPEATS phases, how many name a worker."""
    draw = np.random.default_rng([round(seconds), workers, round(1000 * late_p99_s)])
    return sum(
        bool(clocks_apart(lengths(seconds, workers, late_p99_s, fast, draw), late_p99_s)) for _ in range(REPEATS)
    )


@pytest.mark.parametrize("workers", [2, 3, 8])
@pytest.mark.parametrize("late_p99_s", [0.0005, 0.010, 0.060, T.standstill_ms / 1000])
@pytest.mark.parametrize("seconds", [2.0, 10.0, 45.0])
def test_ends_that_are_read_late_make_no_clock_fast(seconds: float, late_p99_s: float, workers: int) -> None:
    assert named(seconds, workers, late_p99_s, fast=0.0) <= 0.02 * REPEATS


@pytest.mark.parametrize("workers", [2, 3, 8])
@pytest.mark.parametrize("late_p99_s", [0.0005, 0.010, 0.060, T.standstill_ms / 1000])
@pytest.mark.parametrize("fast", [0.01, 0.20])
def test_in_a_long_window_a_clock_1_percent_fast_is_named_however_late_its_ends_are_read(
    fast: float, late_p99_s: float, workers: int
) -> None:
    assert named(45.0, workers, late_p99_s, fast) >= 0.98 * REPEATS


@pytest.mark.parametrize(("fast", "found"), [(0.0, False), (0.01, True)])
def test_short_windows_of_a_long_run_name_it_too(fast: float, found: bool, tmp_path: Path) -> None:
    """Windows of 2 s, whose ends are read up to 60 ms late (p99): the length of all phases so far tells the two apart.

    Both clocks of a host run fast, so that only the other worker shows it.
    """
    draw = np.random.default_rng(3)
    lines = []
    starts = np.arange(0.0, 61.0, 2.0)
    read = starts[:, None] + draw.exponential(0.060 / np.log(100), (len(starts), 2))
    read[:, 1] *= 1 + fast
    requests = simulate.delay_system(10, (0.1, 0.3), simulate.SOUND["1 ms"], 70.0, draw)
    for number in range(len(starts) - 1):
        step = Step(number // 2 + 1, "trial", 10)
        phase = ("settle", "measure")[number % 2]
        for worker in (0, 1):
            (_, record) = simulated_run.records([requests], 1.0, 2.0, step, {})
            seconds = float(read[number + 1, worker] - read[number, worker])
            record |= {"phase": phase, "worker": f"load{worker + 1}-1", "started": 1e9 + float(starts[number])}
            record |= {"seconds": seconds, "wall_s": seconds, "loop_lag_us": encode([0.060] * 9)}
            lines.append(record)
    ledger = simulated_run.write_ledger(tmp_path / "ledger.jsonl", lines)
    outcomes = []
    for number in range(1, 16):
        window = window_of(ledger, Step(number, "trial", 10), Samples())
        assert window is not None
        outcomes.append(clocks(window).outcome)
    assert (outcomes[-1] == "fail") is found
    assert found or "fail" not in outcomes
