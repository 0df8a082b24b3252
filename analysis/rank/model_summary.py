"""The figures of summary.csv: one row for each model, medians over blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
    rows = [_row(model, steps.of_model(model).ladder, ranking, plan) for model in plan.models]
    for row in rows:
        if (capacity := known.get(row["model"])) is not None:
            row |= _capacity(row, capacity)
    frame = pd.DataFrame.from_records(rows, columns=list(COLUMNS))
    numbers = [name for name in COLUMNS if name not in (*WHOLE, *WORDS)]
    return frame.astype(dict.fromkeys(numbers, "float64")).astype(dict.fromkeys(WHOLE, "Int64"))


def _capacity(row: dict[str, Any], capacity: ModelCapacity) -> dict[str, Any]:
    """The columns of a model's capacity; after a search it is what the model sustains, and no step of it need be that.

    It is a median over blocks of loads that each of them chose for itself.
    """
    columns = {
        "capacity_users": capacity.users,
        "capacity_low": capacity.low,
        "capacity_high": capacity.high,
        "capacity_ended": capacity.broken or capacity.ended,
    }
    bounds = set(row["at_least"]) | ({"capacity_users"} if capacity.at_least else set())
    if capacity.searched:
        columns["sustained_users"] = capacity.users
        bounds = bounds - {"sustained_users"} | ({"sustained_users"} if capacity.at_least else set())
    return {**columns, "at_least": frozenset(bounds)}


def _row(model: str, ladder: Steps, ranking: Ranking, plan: Plan) -> dict[str, Any]:
    measured = ladder.measured
    sustained = sustained_users(ladder, plan)
    row: dict[str, Any] = {
        "model": model,
        "verdict": model_verdict(ladder),
        "blocks": int(measured.frame["block"].nunique()),
        "sustained_users": sustained.users,
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
    bounds |= {"sustained_users"} if sustained.at_least else set()
    row |= {"at_least": frozenset(bounds), "at_most": frozenset()}
    if ranking.common_users is None:
        return row
    here = measured.usable(VALID).at(ranking.common_users)
    if here.empty:
        here = measured.usable(SERVED).at(ranking.common_users)
    if here.empty:
        there = measured.at(ranking.common_users).frame["verdict"]
        return row | {"common_verdict": str(there.mode().iloc[0]) if len(there) else "not-measured"}
    for column in ("rps", *TIMES):
        row[column] = here.median(column)
    for column in ("rps", "mean_ms"):
        if row[column] is not None:
            median = median_interval([float(value) for value in here.frame[column].dropna()])
            row |= {f"{column}_low": median.low, f"{column}_high": median.high}
    late = bool(here.frame["times_bound"].any())
    return row | {
        "common_users": ranking.common_users,
        "common_verdict": str(here.frame["verdict"].mode().iloc[0]),
        "requests": round(float(here.frame["requests"].median())),
        "failures": round(float(here.frame["failures"].median())),
        "at_least": frozenset(
            bounds | {name for name in ("p50_ms", "p99_ms") if row[name] is not None and here.bounded(name).any()}
        ),
        "at_most": frozenset(name for name in TIMES if late and row[name] is not None),
    }


def model_verdict(ladder: Steps) -> str:
    """`valid` where any ladder step is, else the commonest verdict of its steps."""
    verdicts = ladder.frame["verdict"]
    return "valid" if (verdicts == "valid").any() else str(verdicts.mode().iloc[0]) if len(verdicts) else "not-measured"


@dataclass(frozen=True)
class Sustained:
    """The largest step within the SLO; `at_least` where no larger step shows that the server doesn't keep it there."""

    users: int | None
    at_least: bool


def sustained_users(ladder: Steps, plan: Plan) -> Sustained:
    """The largest valid step within the plan's SLO, medians over blocks; an unknown p99 is not within it.

    A larger step shows that where it is an overload, or its figures are trusted and one of them is beyond the SLO: a
    step that the generator spoilt, that was not measured, or whose p99 isn't known says nothing.
    """
    within: list[int] = []
    broken: list[int] = []
    for users, rows in ladder.measured.usable(SERVED).by_users():
        p99_ms = rows.median("p99_ms")
        shares = (rows.frame["failures"] / rows.frame["requests"]).dropna()  # none where no request ended
        failures = 100 * float(shares.median()) if len(shares) else 0.0
        known = rows.frame["p99_ms"].notna().all() and not rows.bounded("p99_ms").any()
        if failures > plan.slo.failures_percent or rows.most_have("overload"):
            broken.append(users)
        elif p99_ms is not None and p99_ms > plan.slo.p99_ms:
            broken += [] if rows.frame["times_bound"].any() else [users]
        elif p99_ms is not None and known and rows.most_have("valid"):
            within.append(users)
    most = max(within, default=None)
    return Sustained(most, most is not None and not any(users > most for users in broken))
