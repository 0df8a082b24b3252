"""How a model looks in every figure, and how a figure is laid out and saved."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F6A00")
"""Okabe and Ito's palette, which colour-blind readers tell apart, its yellow darkened to show on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d", "8", "H")
Dash = tuple[float, tuple[float, ...]]
"""Offset, and lengths of dash and gap in turn; none of them is a solid line."""
DASHES: tuple[Dash, ...] = ((0, ()), (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2, 1, 2, 1, 2)))
WIDE_LADDER = 20  # a ladder whose top is more than so many times its foot is shown on a log scale


@dataclass(frozen=True)
class Style:
    colour: str
    marker: str
    dash: Dash


def styles(labels: Sequence[str]) -> dict[str, Style]:
    """One style for each label by its place in the plan, the same in every figure; no two alike up to 120 labels."""
    return {
        label: Style(COLOURS[at % len(COLOURS)], MARKERS[at % len(MARKERS)], DASHES[at % len(DASHES)])
        for at, label in enumerate(labels)
    }


def canvas(rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with room on its right for the legend; its axes in reading order, sharing both scales."""
    sns.set_theme(style="whitegrid", context="notebook", rc={"axes.titlesize": "medium", "svg.hashsalt": "load-study"})
    size = (9.5, 5.2) if rows * columns == 1 else (11.5, 7.6)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    return figure, list(axes.flat)


def users_axis(axes: Axes, users: Sequence[int], label: bool = True) -> None:
    """The ladder on the x axis: its own steps as ticks where they are on a log scale and not too many to be read."""
    axes.set_xlabel("users" if label else "")
    if users and users[-1] > WIDE_LADDER * users[0]:
        axes.set_xscale("log")
        plain_log_ticks(axes, "x")
        if len(users) <= 7:
            axes.set_xticks(list(users))
            axes.xaxis.set_minor_locator(NullLocator())


def plain_log_ticks(axes: Axes, which: str) -> None:
    """1,000 and not 10^3."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, axes: Axes, looks: dict[str, Style], extra: Sequence[Line2D], hollow: bool) -> None:
    """All labels in one legend outside the axes, so that nothing covers a point."""
    lines = [_line(label, look) for label, look in looks.items()]
    if hollow:
        lines.append(
            Line2D([], [], color="0.3", marker="o", markerfacecolor="white", linestyle="", label="step isn't valid")
        )
    figure.legend(
        handles=[*lines, *extra], loc="outside right upper", frameon=False, fontsize="small", handlelength=3.2
    )


def _line(label: str, look: Style) -> Line2D:
    line = Line2D([], [], color=look.colour, marker=look.marker, label=label, markersize=6)
    line.set_linestyle(look.dash)
    return line


def save(figure: Figure, directory: Path, name: str) -> tuple[Path, ...]:
    """PNG and SVG, each by a temporary name and a rename, so that a reader never meets half a file."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = tuple(directory / f"{name}.{suffix}" for suffix in ("png", "svg"))
    for path in paths:
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=f".{path.name}.")
        os.close(descriptor)
        try:
            kind = path.suffix[1:]
            figure.savefig(temporary, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else None)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    plt.close(figure)
    return paths
