"""The figures of the report: what each one shows in words, and the tables that it was drawn from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.draw.figures import COSTS, PERCENTILES
from analysis.draw.frames import Point, failures_at_worst, knees, matrix, unloaded_ms
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.verdicts import SERVED, VALID
from analysis.rank.ranking import Ranking
from analysis.rank.steps import Steps
from analysis.tell.report.page import Cell, Picture, Table, inlined
from analysis.tell.step_verdict import tally_text
from analysis.tell.words import BOUNDS, bounded, counted, number, ratio_digits, series
from study.plan import Plan

SHARES = (0.5, 0.1, 0.05, 0.01)
"""Shares of requests that took longer, in the table of the tails."""


Caption = tuple[str, str, tuple[Table, ...]]
"""Title of a figure, what it shows, and the tables that it was drawn from."""


def pictures(
    directory: Path, steps: pd.DataFrame, slower: pd.DataFrame, ratios: pd.DataFrame, ranking: Ranking, plan: Plan
) -> dict[str, Picture]:
    """By the name of the figure's file; of those that aren't drawn the words and tables alone."""
    return {
        name: Picture(name, inlined(directory / f"{name}.svg"), *caption)
        for name, caption in figure_captions(steps, slower, ratios, ranking, plan).items()
    }


def figure_captions(
    steps: pd.DataFrame, slower: pd.DataFrame, ratios: pd.DataFrame, ranking: Ranking, plan: Plan
) -> dict[str, Caption]:
    """Every figure's title, words and tables, by the name of its file."""
    return {
        "rps": _rps(steps, plan),
        "response-time": _response(steps, plan),
        "response-rps": _hockey(steps, plan),
        "tails": _tails(slower, ranking, plan),
        "cost": _cost(steps, plan),
        "ratios": _ratios(ratios, ranking),
        "failures": _failures(steps, plan),
        **{f"model-{model}": _model(steps, model, plan) for model in plan.models},
    }


def _rps(steps: pd.DataFrame, plan: Plan) -> Caption:
    text = _at_the_top(steps, "rps", plan.models, "requests/s", SERVED)
    if plan.mean_think_s:
        bound = plan.most_users / plan.mean_think_s
        text += f" The bound N / Z at {counted(plan.most_users, 'user')} is {number(bound)}/s."
        bent = knees(steps, plan.models, plan.mean_think_s)
        bends = [
            f"{model} at {counted(users, 'user')}" for model, users in zip(bent["model"], bent["users"], strict=True)
        ]
        without = [model for model in plan.models if model not in list(bent["model"])]
        rest = f"; not known of {series(without)}" if without else ""
        text += f" Knees (R1 + Z) Xmax: {', '.join(bends)}{rest}." if bends else ""
        text += _on_the_line(steps, plan)
    return (
        "Requests per second against users",
        text,
        (_by_users(steps, "rps", plan, "Successful requests a second"),),
    )


def _on_the_line(steps: pd.DataFrame, plan: Plan) -> str:
    """Whether every model follows N / (R1 + Z) up to the largest step, which is said only where each is valid there.

    A valid step may be under that line: as far as R = R1 / (1 - U) makes its cycle longer.
    """
    every = Steps(steps).measured
    if all(_follows(every.of_model(model), plan) for model in plan.models):
        top = counted(plan.most_users, "user")
        return f" No model is more than {T.shortfall:.0%} under N / (R1 + Z) at {top}, or full there."
    return ""


def _follows(every: Steps, plan: Plan) -> bool:
    top, r1_ms = every.ladder.at(plan.most_users), unloaded_ms(every)
    rate = top.with_verdict(VALID).median("rps") if top.most_have("valid") and not top.mostly_full() else None
    if rate is None or r1_ms is None:
        return False
    return rate >= (1 - T.shortfall) * plan.most_users / (r1_ms / 1000 + plan.mean_think_s)


def _response(steps: pd.DataFrame, plan: Plan) -> Caption:
    text = _at_the_top(steps, "p99_ms", plan.models, "ms (p99)", VALID)
    tables = tuple(_by_users(steps, column, plan, f"{name} in ms") for column, name in PERCENTILES.items())
    return "Response time against users", text, tables


def _hockey(steps: pd.DataFrame, plan: Plan) -> Caption:
    parts, fewer = [], []
    for model, means in _trusted(matrix(steps, "mean_ms", plan.models), SERVED).items():
        if len(means) < 2:
            fewer.append(model)
        else:
            first, last = min(means), max(means)
            ends = [f"{_shown(means[users], 'ms')} at {users:,}" for users in (first, last)]
            parts.append(f"{model} {' and '.join(ends)}")
    rest = f"; of {series(fewer)} no two steps are {' or '.join(SERVED)} in more than half of the runs" if fewer else ""
    text = (
        f"Mean response time of the successes, observed at the lowest and the highest step: {'; '.join(parts)}{rest}."
    )
    table = _by_users(steps, "mean_ms", plan, "Mean response time of the successes in ms")
    return (
        "Mean response time of the successes against requests per second",
        text if parts else "No model has two steps that are valid or an overload in more than half of the runs.",
        (table,),
    )


