"""What one family of comparisons may say, in campaigns whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.rank.family import Ranked, cap, compare_family, order, turned
from analysis.rank.medians import median_interval
from tests.unit import simulate_blocks

ALIKE = (1.0, 1.0, 1.0, 1.0)


def exact(**means: float) -> dict[str, dict[int, float]]:
    """Six blocks about each mean, with a spread of 1 % that is the same in none of them."""
    draw = np.random.default_rng(3)
    return {
        label.replace("_", "-"): {
            block: float(mean * (1 + 0.01 * noise)) for block, noise in enumerate(draw.standard_normal(6), 1)
        }
        for label, mean in means.items()
    }


def rps(values: dict[str, dict[int, float]], **changes: object) -> Ranked:
    return Ranked(**{"name": "rps", "values": values, "more_is_better": True, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", simulate_blocks.NOISE)
def test_of_models_that_are_alike_nothing_is_claimed_in_95_of_100_campaigns(kind: str) -> None:
    """Four models, two figures, the A/A controls in the same family; 5, 6 and 10 blocks, runs that vary by 1-8 %."""
    draw = np.random.default_rng(17)
    wrong = runs = 0
    for blocks in (5, 6, 10):
        for cov in (0.01, 0.04, 0.08):
            wrong += sum(
                simulate_blocks.false_claims(simulate_blocks.block_figures(kind, blocks, cov, draw), ALIKE)
                for _ in range(60)
            )
            runs += 60
    assert wrong / runs <= 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5


def test_no_order_or_superlative_is_wrong_where_neighbours_are_2_percent_apart() -> None:
    draw = np.random.default_rng(5)
    truth = (1.02**3, 1.02**2, 1.02, 1.0)
    wrong = sum(
        simulate_blocks.false_claims(simulate_blocks.block_figures("normal", 6, cov, draw, truth), truth)
        for cov in (0.01, 0.02, 0.04, 0.08)
        for _ in range(100)
    )
    assert wrong / 400 <= 0.05


@pytest.mark.parametrize(("step", "blocks", "least"), [(0.03, 10, 0.35), (0.05, 6, 0.45), (0.10, 6, 0.95)])
def test_neighbours_that_far_apart_are_found_with_runs_that_vary_by_2_percent(
    step: float, blocks: int, least: float
) -> None:
    draw = np.random.default_rng(7)
    truth = ((1 + step) ** 3, (1 + step) ** 2, 1 + step, 1.0)
    hits = 0
    for _ in range(80):
        family = compare_family(simulate_blocks.block_figures("normal", blocks, 0.02, draw, truth))
        hits += sum(family.claim("rps", *pair) == "more" for pair in (("a", "b"), ("b", "c"), ("c", "d")))
    assert hits / 240 >= least


@pytest.mark.parametrize("kind", ["normal", "t3", "drift"])
def test_the_interval_of_a_ratio_holds_the_truth_in_95_of_100_pairs(kind: str) -> None:
    """Of each pair alone, of models 5 % apart. Outliers' cost is in `benchmarks.truth`."""
    draw = np.random.default_rng(12)
    truth = (1.05**3, 1.05**2, 1.05, 1.0)
    true = dict(zip("abcd", truth, strict=True))
    held = pairs = 0
    for blocks in (2, 5, 6, 10):
        for _ in range(20):
            for pair in compare_family(simulate_blocks.block_figures(kind, blocks, 0.03, draw, truth)).pairs:
                if pair.figure == "rps" and pair.low is not None and pair.high is not None:
                    held += pair.low <= true[pair.first] / true[pair.second] <= pair.high
                    pairs += 1
    # The pairs of one campaign share their runs: about as many independent ones as models.
    assert pairs >= 400
    assert 0.95 - 2 * (0.95 * 0.05 / (pairs / 2)) ** 0.5 <= held / pairs


def test_one_family_holds_every_pair_of_every_figure_and_the_controls() -> None:
    family = compare_family(simulate_blocks.block_figures("normal", 6, 0.02, np.random.default_rng(1)))
    assert family.tests == 2 * 6 + 2


def test_with_four_common_blocks_nothing_is_claimed_and_four_is_what_is_said() -> None:
    values = exact(a=200, b=100, c=50)
    values["b"] = {block: value for block, value in values["b"].items() if block > 2}
    family = compare_family([rps(values)])
    pair = family.between("rps", "a", "b")
    assert pair is not None
    assert (pair.claim, pair.blocks, pair.p_holm) == ("too few blocks", 4, None)
    assert family.claim("rps", "a", "c") == "more"
    assert family.tests == 1
    ordered = order(family, rps(values))
    assert ordered.signs == ("~", "~")
    assert [(each.first, each.second) for each in ordered.beyond] == [("a", "c")]
    assert ordered.best is None


