"""What the figure of capacities shows in words, and the table that it was drawn from."""

from __future__ import annotations

from pathlib import Path

from analysis.draw.capacity_figure import capacity_frame
from analysis.rank.outcome import CampaignOutcome
from analysis.tell.capacity_sentence import slo_text
from analysis.tell.report.page import Cell, Picture, Table, inlined
from analysis.tell.words import number


def capacity_picture(directory: Path, outcome: CampaignOutcome) -> Picture | None:
    """The figure with its caption; None where it isn't drawn."""
    path = directory / "capacity.svg"
    frame = capacity_frame(outcome.summary)
    if not path.is_file() or frame.empty:
        return None
    rows = tuple(
        (Cell(str(row["model"])), *(Cell(number(_known(row[name]))) for name in ENDS), Cell(str(row["capacity_ended"])))
        for row in frame.to_dict("records")
    )
    heads = ("model", "users carried", "interval from", "to", "ended by")
    table = Table(f"Users carried with {slo_text(outcome.campaign.plan.slo)}", heads, rows)
    text = f"Users that each model carries with {slo_text(outcome.campaign.plan.slo)}; an arrow marks a lower bound."
    return Picture(inlined(path), "Capacity", text, (table,))


ENDS = ("capacity_users", "capacity_low", "capacity_high")


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None
