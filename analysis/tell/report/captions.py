"""The figures of the report: what each one shows in words, and the tables that it was drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.draw.figures import COSTS, PERCENTILES
from analysis.draw.frames import failures_at_worst, knees, matrix, points
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.ranking import Ranking
from analysis.rank.steps import Steps
from analysis.tell.report.page import Cell, Picture, Table, inlined
from analysis.tell.words import counted, number, series
from study.plan import Plan

SHARES = (0.5, 0.1, 0.05, 0.01)
"""Shares of requests that took longer, in the table of the tails."""


def pictures(
    directory: Path, steps: pd.DataFrame, slower: pd.DataFrame, ratios: pd.DataFrame, ranking: Ranking, plan: Plan
) -> dict[str, Picture]:
    """By the name of the figure's file; those that aren't drawn are left out."""
    captions = {
        "rps": _rps(steps, plan),
        "response-time": _response(steps, plan),
        "response-rps": _hockey(steps, plan),
        "tails": _tails(slower, ranking, plan),
        "cost": _cost(steps, plan),
        "ratios": _ratios(ratios),
        "failures": _failures(steps, plan),
        **{f"model-{model}": _model(steps, model, plan) for model in plan.models},
    }
    return {
        name: Picture(inlined(directory / f"{name}.svg"), *caption)
        for name, caption in captions.items()
        if (directory / f"{name}.svg").is_file()
    }


Caption = tuple[str, str, tuple[Table, ...]]
"""Title of a figure, what it shows, and the tables that it was drawn from."""


def _rps(steps: pd.DataFrame, plan: Plan) -> Caption:
    text = _at_the_top(steps, "rps", plan.models, "requests/s")
    if plan.mean_think_s:
        bound = plan.users[-1] / plan.mean_think_s
        text += f" The bound N / Z there is {number(bound)}/s."
        bent = knees(steps, plan.models, plan.mean_think_s)
        bends = [
            f"{model} at {counted(users, 'user')}" for model, users in zip(bent["model"], bent["users"], strict=True)
        ]
        text += f" Knees: {', '.join(bends)}." if bends else " No model bends away from it."
    return (
        "Requests per second against users",
        text,
        (_by_users(steps, "rps", plan, "Successful requests a second"),),
    )


def _response(steps: pd.DataFrame, plan: Plan) -> Caption:
    text = _at_the_top(steps, "p99_ms", plan.models, "ms (p99)")
    tables = tuple(_by_users(steps, column, plan, f"{name} in ms") for column, name in PERCENTILES.items())
    return "Response time against users", text, tables


def _hockey(steps: pd.DataFrame, plan: Plan) -> Caption:
    text = "The mean stays flat until a model is full, and then rises while its throughput does not."
    rises = []
    for model, means in matrix(steps, "mean_ms", plan.models).items():
        if len(means) > 1:
            first, last = means[min(means)], means[max(means)]
            rises.append((last / first, f"{model} from {number(first)} to {number(last)} ms"))
    if rises:
        text = f"From the lowest to the highest step the mean rises most for {max(rises)[1]}."
        text += f" It changes least for {min(rises)[1]}." if len(rises) > 1 else ""
    table = _by_users(steps, "mean_ms", plan, "Mean response time in ms")
    return "Mean response time against requests per second", text, (table,)


def _tails(slower: pd.DataFrame, ranking: Ranking, plan: Plan) -> Caption:
    where = "no common step" if ranking.common_users is None else counted(ranking.common_users, "user")
    title = f"Share of requests that took longer than a time, at {where}"
    rows, tenth = [], {}
    for model in plan.models:
        mine = slower[slower["model"] == model]
        if mine.empty:
            continue
        times = [mine.loc[mine["share"] <= share, "ms"].min() for share in SHARES]
        tenth[model] = times[1]
        rows.append((Cell(model), *(Cell(number(float(ms))) for ms in times)))
    heads = ("model", *(f"{share:.0%} take longer than, ms" for share in SHARES))
    known = {model: ms for model, ms in tenth.items() if pd.notna(ms)}
    text = f"One in ten requests takes longer than {_range(known, 'ms')}." if known else "No step is valid for all."
    return title, text, (Table("Response times by the share that is slower", heads, tuple(rows)),)


def _cost(steps: pd.DataFrame, plan: Plan) -> Caption:
    tables = tuple(_by_users(steps, column, plan, name) for column, name in COSTS.items())
    text = _at_the_top(steps, "server_cpu_ms", plan.models, "ms of CPU a request")
    text += " " + _at_the_top(steps, "server_pss_mb", plan.models, "MiB of memory")
    return "CPU and memory that requests cost the server", text, tables


def _ratios(ratios: pd.DataFrame) -> Caption:
    calls = ratios["call"].value_counts()
    tally = [f"{calls[call]} {_call(call, int(calls[call]))}" for call in CALLS if call in calls]
    text = "There is no pair to compare."
    if tally:
        text = f"Of {counted(len(ratios), 'ratio')} shown: {', '.join(tally)}."
    rows = tuple(
        (
            Cell(row["pair"]),
            Cell(row["figure"]),
            Cell(f"{row['value']:.2f}"),
            Cell("" if pd.isna(row["low"]) else f"{row['low']:.2f} to {row['high']:.2f}"),
            Cell(row["call"]),
        )
        for row in ratios.to_dict("records")
    )
    table = Table("Ratios of pairs of models", ("pair", "figure", "ratio", "interval", "verdict"), rows)
    return f"Ratios with their intervals; the band is the ±{T.tie:.0%} of a tie", text, (table,)


CALLS = {"difference": "differ", "tie": "tie", "undetermined": "undetermined"}


def _call(call: str, count: int) -> str:
    """The verb or adjective of a call after its count: one differs, two differ."""
    word = CALLS[call]
    return f"{word}s" if count == 1 and call != "undetermined" else word


def _failures(steps: pd.DataFrame, plan: Plan) -> Caption:
    worst = failures_at_worst(steps, plan.models)
    rows = tuple(
        (Cell(row["model"]), Cell(f"{row['users']:,}"), Cell(row["kind"]), Cell(f"{row['percent']:.3g}"))
        for row in worst.to_dict("records")
    )
    text = "No request failed."
    if rows:
        total = worst.groupby("model")["percent"].sum()
        text = f"{total.idxmax()} failed most, {number(float(total.max()))} % of its requests at its worst step."
    heads = ("model", "users", "kind", "% of requests")
    return "Failed requests by kind, each model at its worst step", text, (Table("Failures", heads, rows),)


def _model(steps: pd.DataFrame, model: str, plan: Plan) -> Caption:
    """The model's section has the table next to the figure."""
    rows = points(steps, "rps", [model])
    if rows.empty:
        return f"{model}: requests per second and response times against users", "No step was measured.", ()
    last = rows.iloc[-1]
    text = f"{model} answers {number(float(last['value']))} requests/s at {counted(int(last['users']), 'user')}"
    hollow = [f"{int(users):,}" for users in rows.loc[~rows["valid"].astype(bool), "users"]]
    text += f"; not valid at {series(hollow)} users." if hollow else "; every step is valid."
    return f"{model}: requests per second and response times against users", text, ()


def _by_users(steps: pd.DataFrame, column: str, plan: Plan, caption: str) -> Table:
    """Models down, users across."""
    ladder = Steps(steps).ladder.users
    medians = matrix(steps, column, plan.models)
    rows = tuple((Cell(model), *(Cell(number(medians[model].get(users))) for users in ladder)) for model in plan.models)
    return Table(f"{caption}, by users", ("model", *(f"{users:,}" for users in ladder)), rows)


def _at_the_top(steps: pd.DataFrame, column: str, models: Sequence[str], unit: str) -> str:
    """Who has least and who most at the largest step at which the figure is known."""
    medians = matrix(steps, column, models)
    users = max((max(row) for row in medians.values() if row), default=None)
    if users is None:
        return "Nothing was recorded."
    here = {model: row[users] for model, row in medians.items() if users in row}
    return f"At {counted(users, 'user')} {_range(here, unit, 'from ')}."


def _range(values: dict[str, float], unit: str, start: str = "") -> str:
    """Who has the least and who the most; `start` stands before a range of two."""
    least, most = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    if least == most:
        return f"{number(values[least])} {unit} ({least})"
    return f"{start}{number(values[least])} {unit} ({least}) to {number(values[most])} ({most})"
