"""Every comparison that a report makes, as one family: what may be called more, less or alike, and in which order.

Paired t on log ratios within blocks, Holm's correction over all pairs of all figures with their A/A controls together,
so that a report says something false of two models that are alike in at most 5 % of campaigns (Holm, A simple
sequentially rejective multiple test procedure, 1979, needs no assumption on how the tests depend on each other).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from scipy import special

from analysis.judge.thresholds import THRESHOLDS as T

Claim = Literal["more", "less", "tie", "undetermined", "too few blocks", "not comparable"]
"""What is said of the first against the second; only `more`, `less` and `tie` are claims."""
Sign = Literal[">", "<", "=", "~"]

Blocks = Mapping[int, float]
"""A figure for each block."""


@dataclass(frozen=True)
class Ranked:
    """One figure of all models, as it enters the family."""

    name: str
    values: Mapping[str, Blocks]
    """For each label, the A/A control's included."""
    more_is_better: bool
    bounds: frozenset[str] = frozenset()
    """Labels whose figure is only known to be at least its value."""
    at_most: frozenset[str] = frozenset()
    """Labels whose figure is only known to be at most its value, as response times with the client's delay in them."""
    control: tuple[str, str] | None = None
    """The label of the A/A control and that of the model which it repeats; the control is never ranked."""
    repeated: Blocks | None = None
    """The model's blocks that the control is compared with, where those in `values` are of another step."""
    resolution: float = 0.0
    """Relative width to which each value is known: no smaller difference is claimed, and no tie."""

    def median(self, label: str) -> float | None:
        """Over the label's blocks; None without any."""
        blocks = self.values.get(label)
        return float(np.median(list(blocks.values()))) if blocks else None


@dataclass(frozen=True)
class Pair:
    """`first` over `second` in one figure, over the blocks that both have."""

    figure: str
    first: str
    second: str
    ratio: float
    low: float | None
    """Ends of the 95 % interval of this pair alone; None of a single block."""
    high: float | None
    p: float | None
    """Two-sided; None where the pair is not tested."""
    p_holm: float | None
    blocks: int
    claim: Claim


@dataclass(frozen=True)
class KnownRatio:
    """What is known of a pair's ratio: a bound has no interval, and of two bounds there is no ratio."""

    bound: Literal["", "at least", "at most", "unknown"]
    """Empty where the ratio is a value; `unknown` where both sides are bounds, so that any ratio may be true."""
    ratio: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Order:
    """Models of one figure, best first: `signs[i]` stands between `models[i]` and `models[i + 1]`.

    `>` (`<` where less is better): a test stands behind every pair across it, whichever model before it and whichever
    behind it. `=`: each ties with all that `=` joins it to. `~`: neither.
    """

    models: tuple[str, ...]
    signs: tuple[Sign, ...]
    beyond: tuple[Pair, ...]
    """Tested differences that the signs don't show, as of the first and third of three that are `~`."""
    unplaced: tuple[str, ...]
    """Models of which only a bound is known, and that another exceeds: nobody knows where they stand."""
    best: str | None
    """The model that is tested better than every other that was measured: "most", "fewest"; None where none is."""
    worst: str | None


@dataclass(frozen=True)
class Family:
    """All pairs of all figures, after Holm's correction and the controls' caps."""

    pairs: tuple[Pair, ...]
    controls: Mapping[str, Pair]
    """By figure; their claims are in the same family."""
    caps: Mapping[str, float]
    """By figure, the ratio (1 or more) that a difference must exceed to be claimed; 1 without a control."""
    tests: int
    """How many comparisons Holm's correction is over."""

    def claim(self, figure: str, first: str, second: str) -> Claim:
        """What may be said of the first against the second; `too few blocks` where they share none."""
        pair = self.between(figure, first, second)
        return pair.claim if pair is not None else "too few blocks"

    def between(self, figure: str, first: str, second: str) -> Pair | None:
        """The pair of two models in one figure, the other way round where need be."""
        for pair in self.pairs:
            if pair.figure == figure and (pair.first, pair.second) == (first, second):
                return pair
            if pair.figure == figure and (pair.first, pair.second) == (second, first):
                return turned(pair)
        return None


