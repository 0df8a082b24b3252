"""summary.csv and summary.md: the class report's form, with what it may and may not say.

No sentence stands without its figures, and none ranks where the blocks are too few.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.judge.judging import RunResult
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.capacity import capacity, capacity_sentence
from analysis.rank.limits import Limit
from analysis.rank.ranking import Comparison, Ranking, usable
from analysis.rank.ratios import median_interval
from analysis.read.background_rows import beside_lines
from analysis.read.results import Campaign
from analysis.tell.sections import (
    control_lines,
    failed_checks,
    gap_lines,
    ratio_lines,
    reconcile_lines,
    section,
    table,
    verdict_lines,
)
from study.plan import Plan

COLUMNS = (
    "model", "requests", "failures", "rps", "mean_ms", "p50_ms", "p99_ms", "peak_rps", "peak_users",
    "sustained_users", "rank_rps", "rank_mean_ms", "verdict", "common_users", "blocks", "mean_ms_low",
    "mean_ms_high", "peak_rps_low", "peak_rps_high", "at_least", "rps_low", "rps_high",
)  # fmt: skip
WHOLE = ("requests", "failures", "peak_users", "sustained_users", "rank_rps", "rank_mean_ms", "common_users", "blocks")


def summary_frame(steps: pd.DataFrame, ranking: Ranking, plan: Plan) -> pd.DataFrame:
    """One row for each model of the plan: medians over blocks, at the largest step valid for all models."""
    frame = pd.DataFrame.from_records(
        [_row(model, steps, ranking, plan) for model in plan.models], columns=list(COLUMNS)
    )
    numbers = [name for name in COLUMNS if name not in (*WHOLE, "model", "verdict", "at_least")]
    return frame.astype(dict.fromkeys(numbers, "float64")).astype(dict.fromkeys(WHOLE, "Int64"))


def _row(model: str, steps: pd.DataFrame, ranking: Ranking, plan: Plan) -> dict[str, Any]:
    mine = steps[(steps["model"] == model) & (steps["kind"] == "ladder")]
    measured = mine[mine["verdict"] != "not-measured"]
    row: dict[str, Any] = {
        "model": model,
        "verdict": model_verdict(mine),
        "blocks": int(measured["block"].nunique()),
        "sustained_users": sustained_users(measured, plan),
        "rank_rps": ranking.goodput.ranks.get(model),
        "rank_mean_ms": ranking.response.ranks.get(model),
    }
    if peak := ranking.goodput.figures.get(model):
        median = median_interval(list(peak.values()))
        row |= {
            "peak_rps": median.value,
            "peak_users": ranking.peak_users[model],
            "peak_rps_low": median.low,
            "peak_rps_high": median.high,
        }
    bounds = ["peak_rps"] if peak and model not in ranking.reached else []
    row["at_least"] = " ".join(bounds)
    if ranking.common_users is None or measured.empty:
        return row
    here = usable(measured)
    here = here[here["users"] == ranking.common_users]
    for column in ("rps", "mean_ms", "p50_ms", "p99_ms"):
        row[column] = here[column].median()
    for column in ("rps", "mean_ms"):
        if known := [float(value) for value in here[column].dropna()]:
            median = median_interval(known)
            row |= {f"{column}_low": median.low, f"{column}_high": median.high}
    return row | {
        "common_users": ranking.common_users,
        "requests": round(float(here["requests"].median())),
        "failures": round(float(here["failures"].median())),
        "at_least": " ".join([*bounds, *(name for name in ("p50_ms", "p99_ms") if _bounded(here, name))]),
    }


def _bounded(rows: pd.DataFrame, column: str) -> bool:
    """Some row holds only a lower bound in this column."""
    return bool(rows["at_least"].str.split().map(lambda names: column in names).any())


def model_verdict(ladder: pd.DataFrame) -> str:
    """`valid` where any ladder step is, else the commonest verdict of its steps."""
    verdicts = ladder["verdict"]
    return "valid" if (verdicts == "valid").any() else str(verdicts.mode().iloc[0]) if len(verdicts) else "not-measured"


def sustained_users(measured: pd.DataFrame, plan: Plan) -> int | None:
    """The largest valid ladder step within the plan's SLO, medians over blocks; an unknown p99 is not within it."""
    within: list[int] = []
    for users, rows in usable(measured).groupby("users"):
        known = rows["p99_ms"].notna().all() and not _bounded(rows, "p99_ms")
        failures = 100 * float((rows["failures"] / rows["requests"]).median())
        if known and float(rows["p99_ms"].median()) <= plan.slo.p99_ms and failures <= plan.slo.failures_percent:
            within.append(int(str(users)))
    return max(within, default=None)


