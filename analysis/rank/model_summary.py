"""The figures of summary.csv: one row for each model, medians over blocks."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.rank.ranking import Ranking
from analysis.rank.ratios import median_interval
from analysis.rank.steps import Steps
from study.plan import Plan

COLUMNS = (
    "model", "requests", "failures", "rps", "mean_ms", "p50_ms", "p99_ms", "peak_rps", "peak_users",
    "sustained_users", "rank_rps", "rank_mean_ms", "verdict", "common_users", "blocks", "mean_ms_low",
    "mean_ms_high", "peak_rps_low", "peak_rps_high", "at_least", "rps_low", "rps_high",
)  # fmt: skip
WHOLE = ("requests", "failures", "peak_users", "sustained_users", "rank_rps", "rank_mean_ms", "common_users", "blocks")
BOUNDED = ("peak_rps", "p50_ms", "p99_ms")
"""Columns that may hold a lower bound, in the order in which `at_least` names them in the file."""


def summary_frame(steps: Steps, ranking: Ranking, plan: Plan) -> pd.DataFrame:
    """One row for each model of the plan: medians over blocks, at the largest step valid for all models.

    `at_least` is a frozenset of the names of the columns that hold a lower bound.
    """
    frame = pd.DataFrame.from_records(
        [_row(model, steps.of_model(model).ladder, ranking, plan) for model in plan.models], columns=list(COLUMNS)
    )
    numbers = [name for name in COLUMNS if name not in (*WHOLE, "model", "verdict", "at_least")]
    return frame.astype(dict.fromkeys(numbers, "float64")).astype(dict.fromkeys(WHOLE, "Int64"))


def _row(model: str, ladder: Steps, ranking: Ranking, plan: Plan) -> dict[str, Any]:
    measured = ladder.measured
    row: dict[str, Any] = {
        "model": model,
        "verdict": model_verdict(ladder),
        "blocks": int(measured.frame["block"].nunique()),
        "sustained_users": sustained_users(measured, plan),
        "rank_rps": ranking.goodput.ranks.get(model),
        "rank_mean_ms": ranking.response.ranks.get(model),
    }
    if peak := ranking.goodput.figures.get(model):
        median = median_interval(list(peak.values()))
        row |= {
            "peak_rps": median.value,
            "peak_users": ranking.peak_users[model],
            "peak_rps_low": median.low,
            "peak_rps_high": median.high,
        }
    bounds = {"peak_rps"} if peak and model not in ranking.reached else set()
    row["at_least"] = frozenset(bounds)
    if ranking.common_users is None or measured.empty:
        return row
    here = measured.usable().at(ranking.common_users)
    for column in ("rps", "mean_ms", "p50_ms", "p99_ms"):
        row[column] = here.median(column)
    for column in ("rps", "mean_ms"):
        if known := [float(value) for value in here.frame[column].dropna()]:
            median = median_interval(known)
            row |= {f"{column}_low": median.low, f"{column}_high": median.high}
    return row | {
        "common_users": ranking.common_users,
        "requests": round(float(here.frame["requests"].median())),
        "failures": round(float(here.frame["failures"].median())),
        "at_least": frozenset(bounds | {name for name in ("p50_ms", "p99_ms") if here.bounded(name).any()}),
    }


def model_verdict(ladder: Steps) -> str:
    """`valid` where any ladder step is, else the commonest verdict of its steps."""
    verdicts = ladder.frame["verdict"]
    return "valid" if (verdicts == "valid").any() else str(verdicts.mode().iloc[0]) if len(verdicts) else "not-measured"


def sustained_users(measured: Steps, plan: Plan) -> int | None:
    """The largest valid ladder step within the plan's SLO, medians over blocks; an unknown p99 is not within it."""
    within: list[int] = []
    for users, rows in measured.usable().by_users():
        known = rows.frame["p99_ms"].notna().all() and not rows.bounded("p99_ms").any()
        failures = 100 * float((rows.frame["failures"] / rows.frame["requests"]).median())
        p99_ms = rows.median("p99_ms")
        if known and p99_ms is not None and p99_ms <= plan.slo.p99_ms and failures <= plan.slo.failures_percent:
            within.append(users)
    return max(within, default=None)
