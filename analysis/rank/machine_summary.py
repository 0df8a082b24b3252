"""What a campaign comes to as the value of summary.json, for programs: codes and figures, no sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from analysis.judge.findings import Check
from analysis.rank.capacity import ModelCapacity, carried_loads
from analysis.rank.family import Pair, Ranked, known_ratio, of_control
from analysis.rank.generator_rate import cores_beyond
from analysis.rank.limits import Limit
from analysis.rank.model_summary import BOUNDED, TIMES
from analysis.rank.outcome import CampaignOutcome
from study.formats.summary_json import (
    CapacityBlock,
    CapacityEntry,
    CarriedEntry,
    ComparisonEntry,
    LimitEntry,
    SummaryFile,
)


def summary_value(outcome: CampaignOutcome) -> SummaryFile:
    """The whole value."""
    plan, ranking = outcome.campaign.plan, outcome.ranking
    figures = (ranking.capacity, ranking.goodput, ranking.response)
    comparisons = []
    for figure in figures:
        comparisons += [_comparison(pair, figure.ranked) for pair in figure.pairs]
        if figure.control is not None:
            comparisons.append(_comparison(figure.control, of_control(figure.ranked)))
    return SummaryFile(
        plan=plan.name,
        p99_ms=plan.slo.p99_ms,
        failures_percent=plan.slo.failures_percent,
        must_carry=plan.slo.must_carry,
        carried=tuple(
            CarriedEntry(label=each.model, verdict=each.verdict) for each in carried_loads(outcome.capacities, plan)
        ),
        models={str(row["model"]): _cells(row) for row in outcome.summary.to_dict("records")},
        capacities=tuple(_capacity(each, outcome) for each in outcome.capacities),
        comparisons=tuple(comparisons),
        tests=ranking.tests,
        limits=tuple(map(_limit, outcome.limits)),
    )


def _cells(row: Mapping[Any, Any]) -> dict[str, str | int | float | None]:
    order = {"at_least": BOUNDED, "at_most": TIMES}
    return {str(name): _cell(value, order.get(str(name), ())) for name, value in row.items() if name != "model"}


def _cell(value: Any, order: Iterable[str]) -> str | int | float | None:
    if isinstance(value, frozenset):
        return " ".join(name for name in order if name in value)
    if value is None or pd.isna(value):
        return None
    return value if isinstance(value, str) else int(value) if isinstance(value, int) else float(value)


def _capacity(capacity: ModelCapacity, outcome: CampaignOutcome) -> CapacityEntry:
    return CapacityEntry(
        label=capacity.model,
        users=capacity.users,
        at_least=capacity.at_least,
        low=capacity.low,
        high=capacity.high,
        coverage=capacity.coverage,
        ended=capacity.ended,
        broken=capacity.broken,
        load_cores_wanted=cores_beyond(capacity, outcome.rows, outcome.campaign),
        blocks=tuple(
            CapacityBlock(block=each.block, low=each.low, high=each.high, ended=each.ended, confirmed=each.confirmed)
            for each in capacity.blocks
        ),
    )


def _comparison(pair: Pair, figure: Ranked) -> ComparisonEntry:
    known = known_ratio(pair, figure)
    return ComparisonEntry(
        figure=pair.figure,
        first=pair.first,
        second=pair.second,
        ratio=known.ratio,
        low=known.low,
        high=known.high,
        bound=known.bound,
        p_holm=pair.p_holm,
        blocks=pair.blocks,
        claim=pair.claim,
    )


def _limit(limit: Limit) -> LimitEntry:
    codes = (reason.finding.code if isinstance(reason, Check) else reason.code for reason in limit.findings)
    return LimitEntry(label=limit.model, kind=limit.kind, users=limit.users, findings=tuple(codes))
