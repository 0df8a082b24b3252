"""The campaigns of a results directory over time, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.rank.over_time.campaign_history import MOST_CAMPAIGNS, PlanHistory
from analysis.tell.markdown_sections import table
from analysis.tell.words import ASCII_BOUNDS, bounded, counted, number, series, shortened
from study.safe_text import inert

HEADS = ("begun, UTC", "commit", "model", "blocks", "capacity, users", "interval", "peak requests/s", "interval")
SIDE_BY_SIDE = (
    "Medians over the blocks of each campaign, `>=` before lower bounds; a `+` marks a commit with uncommitted changes."
    " Days differ: `fab compare A B` says whether a difference is more than that."
)


def history_text(histories: Sequence[PlanHistory], drawn: Mapping[str, str]) -> str:
    """A section for each plan and hosts; `drawn` are the figures, by the name of a history."""
    return "\n\n".join(part for each in histories for part in _section(each, drawn.get(each.name))) + "\n"


def _section(history: PlanHistory, figure: str | None) -> list[str]:
    parts = [
        f"## {inert(history.plan)}",
        inert(f"{counted(history.campaigns, 'campaign')} on {series(history.hosts)}."),
    ]
    if len(history.frame):
        parts += [table(HEADS, [_cells(row) for row in history.frame.to_dict("records")]), SIDE_BY_SIDE]
    if history.left_out:
        why = f"not among the newest {MOST_CAMPAIGNS}, or can't be read"
        parts.append(inert(f"Left out ({why}): {shortened(history.left_out)}."))
    parts.append(f"Figure: {figure}" if figure else "No figure: fewer than two campaigns have any.")
    return parts


def _cells(row: Mapping[Any, Any]) -> tuple[str, ...]:
    begun = str(row["begun"])[:16].replace("T", " ")
    figures = []
    for value, ends in (("capacity_users", "capacity"), ("peak_rps", "peak_rps")):
        low, high = row[f"{ends}_low"], row[f"{ends}_high"]
        bound = value in row["at_least"]
        figures.append(_number(row[value], bounded(bound, False, ASCII_BOUNDS)))
        closed = not bound and not pd.isna(low) and not pd.isna(high) and low < high  # one block's peak has no interval
        figures.append(f"{_number(low)} to {_number(high)}" if closed else "")
    return (begun, str(row["commit"]), str(row["model"]), str(row["blocks"]), *figures)


def _number(value: Any, prefix: str = "") -> str:
    return "" if pd.isna(value) else number(float(value), prefix)
