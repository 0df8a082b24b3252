"""Two campaigns on two days, with days whose effect is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.rank.over_time.day_effect import LEAST_DAYS, DayMean, day_calls, day_mean, day_ratio
from tests.unit.simulate_blocks import two_days


@pytest.mark.parametrize("day", [0.0, 0.01, 0.02, 0.03])
@pytest.mark.parametrize("figures", [1, 4])
def test_two_days_of_one_version_are_called_different_in_at_most_5_of_100(day: float, figures: int) -> None:
    draw = np.random.default_rng(round(1000 * day) + figures)
    wrong = sum(
        any(call in ("more", "less") for call in two_days(day, days, 6, 0.015, figures, draw).values())
        for days in (3, 4, 10)
        for _ in range(80)
    )
    assert wrong / 240 <= 0.05 + 2 * (0.05 * 0.95 / 240) ** 0.5


@pytest.mark.parametrize("days", [0, 1, 2])
def test_with_too_few_days_nothing_is_claimed_however_large_the_difference(days: int) -> None:
    calls = two_days(0.01, days, 6, 0.01, 1, np.random.default_rng(1), change=math.log(5))
    assert calls == {"0": "no history"}


def test_a_change_of_20_percent_is_found_among_days_that_differ_by_2() -> None:
    draw = np.random.default_rng(9)
    hits = sum(two_days(0.02, 6, 6, 0.015, 1, draw, change=math.log(1.2)) == {"0": "more"} for _ in range(100))
    assert hits >= 95


def test_campaigns_of_one_date_are_one_day() -> None:
    history = [DayMean("2027-01-15", value, 0.0001) for value in (0.0, 0.001, 0.002, 0.003)]
    ratio = day_ratio(DayMean("2027-02-01", 0.0, 0.0001), DayMean("2027-02-02", 1.0, 0.0001), history)
    assert (ratio.days, ratio.p) == (1, None)
    assert LEAST_DAYS > 1


def test_the_interval_is_that_of_two_days_and_wider_for_campaigns_with_more_spread() -> None:
    history = [DayMean(f"2027-01-{day}", mean, 0.0001) for day, mean in enumerate((0.0, 0.02, -0.02, 0.01), 10)]
    first = DayMean("2027-02-01", 0.0, 0.0001)
    narrow = day_ratio(first, DayMean("2027-02-02", math.log(1.05), 0.0001), history)
    wide = day_ratio(first, DayMean("2027-02-02", math.log(1.05), 0.01), history)
    spread = float(np.std([0.0, 0.02, -0.02, 0.01], ddof=1)) * math.sqrt(2)
    assert narrow.high == pytest.approx(math.exp(3.182 * spread), rel=1e-3)  # t with 3 degrees of freedom at 97.5 %
    assert narrow.low is not None
    assert narrow.high is not None
    assert wide.high is not None
    assert narrow.low == pytest.approx(1 / narrow.high)
    assert wide.high > narrow.high
    assert day_calls({"rps": narrow}) == {"rps": "undetermined"}


def test_a_day_without_a_figure_above_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        day_mean("2027-01-15", [1.0, 0.0])
