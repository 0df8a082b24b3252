"""report.html: one file that needs no network, from what a campaign comes to and the figures that were drawn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from analysis.draw.request_frames import exceptions_frame, requests_frame
from analysis.rank.limits import Limit
from analysis.rank.outcome import CampaignOutcome
from analysis.read.results import Campaign
from analysis.tell.answer import answer_sentences
from analysis.tell.calibration_sentence import calibration_lines
from analysis.tell.capacity_sentence import client_text, listed_capacities, load_text
from analysis.tell.limit_sentence import limit_text
from analysis.tell.markdown_sections import (
    control_lines,
    failed_checks,
    gap_lines,
    impossible_checks,
    ratio_lines,
    reconcile_lines,
)
from analysis.tell.report import class_report
from analysis.tell.report import report_tables as tables
from analysis.tell.report.capacity_caption import capacity_picture
from analysis.tell.report.captions import pictures
from analysis.tell.report.chart_data import encoded, figure_charts
from analysis.tell.report.heading import headline, question, when_and_where
from analysis.tell.report.page import Picture, Table
from analysis.tell.report.provenance import not_shown, origin, where_table
from analysis.tell.report.request_tables import own_tables, request_picture
from analysis.tell.report.run_data import runs_value, script_json
from analysis.tell.report.scripts import page_script, policy
from analysis.tell.report.terms import terms_of
from study.formats.manifest_json import ModelDescription
from study.layout import CampaignFiles
from study.safe_text import inert
from study.web import uplot_style

TEMPLATES = Path(__file__).parent / "templates"
FIRST, DETAILS = ("capacity", "response-time"), ("rps", "response-rps", "tails", "cost", "failures")
"""Figures on the first page, and those below it."""
LISTED = 3
"""With so many models the first sentence of the answer is a list."""


@dataclass(frozen=True)
class Section:
    """What the report shows of one model."""

    model: str
    summary: str
    about: str
    """The docstring of its code, as Markdown; empty where the manifest doesn't have it."""
    limit: str
    """The sentence of its limit."""
    picture: Picture | None
    tables: tuple[Table, ...]
    requests: Picture | None = None
    """Requests by name, with a locustfile of one's own."""
    own: tuple[Table, ...] = ()
    """Tables of the same."""


def report_html(outcome: CampaignOutcome, slower: pd.DataFrame, ratios: pd.DataFrame, files: CampaignFiles) -> str:
    """The page; `slower` and `ratios` are the frames that figures were drawn from (`analysis/draw/frames.py`).

    `files` is where page and figures are: the campaign itself, or elsewhere. Of figures that were not drawn the words
    stand alone; every text from files is escaped.
    """
    campaign, steps, ranking, results = outcome.campaign, outcome.steps, outcome.ranking, outcome.results
    plan, manifest = campaign.plan, campaign.manifest
    drawn = pictures(files.figures, steps, slower, ratios, ranking, plan)
    if (capacity := capacity_picture(files.figures, outcome)) is not None:
        drawn["capacity"] = capacity
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["markdown"] = markdown
    ladders = tables.ladder_tables(campaign, steps)
    again = class_report.same_set_up(plan)
    requests, exceptions = requests_frame(results), exceptions_frame(results)
    answer = answer_sentences(outcome)
    first, script = headline(outcome, answer), page_script()
    listed = listed_capacities(outcome)
    if listed is not None and len(listed.parts) < LISTED:
        listed = None
    apart = {first} if listed is None else {first, listed.text}
    return environment.get_template("report.html").render(
        plan=plan,
        campaign_root=_link_to(campaign.files.directory, files.directory),
        home=campaign.files.directory.resolve().name,
        place=files.directory.resolve().name,
        question=question(plan),
        when_and_where=when_and_where(manifest),
        terms=tuple(terms_of(plan)),
        load=load_text(plan),
        client=client_text(plan),
        done=sum(result.data.state == "done" for result in results),
        runs=len(results),
        headline=first,
        listed=listed,
        answer=[sentence for sentence in answer if sentence not in apart],
        summary=tables.summary_table(campaign, outcome.summary, ranking, outcome.limits),
        first=[drawn[name] for name in FIRST if name in drawn],
        details=[drawn[name] for name in DETAILS if name in drawn],
        forest=drawn.get("ratios"),
        class_report=class_report.comparison_table(steps, plan) if again else None,
        scoreboard=tables.scoreboard(outcome.checks, steps),
        verdicts=tables.verdict_table(campaign, steps),
        failed=failed_checks(steps, outcome.checks, campaign.labels),
        impossible=impossible_checks(outcome.checks),
        sections=[
            replace(
                _section(campaign, steps, limit, drawn, ladders[limit.model]),
                requests=request_picture(files.figures, limit.model, requests),
                own=own_tables(requests, exceptions, limit.model),
            )
            for limit in outcome.limits
        ],
        ratios=ratio_lines(ranking),
        control=control_lines(ranking, plan),
        control_runs={x: tables.runs_table(campaign, steps, x) for x in campaign.labels if x not in plan.models},
        generator=calibration_lines(campaign, outcome.rows),
        generator_table=tables.generator_table(steps),
        reconciled=reconcile_lines(results),
        origin=origin(manifest),
        where=where_table(manifest),
        not_shown=not_shown(outcome),
        gaps=gap_lines(results, outcome.missing),
        chart_style=Markup(uplot_style()),
        chart_json=Markup(script_json(encoded(figure_charts(outcome, slower, ratios, requests)))),
        run_json=Markup(script_json(runs_value(outcome))),
        script=Markup(script),
        policy=policy(script),
    )


def _link_to(campaign: Path, page: Path) -> str:
    """What links to the campaign's own files begin with, from a page in another directory."""
    way = os.path.relpath(campaign.resolve(), page.resolve())
    return "" if way == "." else f"{quote(way)}/"


def _section(
    campaign: Campaign, steps: pd.DataFrame, limit: Limit, drawn: Mapping[str, Picture], ladder: tuple[Table, Table]
) -> Section:
    model = limit.model
    about = campaign.manifest.models.get(model, ModelDescription()) if campaign.manifest else ModelDescription()
    return Section(
        model,
        about.summary or _command(campaign, model),
        _plain(about.docstring),
        limit_text(limit),
        drawn.get(f"model-{model}"),
        (*ladder, tables.runs_table(campaign, steps, model)),
    )


def _command(campaign: Campaign, model: str) -> str:
    """How a server that is none of the project's models was started."""
    command = campaign.plan.server(model).command
    return f"started as: {command}" if command else ""


def _plain(docstring: str) -> str:
    """A docstring as one line a paragraph: its own line breaks mean nothing."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.split("\n\n"))


def markdown(text: Any) -> Markup:
    """Markdown, or lines of it, as HTML without links and images; HTML in the text is escaped, so that it is safe."""
    joined = text if isinstance(text, str) else "\n".join(text)
    return Markup(_parser().render(inert(joined)))


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    return parser.disable(["link", "image", "autolink", "reference"])
