"""The figures, one function each, callable on a tidy frame alone: that of `Steps`, or one of analysis/draw/frames.py.

Lines are medians over runs and bars their interval; a point whose step isn't valid in most runs is hollow, and one of
which only a lower bound is known has an arrow upwards, only an upper bound one downwards. A line doesn't join loads
that half of the blocks or fewer tried, since two such loads may be of different blocks: their points are small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.draw.capacity_figure import capacities, capacity_frame, mark_trials
from analysis.draw.frames import MOST_KINDS, OTHER_KINDS, failures_at_worst, knees, points, points_of
from analysis.draw.ratio_figure import ratio_forest
from analysis.draw.style import (
    DOWN,
    GRID,
    INK,
    PANEL_IN,
    PAPER,
    QUIET,
    UP,
    WIDE,
    Dash,
    Style,
    canvas,
    legend,
    line_of,
    log_axis,
    note,
    plain_ticks,
    sign,
    styles,
    users_axis,
)
from analysis.rank.steps import Steps

PERCENTILES = {"p50_ms": "p50 (median)", "p95_ms": "p95", "p99_ms": "p99"}
COSTS = {"server_cpu_ms": "CPU a request in ms", "server_pss_mb": "memory in MiB"}
TIMES: Mapping[str, Dash] = {"p50_ms": (0, ()), "p99_ms": (0, (2, 1.5))}
BOUNDS = {"at_least": (UP, 1.1), "at_most": (DOWN, 1 / 1.1)}
"""Bounds: the sign, and where it is drawn, as a factor of the value."""
ARROW_PT2 = 260  # area of an arrow, which fills half of its height
DOT_PT2, SMALL_PT2 = 38, 13
FEW = "half of the blocks or fewer tried this load"
KNEE = "knee N* = (R1 + Z) Xmax"
SHADES = tuple(sns.color_palette("cividis", MOST_KINDS).as_hex())
HATCHES = ("", "//", "..", "\\\\", "xx", "--", "oo", "||")


def rps_against_users(steps: pd.DataFrame, labels: Sequence[str] | None = None, think_s: float | None = None) -> Figure:
    """Goodput against users, with the bound N / Z, which no closed system can pass, and the knee of each full model."""
    figure, (axes,) = canvas(PANEL_IN)
    looks = _looks(steps, labels)
    medians = points(steps, "rps", looks)
    _curves(axes, medians, looks)
    signs = _bound(axes, medians, think_s)
    if think_s:
        bends = knees(steps, looks, think_s)
        for knee in bends.to_dict("records"):
            axes.scatter(
                [knee["users"]], [knee["rps"]], marker="x", s=70, lw=2.2, zorder=4, color=looks[knee["model"]].colour,
                label=f"_knee of {knee['model']}",
            )  # fmt: skip
        signs += [sign(KNEE, "x")] if len(bends) else []
    axes.set_ylabel("successful requests per second")
    _entries(figure, axes, medians, looks, signs)
    return figure


def response_against_users(
    steps: pd.DataFrame,
    labels: Sequence[str] | None = None,
    slo_ms: float | None = None,
    trials: pd.DataFrame | None = None,
) -> Figure:
    """p50, p95 and p99 of response time against users, on one log scale; on p99 the SLO's limit, and each trial."""
    figure, panels = canvas(*[2.0] * len(PERCENTILES))
    looks = _looks(steps, labels)
    every = []
    known = points_of(steps, PERCENTILES, looks)
    for axes, (column, name) in zip(panels, PERCENTILES.items(), strict=True):
        every.append(known[column][known[column]["low"] > 0])
        _curves(axes, every[-1], looks)
        users_axis(axes, Steps(steps).ladder.users, label=axes is panels[-1])
        axes.set_ylabel(f"{name} in ms")
        if every[-1].empty:
            note(axes, "no step has enough samples for it")
    together = pd.concat(every)
    tried = pd.Series(dtype=float) if trials is None else trials["ms"]
    ends = pd.concat([together["low"], together["high"], tried])
    if len(ends):
        for axes in panels:
            log_axis(axes, "y", ends.min(), ends.max())
    signs = [] if trials is None else mark_trials(panels[-1], trials, looks)
    if slo_ms is not None:
        panels[-1].axhline(slo_ms, color=INK, lw=1.1, ls=(0, (4, 3)), zorder=1)
        signs.append(Line2D([], [], color=INK, lw=1.1, ls=(0, (4, 3)), label=f"the SLO's p99, {slo_ms:g} ms"))
    _entries(figure, None, together, looks, signs)
    return figure


