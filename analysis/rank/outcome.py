"""What a campaign comes to: one frozen value, without a sentence and without a file."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.judge.findings import Finding
from analysis.judge.judging import RunResult, judge_all
from analysis.judge.other_blocks import judged_by_blocks
from analysis.rank.capacity import ModelCapacity, capacities_of
from analysis.rank.limits import Limit, declared_by, limits_of
from analysis.rank.model_summary import summary_frame
from analysis.rank.ranking import Ranking, rank_models, repeat_checks
from analysis.rank.steps import Steps, checks_frame, steps_of
from analysis.read.results import Campaign


@dataclass(frozen=True)
class CampaignOutcome:
    """What a campaign comes to."""

    campaign: Campaign
    results: tuple[RunResult, ...]
    rows: Steps
    """A row for each block, label and step."""
    checks: pd.DataFrame
    """A row for each check (`analysis.rank.steps.CHECK_COLUMNS`)."""
    ranking: Ranking
    summary: pd.DataFrame
    """A row for each model (`analysis.rank.model_summary.COLUMNS`)."""
    limits: tuple[Limit, ...]
    """One for each model of the plan."""
    missing: tuple[Finding, ...]
    """What is missing from the campaign's files or could not be read."""
    capacities: tuple[ModelCapacity, ...]
    """One for each label that was measured, the control's included."""

    @property
    def steps(self) -> pd.DataFrame:
        """The frame of `rows` (`analysis.rank.steps.COLUMNS`)."""
        return self.rows.frame

    @property
    def any_valid(self) -> bool:
        """Whether any step of any model that loads its server is valid; the idle step doesn't count."""
        valid = self.rows.with_verdict(["valid"]).frame
        return bool((valid["kind"] != "idle").any())


def outcome_of(campaign: Campaign) -> CampaignOutcome:
    """Judge every run of a campaign and compare its models."""
    plan = campaign.plan
    results = judged_by_blocks(tuple(judge_all(campaign)))
    steps = steps_of((step for result in results for step in result.steps), plan.slo, campaign.labels)
    capacities = capacities_of(results, campaign.labels, plan)
    ranking = rank_models(steps, plan, capacities)
    return CampaignOutcome(
        campaign=campaign,
        results=results,
        rows=steps,
        checks=checks_frame(results, repeat_checks(steps, ranking)),
        ranking=ranking,
        summary=summary_frame(steps, ranking, plan, capacities),
        limits=limits_of(steps, plan.models, declared_by(plan, campaign.manifest)),
        capacities=capacities,
        missing=(
            *(Finding("file.note", text=gap) for gap in campaign.gaps),
            *(gap for result in results for gap in result.gaps),
        ),
    )
