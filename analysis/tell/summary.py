"""summary.md: the class report's form, with what it may and may not say.

No sentence stands without its figures, and none ranks where the blocks are too few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.ranking import FigureRanking, Ranking
from analysis.tell.answer import capacity_order, common_text, mean_text, model_words, peak_text
from analysis.tell.calibration_sentence import calibration_lines
from analysis.tell.capacity_sentence import (
    capacity_sentences,
    client_text,
    differing,
    load_text,
    recoveries,
    strangers_beside,
)
from analysis.tell.limit_sentence import limit_text, scaling_sentences
from analysis.tell.markdown_sections import (
    background_lines,
    control_lines,
    failed_checks,
    gap_lines,
    impossible_checks,
    ratio_lines,
    reconcile_lines,
    section,
    table,
    verdict_lines,
)
from analysis.tell.orders import beyond_text, blocks_text, side_by_side, signs_text, tested, why_no_order
from analysis.tell.programs.must_carry import must_carry_sentences
from analysis.tell.words import ASCII_BOUNDS, bounded, counted, series


def summary_text(outcome: CampaignOutcome) -> str:
    """summary.md as a whole."""
    campaign, results, ranking, rows = outcome.campaign, outcome.results, outcome.ranking, outcome.rows
    plan = campaign.plan
    done = sum(result.data.state == "done" for result in results)
    parts = [
        f"# {plan.name}",
        f"{counted(len(plan.models), 'model')}, {load_text(plan)},"
        f" {client_text(plan)};"
        f" {done} of {counted(len(results), 'run')} done.",
        "## Answer",
        *capacity_sentences(outcome),
        *must_carry_sentences(outcome),
        *capacity_order(outcome),
        claim(ranking),
        order_line("Requests per second", ranking, ranking.goodput, _peak_figures(ranking)),
        order_line("Average response time", ranking, ranking.response, _mean_figures(ranking)),
        *model_words(outcome),
        *strangers_beside(outcome),
        *differing(outcome),
        *recoveries(outcome),
        *scaling_sentences(outcome),
        _table(outcome.summary, ranking),
        section("Why", [f"- {limit.model}: {limit_text(limit)}" for limit in outcome.limits]),
        section("Background clients", background_lines(rows, campaign.labels)),
        section("Ratios", ratio_lines(ranking)),
        section("A/A control", control_lines(ranking, plan)),
        section("Verdicts", verdict_lines(rows, campaign.labels)),
        section("What failed", failed_checks(rows.frame, outcome.checks, campaign.labels)),
        section("Checks that were not possible", impossible_checks(outcome.checks)),
        section("The generator", calibration_lines(campaign, rows)),
        section("Counts of the generator and of the server", reconcile_lines(results)),
        section("What is missing", gap_lines(results, outcome.missing)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def claim(ranking: Ranking) -> str:
    """Whether anything is claimed of the models' order, over how many comparisons, and if not, why not."""
    named = (
        ("capacity", ranking.capacity), ("requests per second", ranking.goodput), ("response time", ranking.response),
    )  # fmt: skip
    ordered = [f"{name} over {blocks_text(tested(figure))}" for name, figure in named if figure.ordered]
    if ordered:
        return (
            f"Ranking by {series(ordered)}: `>` and `<` hold after Holm's correction over"
            f" {counted(ranking.tests, 'comparison')}, `=` where the whole interval is within {T.tie:.0%}, `~` where"
            " no test tells two apart."
        )
    reasons = dict.fromkeys(why_no_order(ranking, figure) for figure in (ranking.goodput, ranking.response))
    return f"No ranking, and no order is claimed: {'; '.join(reasons)}."


def order_line(title: str, ranking: Ranking, figure: FigureRanking, figures: str) -> str:
    """As `Requests per second: thread > single ~ select`, and under it the figures that it stands on.

    Where nothing is claimed, the models in the plan's order, with commas, and why; of no figure at all `claim` has why.
    """
    if not figure.medians:
        return f"{title}: {figures}."
    models = [model for model in ranking.measured if model in figure.medians]
    text = side_by_side(models, str)
    order = f"{signs_text(figure.order)}{beyond_text(figure)}" if figure.ordered else f"{text}: no order is claimed"
    if not figure.ordered and any(each.ordered for each in (ranking.capacity, ranking.goodput, ranking.response)):
        order += f" ({why_no_order(ranking, figure)})"
    return f"{title}: {order}\n\n({figures})"


def _peak_figures(ranking: Ranking) -> str:
    goodput = ranking.goodput
    if not goodput.medians:
        return "no model has a step that is valid or overload, so nothing is compared"
    text = "peak goodput over valid and overload steps of loads measured in more than half of the blocks"
    text += ", of several trials of a load the last that counts: " if ranking.capacity.medians else ": "
    text += _listed(ranking, goodput, lambda model: f"{model} {peak_text(ranking, model)}")
    if goodput.ordered and goodput.order.unplaced:
        text += "; not placed, since no step showed their limit: "
        text += ", ".join(f"{model} {peak_text(ranking, model)}" for model in goodput.order.unplaced)
    return text


def _mean_figures(ranking: Ranking) -> str:
    if not ranking.response.medians:
        return "no step is valid for all models, so nothing is compared"
    text = _listed(ranking, ranking.response, lambda model: f"{model} {mean_text(ranking, model)}")
    return f"mean of the successes {common_text(ranking)}: {text}"


def _listed(ranking: Ranking, figure: FigureRanking, named: Callable[[str], str]) -> str:
    """The models with their figures: those of an order that is claimed, in that order; else all, in the plan's."""
    models = figure.order.models if figure.ordered else [each for each in ranking.measured if each in figure.medians]
    return side_by_side(models, named)


def _table(summary: pd.DataFrame, ranking: Ranking) -> str:
    where = "no common step" if ranking.common_users is None else counted(ranking.common_users, "user", spec="d")
    heads = (
        "model",
        "capacity, users",
        "requests",
        "requests/s",
        "average response ms of successes",
        "p50 ms",
        "p99 ms",
        "peak requests/s",
        "at users",
        "sustained users",
        "verdict",
    )
    keys = (
        "capacity_users",
        "requests",
        "rps",
        "mean_ms",
        "p50_ms",
        "p99_ms",
        "peak_rps",
        "peak_users",
        "sustained_users",
    )
    rows = []
    for row in summary.to_dict("records"):
        figures = [
            _cell(row[key], bounded(key in row["at_least"], key in row["at_most"], ASCII_BOUNDS)) for key in keys
        ]
        rows.append((str(row["model"]), *figures, verdict_text(row, ranking.common_users)))
    note = (
        f"Requests to p99 are at {where}, from the measure window alone, medians over blocks; `>=` and `<=` stand"
        " before bounds."
    )
    return f"{table(heads, rows)}\n\n{note}"


def verdict_text(row: Mapping[Any, Any], common_users: int | None) -> str:
    """A model's verdict, with that of its figures at the common step where it isn't valid there."""
    verdict, there = str(row["verdict"]), str(row["common_verdict"])
    if there in ("", "valid", verdict) or common_users is None:
        return verdict
    return f"{verdict}, {'not measured' if there == 'not-measured' else there} at {counted(common_users, 'user')}"


def _cell(value: Any, prefix: str = "") -> str:
    if value is None or pd.isna(value):
        return ""
    if isinstance(value, int):
        return f"{prefix}{value}"
    return f"{prefix}{value:.1f}" if value >= 100 else f"{prefix}{value:.3g}"
