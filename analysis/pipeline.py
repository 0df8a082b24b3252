"""The whole analysis of a campaign, and everything that it writes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.judge.judging import RunResult, judge_all
from analysis.judge.repeat import across_blocks
from analysis.rank.limits import Limit, declared_by, limits
from analysis.rank.ranking import Ranking, control_check, rank
from analysis.rank.steps import checks_frame, steps_frame, typed_checks
from analysis.read.results import Campaign, load
from analysis.tell.summary import summary_frame, summary_text
from study.formats.json_files import write_whole


@dataclass(frozen=True)
class Analysis:
    """What a campaign comes to. Frames as in the files of the same names."""

    campaign: Campaign
    results: tuple[RunResult, ...]
    steps: pd.DataFrame
    checks: pd.DataFrame
    ranking: Ranking
    summary: pd.DataFrame
    limits: tuple[Limit, ...]
    """Why: one for each model of the plan."""
    text: str
    """summary.md."""
    gaps: tuple[str, ...]
    paths: tuple[Path, ...] = ()
    """What was written."""

    @property
    def any_valid(self) -> bool:
        """Some model got a valid step."""
        return bool((self.steps["verdict"] == "valid").any())


def analyze(campaign_dir: Path | str, write: bool = True, figures: bool = True) -> Analysis:
    """Analyse a campaign's directory and write steps.csv, checks.csv, summary.csv, summary.md and figures into it.

    Raises FormatError where it is no campaign, or one of a version that this program doesn't read.
    """
    campaign = load(campaign_dir)
    results = tuple(judge_all(campaign))
    steps = steps_frame(step for result in results for step in result.steps)
    place = {label: at for at, label in enumerate(campaign.labels)}
    steps = steps.sort_values(
        ["block", "model", "step"], key=lambda column: column.map(place) if column.name == "model" else column
    )
    steps = steps.reset_index(drop=True)
    ranking = rank(steps, campaign.plan)
    checks = pd.concat([checks_frame(results), _repeatability(steps, ranking)], ignore_index=True)
    gaps = (*campaign.gaps, *(gap for result in results for gap in result.gaps))
    summary = summary_frame(steps, ranking, campaign.plan)
    why = limits(steps, campaign.plan.models, declared_by(campaign.plan, campaign.manifest))
    text = summary_text(campaign, results, steps, checks, ranking, summary, why, gaps)
    analysis = Analysis(campaign, results, steps, checks, ranking, summary, why, text, gaps)
    if not write:
        return analysis
    return Analysis(**{**vars(analysis), "paths": _write(analysis, figures)})


def _repeatability(steps: pd.DataFrame, ranking: Ranking) -> pd.DataFrame:
    """Check 10 over the blocks: a row for each model and step that was measured as valid, and the A/A control's."""
    rows: list[tuple[object, ...]] = []
    valid = steps[(steps["verdict"] == "valid") & (steps["kind"] == "ladder")]
    for (model, step), group in valid.groupby(["model", "step"], sort=False):
        check = across_blocks([float(value) for value in group["rps"]])
        rows.append((None, model, step, 10, check.name, check.value, check.threshold, check.outcome, check.detail))
    for name, comparison in (("A/A requests/s", ranking.goodput), ("A/A mean response time", ranking.response)):
        if comparison.control is not None:
            check = control_check(name, comparison.control)
            rows.append(
                (
                    None,
                    comparison.control.first,
                    None,
                    10,
                    name,
                    check.value,
                    check.threshold,
                    check.outcome,
                    check.detail,
                )
            )
    return typed_checks(rows)


def _write(analysis: Analysis, figures: bool) -> tuple[Path, ...]:
    files = analysis.campaign.files
    texts = {
        files.steps: csv_text(analysis.steps),
        files.checks: csv_text(analysis.checks),
        files.summary_csv: csv_text(analysis.summary),
        files.summary_md: analysis.text,
    }
    for path, text in texts.items():
        write_whole(path, text)
    return (*texts, *_show(analysis, figures))


def _show(analysis: Analysis, figures: bool) -> tuple[Path, ...]:
    """The figures, each as PNG and SVG, and the report."""
    from analysis.draw.figures import drawings  # seaborn takes a second to import, and no verdict needs it
    from analysis.draw.points import ratios_frame, tails_frame
    from analysis.draw.style import save
    from analysis.tell.report import report

    files, plan, ranking = analysis.campaign.files, analysis.campaign.plan, analysis.ranking
    slower, ratios = tails_frame(analysis.results, ranking.common_users), ratios_frame(ranking)
    drawn: list[Path] = []
    if figures:
        for name, figure in drawings(analysis.steps, slower, ratios, plan.models, plan.mean_think_s or None):
            drawn += save(figure, files.figures, name)
    write_whole(files.report, report(analysis, slower, ratios))
    return (*drawn, files.report)


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as a file: six significant digits, empty where nothing is known."""
    text = io.StringIO()
    frame.to_csv(text, index=False, float_format="%.6g")
    return text.getvalue()