def _tails(slower: pd.DataFrame, ranking: Ranking, plan: Plan) -> Caption:
    where = "no common step" if ranking.common_users is None else counted(ranking.common_users, "user")
    title = f"Share of requests that took longer than a time, at {where}"
    rows, tenth = [], {}
    most = ranking.response.ranked.at_most
    for model in plan.models:
        mine = slower[slower["model"] == model]
        if mine.empty:
            continue
        times = [mine.loc[mine["share"] <= share, "ms"].min() for share in SHARES]
        if pd.notna(times[1]):
            tenth[model] = Point(float(times[1]), "valid", False, model in most)
        bound = bounded(False, model in most, BOUNDS)
        rows.append((Cell(model), *(Cell(number(float(ms), bound)) for ms in times)))
    heads = ("model", *(f"{share:.0%} take longer than, ms" for share in SHARES))
    text = "No step is valid for all models that have a valid one."
    if ranking.common_users is not None:
        text = "Too few requests came there to know what one in ten takes."
    if tenth:
        without = [model for model in plan.models if model not in tenth]
        rest = f"; not known of {series(without)}" if without else ""
        text = f"One in ten requests took longer than {_range(tenth, 'ms')}, all valid runs together{rest}."
    return title, text, (Table("Response times by the share that is slower", heads, tuple(rows)),)


def _cost(steps: pd.DataFrame, plan: Plan) -> Caption:
    tables = tuple(_by_users(steps, column, plan, name) for column, name in COSTS.items())
    text = _at_the_top(steps, "server_cpu_ms", plan.models, "ms of CPU a request", SERVED)
    text += " " + _at_the_top(steps, "server_pss_mb", plan.models, "MiB of memory", SERVED)
    return "CPU and memory that requests cost the server", text, tables


CALLS = {
    "difference": ("more", "less"),
    "tie": ("tie",),
    "undetermined": ("undetermined",),
    "with too few blocks": ("too few blocks",),
    "of which only a bound is known": ("not comparable",),
}
"""What is said of a pair, and the claims of the family that it stands for."""


def _ratios(ratios: pd.DataFrame, ranking: Ranking) -> Caption:
    words = {claim: word for word, claims in CALLS.items() for claim in claims}
    calls = ratios["call"].map(words).value_counts()
    tally = [f"{calls[call]} {_plural(call, int(calls[call]))}" for call in CALLS if call in calls]
    text = "There is no pair to compare."
    if tally:
        text = f"Of {counted(len(ratios), 'ratio')} shown: {', '.join(tally)};"
        text += f" {counted(ranking.tests, 'comparison')} tested together." if ranking.tests else " nothing is tested."
    rows = tuple(
        (
            Cell(row["pair"]),
            Cell(row["figure"]),
            Cell(_ratio(row)),
            Cell("" if pd.isna(row["low"]) else f"{ratio_digits(row['low'])} to {ratio_digits(row['high'])}"),
            Cell(str(row["blocks"])),
            Cell(words[row["call"]]),
        )
        for row in ratios.to_dict("records")
    )
    table = Table("Ratios of pairs of models", ("pair", "figure", "ratio", "interval", "blocks", "verdict"), rows)
    title = f"Ratios with the 95 % interval of each, of this campaign; the band is the ±{T.tie:.0%} of a tie"
    text += " A ratio of which only a bound is known has no interval." if ratios["bound"].any() else ""
    return title, text, (table,)


def _ratio(row: Mapping[Hashable, Any]) -> str:
    if row["bound"] == "unknown":
        return "only bounds are known"
    return f"{bounded(row['bound'] == 'at least', row['bound'] == 'at most', BOUNDS)}{ratio_digits(row['value'])}"


def _plural(call: str, count: int) -> str:
    """The word of a call after its count: one difference, two differences."""
    return f"{call}s" if count != 1 and call in ("difference", "tie") else call


def _failures(steps: pd.DataFrame, plan: Plan) -> Caption:
    worst = failures_at_worst(steps, plan.models)
    rows = tuple(
        (Cell(row["model"]), Cell(f"{row['users']:,}"), Cell(row["kind"]), Cell(f"{row['percent']:.3g}"),
         Cell(row["verdict"]))
        for row in worst.to_dict("records")
    )  # fmt: skip
    measured = Steps(steps).ladder.measured
    text = "No step was measured." if measured.empty else "No request failed in the windows that are shown."
    if rows:
        each = worst.groupby("model", sort=False).agg(
            percent=("percent", "sum"), users=("users", "first"), verdict=("verdict", "first")
        )
        parts = [
            f"{model} {number(float(row['percent']))} % at {counted(int(row['users']), 'user')} ({row['verdict']})"
            for model, row in each.iterrows()
        ]
        none = [model for model in plan.models if model not in each.index and model in set(measured.frame["model"])]
        rest = f"; no request of {series(none)} failed" if none else ""
        text = f"Failed requests observed, each model at the step with the largest share: {'; '.join(parts)}{rest}."
    heads = ("model", "users", "kind", "% of requests", "verdict")
    return "Failed requests by kind, each model at its worst step", text, (Table("Failures", heads, rows),)


