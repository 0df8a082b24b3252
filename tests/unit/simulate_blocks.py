"""Campaigns simulated as a figure for each block, so that a test knows which models and days really differ."""

from __future__ import annotations

import math

import numpy as np

from analysis.rank.family import Ranked, compare_family, order
from analysis.rank.over_time.day_effect import DayCall, DayMean, day_calls, day_mean, day_ratio

NOISE = ("normal", "t3", "skewed", "outlier", "drift")
LABELS = ("a", "b", "c", "d", "a-aa")


def block_figures(
    kind: str, blocks: int, cov: float, draw: np.random.Generator, truth: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
) -> list[Ranked]:
    """Requests/s and response times of four models and the A/A control of the first, which depend on each other.

    `cov` is the spread of one run. `outlier`: one run loses a quarter, and the whole block of it is off; `drift`: the
    machine gains 10 % over the campaign, and runs come in a random order within their block.
    """
    runs = len(LABELS)
    if kind == "t3":
        noise = draw.standard_t(3, (2, blocks, runs)) / math.sqrt(3)
    elif kind == "skewed":
        noise = (np.exp(draw.standard_normal((2, blocks, runs))) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)
    else:
        noise = draw.standard_normal((2, blocks, runs))
    noise[1] = -0.5 * noise[0] + math.sqrt(0.75) * noise[1]
    noise *= cov
    if kind == "outlier":
        block = draw.integers(blocks)
        noise[:, block, :] += draw.normal(0, 0.2)
        noise[0, block, draw.integers(runs)] -= 0.3
    elif kind == "drift":
        slots = np.array([draw.permutation(runs) for _ in range(blocks)]) + runs * np.arange(blocks)[:, None]
        noise += 0.1 * slots / (runs * blocks)
    true = np.log([*truth, truth[0]])
    figures = []
    for at, (name, sign) in enumerate((("rps", 1), ("mean_ms", -1))):
        values = 100 * np.exp(noise[at] + sign * true)
        by_label = {
            label: {block + 1: float(values[block, run]) for block in range(blocks)} for run, label in enumerate(LABELS)
        }
        figures.append(Ranked(name, by_label, more_is_better=sign > 0, control=("a-aa", "a")))
    return figures


def false_claims(figures: list[Ranked], truth: tuple[float, ...]) -> bool:
    """Whether anything that the family and its order say of these figures is wrong."""
    family = compare_family(figures)
    true = dict(zip(LABELS, truth, strict=False))
    if any(pair.claim in ("more", "less") for pair in family.controls.values()):
        return True
    for figure in figures:
        ordered = order(family, figure)
        above = [pair for pair in family.pairs if pair.figure == figure.name and pair.claim in ("more", "less")]
        for pair in above:
            better = (pair.claim == "more") == figure.more_is_better
            ahead, behind = (pair.first, pair.second) if better else (pair.second, pair.first)
            if true[ahead] <= true[behind]:
                return True
        for at, sign in enumerate(ordered.signs):
            pairs = [(first, second) for first in ordered.models[: at + 1] for second in ordered.models[at + 1 :]]
            if sign in "<>" and any(true[first] <= true[second] for first, second in pairs):
                return True
        if ordered.best is not None and true[ordered.best] < max(truth):
            return True
    return False


def two_days(
    day: float, days: int, blocks: int, cov: float, figures: int, draw: np.random.Generator, change: float = 0.0
) -> dict[str, DayCall]:
    """What is ordered of two campaigns on two days after a history of so many: `change` is the log of the true ratio.

    `day` is the standard deviation of a day's effect, of which half is common to all figures.
    """

    def campaign(date: str, true: float) -> list[DayMean]:
        common = draw.standard_normal()
        return [
            day_mean(date, np.exp(true + day * effect + cov * draw.standard_normal(blocks)).tolist())
            for effect in math.sqrt(0.5) * (common + draw.standard_normal(figures))
        ]

    history = [campaign(f"day {number}", 0.0) for number in range(days)]
    first, second = campaign("A", 0.0), campaign("B", change)
    return day_calls(
        {str(at): day_ratio(first[at], second[at], [earlier[at] for earlier in history]) for at in range(figures)}
    )
