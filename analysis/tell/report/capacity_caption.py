"""What the figure of capacities shows in words, and the table that it was drawn from."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.draw.capacity_figure import capacity_frame, unknown_text
from analysis.rank.outcome import CampaignOutcome
from analysis.tell.capacity_sentence import ended_text, no_low_end, slo_text
from analysis.tell.report.page import Cell, Picture, Table, inlined
from analysis.tell.words import BOUNDS, bounded, number


def capacity_picture(directory: Path, outcome: CampaignOutcome) -> Picture | None:
    """The figure with its caption; None where no capacity is known."""
    if capacity_frame(outcome.summary).empty:
        return None
    text = f"Users that each model carries with {slo_text(outcome.campaign.plan.slo)}; an arrow marks a bound."
    return Picture("capacity", inlined(directory / "capacity.svg"), "Capacity", text, (capacity_table(outcome),))


def capacity_table(outcome: CampaignOutcome) -> Table:
    """What the figure shows, bounds with their sign, and what ended each search; every model has a row."""
    rows = []
    known = {each.model: each for each in outcome.capacities}
    for row in capacity_frame(outcome.summary).to_dict("records"):
        low, high = (_known(row[name]) for name in ("capacity_low", "capacity_high"))
        lower = number(low) if low is not None or high is None else no_low_end(known[str(row["model"])])
        carried = _known(row["capacity_users"])
        if carried is not None:
            users = f"{bounded(high is None, False, BOUNDS)}{number(carried)}"
        else:
            users = unknown_text(row) if high is None else f"< {number(high)}"
        ended = "" if pd.isna(row["capacity_ended"]) else ended_text(str(row["capacity_ended"]), carried is not None)
        rows.append(
            (
                Cell(str(row["model"])),
                Cell(users),
                Cell(lower),
                Cell(number(high)),
                Cell(ended),
            )
        )
    heads = ("model", "users carried", "interval from", "to", "ended by")
    return Table(f"Users carried with {slo_text(outcome.campaign.plan.slo)}", heads, tuple(rows))


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None
