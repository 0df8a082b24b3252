"""The models compared: which figures of the steps may be compared, and which order they give.

Below the knee every sound server has X = N / Z, so requests per second are compared at each model's peak goodput.
Past the knee X is more than 5 % under N / (R1 + Z), which makes a step `overload`: a finding about the server, so its
goodput counts for the peak as that of valid steps does. A model whose ladder ends, or stops being valid, before the
server was full has a peak that is only a lower bound: it is never placed below another. Response times are compared at
the largest step that is valid for all models: a mean over an overloaded step counts only the survivors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.judge.findings import Check, Outcome, check, passed
from analysis.judge.repeat import across_blocks
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.verdicts import SERVED, VALID
from analysis.rank.ratios import Ratio, compare_all, paired_ratio, tied, tiers
from analysis.rank.steps import Steps
from study.plan import AA_SUFFIX, Plan

LONGEST_RATIOS = 10  # pairs up to which all are shown

Figures = Mapping[str, Mapping[int, float]]
"""For each label, a figure for each block."""


@dataclass(frozen=True)
class FigureRanking:
    """One figure of all models, compared."""

    figures: Figures
    medians: Mapping[str, float]
    ratios: tuple[Ratio, ...]
    """Every pair, the one with the better median first."""
    ranks: Mapping[str, int]
    """Empty where no ranking is claimed."""
    order: tuple[tuple[str, ...], ...]
    """Best first; models in one group tie."""
    control: Ratio | None
    """The A/A control over the model that it repeats."""
    unplaced: tuple[str, ...] = ()
    """Models of which only a lower bound is known, and that others surpass: their place isn't known."""


@dataclass(frozen=True)
class Ranking:
    """The models compared by peak goodput and by response time."""

    blocks: int
    """Blocks in which anything was measured."""
    common_users: int | None
    """The largest ladder step that is valid for all models."""
    peak_users: Mapping[str, int]
    reached: frozenset[str]
    """Models that reached their limit: the server was full at the step of its peak or at a larger one."""
    goodput: FigureRanking
    response: FigureRanking


def rank_models(steps: Steps, plan: Plan) -> Ranking:
    """Compare the models. The A/A control is compared with its model alone and never ranked."""
    ladder = steps.ladder.measured
    valid, served = ladder.usable(VALID), ladder.usable(SERVED)
    present = list(dict.fromkeys(ladder.frame["model"]))
    measured = [model for model in plan.models if model in present]
    control = next((label for label in present if is_control(label, plan)), None)
    peaks = _peaks(served)
    common = _common(valid, measured)
    labels = [*measured, *([control] if control is not None else [])]
    repeated = {label: label.removesuffix(AA_SUFFIX) if label == control else label for label in labels}
    goodput = {label: _by_block(served.of_model(label).at(peaks.get(repeated[label])), "rps") for label in labels}
    response = {label: _by_block(valid.of_model(label).at(common), "mean_ms") for label in labels}
    reached = frozenset(
        label for label, users in peaks.items() if any(u >= users for u in ladder.of_model(label).full_users())
    )
    return Ranking(
        blocks=int(ladder.frame["block"].nunique()),
        common_users=common,
        peak_users={label: peaks[label] for label in measured if label in peaks},
        reached=reached,
        goodput=_compare(goodput, measured, control, more_is_better=True, bounds=set(measured) - reached),
        response=_compare(response, measured, control, more_is_better=False),
    )


def is_control(label: str, plan: Plan) -> bool:
    """Whether a label is that of the A/A control: a second run of the plan's first model."""
    return label not in plan.models and label.endswith(AA_SUFFIX)


def _peaks(served: Steps) -> dict[str, int]:
    """For each label the users of the step with the largest median goodput: one step for all blocks.

    A step chosen for each block would add the luck of the block to the peak.
    """
    peaks: dict[str, int] = {}
    for label, rows in served.frame.groupby("model"):
        medians = rows.groupby("users")["rps"].median()
        peaks[str(label)] = int(str(medians.idxmax()))
    return peaks


def _common(valid: Steps, models: Sequence[str]) -> int | None:
    steps = [set(valid.of_model(model).users) for model in models]
    shared = set.intersection(*steps) if steps else set()
    return max(shared) if shared else None


