"""Others on the server's or the workers' cores, and whose a missing throughput is."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.judge.laws.strangers import Strangers, judge_strangers
from study.trial import shares_explained


def sampled(own: float, taken: float, seconds: int, draw: np.random.Generator, ticks: int = 100) -> Strangers:
    """One core, its busy time sampled at so many ticks a second; the study's own time is exact."""
    busy = draw.binomial(ticks, own + taken, seconds) / ticks
    judged = judge_strangers(busy.tolist(), [own] * seconds, [0.0] * seconds, [1.0] * seconds, 1.0)
    assert judged is not None
    return judged


@pytest.mark.parametrize("own", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("seconds", [4, 45])
def test_a_quiet_core_is_called_disturbed_in_at_most_2_of_100_windows(own: float, seconds: int) -> None:
    draw = np.random.default_rng(seconds)
    assert sum(sampled(own, 0.0, seconds, draw).outcome == "fail" for _ in range(500)) <= 10


@pytest.mark.parametrize("taken", [0.2, 0.5])
@pytest.mark.parametrize("seconds", [4, 45])
def test_a_fifth_of_a_core_taken_is_always_found(taken: float, seconds: int) -> None:
    draw = np.random.default_rng(seconds)
    assert all(sampled(own, taken, seconds, draw).outcome == "fail" for own in (0.1, 0.5) for _ in range(100))


def test_two_percent_taken_for_long_is_a_flag() -> None:
    assert sampled(0.3, 0.02, 180, np.random.default_rng(1)).outcome == "flag"


def test_one_second_taken_whole_is_found_in_a_long_window() -> None:
    busy = [0.3] * 59 + [1.0]
    judged = judge_strangers(busy, [0.3] * 60, [0.0] * 60, [1.0] * 60, 1.0)
    assert judged is not None
    assert judged.share < 0.03
    assert judged.worst == pytest.approx(0.7)
    assert judged.outcome == "fail"


def test_steal_counts_as_taken() -> None:
    judged = judge_strangers([0.5] * 10, [0.5] * 10, [0.1] * 10, [1.0] * 10, 1.0)
    assert judged is not None
    assert judged.share == pytest.approx(0.1)
    assert judged.steal == pytest.approx(0.1)
    assert judged.outcome == "fail"


def test_rows_with_gaps_are_left_out_and_none_is_none() -> None:
    nan = float("nan")
    judged = judge_strangers([0.5, nan], [0.5, 0.1], [0.0, 0.0], [1.0, 1.0], 1.0)
    assert judged is not None
    assert judged.share == 0
    assert judge_strangers([], [], [], [], 1.0) is None
    assert judge_strangers([nan], [0.1], [0.0], [1.0], 1.0) is None


def test_where_the_ticks_miss_our_own_time_nothing_is_said_of_others() -> None:
    judged = judge_strangers([0.75] * 10, [0.99] * 10, [0.0] * 10, [1.0] * 10, 1.0)
    assert judged is not None
    assert judged.outcome == "not available"
    assert judged.more == pytest.approx(0.24)
    near = judge_strangers([0.98] * 10, [0.99] * 10, [0.0] * 10, [1.0] * 10, 1.0)
    assert near is not None
    assert (near.outcome, near.share) == ("pass", 0.0)


def test_a_lag_that_explains_a_tenth_of_what_is_missing_leaves_it_to_the_server() -> None:
    """1,200 users who think 1 s, 18 % under N / Z, woken 21 ms late on average."""
    shares = shares_explained(1200, 0.82 * 1200 / 1.001, 0.001, 1.0, 0.021)
    assert shares.shortfall == pytest.approx(0.18)
    assert shares.generator == pytest.approx(0.0956, abs=0.001)
    assert shares.server == pytest.approx(1 - shares.generator)
    assert shares.verdict == "overload"


def test_a_lag_that_explains_most_of_it_is_the_generators() -> None:
    """A user's cycle is 1.2 s long for 1 s: 150 ms of it late waking, 50 ms the server's."""
    shares = shares_explained(1000, 1000 / 1.2, 0.0, 1.0, 0.15)
    assert shares.generator == pytest.approx(0.75)
    assert shares.server == pytest.approx(0.25)
    assert shares.verdict == "generator-limited"


def test_on_the_line_nothing_is_divided() -> None:
    shares = shares_explained(100, 50.0, 0.0, 2.0, 0.01)
    assert shares.shortfall == pytest.approx(0)
    assert (shares.generator, shares.server) == (0.0, 0.0)
    with pytest.raises(ValueError, match="no request ended"):
        shares_explained(100, 0.0, 0.0, 2.0, 0.0)
