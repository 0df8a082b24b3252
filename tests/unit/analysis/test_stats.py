"""Statistics across blocks against distributions that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from analysis.rank.ratios import (
    Ratio,
    blocks_for_flips,
    compare_all,
    median_interval,
    paired_ratio,
    sign_flip,
    tied,
    tiers,
)
from analysis.tell.markdown_sections import ratio_text


def blocks(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values, start=1))


def noisy(draw: np.random.Generator, base: float, count: int, sigma: float = 0.01) -> list[float]:
    return [float(value) for value in base * np.exp(sigma * draw.standard_normal(count))]


def test_six_runs_have_their_least_and_most_as_interval_of_the_median() -> None:
    median = median_interval([5.0, 1.0, 3.0, 2.0, 6.0, 4.0])
    assert (median.value, median.low, median.high, median.runs) == (3.5, 1.0, 6.0, 6)
    assert median.coverage == pytest.approx(1 - 2 / 64)


@pytest.mark.parametrize(("runs", "rank"), [(1, 1), (5, 1), (8, 1), (9, 2), (10, 2), (20, 6)])
def test_the_interval_of_a_median_is_the_narrowest_that_holds(runs: int, rank: int) -> None:
    """Ranks as in the tables of Le Boudec, Performance Evaluation, appendix A."""
    values = [float(value) for value in range(1, runs + 1)]
    median = median_interval(values)
    assert (median.low, median.high) == (values[rank - 1], values[runs - rank])
    if runs >= 6:
        assert median.coverage >= 0.95


def test_the_intervals_of_an_a_a_study_hold_one_as_often_as_they_say() -> None:
    draw = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        ratio = paired_ratio("a", "b", {"a": blocks(noisy(draw, 100, 6)), "b": blocks(noisy(draw, 100, 6))})
        assert ratio is not None
        assert ratio.low is not None
        assert ratio.high is not None
        held += ratio.low <= 1 <= ratio.high
    assert 0.92 <= held / 400 <= 0.98


def test_ten_percent_are_found_with_six_blocks() -> None:
    draw = np.random.default_rng(5)
    found = [
        compare_all(["a", "b"], {"a": blocks(noisy(draw, 110, 6)), "b": blocks(noisy(draw, 100, 6))})[0].call
        for _ in range(50)
    ]
    assert found.count("difference") == 50


def test_pairing_within_blocks_takes_the_blocks_own_level_out() -> None:
    level = [100.0, 150.0, 80.0, 120.0, 60.0, 200.0]
    draw = np.random.default_rng(2)
    first = [1.05 * at * float(np.exp(0.005 * draw.standard_normal())) for at in level]
    (ratio,) = compare_all(["a", "b"], {"a": blocks(first), "b": blocks(level)})
    assert ratio.call == "difference"
    assert ratio.value == pytest.approx(1.05, abs=0.01)


def test_the_interval_and_p_are_those_of_a_paired_t_test_on_logs() -> None:
    first, second = [110.0, 112.0, 108.0, 115.0, 111.0], [100.0, 101.0, 99.0, 104.0, 98.0]
    ratio = paired_ratio("a", "b", {"a": blocks(first), "b": blocks(second)})
    assert ratio is not None
    known = scipy_stats.ttest_rel(np.log(first), np.log(second))
    low, high = known.confidence_interval(0.95)
    assert ratio.p == pytest.approx(known.pvalue)
    assert ratio.low == pytest.approx(math.exp(low))
    assert ratio.high == pytest.approx(math.exp(high))


def test_only_shared_blocks_are_compared() -> None:
    ratio = paired_ratio("a", "b", {"a": {1: 100.0, 2: 100.0, 3: 100.0}, "b": {2: 50.0, 3: 50.0, 4: 1.0}})
    assert ratio is not None
    assert ratio.blocks == 2
    assert ratio.value == pytest.approx(2.0)
    assert paired_ratio("a", "b", {"a": {1: 1.0}, "b": {2: 1.0}}) is None


def test_one_block_gives_a_ratio_without_interval() -> None:
    ratio = paired_ratio("thread", "single", {"thread": {1: 112.0}, "single": {1: 100.0}})
    assert ratio is not None
    assert ratio_text(ratio) == "thread = 1.12 x single"
    assert ratio.call == "undetermined"


def test_a_ratio_prints_with_its_interval() -> None:
    assert ratio_text(Ratio("thread", "single", 1.12, 1.08, 1.16, 0.001, 0.001, 0.03, 6)) == (
        "thread = 1.12 x single [1.08, 1.16]"
    )


@pytest.mark.parametrize(
    ("low", "high", "p", "call"),
    [
        (0.98, 1.02, 0.8, "tie"),
        (1.005, 1.02, 0.001, "tie"),
        (0.95, 1.08, 0.6, "undetermined"),
        (1.01, 1.08, 0.20, "undetermined"),
        (1.04, 1.08, 0.001, "difference"),
        (0.80, 0.90, 0.001, "difference"),
    ],
)
def test_calls(low: float, high: float, p: float, call: str) -> None:
    assert Ratio("a", "b", math.sqrt(low * high), low, high, p, p, p, 6).call == call


def test_holm_over_the_comparisons_made() -> None:
    draw = np.random.default_rng(4)
    figures = {name: blocks(noisy(draw, 100, 6)) for name in "abcd"}
    ratios = compare_all(list("abcd"), figures)
    assert len(ratios) == 6
    ordered = sorted(ratios, key=lambda ratio: ratio.p or 0)
    assert ordered[0].p_holm == pytest.approx(min(1.0, 6 * (ordered[0].p or 0)))
    assert all((ratio.p_holm or 0) >= (ratio.p or 0) for ratio in ratios)


def test_equal_runs_are_a_tie_and_need_no_variance() -> None:
    (ratio,) = compare_all(["a", "b"], {"a": blocks([7.0] * 6), "b": blocks([7.0] * 6)})
    assert (ratio.call, ratio.p) == ("tie", 1.0)
    (apart,) = compare_all(["a", "b"], {"a": blocks([8.0] * 6), "b": blocks([7.0] * 6)})
    assert apart.call == "difference"


def test_tiers_count_the_models_that_are_reliably_better() -> None:
    draw = np.random.default_rng(9)
    figures = {
        "fast": blocks(noisy(draw, 120, 6)),
        "alike": blocks(noisy(draw, 120, 6)),
        "slow": blocks(noisy(draw, 100, 6)),
    }
    ratios = compare_all(list(figures), figures)
    assert tiers(list(figures), ratios, more_is_better=True) == {"fast": 1, "alike": 1, "slow": 3}
    assert tiers(list(figures), ratios, more_is_better=False) == {"fast": 2, "alike": 2, "slow": 1}


def test_sign_flips_are_exact_for_few_blocks() -> None:
    assert sign_flip([0.1, 0.2, 0.1, 0.3, 0.2, 0.1]) == pytest.approx(2 / 64)
    assert sign_flip([0.1, -0.1]) == 1.0
    assert sign_flip([0.0, 0.0, 0.0]) == 1.0


def test_sign_flips_of_many_blocks_are_sampled_and_repeatable() -> None:
    draw = np.random.default_rng(1)
    logs = [float(value) for value in draw.standard_normal(30) * 0.01]
    assert sign_flip(logs) == sign_flip(logs)
    assert sign_flip(logs) == pytest.approx(scipy_stats.ttest_1samp(logs, 0).pvalue, abs=0.05)


@pytest.mark.parametrize(("comparisons", "needed"), [(1, 6), (6, 8), (105, 13)])
def test_blocks_that_the_permutation_test_needs(comparisons: int, needed: int) -> None:
    assert blocks_for_flips(comparisons) == needed
    assert comparisons * 2 / 2**needed <= 0.05 < comparisons * 2 / 2 ** (needed - 1)


def test_without_a_test_figures_tie_within_three_percent() -> None:
    assert tied(100, 103)
    assert tied(103, 100)
    assert not tied(100, 104)
