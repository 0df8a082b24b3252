"""Tidy frames for the figures and the tables behind them: medians and intervals over runs, knees, tails, ratios."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from analysis.judge.judging import RunResult
from analysis.rank.ranking import Ranking, shown_ratios
from analysis.rank.ratios import interval_rank
from analysis.read.histograms import Histogram, highest_us, merge

TAIL_POINTS = 200  # of a curve on a log scale: more can't be seen
LEAST_SLOWER = 10


def ladder_of(steps: pd.DataFrame) -> list[int]:
    """The users of the ladder's steps, ascending."""
    return sorted(int(users) for users in steps.loc[steps["kind"] == "ladder", "users"].unique())


def points(steps: pd.DataFrame, column: str, models: Collection[str]) -> pd.DataFrame:
    """One row for each of these models and each ladder step: median over runs with its interval (`low`, `high`);
    whether the step is valid in most runs (`valid`), and whether only a lower bound is known (`at_least`)."""
    rows = steps[(steps["kind"] == "ladder") & steps[column].notna() & steps["model"].isin(list(models))]
    rows = pd.DataFrame(
        {
            "model": rows["model"],
            "users": rows["users"].astype(int),
            "value": rows[column].astype(float),
            "valid": rows["verdict"] == "valid",
            "at_least": rows["at_least"].astype(str).str.split().map(lambda names: column in names).astype(bool),
        }
    ).sort_values(["model", "users", "value"])
    groups = rows.groupby(["model", "users"], as_index=False)
    made = groups.agg(value=("value", "median"), valid=("valid", "mean"), at_least=("at_least", "max"))
    size = groups["value"].transform("size") if len(rows) else pd.Series(dtype=int)
    place, rank = groups.cumcount(), size.map(interval_rank)
    return made.assign(
        low=rows.loc[place == rank - 1, "value"].to_numpy(),
        high=rows.loc[place == size - rank, "value"].to_numpy(),
        valid=made["valid"] > 0.5,
    )[["model", "users", "value", "low", "high", "valid", "at_least"]]


def knees(steps: pd.DataFrame, models: Collection[str], think_s: float) -> pd.DataFrame:
    """N* = (R1 + Z) Xmax for each model that was full at some step: `model`, `users` and `rps`.

    R1 is the mean response time at the lowest step; source of the knee: Jain, ch. 33.
    """
    ladder = steps[steps["kind"] == "ladder"]
    rps, mean = points(steps, "rps", models), points(steps, "mean_ms", models)
    made = []
    for model in models:
        mine = ladder[ladder["model"] == model]
        full = (mine["verdict"] == "overload") | (mine["saturated"] == "yes")
        alone = mean[(mean["model"] == model) & (mean["users"] == mine["users"].min())]
        if (full.groupby(mine["users"]).mean() > 0.5).any() and len(alone):
            most = float(rps.loc[rps["model"] == model, "value"].max())
            made.append({"model": model, "users": (float(alone["value"].iloc[0]) / 1000 + think_s) * most, "rps": most})
    return pd.DataFrame(made, columns=["model", "users", "rps"])


def failures_at_worst(steps: pd.DataFrame, models: Collection[str]) -> pd.DataFrame:
    """For each model that failed at all, the step with the largest share of failures: `kind` and `percent` of all
    requests, all runs together."""
    ladder = steps[(steps["kind"] == "ladder") & (steps["failures"] > 0)]
    made = []
    for model in models:
        mine = ladder[ladder["model"] == model]
        if mine.empty:
            continue
        sums = mine.groupby("users")[["failures", "requests"]].sum()
        users = int(str((sums["failures"] / sums["requests"]).idxmax()))
        counts: dict[str, int] = {}
        for kinds in mine.loc[mine["users"] == users, "failure_kinds"]:
            for kind, _, number in (word.partition("=") for word in str(kinds).split()):
                counts[kind] = counts.get(kind, 0) + int(number)
        requests = int(mine.loc[mine["users"] == users, "requests"].sum())
        made += [
            {"model": model, "users": users, "kind": kind, "percent": 100 * number / requests}
            for kind, number in counts.items()
        ]
    return pd.DataFrame(made, columns=["model", "users", "kind", "percent"])


def tails_frame(results: Iterable[RunResult], users: int | None) -> pd.DataFrame:
    """The complementary distribution at one ladder step: for each label times in `ms` and the `share` slower than each.

    Histograms of all runs are added bin by bin. Ends where fewer than ten requests are slower: beyond it is chance.
    """
    parts: dict[str, list[Histogram]] = {}
    for result in results:
        for step in result.steps:
            if step.step.kind == "ladder" and step.step.users == users and step.window is not None:
                parts.setdefault(result.data.run.label, []).append(step.window.response)
    curves = [_tail(label, merge(found)) for label, found in parts.items()]
    return pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=["model", "ms", "share"])


def _tail(label: str, times: Histogram) -> pd.DataFrame:
    slower = times.total - np.cumsum(times.counts)
    known = slower >= LEAST_SLOWER
    ms, share = highest_us(times.index[known]) / 1000, slower[known] / max(1, times.total)
    if not len(share):
        return pd.DataFrame(columns=["model", "ms", "share"])
    wanted = np.geomspace(share[0], share[-1], TAIL_POINTS)  # evenly spread over the axis, which is a log one
    at = np.unique(np.searchsorted(-share, -wanted).clip(max=len(share) - 1))
    return pd.DataFrame({"model": label, "ms": ms[at], "share": share[at]})


def ratios_frame(ranking: Ranking) -> pd.DataFrame:
    """The pairs that a reader is shown: `figure`, `pair`, `value`, `low`, `high` (empty of one run) and `call`."""
    made = [
        {
            "figure": name,
            "pair": f"{ratio.first} / {ratio.second}",
            "value": ratio.value,
            "low": ratio.low,
            "high": ratio.high,
            "call": ratio.call,
        }
        for name, comparison in (("peak goodput", ranking.goodput), ("mean response time", ranking.response))
        for ratio in shown_ratios(comparison)
    ]
    return pd.DataFrame(made, columns=["figure", "pair", "value", "low", "high", "call"]).astype(
        {"value": float, "low": float, "high": float}
    )


def matrix(steps: pd.DataFrame, column: str, models: Sequence[str]) -> dict[str, dict[int, float]]:
    """Medians by model and users: the table behind a figure."""
    shown = points(steps, column, models)
    found: dict[str, dict[int, float]] = {model: {} for model in models}
    for model, users, value in zip(shown["model"], shown["users"], shown["value"], strict=True):
        found[model][int(users)] = float(value)
    return found