def compare_family(figures: Sequence[Ranked]) -> Family:
    """Compare every pair of models in every figure, and each control with its model.

    A pair of which one side is a lower bound is tested, and claimed only where the bound is on the larger side: what is
    at least 133 is more than 100, and nothing else follows; an upper bound on the smaller side likewise. Two bounds of
    one kind are not comparable.
    """
    raw: list[Pair] = []
    controls: dict[str, Pair] = {}
    for figure in figures:
        control = figure.control[0] if figure.control is not None else None
        ranked = [label for label, values in figure.values.items() if label != control and values]
        raw += [pair for first, second in combinations(ranked, 2) if (pair := _pair(figure, first, second)) is not None]
        if figure.control is not None and (aa := _pair(of_control(figure), *figure.control)) is not None:
            controls[figure.name] = aa
    adjusted = _holm([*raw, *controls.values()])
    tests = sum(pair.p is not None for pair in adjusted)
    by_figure = {figure.name: figure for figure in figures}
    judged_controls = {
        name: _claimed(pair, of_control(by_figure[name]), None)
        for name, pair in zip(controls, adjusted[len(raw) :], strict=True)
    }
    pairs = tuple(
        _claimed(pair, by_figure[pair.figure], judged_controls.get(pair.figure)) for pair in adjusted[: len(raw)]
    )
    caps = {figure.name: cap(judged_controls.get(figure.name)) for figure in figures}
    return Family(pairs, judged_controls, caps, tests)


def cap(control: Pair | None) -> float:
    """The ratio that a difference must exceed, given what the A/A control shows of two runs of one model.

    The control's own ratio; where it is a difference by its own test, all of its interval, since then the machine
    makes differences of that size by itself. 1 without a control of at least two blocks.
    """
    if control is None or control.low is None or control.high is None:
        return 1.0
    if control.claim in ("more", "less"):
        return max(control.high, 1 / control.low) if control.low > 0 else math.inf
    return max(control.ratio, 1 / control.ratio)


def order(family: Family, figure: Ranked) -> Order:
    """The models of one figure by their medians, best first, with the signs that tests allow."""
    control = figure.control[0] if figure.control is not None else None
    rivals = [label for label in figure.values if label != control]
    medians = {label: value for label in rivals if (value := figure.median(label)) is not None}
    largest = max(medians.values(), default=0.0)
    unplaced = {label for label in medians if label in figure.bounds and largest > (1 + T.tie) * medians[label]}
    models = sorted((label for label in medians if label not in unplaced), key=lambda label: medians[label])
    if figure.more_is_better:
        models.reverse()
    wins: Claim = "more" if figure.more_is_better else "less"

    def beats(first: str, second: str) -> bool:
        return family.claim(figure.name, first, second) == wins

    cuts = {
        at
        for at in range(1, len(models))
        if all(beats(first, second) for first in models[:at] for second in models[at:])
    }
    return Order(
        models=tuple(models),
        signs=_signs(models, cuts, figure, family),
        beyond=tuple(
            pair
            for first, second in combinations(models, 2)
            if not any(models.index(first) < at <= models.index(second) for at in cuts)
            and (pair := family.between(figure.name, first, second)) is not None
            and pair.claim in ("more", "less")
        ),
        unplaced=tuple(sorted(unplaced)),
        best=_superlative(rivals, beats),
        worst=_superlative(rivals, lambda first, second: beats(second, first)),
    )


def _signs(models: Sequence[str], cuts: set[int], figure: Ranked, family: Family) -> tuple[Sign, ...]:
    better: Sign = ">" if figure.more_is_better else "<"
    signs: list[Sign] = []
    alike = list(models[:1])
    for at, model in enumerate(models[1:], start=1):
        if at not in cuts and all(family.claim(figure.name, other, model) == "tie" for other in alike):
            signs.append("=")
            alike.append(model)
        else:
            signs.append(better if at in cuts else "~")
            alike = [model]
    return tuple(signs)


def _superlative(rivals: Sequence[str], beats: Callable[[str, str], bool]) -> str | None:
    """The one that beats every other; a rival without a figure is beaten by nobody."""
    if len(rivals) < 2:
        return None
    return next((one for one in rivals if all(beats(one, other) for other in rivals if other != one)), None)


def turned(pair: Pair) -> Pair:
    """`second` over `first`."""
    opposite: dict[Claim, Claim] = {"more": "less", "less": "more"}
    return replace(
        pair,
        first=pair.second,
        second=pair.first,
        ratio=1 / pair.ratio,
        low=1 / pair.high if pair.high is not None else None,
        high=1 / pair.low if pair.low is not None else None,
        claim=opposite.get(pair.claim, pair.claim),
    )


