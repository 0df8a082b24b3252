"""The figures, one function each, callable on the frame of steps.csv.

Lines are medians over blocks, bars their least and most; a point whose step isn't valid in most blocks is hollow, and
one of which only a lower bound is known has an arrow upwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.style import Style, canvas, legend, plain_log_ticks, save, styles, users_axis
from cluster.plan import Plan

STATISTICS = {"mean_ms": "mean", "p50_ms": "p50 (median)", "p95_ms": "p95", "p99_ms": "p99"}


def points(steps: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row for each label and ladder step: median, least and most over blocks; is it valid, is it a lower bound."""
    ladder = steps[(steps["kind"] == "ladder") & steps[column].notna()]
    rows = [
        {
            "model": model,
            "users": int(str(users)),
            "value": float(group[column].median()),
            "least": float(group[column].min()),
            "most": float(group[column].max()),
            "valid": bool((group["verdict"] == "valid").mean() > 0.5),
            "at_least": bool(group["at_least"].str.split().map(lambda names: column in names).any()),
        }
        for (model, users), group in ladder.groupby(["model", "users"])
    ]
    return pd.DataFrame(rows, columns=["model", "users", "value", "least", "most", "valid", "at_least"])


def rps_against_users(steps: pd.DataFrame, plan: Plan, labels: Sequence[str]) -> Figure:
    """Goodput against users, with N / Z, which no closed system can pass."""
    figure, (axes,) = canvas()
    shown = points(steps, "rps")
    _draw(axes, shown, styles(labels))
    users_axis(axes, plan.users)
    axes.set(title="Requests per second against users", ylabel="successful requests per second")
    extra: list[Line2D] = []
    top = 1.12 * float(shown["most"].max()) if len(shown) else 1.0
    if plan.mean_think_s > 0 and len(shown):
        bound = [users / plan.mean_think_s for users in plan.users]
        name = f"N / Z, Z = {plan.mean_think_s:g} s\n(no closed system passes it)"
        line = axes.plot(plan.users, bound, color="0.45", linewidth=1.2, linestyle=(0, (6, 3)), zorder=1, label=name)
        extra = line
    if axes.get_xscale() == "log" and len(shown) and float(shown["least"].min()) > 0:
        axes.set_yscale("log")
        plain_log_ticks(axes, "y")
        axes.set_ylim(0.7 * float(shown["least"].min()), 1.4 * top)
    else:
        axes.set_ylim(0, top)
    _finish(figure, axes, shown, styles(labels), extra)
    return figure


def response_against_users(steps: pd.DataFrame, plan: Plan, labels: Sequence[str]) -> Figure:
    """Mean and percentiles of response time against users on a log scale, a panel for each statistic."""
    figure, panels = canvas(2, 2)
    looks = styles(labels)
    everything: list[pd.DataFrame] = []
    for position, (axes, (column, name)) in enumerate(zip(panels, STATISTICS.items(), strict=True)):
        shown = points(steps, column)
        shown = shown[shown["least"] > 0]
        everything.append(shown)
        _draw(axes, shown, looks)
        users_axis(axes, plan.users, label=position >= 2)
        axes.set(title=name, ylabel="response time in ms" if position % 2 == 0 else "")
        if shown.empty:
            _note(axes, "no step has enough samples for it")
    if any(len(shown) for shown in everything):
        panels[0].set_yscale("log")
        plain_log_ticks(panels[0], "y")
    figure.suptitle("Response time of successful requests against users")
    _finish(figure, panels[0], pd.concat(everything), looks, [])
    return figure


def failures_against_users(steps: pd.DataFrame, plan: Plan, labels: Sequence[str]) -> Figure:
    """Failed requests in percent of all against users."""
    figure, (axes,) = canvas()
    shares = steps.assign(failed_percent=100 * steps["failures"].astype(float) / steps["requests"].astype(float))
    shown = points(shares, "failed_percent")
    _draw(axes, shown, styles(labels))
    users_axis(axes, plan.users)
    most = float(shown["most"].max()) if len(shown) else 0.0
    axes.set(
        title="Failed requests against users",
        ylabel="failed requests in %",
        ylim=(-0.03 * max(1.0, most), 1.08 * max(1.0, most)),
    )
    if len(shown) and most == 0:
        _note(axes, "no request failed")
    _finish(figure, axes, shown, styles(labels), [])
    return figure


FIGURES: Mapping[str, Callable[[pd.DataFrame, Plan, Sequence[str]], Figure]] = {
    "rps": rps_against_users,
    "response-time": response_against_users,
    "failures": failures_against_users,
}


def draw_all(steps: pd.DataFrame, plan: Plan, labels: Sequence[str], directory: Path) -> tuple[Path, ...]:
    """Every figure as PNG and SVG; returns the paths."""
    return tuple(path for name, draw in FIGURES.items() for path in save(draw(steps, plan, labels), directory, name))


def _draw(axes: Axes, shown: pd.DataFrame, looks: Mapping[str, Style]) -> None:
    for model, look in looks.items():
        mine = shown[shown["model"] == model]
        if mine.empty:
            continue
        sns.lineplot(
            data=mine, x="users", y="value", color=look.colour, linestyle=look.dash, linewidth=1.6,
            errorbar=None, ax=axes, label=model, legend=False,
        )  # fmt: skip
        axes.vlines(mine["users"], mine["least"], mine["most"], color=look.colour, linewidth=1.1, zorder=2)
        for valid, face in ((True, look.colour), (False, "white")):
            dots = mine[mine["valid"] == valid]
            axes.scatter(
                dots["users"], dots["value"], marker=look.marker, s=42, facecolor=face, edgecolor=look.colour,
                linewidth=1.4, zorder=3,                 label=f"_{model} {'valid' if valid else 'not valid'}",
            )  # fmt: skip
        bounds = mine[mine["at_least"]]
        axes.scatter(
            bounds["users"],
            bounds["value"] * 1.12,
            marker=r"$\uparrow$",
            s=46,
            color=look.colour,
            zorder=3,
            label="_at least",
        )


def _finish(
    figure: Figure, axes: Axes, shown: pd.DataFrame, looks: Mapping[str, Style], extra: Sequence[Line2D]
) -> None:
    if shown.empty:
        _note(axes, "no step was measured")
    present = {model: look for model, look in looks.items() if (shown["model"] == model).any()}
    legend(figure, axes, present, extra, hollow=bool((~shown["valid"].astype(bool)).any()))


def _note(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.35")
