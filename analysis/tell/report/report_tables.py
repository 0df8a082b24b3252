"""The report's tables: the summary in the class report's form, the scoreboard of checks, and each model's own.

A number links to its run's files where one run gave it, and to the model's table of runs where it is a median of
several.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.draw.frames import points_of
from analysis.rank.limits import Limit
from analysis.rank.ranking import Ranking
from analysis.rank.steps import LADDER_KINDS, Steps
from analysis.read.results import Campaign
from analysis.tell.limit_sentence import place_text
from analysis.tell.markdown_sections import coverage_text, load_at
from analysis.tell.report.page import Cell, Table
from analysis.tell.sentences import NAMES
from analysis.tell.step_verdict import ALONE_MEANS, saturated_text, tally_text
from analysis.tell.summary import verdict_text
from analysis.tell.words import BOUNDS, bounded, counted, number, shortened
from study.plan import Run

OUTCOMES = ("pass", "flag", "fail", "not available")
LONGEST = 4
"""As many steps at which a check failed are named; the others are counted."""
STEP_COLUMNS = {
    "requests": "requests",
    "rps": "requests/s",
    "mean_ms": "mean ms of successes",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "failures": "failures",
}
COST_COLUMNS = {
    "server_cpu_cores": "CPU cores",
    "server_cpu_ms": "CPU ms a request",
    "server_kernel_share": "kernel's share",
    "server_ended_share": "ended children's share",
    "server_pss_mb": "memory MiB",
    "server_processes": "processes, at least",
    "server_threads": "threads, at least",
    "server_fds": "descriptors",
    "server_switches": "switches a request",
    "accept_queue": "accept queue",
    "listen_overflows": "overflows, at most",
    "retransmits": "retransmits, at most",
}
"""Heads of the two tables of a model, by the columns of steps.csv. Processes and threads are counted once a second."""


def run_link(run: Run) -> str:
    """The directory of a run's files, relative to the report."""
    return f"runs/{run.directory}/"


def link(campaign: Campaign, label: str) -> str:
    """To the one run of a label, or to its table of runs."""
    runs = [data.run for data in campaign.runs if data.run.label == label and data.state != "absent"]
    return run_link(runs[0]) if len(runs) == 1 else f"#runs-{label}" if runs else ""


def summary_table(campaign: Campaign, summary: pd.DataFrame, ranking: Ranking, why: Sequence[Limit]) -> Table:
    """For each model the class report's columns (requests, requests/s, mean response time), then its peak and limit."""
    kinds = {limit.model: limit for limit in why}
    rows = []
    for row in summary.to_dict("records"):
        model, bounds = str(row["model"]), row["at_least"]
        to = link(campaign, model)

        def cell(name: str, rank: str = "", row: Any = row, bounds: frozenset[str] = bounds, to: str = to) -> Cell:
            text = number(_number(row[name]), bounded(name in bounds, name in row["at_most"], BOUNDS))
            place = _rank(ranking, rank, str(row["model"])) if text else ""
            stem = name.removesuffix("_users")
            notes = (interval(row.get(f"{stem}_low"), row.get(f"{stem}_high")), place)
            return Cell(text, to if text else "", "; ".join(filter(None, notes)))

        limit = kinds[model]
        where = place_text(limit) if limit.users is not None else ""
        rows.append(
            (
                Cell(model, f"#model-{model}"),
                cell("capacity_users", "rank_capacity"),
                cell("requests"),
                cell("rps"),
                cell("mean_ms", "rank_mean_ms"),
                cell("p50_ms"),
                cell("p99_ms"),
                cell("peak_rps", "rank_rps"),
                cell("peak_users"),
                cell("sustained_users"),
                Cell(limit.kind, f"#model-{model}", where),
                Cell(verdict_text(row, ranking.common_users)),
            )
        )
    users = "no common step" if ranking.common_users is None else counted(ranking.common_users, "user")
    heads = (
        "model", "capacity, users", "requests", "requests/s", "average response ms of successes", "p50 ms", "p99 ms",
        "peak requests/s", "peak at users", "sustained users", "limit", "verdict",
    )  # fmt: skip
    return Table(
        f"Requests to p99 at {users}; medians over blocks, below them their interval ({_coverage(summary)}) and the"
        " ranks that tests allow",
        heads,
        tuple(rows),
    ).without_empty_columns()


def _rank(ranking: Ranking, rank: str, model: str) -> str:
    """As `rank 2`, or `rank 1 to 3` where no test tells more."""
    figures = {"rank_rps": ranking.goodput, "rank_mean_ms": ranking.response, "rank_capacity": ranking.capacity}
    figure = figures.get(rank)
    place = figure.places.get(model) if figure is not None else None
    if place is None:
        return ""
    return f"rank {place.first}" if place.first == place.last else f"rank {place.first} to {place.last}"


def _coverage(summary: pd.DataFrame) -> str:
    """What the intervals cover: that of the fewest blocks."""
    blocks = [int(count) for count in summary["blocks"] if count]
    return coverage_text(min(blocks, default=0))


def interval(low: Any, high: Any) -> str:
    """The interval of a median over several blocks; empty where one block was measured."""
    ends = [number(_number(low)), number(_number(high))]
    return f"{ends[0]} to {ends[1]}" if all(ends) and ends[0] != ends[1] else ""


