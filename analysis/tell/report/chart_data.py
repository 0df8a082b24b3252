"""The data of the report's charts as frozen values, and their JSON: every figure once more, to hover and to zoom."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.draw.capacity_figure import MARKS, SLO_FIGURE, capacity_frame, trials_frame
from analysis.draw.figures import COSTS, FEW, KNEE, PERCENTILES
from analysis.draw.frames import failures_at_worst, knees, points_of
from analysis.draw.request_figure import request_lines
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.steps import Steps
from analysis.tell.capacity_sentence import ended_text
from analysis.tell.words import BOUNDS, bounded
from study.palette import Look, in_order, looks

FLAGS = ("note", "bound", "hollow", "few")
"""Columns that most lines have nothing in."""
DIGITS = 6
"""Significant digits of a figure in the page."""
Known = float | None
TRIAL_SIGNS = {"+": "+", "x": "×"}
"""A trial's marker as a letter."""
RATE, MEAN = "successful requests per second", "mean response time of the successes in ms"


@dataclass(frozen=True)
class ChartAxis:
    """What an axis shows."""

    text: str
    log: bool = False


@dataclass(frozen=True)
class ChartLine:
    """Points in the order in which they are joined; every column that isn't empty has an entry for each point."""

    name: str
    look: Look | None
    """None: none of a model, drawn in grey."""
    x: tuple[float, ...]
    y: tuple[Known, ...]
    low: tuple[Known, ...] = ()
    high: tuple[Known, ...] = ()
    bound: tuple[str, ...] = ()
    """Sign of a bound, or empty."""
    note: tuple[str, ...] = ()
    """Shown after the figure, such as the verdict of a step that isn't valid."""
    hollow: tuple[bool, ...] = ()
    marks: str = ""
    """Marker of each point; none of a line without markers."""
    joined: bool = True
    few: tuple[bool, ...] = ()
    """Loads that half of the blocks or fewer tried: small, and not joined."""


@dataclass(frozen=True)
class Chart:
    """One panel. With `rows` the y axis counts them from 0, and points and intervals lie along x."""

    x: ChartAxis
    y: ChartAxis
    lines: tuple[ChartLine, ...]
    rows: tuple[str, ...] = ()
    limit: Known = None
    """A horizontal line, such as the SLO's."""
    band: tuple[float, float] | None = None
    """A range of x in which a difference counts as none."""


def figure_charts(
    outcome: CampaignOutcome, slower: pd.DataFrame, ratios: pd.DataFrame, requests: pd.DataFrame
) -> dict[str, tuple[Chart, ...]]:
    """The panels of each figure, by the name of its file; a figure with nothing to show has none."""
    plan, steps = outcome.campaign.plan, outcome.steps
    users = Steps(steps).ladder.users
    across = ChartAxis("users", log=bool(users) and users[-1] > 20 * users[0])
    models = tuple(plan.models)

    def against_users(column: str, text: str, log: bool, labels: Sequence[str] = models) -> Chart:
        return Chart(across, ChartAxis(text, log), tuple(_of_points(medians[column], labels)))

    medians = points_of(steps, ("rps", "mean_ms", *PERCENTILES, *COSTS), models)
    bends = knees(steps, models, plan.mean_think_s) if plan.mean_think_s else knees(steps, (), 0.0)
    limits, trials = (None, None, plan.slo.p99_ms), tuple(_trials(trials_frame(outcome.results, plan.slo), models))
    charts = {
        "capacity": _capacities(outcome, models),
        "rps": (_with_bound(against_users("rps", RATE, across.log), plan.mean_think_s, bends),),
        "response-time": tuple(
            Chart(each.x, each.y, (*each.lines, *(trials if name == f"{SLO_FIGURE}_ms" else ())), limit=limit)
            for (name, text), limit in zip(PERCENTILES.items(), limits, strict=True)
            for each in (against_users(name, f"{text} in ms", True),)
        ),
        "response-rps": (_hockey_stick(medians["mean_ms"], medians["rps"], models),),
        "tails": (_tails(slower, models),),
        "cost": tuple(against_users(name, text, True) for name, text in COSTS.items()),
        "ratios": tuple(_ratios(ratios)),
        "failures": _failures(steps, models),
        **{
            f"requests-{label}": _requests(rows) for label, rows in request_lines(requests).groupby("model", sort=False)
        },
    }
    for model in models:
        times = (against_users("p50_ms", "p50", True, [model]), against_users("p99_ms", "p99", True, [model]))
        named = tuple(ChartLine(**{**vars(line), "name": chart.y.text}) for chart in times for line in chart.lines)
        mine = bends[bends["model"] == model]
        above = _with_bound(against_users("rps", RATE, across.log, [model]), plan.mean_think_s, mine)
        charts[f"model-{model}"] = (above, Chart(across, ChartAxis("p50 and p99 in ms", True), named))
    shown = {name: tuple(each for each in panels if each.lines) for name, panels in charts.items()}
    return {name: panels for name, panels in shown.items() if panels}


