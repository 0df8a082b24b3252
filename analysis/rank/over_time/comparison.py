"""Two campaigns side by side: another machine, another Python, another version of a server.

The run is the unit. Ratios are the second campaign over the first, as observed. Two campaigns differ by their days,
however many blocks they have, so that better and worse are called only where earlier campaigns of the first one's plan,
code and hosts show how far days lie apart (`analysis/rank/over_time/day_effect.py`). Requests per second are compared
at steps that are valid or overload in both, response times at steps that are valid in both: a mean over an overloaded
step counts only the survivors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from analysis.judge.findings import Finding
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.verdicts import SERVED, VALID
from analysis.rank.differences import Difference, manifest_differences, plan_differences
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.over_time.day_effect import LEAST_DAYS, DayCall, DayRatio, day_calls, day_holm, day_mean, day_ratio
from analysis.rank.steps import Steps
from analysis.read.results import Campaign

ChangeVerdict = Literal["better", "worse", "undetermined"]

COLUMNS = (
    "model", "users", "figure", "first", "second", "ratio", "low", "high", "p_holm", "runs", "verdict", "days",
)  # fmt: skip
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
    runs: int
    """Of each; the fewer of the two."""
    ratio: DayRatio
    call: DayCall = "no history"
    p_holm: float | None = None

    @property
    def verdict(self) -> ChangeVerdict:
        """Of the second campaign; undetermined where nothing shows how large a day is, or it isn't more than a day."""
        if self.call not in ("more", "less"):
            return "undetermined"
        return "better" if (self.call == "more") == (self.figure in MORE_IS_BETTER) else "worse"


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
    same_hosts: bool
    """Whether both ran on the same hosts: else the first one's days say nothing of the second's."""
    days: int
    """Other days on which the first campaign's plan, code and hosts were run."""

    @property
    def worse(self) -> bool:
        """Whether any figure is worse in the second campaign."""
        return any(line.verdict == "worse" for line in self.lines)

    @property
    def judged(self) -> bool:
        """Whether anything could be called better or worse: enough days on the same hosts, and a figure tested."""
        return any(line.call != "no history" for line in self.lines)

    @property
    def frame(self) -> pd.DataFrame:
        """One row for each model, step and figure; the columns are those of docs/results.md."""
        rows = [
            (
                line.model, line.users, line.figure, line.first, line.second, line.ratio.ratio, line.ratio.low,
                line.ratio.high, line.p_holm, line.runs, line.verdict, line.ratio.days,
            )
            for line in self.lines
        ]  # fmt: skip
        frame = pd.DataFrame.from_records(rows, columns=list(COLUMNS))
        numbers = dict.fromkeys(("first", "second", "ratio", "low", "high", "p_holm"), "float64")
        return frame.astype({**numbers, "users": "Int64", "runs": "Int64", "days": "Int64"})


def common_models(first: Campaign, second: Campaign) -> list[str]:
    """The models that both campaigns have, in the order of the first one's plan."""
    return [model for model in first.plan.models if model in second.plan.models]


def compare_outcomes(
    first: CampaignOutcome, second: CampaignOutcome, history: Sequence[CampaignOutcome] = ()
) -> CampaignComparison:
    """Compare the models that both campaigns have, at the steps that both have.

    `history` are campaigns of the first one's plan, code and hosts, on other days than either.
    """
    models = common_models(first.campaign, second.campaign)
    same_hosts = hosts_of(first) == hosts_of(second)
    earlier = history if same_hosts else ()
    changes = [change for model in models for change in _changes(model, first, second, earlier)]
    left_out = [finding for model in models for finding in _left_out(model, first, second)]
    left_out += [
        Finding("compare.one-sided", model=model)
        for model in (*first.campaign.plan.models, *second.campaign.plan.models)
        if model not in models
    ]
    return CampaignComparison(
        first,
        second,
        _called(changes),
        tuple(left_out),
        plan_differences(first.campaign.plan, second.campaign.plan),
        manifest_differences(first.campaign.manifest, second.campaign.manifest),
        same_hosts,
        len({day_of(outcome) for outcome in history}),
    )


