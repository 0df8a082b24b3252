"""Statistics across blocks against distributions that are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from analysis.rank.family import Family, Pair, Ranked, compare_family
from analysis.rank.medians import interval_coverage, median_interval
from analysis.tell.markdown_sections import coverage_text, ratio_text
from analysis.tell.words import percent_digits, ratio_digits


def blocks(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values, start=1))


def noisy(draw: np.random.Generator, base: float, count: int, sigma: float = 0.01) -> list[float]:
    return [float(value) for value in base * np.exp(sigma * draw.standard_normal(count))]


def family_of(**values: list[float] | dict[int, float]) -> Family:
    by_label = {label: blocks(each) if isinstance(each, list) else each for label, each in values.items()}
    return compare_family([Ranked("rps", by_label, more_is_better=True)])


def only(**values: list[float] | dict[int, float]) -> Pair:
    (pair,) = family_of(**values).pairs
    return pair


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


@pytest.mark.parametrize(
    ("runs", "text"),
    [(1, "no interval"), (2, "with 50%"), (4, "with 88%"), (5, "least to greatest"), (6, "an order-statistic")],
)
def test_what_an_interval_covers_is_said(runs: int, text: str) -> None:
    assert text in coverage_text(runs)
    assert runs < 2 or "of this campaign" in coverage_text(runs)
    assert interval_coverage(runs) == pytest.approx(1 - 2 * 0.5**runs)


def test_the_intervals_of_an_a_a_study_hold_one_as_often_as_they_say() -> None:
    draw = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        pair = only(a=noisy(draw, 100, 6), b=noisy(draw, 100, 6))
        assert pair.low is not None
        assert pair.high is not None
        held += pair.low <= 1 <= pair.high
    assert 0.92 <= held / 400 <= 0.98


def test_ten_percent_are_found_with_six_blocks() -> None:
    draw = np.random.default_rng(5)
    found = [only(a=noisy(draw, 110, 6), b=noisy(draw, 100, 6)).claim for _ in range(50)]
    assert found.count("more") == 50


def test_pairing_within_blocks_takes_the_blocks_own_level_out() -> None:
    level = [100.0, 150.0, 80.0, 120.0, 60.0, 200.0]
    draw = np.random.default_rng(2)
    first = [1.05 * at * float(np.exp(0.005 * draw.standard_normal())) for at in level]
    pair = only(a=first, b=level)
    assert pair.claim == "more"
    assert pair.ratio == pytest.approx(1.05, abs=0.01)


def test_the_interval_and_p_are_those_of_a_paired_t_test_on_logs() -> None:
    first, second = [110.0, 112.0, 108.0, 115.0, 111.0], [100.0, 101.0, 99.0, 104.0, 98.0]
    pair = only(a=first, b=second)
    known = scipy_stats.ttest_rel(np.log(first), np.log(second))
    low, high = known.confidence_interval(0.95)
    assert pair.p == pytest.approx(known.pvalue)
    assert pair.low == pytest.approx(math.exp(low))
    assert pair.high == pytest.approx(math.exp(high))


def test_only_shared_blocks_are_compared() -> None:
    pair = only(a={1: 100.0, 2: 100.0, 3: 100.0}, b={2: 50.0, 3: 50.0, 4: 1.0})
    assert pair.blocks == 2
    assert pair.ratio == pytest.approx(2.0)
    assert family_of(a={1: 1.0}, b={2: 1.0}).pairs == ()


FIGURE = Ranked("rps", {}, more_is_better=True)
PAIR = Pair("rps", "thread", "single", 1.12, 1.08, 1.16, 0.001, 0.001, 6, "more")


def test_one_block_gives_a_ratio_without_interval() -> None:
    pair = only(thread={1: 112.0}, single={1: 100.0})
    assert ratio_text(pair, FIGURE) == "thread = 1.12 x single"
    assert pair.claim == "too few blocks"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "thread = 1.12 x single [1.08, 1.16]"),
        ({"bounds": frozenset({"thread"})}, "thread >= 1.12 x single"),
        ({"bounds": frozenset({"single"})}, "thread <= 1.12 x single"),
        ({"at_most": frozenset({"single"})}, "thread >= 1.12 x single"),
        ({"bounds": frozenset({"thread", "single"})}, "thread against single: only bounds are known"),
    ],
)
def test_a_ratio_prints_with_its_interval_and_that_of_a_bound_with_its_sign(
    changes: dict[str, frozenset[str]], text: str
) -> None:
    assert ratio_text(PAIR, replace(FIGURE, **changes)) == text  # type: ignore[arg-type]


def test_a_small_ratio_keeps_two_significant_digits() -> None:
    assert [ratio_digits(value) for value in (31.094, 1.004, 0.0204, 0.00123)] == ["31.09", "1.00", "0.020", "0.0012"]
    assert [percent_digits(share) for share in (0.1, 0.011, 0.00041)] == ["10.0%", "1.1%", "0.041%"]
    small = replace(PAIR, ratio=0.0204, low=0.0196, high=0.0291)
    assert ratio_text(small, FIGURE) == "thread = 0.020 x single [0.020, 0.029]"


@pytest.mark.parametrize(
    ("smaller", "larger", "claim"), [("a", "b", "more"), ("b", "a", "not comparable"), ("ab", "", "not comparable")]
)
def test_an_upper_bound_is_on_the_smaller_side_of_a_claim_or_of_none(smaller: str, larger: str, claim: str) -> None:
    """The larger of two response times may be the bound: then the other could be larger still."""
    values = {"a": blocks([5.0, 5.1, 4.9, 5.0, 5.05, 4.95]), "b": blocks([8.0, 8.1, 7.9, 8.0, 8.1, 7.9])}
    figure = Ranked("mean_ms", values, more_is_better=False, at_most=frozenset(smaller))
    assert compare_family([figure]).claim("mean_ms", "b", "a") == claim


def test_equal_runs_are_a_tie_and_need_no_variance() -> None:
    pair = only(a=[7.0] * 6, b=[7.0] * 6)
    assert (pair.claim, pair.p) == ("tie", 1.0)
    assert only(a=[8.0] * 6, b=[7.0] * 6).claim == "more"


def test_holm_over_the_comparisons_made() -> None:
    draw = np.random.default_rng(4)
    pairs = family_of(**{name: noisy(draw, 100, 6) for name in "abcd"}).pairs
    assert len(pairs) == 6
    ordered = sorted(pairs, key=lambda pair: pair.p or 0)
    assert ordered[0].p_holm == pytest.approx(min(1.0, 6 * (ordered[0].p or 0)))
    assert all((pair.p_holm or 0) >= (pair.p or 0) for pair in pairs)
