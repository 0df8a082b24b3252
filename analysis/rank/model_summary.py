"""The figures of summary.csv: one row for each model, medians over blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from analysis.judge.verdicts import SERVED, VALID
from analysis.rank.capacity import ModelCapacity
from analysis.rank.medians import median_interval
from analysis.rank.ranking import Ranking
from analysis.rank.steps import Steps
from study.plan import Plan

COLUMNS = (
    "model", "requests", "failures", "rps", "mean_ms", "p50_ms", "p99_ms", "peak_rps", "peak_users",
    "sustained_users", "rank_rps", "rank_mean_ms", "verdict", "common_users", "blocks", "mean_ms_low",
    "mean_ms_high", "peak_rps_low", "peak_rps_high", "at_least", "rps_low", "rps_high", "at_most",
    "common_verdict", "capacity_users", "capacity_low", "capacity_high", "capacity_ended", "rank_capacity",
)  # fmt: skip
CAPACITY = ("capacity_users", "capacity_low", "capacity_high", "rank_capacity")
WHOLE = (
    "requests",
    "failures",
    "peak_users",
    "sustained_users",
    "rank_rps",
    "rank_mean_ms",
    "common_users",
    "blocks",
    *CAPACITY,
)
WORDS = ("model", "verdict", "at_least", "at_most", "common_verdict", "capacity_ended")
BOUNDED = ("peak_rps", "sustained_users", "p50_ms", "p99_ms", "capacity_users")
"""Columns that may hold a lower bound, in the order in which `at_least` names them in the file."""
TIMES = ("mean_ms", "p50_ms", "p99_ms")
"""Columns that may hold an upper bound, in the order in which `at_most` names them."""


def summary_frame(steps: Steps, ranking: Ranking, plan: Plan, capacities: Iterable[ModelCapacity] = ()) -> pd.DataFrame:
    """One row for each model of the plan: medians over blocks, at the ranking's common step.

    A figure that half of the blocks there or fewer have is empty, as a p99 of too few answers.

    A model that is an overload there has its figures and `common_verdict` says so; of steps with another verdict there
    are none. `at_least` and `at_most` are frozensets of the names of the columns that hold a bound.
    """
    known = {capacity.model: capacity for capacity in capacities}
    rows = [_row(model, steps.of_model(model).ladder, ranking) for model in plan.models]
    for row in rows:
        if (capacity := known.get(row["model"])) is not None:
            row |= _capacity(row, capacity)
    frame = pd.DataFrame.from_records(rows, columns=list(COLUMNS))
    numbers = [name for name in COLUMNS if name not in (*WHOLE, *WORDS)]
    return frame.astype(dict.fromkeys(numbers, "float64")).astype(dict.fromkeys(WHOLE, "Int64"))


def _capacity(row: dict[str, Any], capacity: ModelCapacity) -> dict[str, Any]:
    """The columns of a model's capacity, which is what it sustains: one rule says which load keeps the SLO.

    It is a median over blocks, so that no step need have so many users.
    """
    bounds = {"capacity_users", "sustained_users"} if capacity.at_least else set()
    return {
        "capacity_users": capacity.users,
        "sustained_users": capacity.users,
        "capacity_low": capacity.low,
        "capacity_high": capacity.high,
        "capacity_ended": capacity.broken or capacity.ended,
        "at_least": row["at_least"] | bounds,
    }


def _row(model: str, ladder: Steps, ranking: Ranking) -> dict[str, Any]:
    measured = ladder.measured
    row: dict[str, Any] = {
        "model": model,
        "verdict": model_verdict(ladder),
        "blocks": int(measured.frame["block"].nunique()),
        "rank_rps": ranking.goodput.ranks.get(model),
        "rank_mean_ms": ranking.response.ranks.get(model),
        "rank_capacity": ranking.capacity.ranks.get(model),
        "common_verdict": "",
    }
    if peak := ranking.goodput.ranked.values.get(model):
        median = median_interval(list(peak.values()))
        row |= {
            "peak_rps": median.value,
            "peak_users": ranking.peak_users[model],
            "peak_rps_low": median.low,
            "peak_rps_high": median.high,
        }
    bounds = {"peak_rps"} if peak and model not in ranking.reached else set()
    row |= {"at_least": frozenset(bounds), "at_most": frozenset()}
    if ranking.common_users is None:
        return row
    here = measured.usable(VALID).at(ranking.common_users)
    if here.empty:
        here = measured.usable(SERVED).at(ranking.common_users)
    row["common_verdict"] = measured.at(ranking.common_users).verdict
    if here.empty:
        return row
    for column in ("rps", *TIMES):
        row[column] = here.median(column)
    for column in ("rps", "mean_ms"):
        if row[column] is not None:
            median = median_interval([float(value) for value in here.frame[column].dropna()])
            row |= {f"{column}_low": median.low, f"{column}_high": median.high}
    late = bool(here.frame["times_bound"].any())
    return row | {
        "common_users": ranking.common_users,
        "requests": round(float(here.frame["requests"].median())),
        "failures": round(float(here.frame["failures"].median())),
        "at_least": frozenset(
            bounds | {name for name in ("p50_ms", "p99_ms") if row[name] is not None and here.bounded(name).any()}
        ),
        "at_most": frozenset(name for name in TIMES if late and row[name] is not None),
    }


def model_verdict(ladder: Steps) -> str:
    """`valid` where any load of the ladder is, else the commonest verdict of its loads."""
    verdicts = [rows.verdict for _, rows in ladder.by_users()]
    return "valid" if "valid" in verdicts else Counter(verdicts).most_common(1)[0][0] if verdicts else "not-measured"