def response_against_rps(steps: pd.DataFrame, labels: Sequence[str] | None = None) -> Figure:
    """Mean response time against goodput, in the order of the ladder: the hockey stick."""
    figure, (axes,) = canvas(PANEL_IN)
    looks = _looks(steps, labels)
    rps, mean = points_of(steps, ("rps", "mean_ms"), looks).values()
    medians = mean.merge(rps[["model", "users", "value"]].rename(columns={"value": "rps"}), on=["model", "users"])
    medians = medians[(medians["low"] > 0) & (medians["rps"] > 0)]
    _curves(axes, medians, looks, x="rps")
    if len(medians):
        log_axis(axes, "y", medians["low"].min(), medians["high"].max())
    if len(medians) and medians["rps"].max() > WIDE * medians["rps"].min():
        log_axis(axes, "x", medians["rps"].min(), medians["rps"].max())
    else:
        plain_ticks(axes.xaxis)
    axes.set(xlabel="successful requests per second", ylabel="mean ms of successes")
    _entries(figure, axes, medians, looks)
    return figure


def tails(slower: pd.DataFrame, labels: Sequence[str] | None = None) -> Figure:
    """Share of requests slower than a time, both on log scales, from histograms (`frames.tails_frame`)."""
    figure, (axes,) = canvas(PANEL_IN)
    looks = _looks(slower, labels)
    for at, (model, look) in enumerate(looks.items()):
        mine = slower[slower["model"] == model]
        apart = max(1, len(mine) // 6)
        axes.plot(
            mine["ms"], mine["share"], color=look.colour, ls=look.dash, lw=1.6, marker=look.marker, ms=5,
            markevery=(at % apart, apart), label=model,
        )  # fmt: skip
    if len(slower):
        log_axis(axes, "x", slower["ms"].min(), slower["ms"].max())
        log_axis(axes, "y", slower["share"].min(), 1.0)
    axes.set(xlabel="response time in ms", ylabel="share of requests that took longer")
    _entries(figure, axes, slower.assign(valid=True), looks)
    return figure


def cost_of_a_request(steps: pd.DataFrame, labels: Sequence[str] | None = None) -> Figure:
    """What a request costs the server in CPU time, and how much memory its process tree holds, against users."""
    figure, panels = canvas(*[2.5] * len(COSTS))
    looks = _looks(steps, labels)
    every = []
    known = points_of(steps, COSTS, looks)
    for axes, (column, name) in zip(panels, COSTS.items(), strict=True):
        every.append(known[column][known[column]["low"] > 0])
        _curves(axes, every[-1], looks)
        users_axis(axes, Steps(steps).ladder.users, label=axes is panels[-1])
        axes.set_ylabel(name)
        if len(every[-1]):
            log_axis(axes, "y", every[-1]["low"].min(), every[-1]["high"].max())
        else:
            note(axes, "it was not recorded")
    _entries(figure, None, pd.concat(every), looks)
    return figure


def failures_by_kind(steps: pd.DataFrame, labels: Sequence[str] | None = None) -> Figure:
    """Failed requests in percent, by kind, at the step at which each model failed most."""
    worst = failures_at_worst(steps, _looks(steps, labels))
    rows = list(dict.fromkeys(zip(worst["model"], worst["users"], strict=True)))
    figure, (axes,) = canvas(0.9 + 0.4 * max(2, len(rows)))
    if worst.empty:
        note(axes, "no request failed")
        axes.set(xticks=[], yticks=[])
        return figure
    kinds = sorted(worst["kind"].unique(), key=lambda kind: (kind == OTHER_KINDS, kind))
    shades = dict(zip(kinds, zip(SHADES, HATCHES, strict=True), strict=False))
    left = dict.fromkeys(rows, 0.0)
    for kind, (shade, hatch) in shades.items():
        for row in worst[worst["kind"] == kind].to_dict("records"):
            key = (row["model"], row["users"])
            axes.barh(
                rows.index(key), row["percent"], left=left[key], height=0.62, color=shade, hatch=hatch, edgecolor=PAPER
            )
            left[key] += row["percent"]
    axes.set_yticks(range(len(rows)), [f"{model}\n{users:,} users" for model, users in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.set_xlabel("failed requests in %")
    named = {kind: f" {kind}" if kind.startswith("_") else kind for kind in shades}  # matplotlib hides labels with _
    legend(figure, [Patch(fc=fill, hatch=hatch, ec=PAPER, label=named[kind]) for kind, (fill, hatch) in shades.items()])
    return figure


def one_model(
    steps: pd.DataFrame, model: str, labels: Sequence[str] | None = None, think_s: float | None = None
) -> Figure:
    """One model's goodput and response times against users, the others' goodput in a pale colour."""
    figure, (above, below) = canvas(2.4, 2.4)
    looks = _looks(steps, labels)
    everyone = points(steps, "rps", looks)
    others = everyone[everyone["model"] != model]
    for other, rows in others.groupby("model"):
        tried = rows[~rows["few"]]
        above.plot(tried["users"], tried["value"], color=GRID, lw=1.4, zorder=1, label=f"_{other}")
    mine, look = everyone[everyone["model"] == model], {model: looks[model]}
    _curves(above, mine, look)
    signs = _bound(above, everyone, think_s)
    above.set(ylabel="requests per second", xlabel="")
    times = []
    for known, dash in zip(points_of(steps, TIMES, look).values(), TIMES.values(), strict=True):
        times.append(known[known["low"] > 0])
        _curves(below, times[-1], {model: replace(looks[model], dash=dash)})
    users_axis(below, Steps(steps).ladder.users)
    below.set_ylabel("p50 and p99 in ms")
    medians = pd.concat(times)
    if len(medians):
        log_axis(below, "y", medians["low"].min(), medians["high"].max())
    else:
        note(below, "no step has enough samples")
    entries = [Line2D([], [], color=GRID, lw=1.4, label="the other models")] if len(others) else []
    _entries(
        figure, above, mine, look, [*entries, *signs, Line2D([], [], color=QUIET, ls=TIMES["p99_ms"], label="p99")]
    )
    return figure


def drawings(
    steps: pd.DataFrame,
    slower: pd.DataFrame,
    ratios: pd.DataFrame,
    models: Sequence[str],
    think_s: float | None,
    summary: pd.DataFrame | None = None,
    slo_ms: float | None = None,
    trials: pd.DataFrame | None = None,
) -> Iterator[tuple[str, Figure | None]]:
    """Every figure of a campaign by the name of its file, one at a time; None where it would be empty."""
    carried = pd.DataFrame() if summary is None else capacity_frame(summary)
    yield "capacity", capacities(carried, models) if len(carried) else None
    medians = points_of(steps, ("rps", "mean_ms", *PERCENTILES, *COSTS), models)
    known = {column for column, rows in medians.items() if len(rows)}
    yield "rps", rps_against_users(steps, models, think_s) if "rps" in known else None
    tried = pd.DataFrame() if trials is None else trials
    yield (
        "response-time",
        response_against_users(steps, models, slo_ms, trials) if known & set(PERCENTILES) or len(tried) else None,
    )
    yield "response-rps", response_against_rps(steps, models) if {"rps", "mean_ms"} <= known else None
    yield "tails", tails(slower, models) if len(slower) else None
    yield "cost", cost_of_a_request(steps, models) if known & set(COSTS) else None
    yield "ratios", ratio_forest(ratios) if len(ratios) else None
    yield "failures", failures_by_kind(steps, models) if len(failures_at_worst(steps, models)) else None
    measured = set(medians["rps"]["model"])
    for model in models:
        yield f"model-{model}", one_model(steps, model, models, think_s) if model in measured else None


def _looks(frame: pd.DataFrame, labels: Sequence[str] | None) -> dict[str, Style]:
    """The style of each label, in their order; of those in the frame where none are given."""
    return styles(list(frame["model"].unique()) if labels is None else labels)


def _curves(axes: Axes, medians: pd.DataFrame, looks: Mapping[str, Style], x: str = "users") -> None:
    for model, look in looks.items():
        mine = medians[medians["model"] == model].sort_values("users")
        if mine.empty:
            continue
        tried = mine[~mine["few"]]
        axes.plot(tried[x], tried["value"], color=look.colour, ls=look.dash, lw=1.6, label=model)
        axes.vlines(mine[x], mine["low"], mine["high"], color=look.colour, lw=1.1, zorder=2)
        for valid, few in ((True, False), (True, True), (False, False), (False, True)):
            dots = mine[(mine["valid"] == valid) & (mine["few"] == few)]
            axes.scatter(
                dots[x], dots["value"], marker=look.marker, s=SMALL_PT2 if few else DOT_PT2,
                facecolor=look.colour if valid else PAPER, edgecolor=look.colour, lw=1.4, zorder=3,
                label=f"_{model} {'valid' if valid else 'not valid'}",
            )  # fmt: skip
        for bound, (arrow, place) in BOUNDS.items():
            bounds = mine[mine[bound].astype(bool)]
            axes.scatter(
                bounds[x], bounds["value"] * place, marker=arrow, s=ARROW_PT2, color=look.colour, lw=0, zorder=3,
                label=f"_{bound.replace('_', ' ')}",
            )  # fmt: skip


def _bound(axes: Axes, medians: pd.DataFrame, think_s: float | None) -> list[Line2D]:
    """N / Z as a line, and the scale of both axes; returns its entry in the legend."""
    users = sorted({int(each) for each in medians["users"]})
    users_axis(axes, users)
    if medians.empty:
        return []
    low, high = float(medians["low"].min()), float(medians["high"].max())
    if axes.get_xscale() == "log" and low > 0:
        log_axis(axes, "y", low, high)
    else:
        axes.set_ylim(0, 1.12 * high if high else 1.0)
        plain_ticks(axes.yaxis)
    if not think_s:
        return []
    name = f"bound N / Z, Z = {think_s:g} s"
    bound = [each / think_s for each in users]
    return axes.plot(users, bound, color=QUIET, lw=1.2, ls=(0, (6, 3)), zorder=1, label=name)


def _entries(
    figure: Figure, axes: Axes | None, medians: pd.DataFrame, looks: Mapping[str, Style], extra: Sequence[Line2D] = ()
) -> None:
    """The legend: the models with points, and the signs that occur; a note in the axes where no model has one."""
    if medians.empty and axes is not None:
        note(axes, "no step was measured")
    present = [line_of(model, look) for model, look in looks.items() if (medians["model"] == model).any()]
    signs = [sign("a check failed: not valid", "o", hollow=True)] if not medians["valid"].astype(bool).all() else []
    signs += [sign(FEW, "o", size=3)] if "few" in medians and medians["few"].any() else []
    signs += [
        sign(bound.replace("_", " "), arrow)
        for bound, (arrow, _) in BOUNDS.items()
        if bound in medians and medians[bound].astype(bool).any()
    ]
    legend(figure, [*present, *signs, *extra])
