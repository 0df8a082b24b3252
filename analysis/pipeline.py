"""The public functions: from a campaign's directory to what it comes to, and to the files and sentences about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from analysis.draw.request_frames import requests_frame
from analysis.judge.judging import judge_run
from analysis.rank.capacity import carried_loads
from analysis.rank.differences import of_the_load, plan_differences
from analysis.rank.machine_summary import summary_value
from analysis.rank.outcome import CampaignOutcome, outcome_of
from analysis.rank.over_time.campaign_history import PlanHistory, histories
from analysis.rank.over_time.comparison import CampaignComparison, common_models, compare_outcomes
from analysis.rank.over_time.day_history import past_days
from analysis.read.results import Campaign, load, read_run
from analysis.tell.archive.plan_history import history_text
from analysis.tell.compare_markdown import comparison_text, unjudged
from analysis.tell.csv_files import checks_table, csv_text, history_table, requests_table, steps_table, summary_table
from analysis.tell.programs.junit_xml import junit_text
from analysis.tell.sentences import sentence
from analysis.tell.step_verdict import StepVerdict, told_verdict
from analysis.tell.summary import summary_text
from study.errors import StudyError, UsageError
from study.exit_status import ExitStatus
from study.formats.json_files import write_json, write_whole
from study.formats.manifest_json import LOCUSTFILE
from study.layout import HISTORY, CampaignFiles, require_writable


@dataclass(frozen=True)
class Analysis(CampaignOutcome):
    """What a campaign comes to, with the text and the files about it."""

    text: str
    """summary.md."""
    paths: tuple[Path, ...] = ()
    """The files that were written."""

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is missing from the campaign's files or could not be read, as sentences."""
        return tuple(sentence(finding) for finding in self.missing)

    @property
    def exit_status(self) -> ExitStatus:
        """What `must_carry` of the plan came to; OK where the plan doesn't have it."""
        verdicts = {load.verdict for load in carried_loads(self.capacities, self.campaign.plan)}
        if "misses" in verdicts:
            return ExitStatus.MISSED
        return ExitStatus.UNDETERMINED if "undetermined" in verdicts else ExitStatus.OK

    def write_junit(self, path: Path) -> None:
        """Write what CI servers read: a test case for each model and threshold."""
        write_whole(path, junit_text(self))


@dataclass(frozen=True)
class Comparison(CampaignComparison):
    """Two campaigns compared, with the text about them."""

    text: str
    """The comparison as Markdown."""
    unjudged: str
    """Why nothing can be called better or worse, and how to get there; empty where it can."""

    def write(self, path: Path) -> None:
        """Write the frame where the name ends in .csv, else the text."""
        write_whole(path, csv_text(self.frame) if path.suffix == ".csv" else self.text)


def analyze(
    campaign_dir: Path | str, write: bool = True, figures: bool = True, out: Path | str | None = None
) -> Analysis:
    """Analyse a campaign's directory and write its tables, summary, figures and report.

    They are written into it, or into `out`. Raises FormatError where it is no campaign, or one of a version that this
    program doesn't read.
    """
    campaign = load(campaign_dir)
    place = campaign.files if out is None else CampaignFiles(Path(out))
    if write:
        require_writable(place.directory)
    outcome = outcome_of(campaign)
    text = summary_text(outcome)
    paths = _write(outcome, text, figures, place) if write else ()
    return Analysis(**vars(outcome), text=text, paths=paths)


def verdicts_of(campaign_dir: Path | str, run_name: str) -> list[StepVerdict]:
    """The verdicts of one run, `<block>-<label>`, as soon as its ledger is there: run.json may still be missing.

    Raises FormatError where the directory isn't a campaign, StudyError where its plan has no such run.
    """
    campaign = load(campaign_dir)
    for run in campaign.plan.runs():
        if run.directory == run_name:
            result = judge_run(read_run(campaign.files, run), campaign.plan, unfinished=True)
            return [told_verdict(step) for step in result.steps]
    raise StudyError(f"{campaign_dir}: its plan has no run {run_name!r}")


def compare(first: Path | str, second: Path | str) -> Comparison:
    """Compare two campaigns' directories; nothing is written.

    Raises FormatError where one can't be read, UsageError where they can't be compared.
    """
    if Path(first).resolve() == Path(second).resolve():
        raise UsageError(f"{first} and {second} are the same campaign: there is nothing to compare")
    before, after = load(first), load(second)
    differences = plan_differences(before.plan, after.plan)
    if unlike := [str(difference) for difference in differences if of_the_load(difference)]:
        raise UsageError(
            f"{first} and {second} put different loads on their servers, so that no ratio would be the servers':\n  "
            + "\n  ".join(unlike)
        )
    if _locustfile(before) != _locustfile(after):
        raise UsageError(f"{first} and {second} ran different locustfiles: their loads can't be compared")
    if not common_models(before, after):
        raise UsageError(f"{first} and {second} have no model in common")
    one, other = outcome_of(before), outcome_of(after)
    compared = compare_outcomes(one, other, past_days(one, other))
    return Comparison(**vars(compared), text=comparison_text(compared), unjudged=unjudged(compared))