def encoded(charts: Mapping[str, Iterable[Chart]]) -> dict[str, Any]:
    """As JSON has it: `looks` once each, and `figures`; empty columns are left out."""
    known: dict[Look, int] = {}

    def of_line(line: ChartLine) -> dict[str, Any]:
        columns = {name: value for name, value in vars(line).items() if value not in ((), "", None)}
        for name in ("x", "y", "low", "high"):
            if name in columns:
                columns[name] = [rounded(value) for value in columns[name]]
        if line.look is not None:
            columns["look"] = known.setdefault(line.look, len(known))
        return {name: value for name, value in columns.items() if name not in FLAGS or any(value)}

    figures = {
        name: [
            {
                "x": vars(chart.x), "y": vars(chart.y), "lines": [of_line(line) for line in chart.lines],
                "rows": chart.rows, "limit": chart.limit, "band": chart.band,
            }
            for chart in panels
        ]
        for name, panels in charts.items()
    }  # fmt: skip
    return {"looks": [look_value(each) for each in known], "figures": figures}


def look_value(look: Look) -> dict[str, Any]:
    """A look as JSON has it."""
    return {"colour": look.colour, "dark": look.dark, "marker": look.marker, "dash": look.dash}


def rounded(value: Any) -> float | int | None:
    """Six significant digits, whole numbers without a point; None for what is not known or not finite."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def _of_points(medians: pd.DataFrame, labels: Sequence[str], x: str = "users") -> Iterator[ChartLine]:
    """A line for each label of a frame of `analysis.draw.frames.points`."""
    for label, look in looks(labels).items():
        mine = medians[medians["model"] == label].sort_values("users")
        if len(mine):
            at, value, low, high = (tuple(mine[name].astype(float)) for name in (x, "value", "low", "high"))
            yield ChartLine(
                label,
                look,
                at,
                value,
                low,
                high,
                bound=tuple(
                    bounded(bool(least), bool(most), BOUNDS).strip()
                    for least, most in zip(mine["at_least"], mine["at_most"], strict=True)
                ),
                note=tuple(
                    ", ".join(filter(None, ("" if verdict == "valid" else str(verdict), FEW if few else "")))
                    for verdict, few in zip(mine["verdict"], mine["few"], strict=True)
                ),
                hollow=tuple(not valid for valid in mine["valid"]),
                few=tuple(bool(few) for few in mine["few"]),
                marks=look.marker,
            )


def _trials(trials: pd.DataFrame, models: Sequence[str]) -> Iterator[ChartLine]:
    """A line for each model and outcome of the frame of `trials_frame`: points that aren't joined."""
    for label, look in looks(models).items():
        for outcome, (marker, words) in MARKS.items():
            mine = trials[(trials["model"] == label) & (trials["outcome"] == outcome)].sort_values("users")
            if len(mine):
                yield ChartLine(
                    f"{label}: {words} ({TRIAL_SIGNS[marker]})",
                    look,
                    tuple(mine["users"].astype(float)),
                    tuple(mine["ms"].astype(float)),
                    note=tuple(
                        "" if each == SLO_FIGURE else f"{each}, too few answers for p99" for each in mine["figure"]
                    ),
                    marks=marker,
                    joined=False,
                )


def _with_bound(chart: Chart, think_s: float, bends: pd.DataFrame) -> Chart:
    """With N / Z and the knees, where users think."""
    users = sorted({x for line in chart.lines for x in line.x})
    if not think_s or not users:
        return chart
    bound = ChartLine(f"bound N / Z, Z = {think_s:g} s", None, tuple(users), tuple(each / think_s for each in users))
    bends = bends.sort_values("users")
    knee = ChartLine(
        KNEE, None, tuple(bends["users"]), tuple(bends["rps"]), note=tuple(bends["model"]), marks="x", joined=False
    )
    return Chart(chart.x, chart.y, (*chart.lines, bound, *((knee,) if len(bends) else ())))


