"""The public functions: from a campaign's directory to what it comes to, and to the files and sentences about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from analysis.draw.request_frames import requests_frame
from analysis.judge.judging import judge_run
from analysis.rank.comparison import CampaignComparison, common_models, compare_outcomes
from analysis.rank.day_history import past_days
from analysis.rank.differences import of_the_load, plan_differences
from analysis.rank.machine_summary import summary_value
from analysis.rank.outcome import CampaignOutcome, outcome_of
from analysis.read.results import load, read_run
from analysis.tell.compare_markdown import comparison_text, unjudged
from analysis.tell.csv_files import checks_table, csv_text, requests_table, steps_table, summary_table
from analysis.tell.sentences import sentence
from analysis.tell.step_verdict import StepVerdict, told_verdict
from analysis.tell.summary import summary_text
from study.errors import StudyError, UsageError
from study.formats.json_files import write_json, write_whole
from study.formats.manifest_json import LOCUSTFILE
from study.layout import CampaignFiles, require_writable


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
    one, other = outcome_of(load(first)), outcome_of(load(second))
    differences = plan_differences(one.campaign.plan, other.campaign.plan)
    if unlike := [str(difference) for difference in differences if of_the_load(difference)]:
        raise UsageError(
            f"{first} and {second} put different loads on their servers, so that no ratio would be the servers':\n  "
            + "\n  ".join(unlike)
        )
    if _locustfile(one) != _locustfile(other):
        raise UsageError(f"{first} and {second} ran different locustfiles: their loads can't be compared")
    if not common_models(one, other):
        raise UsageError(f"{first} and {second} have no model in common")
    compared = compare_outcomes(one, other, past_days(one, other))
    return Comparison(**vars(compared), text=comparison_text(compared), unjudged=unjudged(compared))


def _locustfile(outcome: CampaignOutcome) -> str | None:
    """The digest of a campaign's own locustfile and its files; None where it has none, or no manifest."""
    manifest = outcome.campaign.manifest
    return None if manifest is None else manifest.identity.get(LOCUSTFILE)


def _write(outcome: CampaignOutcome, text: str, figures: bool, files: CampaignFiles) -> tuple[Path, ...]:
    texts = {
        files.steps: csv_text(steps_table(outcome.rows)),
        files.checks: csv_text(checks_table(outcome.checks)),
        files.summary_csv: csv_text(summary_table(outcome.summary)),
        files.summary_md: text,
    }
    if outcome.campaign.plan.locustfile is not None:
        texts[files.requests] = csv_text(requests_table(requests_frame(outcome.results)))
    for path, content in texts.items():
        write_whole(path, content)
    write_json(files.summary_json, asdict(summary_value(outcome)))
    return (*texts, files.summary_json, *_draw(outcome, figures, files))


def _draw(outcome: CampaignOutcome, figures: bool, files: CampaignFiles) -> tuple[Path, ...]:
    """The figures, each as PNG and SVG, and the report."""
    from analysis.draw.capacity_figure import trials_frame
    from analysis.draw.figures import drawings  # seaborn takes a second to import, and no verdict needs it
    from analysis.draw.frames import ratios_frame, tails_frame
    from analysis.draw.request_figure import request_drawings
    from analysis.draw.style import remove, save
    from analysis.tell.report.report_page import report_html

    plan, ranking = outcome.campaign.plan, outcome.ranking
    slower, ratios = tails_frame(outcome.results, ranking.common_users), ratios_frame(ranking)
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