@dataclass(frozen=True)
class History:
    """The campaigns of a results directory over time, with the text and the files about them."""

    plans: tuple[PlanHistory, ...]
    """One for each plan and hosts, that of the newest campaign first."""
    text: str
    paths: tuple[Path, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each campaign and model (`analysis.rank.over_time.campaign_history.COLUMNS`)."""
        return pd.concat([each.frame for each in self.plans], ignore_index=True)


def history(results: Path | str) -> History:
    """Analyse the campaigns of a results directory, and write a table of all and a figure for each plan below it.

    Raises UsageError where there is no campaign.
    """
    from analysis.draw.history_figure import over_time
    from analysis.draw.style import save

    place = Path(results) / HISTORY
    plans = histories(Path(results)) if Path(results).is_dir() else ()
    if not plans:
        raise UsageError(f"{results}: no campaign is there; `fab deploy run-campaign` makes one, below results/")
    drawn: dict[str, tuple[Path, ...]] = {}
    for each in plans:
        if (figure := over_time(each.frame)) is not None:
            drawn[each.name] = save(figure, place, each.name)
    made = History(
        plans,
        history_text(plans, {name: str(paths[-1]) for name, paths in drawn.items()}),
        (place / f"{HISTORY}.csv", *(path for paths in drawn.values() for path in paths)),
    )
    write_whole(made.paths[0], csv_text(history_table(made.frame)))
    return made


def _locustfile(campaign: Campaign) -> str | None:
    """The digest of a campaign's own locustfile and its files; None where it has none, or no manifest."""
    return None if campaign.manifest is None else campaign.manifest.identity.get(LOCUSTFILE)


def _write(outcome: CampaignOutcome, text: str, figures: bool, files: CampaignFiles) -> tuple[Path, ...]:
    tables = {
        files.steps: steps_table(outcome.rows),
        files.checks: checks_table(outcome.checks),
        files.summary_csv: summary_table(outcome.summary),
    }
    if outcome.campaign.plan.locustfile is not None:
        tables[files.requests] = requests_table(requests_frame(outcome.results))
    for path, table in tables.items():
        write_whole(path, csv_text(table))
    write_whole(files.summary_md, text)
    write_json(files.summary_json, asdict(summary_value(outcome)))
    also = (*_parquet(tables), files.summary_md, files.summary_json)
    return (*tables, *also, *_draw(outcome, figures, files))


def _parquet(tables: Mapping[Path, pd.DataFrame]) -> tuple[Path, ...]:
    """The tables as Parquet too, where pyarrow is installed; where it isn't, none of an earlier analysis is left."""
    paths = {path.with_suffix(".parquet"): table for path, table in tables.items()}
    if find_spec("pyarrow") is None:
        for path in paths:
            path.unlink(missing_ok=True)
        return ()
    for path, table in paths.items():
        write_whole(path, table.to_parquet(engine="pyarrow", index=False))
    return tuple(paths)


def _draw(outcome: CampaignOutcome, figures: bool, files: CampaignFiles) -> tuple[Path, ...]:
    """The figures, each as PNG and SVG, and the report."""
    from analysis.draw.capacity_figure import trials_frame
    from analysis.draw.figures import drawings  # seaborn takes a second to import, and no verdict needs it
    from analysis.draw.frames import ratios_frame, tails_frame
    from analysis.draw.request_figure import request_drawings
    from analysis.draw.style import remove, save
    from analysis.tell.report.report_page import report_html

    plan, ranking = outcome.campaign.plan, outcome.ranking
    slower, ratios = tails_frame(outcome.results, outcome.steps, ranking.common_users), ratios_frame(ranking)
    drawn: list[Path] = []
    if figures:
        trials, think_s = trials_frame(outcome.results, plan.slo), plan.mean_think_s or None
        for name, figure in drawings(
            outcome.steps, slower, ratios, plan.models, think_s, outcome.summary, plan.slo.p99_ms, trials
        ):
            if figure is None:
                remove(files.figures, name)
            else:
                drawn += save(figure, files.figures, name)
        for name, named in request_drawings(requests_frame(outcome.results)):
            drawn += save(named, files.figures, name)
    write_whole(files.report, report_html(outcome, slower, ratios, files))
    return (*drawn, files.report)
