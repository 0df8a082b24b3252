"""Which figures of the steps may be compared, and what the comparison says.

Below the knee every sound server has X = N / Z, so requests per second are compared at each model's peak goodput.
Past the knee X is more than 5 % under N / (R1 + Z), which makes a step `overload`: a finding about the server, so its
goodput counts for the peak beside that of valid steps. A model whose ladder ends, or stops being valid, before the
server was full has a peak that is only a lower bound: it is never placed below another. Response times are compared at
the largest step that is valid for all models: a mean over an overloaded step counts only the survivors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.judge.checks import Check
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.ratios import Ratio, compare_all, paired_ratio, tied, tiers
from study.plan import AA_SUFFIX, Plan

LONGEST_RATIOS = 10  # pairs up to which all are shown

Figures = Mapping[str, Mapping[int, float]]
"""For each label, a figure for each block."""


@dataclass(frozen=True)
class Comparison:
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
    """Models of which only a lower bound is known, and that others surpass: where they stand isn't known."""


@dataclass(frozen=True)
class Ranking:
    blocks: int
    """Blocks of which anything was measured."""
    common_users: int | None
    """The largest ladder step that is valid for all models."""
    peak_users: Mapping[str, int]
    reached: frozenset[str]
    """Models whose peak is one: the server was full there or at a larger step."""
    goodput: Comparison
    response: Comparison


def rank(steps: pd.DataFrame, plan: Plan) -> Ranking:
    """Compare the models of steps.csv. The A/A control is compared with its model alone and never ranked."""
    ladder = steps[(steps["kind"] == "ladder") & (steps["verdict"] != "not-measured")]
    valid, served = usable(ladder, ("valid",)), usable(ladder, ("valid", "overload"))
    measured = [model for model in plan.models if (ladder["model"] == model).any()]
    control = next((label for label in ladder["model"].unique() if is_control(label, plan)), None)
    peaks = _peaks(served)
    common = _common(valid, measured)
    labels = [*measured, *([control] if control is not None else [])]
    repeated = {label: label.removesuffix(AA_SUFFIX) if label == control else label for label in labels}
    goodput = {label: _at(served, label, peaks.get(repeated[label]), "rps") for label in labels}
    response = {label: _at(valid, label, common, "mean_ms") for label in labels}
    reached = frozenset(label for label, users in peaks.items() if _full(ladder[ladder["model"] == label], users))
    return Ranking(
        blocks=int(ladder["block"].nunique()),
        common_users=common,
        peak_users={label: peaks[label] for label in measured if label in peaks},
        reached=reached,
        goodput=_compare(goodput, measured, control, more_is_better=True, bounds=set(measured) - reached),
        response=_compare(response, measured, control, more_is_better=False),
    )


def is_control(label: str, plan: Plan) -> bool:
    return label not in plan.models and label.endswith(AA_SUFFIX)


def usable(ladder: pd.DataFrame, verdicts: Sequence[str] = ("valid",)) -> pd.DataFrame:
    """Rows with one of these verdicts, of the steps that have one of them in more than half of a model's blocks."""
    if ladder.empty:
        return ladder
    good = ladder["verdict"].isin(verdicts)
    share = good.groupby([ladder["model"], ladder["users"]]).transform("mean")
    return ladder[good & (share > 0.5)]


def _peaks(valid: pd.DataFrame) -> dict[str, int]:
    """For each label the users of the step with the largest median goodput: one for all blocks, not each one's luck."""
    peaks: dict[str, int] = {}
    for label, rows in valid.groupby("model"):
        medians = rows.groupby("users")["rps"].median()
        peaks[str(label)] = int(str(medians.idxmax()))
    return peaks


def _full(ladder: pd.DataFrame, users: int) -> bool:
    """The server was full at this step or a larger one, in more than half of the blocks."""
    larger = ladder[ladder["users"] >= users]
    full = (larger["verdict"] == "overload") | (larger["saturated"] == "yes")
    return bool((full.groupby(larger["users"]).mean() > 0.5).any())


def _common(valid: pd.DataFrame, models: Sequence[str]) -> int | None:
    steps = [set(valid.loc[valid["model"] == model, "users"]) for model in models]
    shared = set.intersection(*steps) if steps else set()
    return int(max(shared)) if shared else None


def _at(valid: pd.DataFrame, label: str, users: int | None, column: str) -> dict[int, float]:
    if users is None:
        return {}
    rows = valid[(valid["model"] == label) & (valid["users"] == users)].dropna(subset=[column])
    return {int(block): float(value) for block, value in zip(rows["block"], rows[column], strict=True)}


def _compare(
    figures: Figures, models: Sequence[str], control: str | None, more_is_better: bool, bounds: Collection[str] = ()
) -> Comparison:
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
    return Comparison(figures, medians, ratios, ranks, _groups(ordered, medians, ranks), aa, unplaced)


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


def shown_ratios(comparison: Comparison) -> list[Ratio]:
    """Every pair of a few models; of many, each against the best and against the next, the better one first."""
    place = {model: at for at, model in enumerate(dict.fromkeys(ratio.first for ratio in comparison.ratios))}
    return [
        ratio
        for ratio in comparison.ratios
        if len(comparison.ratios) <= LONGEST_RATIOS
        or place[ratio.first] == 0
        or place.get(ratio.second, len(place)) - place[ratio.first] == 1
    ]


def control_check(name: str, ratio: Ratio) -> Check:
    """The A/A control: one model under two names. It fails only where its interval lies wholly outside 0.97-1.03."""
    if ratio.low is None or ratio.high is None:
        return Check(10, name, ratio.value, T.tie, "not available", f"{ratio.sentence()}: one block gives no interval")
    outside = ratio.low > 1 + T.tie or ratio.high < 1 - T.tie
    return Check(10, name, ratio.value, T.tie, "fail" if outside else "pass", ratio.sentence())