def test_a_control_that_is_10_percent_off_withdraws_differences_of_5_percent() -> None:
    values = exact(a=100, b=95, c=50, a_aa=110)
    control = ("a-aa", "a")
    assert compare_family([rps(values)]).claim("rps", "a", "b") == "more"
    family = compare_family([rps(values, control=control)])
    assert family.controls["rps"].claim == "more"
    assert family.caps["rps"] > 1.1
    assert family.claim("rps", "a", "b") == "undetermined"
    assert family.claim("rps", "b", "c") == "more"
    assert order(family, rps(values, control=control)).models == ("a", "b", "c")


def test_beside_a_failed_control_nothing_ties() -> None:
    values = {
        label: {block: mean * (1 + 0.0005 * (block % 3) + 0.0001 * at) for block in range(1, 7)}
        for at, (label, mean) in enumerate((("a", 100.0), ("b", 100.0), ("a-aa", 110.0)))
    }
    assert compare_family([rps(values)]).claim("rps", "a", "b") == "tie"
    assert compare_family([rps(values, control=("a-aa", "a"))]).claim("rps", "a", "b") == "undetermined"


def test_a_control_within_chance_caps_at_its_own_size() -> None:
    values = {label: {block: 100.0 + spread for block, spread in enumerate((0, 3, -3, 2, -2, 1), 1)} for label in "ab"}
    values["a-aa"] = {block: 100.0 + spread for block, spread in enumerate((9, -3, 4, -2, 8, -3), 1)}
    family = compare_family([rps(values, control=("a-aa", "a"))])
    control = family.controls["rps"]
    assert control.claim == "undetermined"
    assert family.caps["rps"] == pytest.approx(max(control.ratio, 1 / control.ratio))
    assert cap(None) == 1.0


def test_a_bound_is_on_the_larger_side_of_a_claim_or_of_none() -> None:
    values = exact(a=200, b=133, c=100, d=203)
    figure = rps(values, bounds=frozenset({"a", "b"}))
    family = compare_family([figure])
    assert family.claim("rps", "a", "c") == "more"
    assert family.claim("rps", "b", "c") == "more"
    assert family.claim("rps", "a", "b") == "not comparable"
    assert family.claim("rps", "b", "d") == "not comparable"
    assert family.claim("rps", "a", "d") == "not comparable"
    ordered = order(family, figure)
    assert ordered.unplaced == ("b",)
    assert (ordered.models, ordered.signs) == (("d", "a", "c"), ("~", ">"))
    assert ordered.best is None


def test_a_rival_without_a_figure_leaves_no_superlative() -> None:
    values = exact(a=200, b=100)
    assert order(compare_family([rps(values)]), rps(values)).best == "a"
    values["collapsed"] = {}
    assert order(compare_family([rps(values)]), rps(values)).best is None


def test_ties_join_only_those_that_all_tie() -> None:
    values = {
        label: {block: mean * (1 + 0.0005 * (block % 3)) for block in range(1, 7)}
        for label, mean in (("a", 104.0), ("b", 102.0), ("c", 100.0))
    }
    values["b"][3] *= 1.001
    values["c"][2] *= 1.001
    ordered = order(compare_family([rps(values)]), rps(values))
    assert ordered.signs == ("=", "~")
    assert [(pair.first, pair.second) for pair in ordered.beyond] == [("a", "c")]


def test_where_less_is_better_the_least_comes_first() -> None:
    figure = Ranked("mean_ms", exact(a=5, b=2, c=1), more_is_better=False)
    ordered = order(compare_family([figure]), figure)
    assert (ordered.models, ordered.signs, ordered.best, ordered.worst) == (("c", "b", "a"), ("<", "<"), "c", "a")


def test_a_pair_the_other_way_round_says_the_same() -> None:
    family = compare_family([rps(exact(a=110, b=100))])
    pair = family.pairs[0]
    back = turned(pair)
    assert pair.low is not None
    assert back.claim == "less"
    assert back.ratio == pytest.approx(1 / pair.ratio)
    assert back.high == pytest.approx(1 / pair.low)


@pytest.mark.parametrize(("runs", "coverage"), [(2, 0.5), (3, 0.75), (4, 0.875), (5, 0.9375), (6, 0.969), (10, 0.979)])
def test_the_interval_of_a_median_covers_that_of_this_campaign_as_often_as_it_says(runs: int, coverage: float) -> None:
    draw = np.random.default_rng(runs)
    intervals = [median_interval(draw.lognormal(0, 0.02, runs).tolist()) for _ in range(600)]
    held = sum(interval.low <= 1 <= interval.high for interval in intervals)
    assert intervals[0].coverage == pytest.approx(coverage, abs=0.001)
    assert held / 600 == pytest.approx(coverage, abs=0.05)