def summary_text(
    campaign: Campaign,
    results: Sequence[RunResult],
    steps: pd.DataFrame,
    checks: pd.DataFrame,
    ranking: Ranking,
    summary: pd.DataFrame,
    why: Sequence[Limit],
    gaps: Sequence[str],
) -> str:
    """summary.md as a whole."""
    plan = campaign.plan
    done = sum(result.data.state == "done" for result in results)
    low, high = plan.think_time
    parts = [
        f"# {plan.name}",
        f"{len(plan.models)} models, {', '.join(str(users) for users in plan.users)} users,"
        f" think time {low:g}-{high:g} s, client {plan.client}, connection {plan.connection};"
        f" {done} of {len(results)} runs done.",
        "## Answer",
        claim(ranking),
        sentence("Requests per second", ranking.goodput, " > ", _peak_figures(ranking)),
        sentence("Average response time", ranking.response, " < ", _mean_figures(ranking)),
        _table(summary, ranking),
        section("Why", [f"- {limit.model}: {limit.sentence}" for limit in why]),
        section("BackgroundWindow the load", beside_lines(steps, campaign.labels)),
        section("Ratios", ratio_lines(ranking)),
        section("A/A control", control_lines(ranking, plan)),
        section("Verdicts", verdict_lines(steps, campaign.labels)),
        section("What failed", failed_checks(steps, checks, campaign.labels)),
        section("The generator", generator_lines(campaign)),
        section("Counts of the generator and of the server", reconcile_lines(results)),
        section("What is missing", gap_lines(results, gaps)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def generator_lines(campaign: Campaign) -> list[str]:
    """What the calibration said of the generator; nothing where none was run."""
    calibration, manifest = campaign.files.calibration, campaign.manifest
    if not calibration.plan.is_file() or manifest is None or manifest.load_cores is None:
        return []
    need = max(campaign.plan.users) / campaign.plan.mean_think_s
    said = capacity_sentence(capacity(calibration.directory), need, manifest.load_cores)
    return [f"- calibration: {said}"]


def claim(ranking: Ranking) -> str:
    """What kind of order the sentences show."""
    if ranking.goodput.ranks or ranking.response.ranks:
        return f"Ranking over {ranking.blocks} blocks: `>` and `<` hold after Holm's correction, `=` where they don't."
    count = {0: "no block", 1: "one block"}.get(ranking.blocks, f"{ranking.blocks} blocks")
    few = ranking.blocks < T.least_blocks
    why = (
        f"a ranking needs {T.least_blocks} blocks" if few else f"no two models have {T.least_blocks} comparable blocks"
    )
    return f"no ranking claimed: order seen in {count}, not a ranking ({why})"


def sentence(title: str, comparison: Comparison, sign: str, figures: str) -> str:
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
    return f"{model} {bound}{ranking.goodput.medians[model]:.1f}/s at {ranking.peak_users[model]} users"


def _mean_figures(ranking: Ranking) -> str:
    if ranking.common_users is None:
        return "no step is valid for all models, so nothing is compared"
    each = [f"{model} {ranking.response.medians[model]:.3g} ms" for group in ranking.response.order for model in group]
    return f"mean at {ranking.common_users} users, the largest step valid for all models: " + ", ".join(each)


def _table(summary: pd.DataFrame, ranking: Ranking) -> str:
    where = "no common step" if ranking.common_users is None else f"{ranking.common_users} users"
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
    rows = [
        (
            str(row["model"]),
            *(_cell(row[key], ">= " if key in str(row["at_least"]).split() else "") for key in keys),
            str(row["verdict"]),
        )
        for row in summary.to_dict("records")
    ]
    note = f"Requests to p99 are at {where}, from the measure window alone, medians over blocks."
    return f"{table(heads, rows)}\n\n{note}"


def _cell(value: Any, prefix: str = "") -> str:
    if value is None or pd.isna(value):
        return ""
    return (
        f"{prefix}{value}"
        if isinstance(value, int)
        else f"{prefix}{value:.1f}"
        if value >= 100
        else f"{prefix}{value:.3g}"
    )
