"""The figures of the report: what each one shows in words, and the tables that it was drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.draw.figures import COSTS, PERCENTILES
from analysis.draw.points import failures_at_worst, knees, ladder_of, matrix, points
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.ranking import Ranking
from analysis.tell.page import Cell, Picture, Table, inlined, number
from study.plan import Plan

SHARES = (0.5, 0.1, 0.05, 0.01)  # of the requests that are slower: the table behind the tails


def pictures(
    directory: Path, steps: pd.DataFrame, slower: pd.DataFrame, ratios: pd.DataFrame, ranking: Ranking, plan: Plan
) -> dict[str, Picture]:
    """By the name of the figure's file; those that aren't drawn are left out."""
    made = {
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
        name: Picture(inlined(directory / f"{name}.svg"), *said)
        for name, said in made.items()
        if (directory / f"{name}.svg").is_file()
    }


Said = tuple[str, str, tuple[Table, ...]]
"""Title, finding, tables."""


def _rps(steps: pd.DataFrame, plan: Plan) -> Said:
    finding = _at_the_top(steps, "rps", plan.models, "requests/s", "from")
    if plan.mean_think_s:
        bound = plan.users[-1] / plan.mean_think_s
        finding += f" The bound N / Z there is {number(bound)}/s."
        bent = knees(steps, plan.models, plan.mean_think_s)
        found = [f"{model} at {users:,.0f} users" for model, users in zip(bent["model"], bent["users"], strict=True)]
        finding += f" Knees: {', '.join(found)}." if found else " No model bends away from it."
    return (
        "Requests per second against users",
        finding,
        (_by_users(steps, "rps", plan, "Successful requests a second"),),
    )


def _response(steps: pd.DataFrame, plan: Plan) -> Said:
    finding = _at_the_top(steps, "p99_ms", plan.models, "ms (p99)", "from")
    tables = tuple(_by_users(steps, column, plan, f"{name} in ms") for column, name in PERCENTILES.items())
    return "Response time against users", finding, tables


def _hockey(steps: pd.DataFrame, plan: Plan) -> Said:
    finding = "The mean stays flat until a model is full, and then rises while its throughput does not."
    rises = []
    for model, means in matrix(steps, "mean_ms", plan.models).items():
        if len(means) > 1:
            first, last = means[min(means)], means[max(means)]
            rises.append((last / first, f"{model} from {number(first)} to {number(last)} ms"))
    if rises:
        finding = f"From the lowest to the highest step the mean rises most for {max(rises)[1]}."
        finding += f" It changes least for {min(rises)[1]}." if len(rises) > 1 else ""
    table = _by_users(steps, "mean_ms", plan, "Mean response time in ms")
    return "Mean response time against requests per second", finding, (table,)


def _tails(slower: pd.DataFrame, ranking: Ranking, plan: Plan) -> Said:
    where = "no common step" if ranking.common_users is None else f"{ranking.common_users:,} users"
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
    finding = f"One in ten requests takes longer than {_range(known, 'ms')}." if known else "No step is valid for all."
    return title, finding, (Table("Response times by the share that is slower", heads, tuple(rows)),)


def _cost(steps: pd.DataFrame, plan: Plan) -> Said:
    tables = tuple(_by_users(steps, column, plan, name) for column, name in COSTS.items())
    finding = _at_the_top(steps, "server_cpu_ms", plan.models, "ms of CPU a request", "from")
    finding += " " + _at_the_top(steps, "server_pss_mb", plan.models, "MiB of memory", "from")
    return "CPU and memory that requests cost the server", finding, tables


def _ratios(ratios: pd.DataFrame) -> Said:
    calls = ratios["call"].value_counts()
    said = [f"{calls[call]} {word}" for call, word in CALLS.items() if call in calls]
    finding = f"Of {len(ratios)} ratios shown: {', '.join(said)}." if said else "There is no pair to compare."
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
    return f"Ratios with their intervals; the band is the ±{T.tie:.0%} of a tie", finding, (table,)


CALLS = {"difference": "differ", "tie": "tie", "undetermined": "undetermined"}


def _failures(steps: pd.DataFrame, plan: Plan) -> Said:
    worst = failures_at_worst(steps, plan.models)
    rows = tuple(
        (Cell(row["model"]), Cell(f"{row['users']:,}"), Cell(row["kind"]), Cell(f"{row['percent']:.3g}"))
        for row in worst.to_dict("records")
    )
    finding = "No request failed."
    if rows:
        total = worst.groupby("model")["percent"].sum()
        finding = f"{total.idxmax()} failed most, {number(float(total.max()))} % of its requests at its worst step."
    heads = ("model", "users", "kind", "% of requests")
    return "Failed requests by kind, each model at its worst step", finding, (Table("Failures", heads, rows),)


def _model(steps: pd.DataFrame, model: str, plan: Plan) -> Said:
    """Its table stands beside it in its section, so none is behind it."""
    shown = points(steps, "rps", [model])
    if shown.empty:
        return f"{model}: requests per second and response times against users", "No step was measured.", ()
    last = shown.iloc[-1]
    finding = f"{model} answers {number(float(last['value']))} requests/s at {int(last['users']):,} users"
    hollow = [f"{int(users):,}" for users in shown.loc[~shown["valid"].astype(bool), "users"]]
    finding += f"; not valid at {', '.join(hollow)} users." if hollow else "; every step is valid."
    return f"{model}: requests per second and response times against users", finding, ()


def _by_users(steps: pd.DataFrame, column: str, plan: Plan, caption: str) -> Table:
    """Models down, users across."""
    ladder = ladder_of(steps)
    found = matrix(steps, column, plan.models)
    rows = tuple((Cell(model), *(Cell(number(found[model].get(users))) for users in ladder)) for model in plan.models)
    return Table(f"{caption}, by users", ("model", *(f"{users:,}" for users in ladder)), rows)


def _at_the_top(steps: pd.DataFrame, column: str, models: Sequence[str], unit: str, word: str) -> str:
    """Who has least and who most at the largest step at which the figure is known."""
    found = matrix(steps, column, models)
    users = max((max(row) for row in found.values() if row), default=None)
    if users is None:
        return "Nothing was recorded."
    return f"At {users:,} users {word} {_range({m: row[users] for m, row in found.items() if users in row}, unit)}."


def _range(values: dict[str, float], unit: str) -> str:
    least, most = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    if least == most:
        return f"{number(values[least])} {unit} ({least})"
    return f"{number(values[least])} {unit} ({least}) to {number(values[most])} ({most})"
