"""Capacities compared within blocks, in simulated campaigns whose true capacities are known."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from analysis.rank.capacity import BlockCapacity, ModelCapacity, capacity_values, is_wide
from analysis.rank.family import Family, Ranked, compare_family
from study.search import Bracket, Search
from tests.unit.simulated_search import campaign

SEARCH = Search(50, 1_000_000, 0.1)
MODELS = ("a", "b", "c", "d")


def capacity(label: str, brackets: dict[int, Bracket]) -> ModelCapacity:
    blocks = tuple(
        BlockCapacity(block, found.low, found.high, found.ended, None, "passed" if found.confirmed else None, ())
        for block, found in brackets.items()
    )
    return ModelCapacity(label, None, None, None, None, "slo", None, blocks, searched=True)


def ranked(brackets: dict[str, dict[int, Bracket]]) -> Ranked:
    values = capacity_values(capacity(label, mine) for label, mine in brackets.items())
    return Ranked("capacity", values, True, control=("a-aa", "a"), resolution=SEARCH.resolution)


def compared(truth: dict[str, float], noise: float, draw: np.random.Generator, blocks: int = 6) -> Family:
    return compare_family([ranked(campaign(SEARCH, {**truth, "a-aa": truth["a"]}, blocks, noise, draw))])


@pytest.mark.parametrize("apart", [0.0, 0.02, 0.031])  # 0.031: the first and the last are 9.6 % apart
def test_differences_below_the_resolution_are_claimed_in_at_most_5_of_100_campaigns(apart: float) -> None:
    draw = np.random.default_rng(16)
    wrong = runs = 0
    for noise in (0.0, 0.01, 0.03):
        for _ in range(100):
            base = 100 * math.exp(draw.uniform(0, 3))
            family = compared({model: base * (1 + apart) ** at for at, model in enumerate(MODELS)}, noise, draw)
            wrong += any(pair.claim in ("more", "less", "tie") for pair in (*family.pairs, *family.controls.values()))
            runs += 1
    assert wrong / runs <= 0.05


def test_differences_of_twice_the_resolution_and_more_are_found_and_the_right_way_round() -> None:
    draw = np.random.default_rng(17)
    hits = 0
    for _ in range(100):
        base = 100 * math.exp(draw.uniform(0, 3))
        family = compared({model: base * 1.3**at for at, model in enumerate(MODELS)}, 0.02, draw)
        claims = [family.claim("capacity", larger, smaller) for smaller, larger in pairwise(MODELS)]
        assert "less" not in claims
        hits += claims.count("more")
    assert hits / 300 >= 0.95


def test_a_bracket_as_narrow_as_the_resolution_is_not_wide_whatever_a_trial_within_it_came_to() -> None:
    assert not is_wide(1124, 1181, 0.05)
    assert is_wide(1124, 1233, 0.05)
    assert not is_wide(1124, None, 0.05)


def test_a_label_with_a_bound_in_any_block_is_compared_with_none() -> None:
    closed = dict.fromkeys(range(1, 7), Bracket(100, 110, "slo", confirmed=True))
    wide = dict.fromkeys(range(1, 7), Bracket(200, 220, "slo", confirmed=True))
    for bound in (Bracket(400, None, "most"), Bracket(400, None, "generator"), Bracket(None, 50, "slo")):
        family = compare_family([ranked({"a": closed, "b": {**wide, 3: bound}, "c": wide})])
        assert family.claim("capacity", "c", "a") == "more"
        assert family.between("capacity", "b", "a") is None
    family = compare_family([ranked({"a": closed, "b": {**wide, 3: Bracket(100, None, "unclear")}})])
    pair = family.between("capacity", "b", "a")
    assert pair is not None
    assert (pair.blocks, pair.claim) == (5, "more")


def test_equal_brackets_are_undetermined_and_no_tie() -> None:
    same = dict.fromkeys(range(1, 7), Bracket(100, 110, "slo", confirmed=True))
    family = compare_family([ranked({"a": same, "a-aa": same, "b": same})])
    assert family.claim("capacity", "a", "b") == "undetermined"
    assert family.controls["capacity"].claim == "undetermined"