def scoreboard(checks: pd.DataFrame, steps: pd.DataFrame) -> Table:
    """Each check: how often it passed and failed, and where it failed."""
    rows = []
    with_names = checks.assign(name=checks["code"].map(NAMES))
    for (check, name), group in with_names.groupby(["check", "name"], sort=True):
        outcomes = group["outcome"].value_counts()
        failed = group[group["outcome"] == "fail"]
        places = dict.fromkeys(_place(row, steps) for row in failed.to_dict("records"))
        named = ", ".join(places) if len(places) <= LONGEST else shortened(list(places), LONGEST, LONGEST)
        rows.append((Cell(f"{check} {name}"), *(Cell(str(outcomes.get(o, 0))) for o in OUTCOMES), Cell(named)))
    return Table("How often each check passed, over all runs and steps", ("check", *OUTCOMES, "failed at"), tuple(rows))


def _place(check: Mapping[Any, Any], steps: pd.DataFrame) -> str:
    at = load_at(check, steps)
    return f"{check['model']} at {at}" if at else str(check["model"])


def verdict_table(campaign: Campaign, steps: pd.DataFrame) -> Table:
    """Each model and step: its verdict, and where not all blocks have it, how many have which."""
    ladder = Steps(steps).ladder
    across = ladder.users
    rows = []
    for label in campaign.labels:
        mine = ladder.of_model(label)
        row = []
        for users in across:
            here = mine.at(users)
            row.append(Cell("") if here.empty else Cell(here.verdict, link(campaign, label), _split(here)))
        rows.append((Cell(label), *row))
    heads = ("model", *(counted(users, "user") for users in across))
    return Table("Verdict of each model and step", heads, tuple(rows)).without_empty_columns()


def ladder_tables(campaign: Campaign, steps: pd.DataFrame) -> dict[str, tuple[Table, Table]]:
    """For each label two tables of its ladder: what its users got, and what it used of the target."""
    medians = {
        column: {(row["model"], row["users"]): row for row in known.to_dict("records")}
        for column, known in points_of(steps, (*STEP_COLUMNS, *COST_COLUMNS), campaign.labels).items()
    }
    return {
        label: (
            _by_step(campaign, steps, label, STEP_COLUMNS, f"{label}: what its users got", medians),
            _by_step(campaign, steps, label, COST_COLUMNS, f"{label}: what it used of the target", medians),
        )
        for label in campaign.labels
    }


def _by_step(
    campaign: Campaign,
    steps: pd.DataFrame,
    model: str,
    columns: dict[str, str],
    caption: str,
    medians: dict[str, dict[tuple[str, int], dict[Hashable, Any]]],
) -> Table:
    """`medians` has a row of `analysis.draw.frames.points` for each column, model and users."""
    mine = Steps(steps).of_model(model).ladder
    withdrawn, to = mine.withdrawn() & mine.frame["saturated"].astype(bool), link(campaign, model)
    present = {name: head for name, head in columns.items() if mine.known(name)}
    rows = []
    for users, group in mine.by_users():
        cells = [Cell(f"{users:,}")]
        for name in present:
            point = medians[name].get((model, users))
            if point is None:
                cells.append(Cell(""))
            else:
                text = number(point["value"], bounded(point["at_least"], point["at_most"], BOUNDS))
                cells.append(Cell(text, to, interval(point["low"], point["high"])))
        cells.append(_verdict(group, withdrawn))
        rows.append(tuple(cells))
    means = f"; {ALONE_MEANS}" if withdrawn.any() else ""
    return Table(f"{caption}{means}", ("users", *present.values(), "verdict"), tuple(rows))


def _verdict(rows: Steps, withdrawn: pd.Series[bool]) -> Cell:
    """A load's verdict, and in how many runs it has which, or was saturated."""
    return Cell(rows.verdict, note="; ".join(filter(None, (_split(rows), saturated_text(rows, withdrawn)))))


def _split(rows: Steps) -> str:
    return tally_text(rows, "; ") if rows.frame["verdict"].nunique() > 1 else ""


def runs_table(campaign: Campaign, steps: pd.DataFrame, label: str) -> Table:
    """A label's runs, each with a link to its files, and its requests/s at every step, the return step last."""
    mine = steps[steps["model"] == label].set_index(["block", "step"])["rps"]
    asked = campaign.plan.load_steps()
    rows = []
    for data in campaign.runs:
        if data.run.label != label:
            continue
        to = run_link(data.run) if data.state != "absent" else ""
        figures = [mine.get((data.run.block, step.number)) for step in asked]
        rows.append(
            (
                Cell(data.run.directory, to, data.reason),
                Cell(data.state),
                *(Cell(text, to if text else "") for text in (number(_number(value)) for value in figures)),
            )
        )
    heads = ("run", "state", *(f"{s.users:,}{' (return)' if s.kind == 'return' else ''}" for s in asked))
    return Table(f"Runs of {label}{': requests/s by users' if asked else ''}", heads, tuple(rows))


def generator_table(steps: pd.DataFrame) -> Table:
    """The generator at each step of the ladder, the worst over all runs."""
    columns = {
        "generator_lag_p99_ms": "think-time lag p99, ms",
        "loop_lag_p99_ms": "event-loop lag p99, ms",
        "generator_cpu_max": "busiest worker, cores",
    }
    ladder = steps[steps["kind"].isin(LADDER_KINDS)]
    rows = []
    for users, group in ladder.groupby("users"):
        cells = [Cell(f"{users:,}")]
        for name in columns:
            known = group[group[name].notna()]
            if known.empty:
                cells.append(Cell(""))
            else:
                worst = known.sort_values(name).iloc[-1]
                cells.append(Cell(number(float(worst[name])), note=f"{worst['model']}, block {worst['block']}"))
        rows.append(tuple(cells))
    return Table("The generator's own lag and load, the worst of all runs", ("users", *columns.values()), tuple(rows))


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
