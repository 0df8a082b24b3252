"""How a model looks in every figure, and how a figure is laid out and saved.

Figures are narrow, with their legend below them, so that the same file is readable in a page, in print and on a phone.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path as Shape
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import Affine2D

from study.palette import DARK_COLOURS, Look, in_order, looks

PAPER, INK, QUIET, GRID = "#ffffff", "#262626", "#6b6b6b", "#d9d9d9"
DARK = {**DARK_COLOURS, PAPER: "#15181c", INK: "#e8e8e8", QUIET: "#a3a3a3", GRID: "#3a3f45"}
"""Every colour that a figure has, and what it becomes on a dark page."""
Dash = tuple[float, tuple[float, ...]]
"""Offset, and lengths of dash and gap in turn; none of them is a solid line."""
WIDE = 20  # where the largest is more than so many times the least, a log scale shows them
PNG_DPI = 190
WIDTH_IN, PANEL_IN, LEGEND_ROW_IN = 5.0, 3.2, 0.2
TICK_IN = 0.55  # room that the label of a tick needs
THEME = {
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "axes.edgecolor": GRID, "grid.color": GRID, "text.color": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "font.size": 10, "axes.titlesize": 10.5,
    "axes.labelsize": 10, "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9,
    "svg.hashsalt": "load-study", "text.parse_math": False,
}  # fmt: skip


@dataclass(frozen=True)
class Style:
    """Colour, marker and dash pattern of one label's line."""

    colour: str
    marker: str
    dash: Dash


def styles(labels: Sequence[str]) -> dict[str, Style]:
    """One style for each label by its name, the same in every figure of every campaign."""
    return {label: _style(each) for label, each in looks(labels).items()}


def styles_in_order(names: Sequence[str]) -> dict[str, Style]:
    """One style for each name by its place, for names that are no models'."""
    return {name: _style(each) for name, each in in_order(names).items()}


def _style(each: Look) -> Style:
    return Style(each.colour, each.marker, (0, each.dash))


def canvas(*heights: float, share_x: bool = True) -> tuple[Figure, list[Axes]]:
    """A figure with a panel of each of these heights (inches), one below the other."""
    sns.set_theme(style="whitegrid", rc=THEME)
    figure = Figure(figsize=(WIDTH_IN, sum(heights)), layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=share_x, squeeze=False, height_ratios=heights)
    return figure, list(panels.flat)


def users_axis(axes: Axes, users: Sequence[int], label: bool = True) -> None:
    """The ladder on the x axis: its own steps as ticks where they are on a log scale, as many as have room."""
    axes.set_xlabel("users" if label else "")
    if users and users[-1] > WIDE * users[0]:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(_with_room(users))
        axes.set_xlim(users[0] / 1.25, users[-1] * 1.25)
    plain_ticks(axes.xaxis)


def _with_room(users: Sequence[int]) -> list[int]:
    """The steps that can have a label, from the top down."""
    inch = (WIDTH_IN - 1.3) / np.log(users[-1] / users[0])
    kept = [users[-1]]
    for step in reversed(users[:-1]):
        if np.log(kept[-1] / step) * inch >= TICK_IN:
            kept.append(step)
    return kept[::-1]


def log_axis(axes: Axes, which: Literal["x", "y"], low: float, high: float) -> None:
    """A log scale from `low` to `high` and a little beyond, its ticks as 1,000 and not as 10^3."""
    middle, half = np.sqrt(low * high), max(1.15 * (high / low) ** 0.57, 2.2)
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(middle / half, middle * half)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if half < 10 else (1.0,), numticks=8))
    axis.set_minor_locator(NullLocator())  # they would not show, and take time to draw
    plain_ticks(axis)


def plain_ticks(axis: Axis) -> None:
    """1,000 and not 10^3 or 1000."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def line_of(label: str, look: Style) -> Line2D:
    """A model's entry in a legend."""
    line = Line2D([], [], color=look.colour, marker=look.marker, label=label, markersize=6)
    line.set_linestyle(look.dash)
    return line


ARROW_LEGEND_PT = 14
UP = Shape([(-0.07, 0), (-0.07, 0.6), (-0.28, 0.6), (0, 1), (0.28, 0.6), (0.07, 0.6), (0.07, 0), (-0.07, 0)])
"""A marker: an arrow from its point. Not a letter, since texts are not parsed as formulas."""
LEFT, DOWN, RIGHT = (UP.transformed(Affine2D().rotate_deg(degrees)) for degrees in (90, 180, 270))


def formula(text: str) -> MarkerStyle:
    """Mathematical text as a marker; everywhere else a text is drawn as it is."""
    with matplotlib.rc_context({"text.parse_math": True}):
        return MarkerStyle(f"${text}$")


def sign(label: str, marker: str | Shape | MarkerStyle, hollow: bool = False, size: float | None = None) -> Line2D:
    """A legend's entry for a sign that any model can bear; `size` in points."""
    return Line2D(
        [], [], color=QUIET, marker=marker, markerfacecolor=PAPER if hollow else QUIET, ls="", label=label,
        markersize=ARROW_LEGEND_PT if isinstance(marker, Shape) else size,
    )  # fmt: skip


def note(axes: Axes, text: str) -> None:
    """A remark in the middle of the axes, where nothing is drawn."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=QUIET)


def row_note(axes: Axes, row: int, text: str) -> None:
    """What a row of a figure has instead of a point: a remark in its middle, over the grid."""
    where, box = axes.get_yaxis_transform(), {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}
    axes.text(0.5, row, text, transform=where, ha="center", va="center", color=QUIET, bbox=box)


def legend(figure: Figure, entries: Sequence[Artist]) -> None:
    """All entries below the axes, in as many columns as fit; the figure grows for them, and nothing covers a point."""
    if not entries:
        return
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    for columns in (4, 3, 2, 1):
        made = figure.legend(
            handles=list(entries), loc="outside lower center", ncols=columns, frameon=False, handlelength=2.8,
            columnspacing=1.4,
        )  # fmt: skip
        if columns == 1 or made.get_window_extent(renderer).width <= 0.97 * figure.bbox.width:
            break
        made.remove()
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + LEGEND_ROW_IN * -(-len(entries) // columns))


def remove(directory: Path, name: str) -> None:
    """Remove a figure that an earlier analysis saved."""
    for path in _files(directory, name):
        path.unlink(missing_ok=True)


def _files(directory: Path, name: str) -> tuple[Path, ...]:
    return tuple(directory / f"{name}.{suffix}" for suffix in ("png", "svg"))


def save(figure: Figure, directory: Path, name: str) -> tuple[Path, ...]:
    """PNG and SVG, each by a temporary name and a rename, so that a reader never meets half a file.

    The canvases print themselves: Figure.savefig draws everything a second time, for the layout.
    """
    directory.mkdir(parents=True, exist_ok=True)
    paths = _files(directory, name)
    for path in paths:
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=f".{path.name}.")
        os.close(descriptor)
        try:
            if path.suffix == ".png":
                figure.set_dpi(PNG_DPI)
                FigureCanvasAgg(figure).print_png(temporary)  # type: ignore[no-untyped-call]
            else:
                FigureCanvasSVG(figure).print_svg(temporary, metadata={"Date": None})  # type: ignore[no-untyped-call]
            # It is laid out now, and to do it again would take as long as all the rest.
            figure.set_layout_engine("none")
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return paths
