"""Tidy frames for the figures and their tables: medians and intervals over runs, knees, tails, ratios."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from analysis.judge.judging import RunResult
from analysis.rank.ranking import Ranking, shown_ratios
from analysis.rank.ratios import interval_rank
from analysis.rank.steps import MOST_BLOCKS, Steps
from analysis.read.histograms import Histogram, highest_us, merge

TAIL_POINTS = 200
"""Points of a curve on a log scale: more can't be distinguished."""
LEAST_SLOWER = 10
"""A curve ends where fewer requests than this are slower."""


def points(steps: pd.DataFrame, column: str, models: Collection[str]) -> pd.DataFrame:
    """One row for each of these models and each ladder step: `value`, the median over runs, with its interval (`low`,
    `high`), whether the step is `valid` in most runs, and whether only a lower bound is known in some (`at_least`).
    """
    ladder = Steps(steps).ladder.frame
    rows = ladder[ladder[column].notna() & ladder["model"].isin(list(models))]
    rows = pd.DataFrame(
        {
            "model": rows["model"],
            "users": rows["users"].astype(int),
            "value": rows[column].astype(float),
            "valid": rows["verdict"] == "valid",
            "at_least": Steps(rows).bounded(column),
        }
    ).sort_values(["model", "users", "value"])
    groups = rows.groupby(["model", "users"], as_index=False)
    medians = groups.agg(value=("value", "median"), valid=("valid", "mean"), at_least=("at_least", "max"))
    size = groups["value"].transform("size") if len(rows) else pd.Series(dtype=int)
    place, rank = groups.cumcount(), size.map(interval_rank)
    return medians.assign(
        low=rows.loc[place == rank - 1, "value"].to_numpy(),
        high=rows.loc[place == size - rank, "value"].to_numpy(),
        valid=medians["valid"] > MOST_BLOCKS,
    )[["model", "users", "value", "low", "high", "valid", "at_least"]]


def knees(steps: pd.DataFrame, models: Collection[str], think_s: float) -> pd.DataFrame:
    """N* = (R1 + Z) Xmax for each model that was full at some step: `model`, `users` and `rps`.

    R1 is the mean response time at the lowest step; source of the knee: Jain, ch. 33.
    """
    rps, mean = points(steps, "rps", models), points(steps, "mean_ms", models)
    rows = []
    for model in models:
        mine = Steps(steps).ladder.of_model(model)
        lowest = mean[(mean["model"] == model) & (mean["users"] == min(mine.users, default=0))]
        if mine.full_users() and len(lowest):
            most = float(rps.loc[rps["model"] == model, "value"].max())
            r1_s = float(lowest["value"].iloc[0]) / 1000
            rows.append({"model": model, "users": (r1_s + think_s) * most, "rps": most})
    return pd.DataFrame(rows, columns=["model", "users", "rps"])


def failures_at_worst(steps: pd.DataFrame, models: Collection[str]) -> pd.DataFrame:
    """For each model with failures, the step with the largest share of them: `kind`, and `percent` of all requests of
    the runs that had failures there.
    """
    ladder = Steps(steps[steps["failures"] > 0]).ladder
    rows = []
    for model in models:
        mine = ladder.of_model(model)
        if mine.empty:
            continue
        sums = mine.frame.groupby("users")[["failures", "requests"]].sum()
        users = int(str((sums["failures"] / sums["requests"]).idxmax()))
        requests = int(sums["requests"][users])
        rows += [
            {"model": model, "users": users, "kind": kind, "percent": 100 * number / requests}
            for kind, number in mine.at(users).failure_kinds().items()
        ]
    return pd.DataFrame(rows, columns=["model", "users", "kind", "percent"])


def tails_frame(results: Iterable[RunResult], users: int | None) -> pd.DataFrame:
    """The complementary distribution at one ladder step: for each label times in `ms` and the `share` slower than each.

    Histograms of all runs are added bin by bin. Ends where fewer than ten requests are slower: beyond it is chance.
    """
    parts: dict[str, list[Histogram]] = {}
    for result in results:
        for step in result.steps:
            if step.step.kind == "ladder" and step.step.users == users and step.window is not None:
                parts.setdefault(result.data.run.label, []).append(step.window.response)
    curves = [_tail(label, merge(histograms)) for label, histograms in parts.items()]
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
    """The pairs in the report: `figure`, `pair`, `value`, `low`, `high` (empty of one run) and `call`."""
    rows = [
        {
            "figure": name,
            "pair": f"{ratio.first} / {ratio.second}",
            "value": ratio.value,
            "low": ratio.low,
            "high": ratio.high,
            "call": ratio.call,
        }
        for name, figure in (("peak goodput", ranking.goodput), ("mean response time", ranking.response))
        for ratio in shown_ratios(figure)
    ]
    return pd.DataFrame(rows, columns=["figure", "pair", "value", "low", "high", "call"]).astype(
        {"value": float, "low": float, "high": float}
    )


def matrix(steps: pd.DataFrame, column: str, models: Sequence[str]) -> dict[str, dict[int, float]]:
    """Medians by model and users: the table of a figure."""
    rows = points(steps, column, models)
    medians: dict[str, dict[int, float]] = {model: {} for model in models}
    for model, users, value in zip(rows["model"], rows["users"], rows["value"], strict=True):
        medians[model][int(users)] = float(value)
    return medians
