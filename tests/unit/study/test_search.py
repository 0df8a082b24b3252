"""The capacity search against servers whose capacity is known: its answer, its bound on trials, its end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.search import Bracket, Next, Outcome, Search, Trial, next_trial
from tests.unit.simulated_search import closed_capacity, closed_p99, noisy, run, sharp


def test_it_doubles_then_bisects_then_confirms() -> None:
    found, trials = run(Search(50, 10_000), sharp(330))
    assert [trial.users for trial in trials[:4]] == [50, 100, 200, 400]
    assert [trial.long for trial in trials] == [False] * (len(trials) - 1) + [True]
    assert found == Bracket(trials[-1].users, found.high, "slo", confirmed=True)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 330 < found.high <= found.low * 1.1


@pytest.mark.parametrize("capacity", [50, 51, 63, 100, 127, 1000, 9999])
def test_a_server_without_noise_is_bracketed_within_the_resolution(capacity: int) -> None:
    found, trials = run(Search(50, 100_000), sharp(capacity))
    assert found.low is not None
    assert found.high is not None
    assert found.low <= capacity < found.high
    assert found.high / found.low <= 1.1 or found.high - found.low == 1
    assert len(trials) <= Search(50, 100_000).most_trials(capacity)


def test_the_plans_most_ends_it_with_a_lower_bound() -> None:
    found, trials = run(Search(50, 300), sharp(1e9))
    assert found == Bracket(300, None, "most")
    assert [trial.users for trial in trials] == [50, 100, 200, 300]


def test_a_server_that_fails_at_the_start_has_no_low_end() -> None:
    found, trials = run(Search(50, 300), sharp(10))
    assert found == Bracket(None, 50, "slo")
    assert len(trials) == 1


def test_a_generator_that_ends_first_gives_a_lower_bound_as_near_to_it_as_the_resolution() -> None:
    search = Search(50, 100_000)
    found, trials = run(search, lambda users, *_: "generator" if users > 900 else "passed")
    assert (found.high, found.ended, found.confirmed) == (None, "generator", False)
    assert found.low is not None
    assert found.low <= 900 < 1.1 * found.low
    assert len(trials) <= search.most_trials(900)


def test_a_server_that_ends_before_the_generator_is_bracketed() -> None:
    """Doubling meets the generator's limit first; the server's lies between it and the load before."""

    def server(users: int, _long: bool, _trials: Sequence[Trial]) -> Outcome:
        return "generator" if users > 1500 else "failed" if users > 1000 else "passed"

    found, trials = run(Search(50, 100_000), server)
    assert (found.ended, found.confirmed) == ("slo", True)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 1000 < found.high <= 1.1 * found.low
    assert len(trials) <= Search(50, 100_000).most_trials(1000)


def test_a_generator_that_ends_below_a_broken_slo_leaves_the_bracket_open() -> None:
    outcomes = iter(("passed", "passed", "failed", "generator", "passed", "passed"))
    found, _ = run(Search(50, 1000), lambda *_: next(outcomes))  # type: ignore[arg-type]
    assert found == Bracket(130, 200, "generator")


def test_a_generator_that_ends_in_the_confirmation_ends_the_search() -> None:
    found, trials = run(Search(50, 10_000), lambda users, long, _: "generator" if long else sharp(330)(users, long, ()))
    assert (found.ended, found.confirmed) == ("generator", False)
    assert trials[-1].long


def test_one_unclear_trial_is_repeated_once_and_changes_nothing_else() -> None:
    def server(users: int, long: bool, trials: Sequence[Trial]) -> Outcome:
        if len(trials) == 2:
            return "unclear"
        return sharp(330)(users, long, trials)

    found, trials = run(Search(50, 10_000), server)
    assert [trial.users for trial in trials[:5]] == [50, 100, 200, 200, 400]
    assert found == run(Search(50, 10_000), sharp(330))[0]


def test_two_unclear_trials_in_a_row_end_it() -> None:
    found, _ = run(Search(50, 1000), lambda users, *_: "unclear" if users == 200 else "passed")
    assert found == Bracket(100, None, "unclear")


def test_a_failed_confirmation_steps_down_and_then_gives_up() -> None:
    found, trials = run(Search(50, 10_000), lambda users, long, _: "failed" if long or users > 330 else "passed")
    down = [trial.users for trial in trials if trial.long]
    assert len(down) == 4
    assert all(later <= math.floor(earlier / 1.1) for earlier, later in pairwise(down))
    assert not found.confirmed
    assert found.high == down[-1]
    assert found.low is not None
    assert found.low < down[-1]


def test_hysteresis_that_shows_in_long_trials_lowers_the_answer() -> None:
    """A server that carries 330 for a short while and 300 for long."""
    found, _ = run(Search(50, 10_000), lambda users, long, _: "passed" if users <= (300 if long else 330) else "failed")
    assert found.confirmed
    assert found.low is not None
    assert 300 / 1.1 <= found.low <= 300


def test_a_thousand_random_servers_are_answered_within_the_resolution_and_the_bound() -> None:
    draw = np.random.default_rng(16)
    within = closed = 0
    for _ in range(1000):
        search = Search(int(draw.integers(20, 200)), 10_000_000, float(draw.choice([0.05, 0.1, 0.2])))
        capacity = search.start * math.exp(draw.uniform(0.1, 6))
        found, trials = run(search, noisy(capacity, search.resolution / 5, draw, disturbed=0.02))
        repeated = sum(trial.outcome == "unclear" for trial in trials)
        assert len(trials) - repeated <= search.most_trials(capacity * (1 + search.resolution))
        if found.ended != "slo":
            assert found.ended == "unclear"
            assert found.low is None or found.low <= capacity * (1 + search.resolution)
            continue
        closed += 1
        assert found.low is not None
        slack = 1 + search.resolution + 1 / capacity  # whole users
        within += capacity / slack / (1 + search.resolution / 5) <= found.low <= capacity * slack
    assert closed >= 980
    assert within >= 0.95 * closed


outcomes = st.sampled_from(["passed", "failed", "generator", "unclear"])


@given(st.lists(outcomes, min_size=60, max_size=60), st.integers(1, 500), st.floats(0.02, 1.0), st.integers(1, 100_000))
def test_whatever_comes_back_it_ends_and_asks_for_nothing_beyond_the_plan(
    script: list[Outcome], start: int, resolution: float, most: int
) -> None:
    search = Search(start, max(start, most), resolution)
    trials: list[Trial] = []
    while isinstance(asked := next_trial(search, trials), Next):
        assert 1 <= asked.users <= search.most
        trials.append(Trial(asked.users, script[len(trials)], asked.long))
    repeated = sum(trial.outcome == "unclear" for trial in trials)
    assert len(trials) - repeated <= search.most_trials(search.most)
    if asked.low is not None and asked.high is not None:
        assert asked.low < asked.high


def test_the_simulated_closed_system_keeps_to_the_knee() -> None:
    """With constant service hardly anybody waits below N* = (s + Z) k / s, and beyond it the queue grows at once."""
    think = (0.1, 0.3)
    assert closed_p99(1, 2, 0.02, think, np.random.default_rng(1)) == pytest.approx(0.02)
    assert closed_capacity(8, 0.02, think, 0.05, seed=1) == pytest.approx(8 / 0.02 * 0.22, rel=0.05)
