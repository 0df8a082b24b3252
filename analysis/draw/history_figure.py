"""Capacity and peak goodput of each model over time: a point for each campaign, with its interval or an arrow."""

from __future__ import annotations

import matplotlib.dates as mdates
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.draw.style import UP, canvas, legend, line_of, plain_ticks, sign, styles

PANEL_IN = 2.6
PANELS = {
    "capacity": ("capacity_users", "capacity_low", "capacity_high", "users carried"),
    "peak": ("peak_rps", "peak_rps_low", "peak_rps_high", "peak requests per second"),
}
"""For each panel the columns of value, lower and upper end, and the axis's label."""
ARROW_PT2 = 600  # its area


def over_time(frame: pd.DataFrame) -> Figure | None:
    """The frame of a `PlanHistory`; None where fewer than two campaigns have a figure, so that nothing is over time."""
    drawn = [panel for panel in PANELS if _campaigns_with(frame, PANELS[panel][0]) > 1]
    if not drawn:
        return None
    figure, panels = canvas(*(PANEL_IN for _ in drawn))
    models = list(dict.fromkeys(frame["model"]))
    timed = frame.assign(begun=pd.to_datetime(frame["begun"], utc=True))
    looks = styles(models)
    bounds = False
    for axes, panel in zip(panels, drawn, strict=True):
        value, low, high, label = PANELS[panel]
        known = timed[timed[value].notna()].astype({value: "float64"})
        sns.lineplot(
            data=known, x="begun", y=value, hue="model", style="model", ax=axes, legend=False, errorbar=None, lw=1.4,
            palette={model: look.colour for model, look in looks.items()},
            dashes={model: look.dash[1] or "" for model, look in looks.items()},
        )  # fmt: skip
        for model, look in looks.items():
            bounds |= _marks(axes, known[known["model"] == model], (value, low, high), look.colour, look.marker)
        top = float(known[[value, high]].astype("float64").max().max())
        axes.set(xlabel="", ylabel=label, ylim=(0, 1.15 * top))
        plain_ticks(axes.yaxis)
    locator = mdates.AutoDateLocator(maxticks=7)  # type: ignore[no-untyped-call]
    panels[-1].xaxis.set_major_locator(locator)
    panels[-1].xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    panels[-1].set_xlabel("begin of the campaign, UTC")
    entries = [line_of(model, look) for model, look in looks.items()]
    legend(figure, [*entries, *([_arrow_entry()] if bounds else [])])
    return figure


def _campaigns_with(frame: pd.DataFrame, column: str) -> int:
    return int(frame[frame[column].notna()]["campaign"].nunique())


def _marks(axes: Axes, mine: pd.DataFrame, columns: tuple[str, str, str], colour: str, marker: str) -> bool:
    """The points of one model: an arrow where one is a lower bound, else its interval; whether there are any arrows."""
    value, low, high = columns
    axes.scatter(mine["begun"], mine[value], color=colour, marker=marker, s=36, zorder=3)
    bound = mine["at_least"].map(lambda names: value in names).astype(bool)
    closed = mine[~bound & mine[low].notna() & mine[high].notna()]
    axes.vlines(closed["begun"], closed[low].astype(float), closed[high].astype(float), color=colour, lw=1.2)
    axes.scatter(
        mine[bound]["begun"], mine[bound][value], marker=UP, s=ARROW_PT2, color=colour, lw=0, zorder=2,
    )  # fmt: skip
    return bool(bound.any())


def _arrow_entry() -> Line2D:
    return sign("at least", UP)