def _by_block(rows: Steps, column: str) -> dict[int, float]:
    known = rows.frame.dropna(subset=[column])
    return {int(block): float(value) for block, value in zip(known["block"], known[column], strict=True)}


def _compare(
    figures: Figures, models: Sequence[str], control: str | None, more_is_better: bool, bounds: Collection[str] = ()
) -> FigureRanking:
    """`bounds` are the models whose figure is only a lower bound."""
    medians = {model: float(pd.Series(figures[model]).median()) for model in models if figures.get(model)}
    best_first = sorted(medians, key=lambda model: medians[model], reverse=more_is_better)
    unplaced = tuple(
        model for model in best_first if model in bounds and not tied(medians[best_first[0]], medians[model])
    )
    best_first = [model for model in best_first if model not in unplaced]
    ratios = compare_all(best_first, figures)
    enough = {model for model in best_first if len(figures[model]) >= T.least_blocks}
    claimed = [ratio for ratio in ratios if {ratio.first, ratio.second} <= enough and ratio.blocks >= T.least_blocks]
    sound = [ratio for ratio in claimed if (ratio.second if ratio.value > 1 else ratio.first) not in bounds]
    ranked = [model for model in best_first if model in enough]
    # Where no limit was reached every model gave N / Z: there is nothing to rank.
    ranks = tiers(ranked, sound, more_is_better) if claimed and not set(ranked) <= set(bounds) else {}
    ordered = sorted(best_first, key=lambda model: ranks.get(model, len(models) + 1))
    aa = paired_ratio(control, control.removesuffix(AA_SUFFIX), figures) if control is not None else None
    return FigureRanking(figures, medians, ratios, ranks, _groups(ordered, medians, ranks), aa, unplaced)


def _groups(
    ordered: Sequence[str], medians: Mapping[str, float], ranks: Mapping[str, int]
) -> tuple[tuple[str, ...], ...]:
    """Neighbours tie where they share a rank; without ranks, where they are within 3 % of the first of their group."""
    groups: list[list[str]] = []
    for model in ordered:
        first = groups[-1][0] if groups else None
        alike = first is not None and (
            ranks.get(first) == ranks.get(model) if ranks else tied(medians[first], medians[model])
        )
        if alike:
            groups[-1].append(model)
        else:
            groups.append([model])
    return tuple(tuple(group) for group in groups)


def shown_ratios(ranking: FigureRanking) -> list[Ratio]:
    """Every pair of a few models; of many, each against the best and against the next, the better one first."""
    place = {model: at for at, model in enumerate(dict.fromkeys(ratio.first for ratio in ranking.ratios))}
    return [
        ratio
        for ratio in ranking.ratios
        if len(ranking.ratios) <= LONGEST_RATIOS
        or place[ratio.first] == 0
        or place.get(ratio.second, len(place)) - place[ratio.first] == 1
    ]


def control_check(code: str, ratio: Ratio) -> Check:
    """The A/A control: one model under two names. It fails only where its interval lies wholly outside 0.97-1.03."""
    outcome: Outcome = "not available"
    if ratio.low is not None and ratio.high is not None:
        outcome = passed(not (ratio.low > 1 + T.tie or ratio.high < 1 - T.tie))
    return check(
        outcome,
        code,
        value=ratio.value,
        threshold=T.tie,
        control=ratio.first,
        model=ratio.second,
        low=ratio.low,
        high=ratio.high,
    )


def repeat_checks(steps: Steps, ranking: Ranking) -> list[tuple[str, int | None, Check]]:
    """Check 10 over the blocks: label, step and check of each step that was measured as valid, then the A/A control's.

    The step is None for the control, which is compared at its peak and at the common step.
    """
    valid = steps.ladder.with_verdict(VALID).frame
    checks: list[tuple[str, int | None, Check]] = [
        (str(model), int(str(step)), across_blocks([float(value) for value in rows["rps"]]))
        for (model, step), rows in valid.groupby(["model", "step"], sort=False)
    ]
    for code, figure in (("repeat.control-rps", ranking.goodput), ("repeat.control-mean", ranking.response)):
        if figure.control is not None:
            checks.append((figure.control.first, None, control_check(code, figure.control)))
    return checks
