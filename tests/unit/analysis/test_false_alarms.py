"""What the whole judge says of simulated runs, read from a real ledger: sound ones, and ones with a known fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.judge.verdicts import Judgement
from analysis.tell.sentences import reason_sentence
from tests.unit import simulate, simulated_run
from tests.unit.synthetic import plan

STEPS = simulate.shipped_steps(most_users=400)
WINDOWS = 3


FOUND_FROM = 3 / (3 + 1.28)
"""A check that allows three standard errors finds nine of ten deviations of 3 + 1.28 standard errors."""
MANY_CYCLES = [(plan, users) for plan, users in STEPS if plan.name != "rehearsal" and users >= 50]


def failing(judgement: Judgement) -> list[str]:
    """Codes of the checks that failed."""
    return [check.code for check in judgement.checks if check.outcome == "fail"]


@pytest.mark.parametrize("kind", simulate.SOUND)
def test_sound_steps_of_every_plan_that_ships_are_valid_in_98_of_100_heavy_tails_too(kind: str, tmp_path: Path) -> None:
    counted: Counter[str] = Counter()
    windows = 0
    for shipped, users in STEPS:
        for number in range(WINDOWS):
            draw = np.random.default_rng([number, users, len(kind)])
            judgement = simulated_run.planned(
                tmp_path / "ledger.jsonl", shipped, users, simulated_run.answers(kind, shipped), draw
            )
            counted.update({*failing(judgement), judgement.verdict, "saturated" if judgement.saturated else ""})
            windows += 1
    wrong = {code: number for code, number in counted.items() if code not in ("valid", "")}
    assert all(number <= max(1, 0.02 * windows) for number in wrong.values()), (windows, wrong)
    assert windows - counted["valid"] <= max(1, 0.02 * windows), wrong


@pytest.mark.parametrize(
    "load", [pytest.param(0.3, marks=pytest.mark.slow), pytest.param(0.6, marks=pytest.mark.slow), 0.75, 0.85]
)
def test_below_85_percent_nothing_is_called_saturated_or_slow(load: float, tmp_path: Path) -> None:
    """Of 48 windows at most one."""
    wrong: Counter[str] = Counter()
    for number in range(48):
        users, think, seconds = [(60, (0.1, 0.3), 4.0), (200, (0.1, 0.3), 4.0), (100, (0.5, 1.5), 20.0)][number % 3]
        kind = (simulate.constant, simulate.exponential)[number // 3 % 2]
        service = kind(load * sum(think) / 2 / users)
        asked = plan(think_time=think, users=[users])
        judgement, used = simulated_run.queued(
            tmp_path / "ledger.jsonl", asked, users, service, seconds, np.random.default_rng([number, users])
        )
        assert used < 0.95
        if used < 0.85:
            wrong.update([judgement.verdict] if judgement.verdict != "valid" or judgement.saturated else [])
    assert wrong.total() <= 1, wrong


def test_a_full_server_is_found_whether_its_cpu_or_its_waiting_fills_it(tmp_path: Path) -> None:
    asked = plan(think_time=(0.1, 0.3), users=[60])
    for busy in (1.0, 0.3):
        for number in range(5):
            service = simulate.constant(1.3 * 0.2 / 60)
            judgement, _ = simulated_run.queued(
                tmp_path / "ledger.jsonl", asked, 60, service, 4.0, np.random.default_rng(number), busy
            )
            assert judgement.verdict == "overload"


@pytest.mark.parametrize(("share", "least"), [(0.02, 0.9), (0.03, 0.95), (0.05, 1.0)])
def test_users_who_do_nothing_are_found(share: float, least: float, tmp_path: Path) -> None:
    """At every shipped step of 50 users or more whose sampling error is small enough, and at most steps for 5 %."""
    found = looked = 0
    for shipped, users in MANY_CYCLES:
        running = users - max(1, round(share * users))
        draw = np.random.default_rng(users)
        judgement = simulated_run.planned(
            tmp_path / "ledger.jsonl", shipped, users, simulate.SOUND["1 ms"], draw, running=running
        )
        (law,) = (check for check in judgement.checks if check.code == "law.interactive")
        if (law.threshold or 1.0) <= FOUND_FROM * share:
            found += judgement.verdict == "inconsistent"
            looked += 1
    assert looked >= 7 if share < 0.05 else looked == len(MANY_CYCLES)
    assert found >= least * looked, (found, looked)


@pytest.mark.parametrize(
    ("bend", "code"),
    [
        (simulated_run.fast(0.01), "law.clocks"),
        (simulated_run.fast(0.20), "law.clocks"),
        (simulated_run.twice(0.006), "law.counts"),
    ],
    ids=["1 % fast", "20 % fast", "0.6 % twice"],
)
def test_a_fast_clock_and_double_counts_are_found_at_every_shipped_step(
    bend: Callable[[dict[str, Any]], dict[str, Any]], code: str, tmp_path: Path
) -> None:
    """Where 0.6 % of a worker's answers are more than the one request that a window's end may cost."""
    missed = []
    for shipped, users in MANY_CYCLES:
        answers = users / 2 * simulate.window_of_step(shipped, users)[1] / shipped.mean_think_s
        if code == "law.counts" and 0.006 * answers < 2:
            continue
        draw = np.random.default_rng(users)
        judgement = simulated_run.planned(
            tmp_path / "ledger.jsonl", shipped, users, simulate.SOUND["1 ms"], draw, bends={1: bend}
        )
        if judgement.verdict != "inconsistent" or code not in failing(judgement):
            missed.append((shipped.name, users))
    assert not missed


@pytest.mark.parametrize("late_s", [0.0, 0.020], ids=["control", "20 ms"])
def test_a_client_that_reads_its_answers_20_ms_late_is_flagged_and_its_times_are_upper_bounds(
    late_s: float, tmp_path: Path
) -> None:
    """Without the kernel's stamps: its laws hold, since its users do ask later. The event loop's lag names it."""

    def read_late(draw: np.random.Generator, at: simulate.Floats) -> simulate.Floats:
        return simulate.SOUND["1 ms"](draw, at) + late_s

    flagged = 0
    for shipped, users in MANY_CYCLES[:5]:
        for number in range(4):
            draw = np.random.default_rng([number, users])
            bends = {worker: simulated_run.late_loop(late_s or 0.0002) for worker in (0, 1)}
            judgement = simulated_run.planned(
                tmp_path / "ledger.jsonl", shipped, users, read_late, draw, bends=bends, stamps=False
            )
            assert judgement.verdict == "valid"
            named = [reason for reason in judgement.reasons if "upper bounds" in reason_sentence(reason)]
            assert bool(named) is judgement.upper_bounds
            flagged += judgement.upper_bounds
    assert flagged == (20 if late_s else 0)


def test_a_warm_up_within_the_window_is_unsteady(tmp_path: Path) -> None:
    """R falls from 20 ms to 1 ms in the first 10 s of windows of 20 and 45 s."""
    for asked, users in (
        (plan(think_time=(0.1, 0.3), users=[60], settle=1.0, measure=20.0, spawn_rate=1000), 60),
        (plan(think_time=(0.5, 1.5), users=[200], settle=1.0, measure=45.0, spawn_rate=1000), 200),
    ):
        for number in range(5):
            start = users / asked.spawn_rate + 1.0
            cold = simulate.warming(0.020, 0.001, start + 10.0)
            path, draw = tmp_path / "ledger.jsonl", np.random.default_rng(number)
            judgement = simulated_run.planned(path, asked, users, cold, draw)
            assert judgement.verdict == "unsteady"


@pytest.mark.parametrize("taken", [0.2, 0.5])
def test_a_stranger_on_a_core_that_was_full_is_named_and_not_the_server(taken: float, tmp_path: Path) -> None:
    """A server that needs 0.9 of its core gets what another process leaves it."""
    asked = plan(think_time=(0.1, 0.3), users=[60])
    service = simulate.constant(0.9 * 0.2 / 60 / (1 - taken))
    for number in range(20):
        draw = np.random.default_rng(number)
        judgement, used = simulated_run.queued(
            tmp_path / "ledger.jsonl", asked, 60, service, 4.0, draw, busy=1 - taken, taken=taken
        )
        assert used > 0.95
        assert judgement.verdict == "disturbed"