def day_of(outcome: CampaignOutcome) -> str:
    """The date on which a campaign began, UTC; empty where its manifest has none."""
    manifest = outcome.campaign.manifest
    return manifest.created[:10] if manifest is not None else ""


def hosts_of(outcome: CampaignOutcome) -> dict[str, str]:
    """The digests of the hosts, by the names that the manifest gives them."""
    manifest = outcome.campaign.manifest
    identity = manifest.identity if manifest is not None else {}
    return {what: digest for what, digest in identity.items() if what.startswith("the host ")}


def _called(changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes with what may be called of each, after Holm's correction over all of them."""
    ratios = {str(at): change.ratio for at, change in enumerate(changes)}
    calls, corrected = day_calls(ratios), day_holm(ratios)
    return tuple(
        Change(
            change.model, change.users, change.figure, change.first, change.second, change.runs, change.ratio,
            calls[str(at)], corrected.get(str(at)),
        )
        for at, change in enumerate(changes)
    )  # fmt: skip


def _changes(
    model: str, first: CampaignOutcome, second: CampaignOutcome, history: Sequence[CampaignOutcome]
) -> Iterator[Change]:
    """Peak goodput where both campaigns reached the limit, then every figure at every common step."""
    places = [(None, PEAK), *((users, figure) for users in _common_users(first, second) for figure in FIGURES)]
    for users, figure in places:
        mine, theirs = (figure_of(outcome, model, users, figure) for outcome in (first, second))
        if mine and theirs:
            earlier = [(day_of(outcome), figure_of(outcome, model, users, figure)) for outcome in history]
            yield _change(model, users, figure, mine, theirs, earlier)


def figure_of(outcome: CampaignOutcome, model: str, users: int | None, figure: str) -> list[float]:
    """The figure of each run at a step that counts; none where it is a bound in any, or half of them lack it."""
    if users is None:
        reached = model in outcome.ranking.reached
        return list(outcome.ranking.goodput.ranked.values[model].values()) if reached else []
    rows = outcome.rows.of_model(model).ladder.measured.usable(FIGURES[figure]).at(users)
    if rows.median(figure) is None:
        return []
    rows = Steps(rows.frame[rows.frame[figure].notna()])
    late = figure not in MORE_IS_BETTER and rows.frame["times_bound"].any()
    return [] if late or rows.bounded(figure).any() else [float(value) for value in rows.frame[figure] if value > 0]


def _change(
    model: str,
    users: int | None,
    figure: str,
    first: list[float],
    second: list[float],
    history: Sequence[tuple[str, list[float]]],
) -> Change:
    runs = min(len(first), len(second))
    days = [day_mean(day, values) for day, values in history if values] if runs >= T.least_blocks else []
    ratio = day_ratio(day_mean("first", first), day_mean("second", second), days)
    return Change(
        model, users, figure, float(pd.Series(first).median()), float(pd.Series(second).median()), runs, ratio
    )


def missing_days(days: int) -> int:
    """How many more days of the same plan and code it takes before anything can be called better or worse."""
    return max(0, LEAST_DAYS - days)


def _common_users(first: CampaignOutcome, second: CampaignOutcome) -> list[int]:
    return [users for users in first.rows.ladder.users if users in second.rows.ladder.users]


def _left_out(model: str, first: CampaignOutcome, second: CampaignOutcome) -> Iterator[Finding]:
    """Common steps whose verdict allows no comparison, with the verdicts of the campaign in which it doesn't."""
    for users in _common_users(first, second):
        verdicts = []
        for outcome in (first, second):
            measured = outcome.rows.of_model(model).ladder.measured
            present = tuple(dict.fromkeys(measured.at(users).frame["verdict"])) or ("not-measured",)
            verdicts.append(present if measured.usable(SERVED).at(users).empty else ())
        if any(verdicts):
            yield Finding("compare.not-usable", model=model, users=users, first=verdicts[0], second=verdicts[1])