def known_ratio(pair: Pair, figure: Ranked) -> KnownRatio:
    """The ratio of a pair of this figure, given which of the two sides are bounds."""
    least = pair.first in figure.bounds or pair.second in figure.at_most
    most = pair.second in figure.bounds or pair.first in figure.at_most
    if least and most:
        return KnownRatio("unknown", None, None, None)
    if least or most:
        return KnownRatio("at least" if least else "at most", pair.ratio, None, None)
    return KnownRatio("", pair.ratio, pair.low, pair.high)


def _pair(figure: Ranked, first: str, second: str) -> Pair | None:
    """The pair before any correction; None without a block that both have."""
    mine, theirs = figure.values.get(first, {}), figure.values.get(second, {})
    common = [block for block in mine if block in theirs and mine[block] > 0 and theirs[block] > 0]
    if not common:
        return None
    logs = np.log([mine[block] / theirs[block] for block in common])
    mean, blocks = float(logs.mean()), len(common)
    if blocks < 2:
        return Pair(figure.name, first, second, math.exp(mean), None, None, None, None, blocks, "too few blocks")
    error = float(logs.std(ddof=1)) / math.sqrt(blocks)
    half = error * float(special.stdtrit(blocks - 1, (1 + T.confidence) / 2))
    comparable = _may_exceed(figure, first, second) or _may_exceed(figure, second, first)
    tested = blocks >= T.least_blocks and comparable
    p = None
    if tested:
        p = _p_value(mean, error, blocks - 1, math.log1p(figure.resolution))
    claim: Claim = "too few blocks" if comparable else "not comparable"
    low, high = math.exp(mean - half), math.exp(mean + half)
    return Pair(figure.name, first, second, math.exp(mean), low, high, p, None, blocks, claim)


def _p_value(mean: float, error: float, degrees: int, least: float) -> float:
    """Of the hypothesis that the logarithm of the ratio is at most `least` in size; t's two tails where that is 0."""
    if error <= 0:
        return float(abs(mean) <= least)
    tails = (abs(mean) - least) / error, (abs(mean) + least) / error
    return float(sum(special.stdtr(degrees, -tail) for tail in tails))


def _holm(pairs: Sequence[Pair]) -> list[Pair]:
    """The same pairs with Holm's p over all that are tested."""
    tested = sorted((pair.p, position) for position, pair in enumerate(pairs) if pair.p is not None)
    adjusted = list(pairs)
    largest = 0.0
    for rank, (p, position) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - rank)))
        adjusted[position] = replace(pairs[position], p_holm=largest)
    return adjusted


def _may_exceed(figure: Ranked, larger: str, smaller: str) -> bool:
    """Whether `larger` could be shown to exceed `smaller`, given which of the two are bounds."""
    return larger not in figure.at_most and smaller not in figure.bounds


def of_control(figure: Ranked) -> Ranked:
    """Both sides of a control are the same model at the same load: a bound of both is a value to compare here."""
    values = dict(figure.values)
    if figure.control is not None and figure.repeated is not None:
        values[figure.control[1]] = figure.repeated
    return replace(figure, values=values, bounds=frozenset(), at_most=frozenset())


def _claimed(pair: Pair, figure: Ranked, control: Pair | None) -> Pair:
    """The pair with what may be said of it: a difference exceeds the control's cap, and never rests on a bound's value.

    Where the control is a difference, nothing ties either: one model differed from itself by more than a tie allows.
    """
    if pair.p_holm is None or pair.low is None or pair.high is None:
        return pair
    bounded = {pair.first, pair.second} & (figure.bounds | figure.at_most)
    failed = control is not None and control.claim in ("more", "less")
    if not bounded and not failed and not figure.resolution and pair.low >= 1 - T.tie and pair.high <= 1 + T.tie:
        return replace(pair, claim="tie")
    larger, smaller = (pair.first, pair.second) if pair.ratio > 1 else (pair.second, pair.first)
    least = max(cap(control), 1 + figure.resolution)
    differs = pair.p_holm <= 1 - T.confidence and max(pair.ratio, 1 / pair.ratio) > least
    if differs and _may_exceed(figure, larger, smaller):
        return replace(pair, claim="more" if pair.ratio > 1 else "less")
    return replace(pair, claim="not comparable" if bounded else "undetermined")
