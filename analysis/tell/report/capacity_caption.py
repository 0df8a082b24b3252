"""What the figure of capacities shows in words, and the table that it was drawn from."""

from __future__ import annotations

from pathlib import Path

from analysis.draw.capacity_figure import capacity_frame
from analysis.rank.outcome import CampaignOutcome
from analysis.tell.capacity_sentence import BEYOND, no_low_end, slo_text
from analysis.tell.report.page import Cell, Picture, Table, inlined
from analysis.tell.words import BOUNDS, bounded, number


def capacity_picture(directory: Path, outcome: CampaignOutcome) -> Picture | None:
    """The figure with its caption; None where it isn't drawn."""
    path = directory / "capacity.svg"
    if not path.is_file() or capacity_frame(outcome.summary).empty:
        return None
    text = f"Users that each model carries with {slo_text(outcome.campaign.plan.slo)}; an arrow marks a lower bound."
    return Picture(inlined(path), "Capacity", text, (capacity_table(outcome),))


def capacity_table(outcome: CampaignOutcome) -> Table:
    """The capacities that the figure shows, bounds with their sign, and what ended each search."""
    rows = []
    known = {each.model: each for each in outcome.capacities}
    for row in capacity_frame(outcome.summary).to_dict("records"):
        low, high = (_known(row[name]) for name in ("capacity_low", "capacity_high"))
        lower = number(low) if low is not None or high is None else no_low_end(known[str(row["model"])])
        users = f"{bounded(high is None, False, BOUNDS)}{number(_known(row['capacity_users']))}"
        ended = str(row["capacity_ended"])
        rows.append(
            (
                Cell(str(row["model"])),
                Cell(users),
                Cell(lower),
                Cell(number(high)),
                Cell(BEYOND.get(ended, ended)),
            )
        )
    heads = ("model", "users carried", "interval from", "to", "ended by")
    return Table(f"Users carried with {slo_text(outcome.campaign.plan.slo)}", heads, tuple(rows))


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None