def _model(steps: pd.DataFrame, model: str, plan: Plan) -> Caption:
    """The model's section has the table next to the figure."""
    rates = matrix(steps, "rps", [model])[model]
    title = f"{model}: requests per second and response times against users"
    if not rates:
        return title, "No step was measured.", ()
    top = max((users for users, point in rates.items() if not point.few), default=max(rates))
    text = f"{model}: {_shown(rates[top], 'requests/s')} at {counted(top, 'user')}"
    ladder = Steps(steps).of_model(model).ladder.measured
    hollow = [
        f"{users:,} ({tally_text(ladder.at(users))})" for users, point in rates.items() if point.verdict != "valid"
    ]
    absent = [f"{users:,}" for users in plan.users if users not in rates]
    every = "every measured step is valid"
    if not (ladder.frame["verdict"] == "valid").all():
        every = "every measured step is valid in more than half of its runs"
    most = " in more than half of the runs" if ladder.frame["block"].nunique() > 1 else ""
    text += f"; not valid{most} at {series(hollow)}" if hollow else f"; {every}"
    text += f"; not measured at {series(absent)}" if absent else ""
    return title, f"{text}.", ()


def _by_users(steps: pd.DataFrame, column: str, plan: Plan, caption: str) -> Table:
    """Models down, users across; the verdict stands below a figure whose step isn't valid."""
    ladder = Steps(steps).ladder.users
    medians = matrix(steps, column, plan.models)

    def cell(point: Point | None) -> Cell:
        if point is None:
            return Cell("")
        text = number(point.value, bounded(point.at_least, point.at_most, BOUNDS))
        return Cell(text, note="" if point.verdict == "valid" else point.verdict)

    rows = tuple((Cell(model), *(cell(medians[model].get(users)) for users in ladder)) for model in plan.models)
    return Table(f"{caption}, by users", ("model", *(f"{users:,}" for users in ladder)), rows)


def _trusted(medians: Mapping[str, Mapping[int, Point]], verdicts: Sequence[str]) -> dict[str, dict[int, Point]]:
    """The figures of steps with one of these verdicts in most runs, and of loads that most blocks tried."""
    return {
        model: {users: point for users, point in row.items() if point.verdict in verdicts and not point.few}
        for model, row in medians.items()
    }


def _at_the_top(steps: pd.DataFrame, column: str, models: Sequence[str], unit: str, verdicts: Sequence[str]) -> str:
    """The least and the most observed at the largest step at which a figure with such a verdict is known."""
    medians = _trusted(matrix(steps, column, models), verdicts)
    users = max((max(row) for row in medians.values() if row), default=None)
    if users is None:
        return f"No figure in {unit} is known of a step that is {' or '.join(verdicts)} in more than half of the runs."
    here = {model: row[users] for model, row in medians.items() if users in row}
    rest = _without(steps, users, [model for model in models if model not in here], verdicts)
    return f"Observed at {counted(users, 'user')}: {_range(here, unit)}{rest}."


def _without(steps: pd.DataFrame, users: int, models: Sequence[str], verdicts: Sequence[str]) -> str:
    """Why models have no such figure at a load: it is not known, no such verdict, or they were not measured there."""
    measured = Steps(steps).ladder.measured
    tried = set(measured.of_most_blocks().at(users).frame["model"])
    by_few = set(measured.at(users).frame["model"]) - tried
    sound = {model for model, row in _trusted(matrix(steps, "rps", models), verdicts).items() if users in row}
    unknown = [model for model in models if model in sound]
    unsound = [model for model in models if model in tried - sound]
    few = [model for model in models if model in by_few]
    absent = [model for model in models if model not in tried | by_few]
    parts = (
        f"half of the blocks or fewer tried {series(few)} there" if few else "",
        f"not known of {series(unknown)}" if unknown else "",
        f"of {series(unsound)} the step there is not {' or '.join(verdicts)} in more than half of the runs"
        if unsound
        else "",
        f"{series(absent)} {'was' if len(absent) == 1 else 'were'} not measured there" if absent else "",
    )
    return "".join(f"; {part}" for part in parts if part)


def _range(values: Mapping[str, Point], unit: str) -> str:
    """The least and the most observed, or what is the same of all, with bounds and overloads named."""
    names = {model: model if each.verdict == "valid" else f"{model} [{each.verdict}]" for model, each in values.items()}
    least = min(values, key=lambda model: values[model].value)
    most = max(values, key=lambda model: values[model].value)
    if len(texts := {_figure(each) for each in values.values()}) == 1:
        return f"{texts.pop()} {unit} ({series(list(names.values()))})"
    return f"{_figure(values[least])} {unit} ({names[least]}) to {_figure(values[most])} ({names[most]})"


def _figure(point: Point) -> str:
    return f"{bounded(point.at_least, point.at_most)}{number(point.value)}"


def _shown(point: Point, unit: str) -> str:
    """The figure, with its verdict where the step isn't valid."""
    text = f"{_figure(point)} {unit}"
    return text if point.verdict == "valid" else f"{text} [{point.verdict}]"
