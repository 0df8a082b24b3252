"""The class report that this project repeats: its table next to ours, where the set-up is the same.

Source: the report's own result table: four Python servers, Locust with hatch rate 1000 and 10,000 users who think
1-5 s, `GET /`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.judge.verdicts import SERVED
from analysis.rank.load_outcomes import verdict_of
from analysis.tell.report.page import Cell, Table
from analysis.tell.words import number
from study.plan import Plan

USERS, SPAWN_RATE, THINK_S = 10_000, 1000.0, (1.0, 5.0)


@dataclass(frozen=True)
class Reported:
    """A row of the class report: rate per second, mean response time in ms."""

    requests: int
    rps: float
    mean_ms: float


REPORTED = {
    "single": Reported(18_672, 204.8, 132),
    "process": Reported(619, 67.83, 1_656),
    "thread": Reported(20_522, 320.4, 88),
    "select": Reported(17_651, 284.9, 80),
}


def same_set_up(plan: Plan) -> bool:
    """Whether the plan asks what the class report asked: its users, think time and spawn rate."""
    same = (plan.most_users, plan.spawn_rate, plan.think_time) == (USERS, SPAWN_RATE, THINK_S)
    return same and plan.locustfile is None


def effective_users(rps: float, mean_ms: float, think_s: float) -> float:
    """N_eff = X (R + Z): the users that the figures account for (the interactive law; Jain, ch. 33)."""
    return rps * (mean_ms / 1000 + think_s)


def comparison_table(steps: pd.DataFrame, plan: Plan) -> Table:
    """Both tables in one: the report's figures, then ours at the same number of users, medians over blocks."""
    top = steps[(steps["kind"] == "ladder") & (steps["users"] == USERS)]
    rows = []
    for model, theirs in REPORTED.items():
        mine = top[(top["model"] == model) & (top["verdict"] != "not-measured")]
        rows.append((Cell(model), *_figures(theirs, sum(THINK_S) / 2), *_ours(mine, plan)))
    heads = (
        "model", "their requests", "their requests/s", "their mean ms", "their effective users",
        "our requests", "our requests/s", "our mean ms of successes", "our effective users", "our verdict",
    )  # fmt: skip
    return Table(f"The class report's table and ours, at {USERS:,} users", heads, tuple(rows))


def _figures(row: Reported, think_s: float) -> tuple[Cell, ...]:
    users = effective_users(row.rps, row.mean_ms, think_s)
    share = Cell(f"{users:,.0f}", note=f"{users / USERS:.1%} of {USERS:,}")
    return Cell(f"{row.requests:,}"), Cell(number(row.rps)), Cell(number(row.mean_ms)), share


def _ours(mine: pd.DataFrame, plan: Plan) -> tuple[Cell, ...]:
    if mine.empty or mine["mean_ms"].isna().all():
        return (*(Cell("") for _ in range(4)), Cell("not-measured"))
    verdict = verdict_of(mine["verdict"])
    mine = mine[mine["verdict"].isin(SERVED if verdict == "overload" else [verdict])]
    requests, rps, mean = (float(mine[name].median()) for name in ("requests", "rps", "mean_ms"))
    return (*_figures(Reported(round(requests), rps, mean), plan.mean_think_s), Cell(verdict))
