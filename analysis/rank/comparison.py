"""Two campaigns side by side: another machine, another Python, another version of a server.

The run is the unit. Ratios are the second campaign over the first, unpaired (Welch on logs), with Holm's correction
over all comparisons made. Requests per second are compared at steps that are valid or overload in both, response times
at steps that are valid in both: a mean over an overloaded step counts only the survivors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from analysis.judge.findings import Finding
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.verdicts import SERVED, VALID
from analysis.rank.differences import Difference, manifest_differences, plan_differences
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.ratios import Ratio, corrected, welch_ratio
from analysis.rank.steps import Steps

ChangeVerdict = Literal["better", "worse", "tie", "undetermined"]

COLUMNS = ("model", "users", "figure", "first", "second", "ratio", "low", "high", "p_holm", "runs", "verdict")
PEAK = "peak_rps"
FIGURES: dict[str, Sequence[str]] = {"rps": SERVED, "mean_ms": VALID, "p99_ms": VALID}
"""Columns of steps.csv, and the verdicts of the steps at which they may be compared."""
MORE_IS_BETTER = ("rps", PEAK)


@dataclass(frozen=True)
class Change:
    """One figure of one model, in both campaigns. `users` is None for the peak, which may be at different steps."""

    model: str
    users: int | None
    figure: str
    first: float
    second: float
    """Medians over runs."""
    ratio: Ratio

    @property
    def verdict(self) -> ChangeVerdict:
        """Of the second campaign; undetermined where the runs are too few to claim anything."""
        if self.ratio.blocks < T.least_blocks or self.ratio.call == "undetermined":
            return "undetermined"
        if self.ratio.call == "tie":
            return "tie"
        return "better" if (self.ratio.value > 1) == (self.figure in MORE_IS_BETTER) else "worse"


@dataclass(frozen=True)
class CampaignComparison:
    """Two campaigns, the figures of each model in both, and what differs between them."""

    first: CampaignOutcome
    second: CampaignOutcome
    lines: tuple[Change, ...]
    left_out: tuple[Finding, ...]
    """What was measured and can't be compared."""
    plan: tuple[Difference, ...]
    manifest: tuple[Difference, ...]

    @property
    def worse(self) -> bool:
        """Whether any figure is worse in the second campaign."""
        return any(line.verdict == "worse" for line in self.lines)

    @property
    def frame(self) -> pd.DataFrame:
        """One row for each model, step and figure; the columns are those of docs/results.md."""
        rows = [
            (
                line.model, line.users, line.figure, line.first, line.second, line.ratio.value, line.ratio.low,
                line.ratio.high, line.ratio.p_holm, line.ratio.blocks, line.verdict,
            )
            for line in self.lines
        ]  # fmt: skip
        frame = pd.DataFrame.from_records(rows, columns=list(COLUMNS))
        numbers = dict.fromkeys(("first", "second", "ratio", "low", "high", "p_holm"), "float64")
        return frame.astype({**numbers, "users": "Int64", "runs": "Int64"})


def common_models(first: CampaignOutcome, second: CampaignOutcome) -> list[str]:
    """The models that both campaigns have, in the order of the first one's plan."""
    return [model for model in first.campaign.plan.models if model in second.campaign.plan.models]


def compare_outcomes(first: CampaignOutcome, second: CampaignOutcome) -> CampaignComparison:
    """Compare the models that both campaigns have, at the steps that both have."""
    models = common_models(first, second)
    changes = [change for model in models for change in _changes(model, first, second)]
    ratios = corrected([change.ratio for change in changes])
    left_out = [finding for model in models for finding in _left_out(model, first, second)]
    left_out += [
        Finding("compare.one-sided", model=model)
        for model in (*first.campaign.plan.models, *second.campaign.plan.models)
        if model not in models
    ]
    return CampaignComparison(
        first,
        second,
        tuple(replace(change, ratio=ratio) for change, ratio in zip(changes, ratios, strict=True)),
        tuple(left_out),
        plan_differences(first.campaign.plan, second.campaign.plan),
        manifest_differences(first.campaign.manifest, second.campaign.manifest),
    )


def _changes(model: str, first: CampaignOutcome, second: CampaignOutcome) -> Iterator[Change]:
    """Peak goodput where both campaigns reached the limit, then every figure at every common step."""
    if model in first.ranking.reached and model in second.ranking.reached:
        peaks = [list(each.ranking.goodput.figures[model].values()) for each in (first, second)]
        yield from _change(model, None, PEAK, *peaks)
    for users in _common_users(first, second):
        for figure, verdicts in FIGURES.items():
            runs = [_runs(each.rows.of_model(model), users, figure, verdicts) for each in (first, second)]
            yield from _change(model, users, figure, *runs)


def _change(model: str, users: int | None, figure: str, first: list[float], second: list[float]) -> Iterator[Change]:
    ratio = welch_ratio(f"{model} B", f"{model} A", second, first)
    if ratio is not None:
        yield Change(model, users, figure, float(pd.Series(first).median()), float(pd.Series(second).median()), ratio)


def _runs(steps: Steps, users: int, figure: str, verdicts: Sequence[str]) -> list[float]:
    """The figure of each run at a step that counts; none where only a lower bound of some is known."""
    rows = steps.ladder.measured.usable(verdicts).at(users)
    rows = Steps(rows.frame[rows.frame[figure].notna()])
    return [] if rows.bounded(figure).any() else [float(value) for value in rows.frame[figure]]


def _common_users(first: CampaignOutcome, second: CampaignOutcome) -> list[int]:
    return [users for users in first.campaign.plan.users if users in second.campaign.plan.users]


def _left_out(model: str, first: CampaignOutcome, second: CampaignOutcome) -> Iterator[Finding]:
    """Common steps whose verdict allows no comparison, with the verdicts of the campaign in which it doesn't."""
    for users in _common_users(first, second):
        verdicts = []
        for outcome in (first, second):
            rows = outcome.rows.of_model(model).ladder.measured.at(users)
            present = tuple(dict.fromkeys(rows.frame["verdict"])) or ("not-measured",)
            verdicts.append(present if rows.usable(SERVED).empty else ())
        if any(verdicts):
            yield Finding("compare.not-usable", model=model, users=users, first=verdicts[0], second=verdicts[1])