def _hockey_stick(mean: pd.DataFrame, rate: pd.DataFrame, models: Sequence[str]) -> Chart:
    rates = rate[["model", "users", "value"]].rename(columns={"value": "rps"})
    both = mean.merge(rates, on=["model", "users"])
    both = both[(both["value"] > 0) & (both["rps"] > 0)]
    log = len(both) > 0 and both["rps"].max() > 20 * both["rps"].min()
    lines = []
    for line in _of_points(both, models, x="rps"):
        users = both.loc[both["model"] == line.name, "users"].sort_values()
        told = tuple(
            f"{count:,} users{', ' if note else ''}{note}" for count, note in zip(users, line.note, strict=True)
        )
        lines.append(ChartLine(**{**vars(line), "note": told}))
    return Chart(ChartAxis(RATE, bool(log)), ChartAxis(MEAN, True), tuple(lines))


def _tails(slower: pd.DataFrame, models: Sequence[str]) -> Chart:
    lines = tuple(
        ChartLine(label, look, tuple(mine["ms"].astype(float)), tuple(mine["share"].astype(float)))
        for label, look in looks(models).items()
        if len(mine := slower[slower["model"] == label])
    )
    return Chart(ChartAxis("response time in ms", True), ChartAxis("share that took longer", True), lines)


def _capacities(outcome: CampaignOutcome, models: Sequence[str]) -> tuple[Chart, ...]:
    frame = capacity_frame(outcome.summary)
    look, lines = looks(models), []
    for at, row in enumerate(frame.to_dict("records")):
        users, low, high = (_known(row[name]) for name in ("capacity_users", "capacity_low", "capacity_high"))
        value = users if users is not None else high
        if value is None:
            continue
        sign = "<" if users is None else "" if high is not None else BOUNDS[0].strip()
        ended = ended_text(str(row["capacity_ended"]), users is not None)
        lines.append(_row(str(row["model"]), look[str(row["model"])], at, value, low, high, sign, ended))
    axis = ChartAxis("users carried within the SLO", True)
    return (Chart(axis, ChartAxis(""), tuple(lines), tuple(frame["model"])),)


def _ratios(ratios: pd.DataFrame) -> Iterator[Chart]:
    for name, rows in ratios.groupby("figure", sort=False):
        lines = []
        for at, row in enumerate(rows.to_dict("records")):
            if (value := _known(row["value"])) is not None and row["bound"] != "unknown":
                sign = bounded(row["bound"] == "at least", row["bound"] == "at most", BOUNDS).strip()
                known = _known(row["low"]), _known(row["high"])
                hollow = row["call"] not in ("more", "less", "tie")
                lines.append(_row(row["pair"], None, at, value, *known, sign, row["call"], hollow))
        yield Chart(
            ChartAxis(f"ratio of {name}", True),
            ChartAxis(""),
            tuple(lines),
            tuple(rows["pair"]),
            band=(1 - T.tie, 1 + T.tie),
        )


def _failures(steps: pd.DataFrame, models: Sequence[str]) -> tuple[Chart, ...]:
    worst = failures_at_worst(steps, models)
    names = [f"{row['model']}, {row['users']:,} users: {row['kind']}" for row in worst.to_dict("records")]
    look = looks(models)
    lines = tuple(
        _row(name, look[row["model"]], at, float(row["percent"]), None, None, "", row["verdict"])
        for at, (name, row) in enumerate(zip(names, worst.to_dict("records"), strict=True))
    )
    return (Chart(ChartAxis("failed requests in %"), ChartAxis(""), lines, tuple(names)),)


def _row(
    name: str, look: Look | None, at: int, value: float, low: Known, high: Known, sign: str, note: str,
    hollow: bool = False,
) -> ChartLine:  # fmt: skip
    marker = look.marker if look is not None else "o"
    return ChartLine(name, look, (value,), (at,), (low,), (high,), (sign,), (note,), (hollow,), marker, joined=False)


def _requests(rows: pd.DataFrame) -> tuple[Chart, ...]:
    across, look = ChartAxis("users"), in_order(sorted(rows["request"].unique()))

    def panel(column: str, axis: ChartAxis) -> Chart:
        lines = []
        for request, each in look.items():
            mine = rows[(rows["request"] == request) & rows[column].notna()].sort_values("users")
            if len(mine):
                signs = zip(mine["at_least"], mine["at_most"], strict=True) if column == "p95_ms" else ()
                bound = tuple(bounded(bool(least), bool(most), BOUNDS).strip() for least, most in signs)
                lines.append(
                    ChartLine(request, each, tuple(mine["users"]), tuple(mine[column]), bound=bound, marks=each.marker)
                )
        return Chart(across, axis, tuple(lines))

    return panel("rps", ChartAxis("requests per second")), panel("p95_ms", ChartAxis("p95 in ms", True))


def _known(value: Any) -> Known:
    return None if value is None or pd.isna(value) else float(value)
