"""summary.md: the class report's form, with what it may and may not say.

No sentence stands without its figures, and none ranks where the blocks are too few.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pandas as pd

from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.ranking import FigureRanking, Ranking
from analysis.tell.calibration_sentence import calibration_lines
from analysis.tell.limit_sentence import limit_text
from analysis.tell.markdown_sections import (
    background_lines,
    control_lines,
    failed_checks,
    gap_lines,
    ratio_lines,
    reconcile_lines,
    section,
    table,
    verdict_lines,
)
from analysis.tell.words import counted


def summary_text(outcome: CampaignOutcome) -> str:
    """summary.md as a whole."""
    campaign, results, ranking, rows = outcome.campaign, outcome.results, outcome.ranking, outcome.rows
    plan = campaign.plan
    done = sum(result.data.state == "done" for result in results)
    low, high = plan.think_time
    parts = [
        f"# {plan.name}",
        f"{counted(len(plan.models), 'model')}, {', '.join(str(users) for users in plan.users)} users,"
        f" think time {low:g}-{high:g} s, client {plan.client}, connection {plan.connection};"
        f" {done} of {counted(len(results), 'run')} done.",
        "## Answer",
        claim(ranking),
        order_line("Requests per second", ranking.goodput, " > ", _peak_figures(ranking)),
        order_line("Average response time", ranking.response, " < ", _mean_figures(ranking)),
        _table(outcome.summary, ranking),
        section("Why", [f"- {limit.model}: {limit_text(limit)}" for limit in outcome.limits]),
        section("Background clients", background_lines(rows, campaign.labels)),
        section("Ratios", ratio_lines(ranking)),
        section("A/A control", control_lines(ranking, plan)),
        section("Verdicts", verdict_lines(rows, campaign.labels)),
        section("What failed", failed_checks(rows.frame, outcome.checks, campaign.labels)),
        section("The generator", calibration_lines(campaign)),
        section("Counts of the generator and of the server", reconcile_lines(results)),
        section("What is missing", gap_lines(results, outcome.missing)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def claim(ranking: Ranking) -> str:
    """Whether the order of the models is a ranking, and if not, why not."""
    if ranking.goodput.ranks or ranking.response.ranks:
        return f"Ranking over {ranking.blocks} blocks: `>` and `<` hold after Holm's correction, `=` where they don't."
    count = {0: "no block", 1: "one block"}.get(ranking.blocks, f"{ranking.blocks} blocks")
    few = ranking.blocks < T.least_blocks
    why = (
        f"a ranking needs {T.least_blocks} blocks" if few else f"no two models have {T.least_blocks} comparable blocks"
    )
    return f"no ranking claimed: order seen in {count}, not a ranking ({why})"


def order_line(title: str, comparison: FigureRanking, sign: str, figures: str) -> str:
    """As `Requests per second: thread > single = select > process`, and under it the figures that it stands on."""
    if not comparison.order:
        return f"{title}: {figures}."
    order = sign.join(" = ".join(group) for group in comparison.order)
    return f"{title}: {order}\n\n({figures})"


def _peak_figures(ranking: Ranking) -> str:
    comparison = ranking.goodput
    if not comparison.order:
        return "no model has a step that is valid or overload, so nothing is compared"
    text = "peak goodput over valid and overload steps: "
    text += ", ".join(_peak(ranking, model) for group in comparison.order for model in group)
    if comparison.unplaced:
        text += "; not placed, since no step showed their limit: "
        text += ", ".join(_peak(ranking, model) for model in comparison.unplaced)
    return text


def _peak(ranking: Ranking, model: str) -> str:
    bound = "" if model in ranking.reached else "at least "
    users = counted(ranking.peak_users[model], "user", spec="d")
    return f"{model} {bound}{ranking.goodput.medians[model]:.1f}/s at {users}"


def _mean_figures(ranking: Ranking) -> str:
    if ranking.common_users is None:
        return "no step is valid for all models, so nothing is compared"
    each = [f"{model} {ranking.response.medians[model]:.3g} ms" for group in ranking.response.order for model in group]
    users = counted(ranking.common_users, "user", spec="d")
    return f"mean at {users}, the largest step valid for all models: " + ", ".join(each)


def _table(summary: pd.DataFrame, ranking: Ranking) -> str:
    where = "no common step" if ranking.common_users is None else counted(ranking.common_users, "user", spec="d")
    heads = (
        "model",
        "requests",
        "requests/s",
        "average response ms",
        "p50 ms",
        "p99 ms",
        "peak requests/s",
        "at users",
        "sustained users",
        "verdict",
    )
    keys = ("requests", "rps", "mean_ms", "p50_ms", "p99_ms", "peak_rps", "peak_users", "sustained_users")
    rows = []
    for row in summary.to_dict("records"):
        bounds: Collection[str] = row["at_least"]
        figures = [_cell(row[key], ">= " if key in bounds else "") for key in keys]
        rows.append((str(row["model"]), *figures, str(row["verdict"])))
    note = f"Requests to p99 are at {where}, from the measure window alone, medians over blocks."
    return f"{table(heads, rows)}\n\n{note}"


def _cell(value: Any, prefix: str = "") -> str:
    if value is None or pd.isna(value):
        return ""
    if isinstance(value, int):
        return f"{prefix}{value}"
    return f"{prefix}{value:.1f}" if value >= 100 else f"{prefix}{value:.3g}"
