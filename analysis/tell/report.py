"""report.html: one file that needs no network, from what the analysis found and the figures that were drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from analysis.rank.limits import Limit
from analysis.read.results import Campaign
from analysis.tell import class_report, tables
from analysis.tell.answer import answer
from analysis.tell.captions import pictures
from analysis.tell.page import Picture, Table
from analysis.tell.provenance import not_shown, origin, where_table
from analysis.tell.sections import control_lines, failed_checks, gap_lines, ratio_lines, reconcile_lines
from analysis.tell.summary import generator_lines
from study.formats.manifest_json import ModelDescription

if TYPE_CHECKING:
    from analysis.pipeline import Analysis

TEMPLATES = Path(__file__).parent / "templates"
FIRST, DETAILS = ("rps", "response-time"), ("response-rps", "tails", "cost", "failures")
"""Figures on the first page, and those below it."""


@dataclass(frozen=True)
class Section:
    """One model's."""

    model: str
    summary: str
    about: str
    """What its code says of it, as Markdown; empty where the manifest doesn't carry it."""
    limit: Limit
    picture: Picture | None
    tables: tuple[Table, ...]


def report(found: Analysis, slower: pd.DataFrame, ratios: pd.DataFrame) -> str:
    """The page; `slower` and `ratios` are the frames that figures were drawn from (`analysis/draw/points.py`).

    Figures that were not drawn are left out; every text from files is escaped.
    """
    campaign, steps, ranking, results = found.campaign, found.steps, found.ranking, found.results
    plan, manifest = campaign.plan, campaign.manifest
    drawn = pictures(campaign.files.figures, steps, slower, ratios, ranking, plan)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["markdown"] = markdown
    again = class_report.same_set_up(plan)
    return environment.get_template("report.html").render(
        plan=plan,
        done=sum(result.data.state == "done" for result in results),
        runs=len(results),
        answer=answer(ranking, plan.models),
        summary=tables.summary_table(campaign, found.summary, ranking, found.limits),
        first=[drawn[name] for name in FIRST if name in drawn],
        details=[drawn[name] for name in DETAILS if name in drawn],
        forest=drawn.get("ratios"),
        class_report=class_report.beside(steps, plan) if again else None,
        scoreboard=tables.scoreboard(found.checks, steps),
        verdicts=tables.verdict_table(campaign, steps),
        failed=failed_checks(steps, found.checks, campaign.labels),
        sections=[_section(campaign, steps, limit, drawn) for limit in found.limits],
        ratios=ratio_lines(ranking),
        control=control_lines(ranking, plan),
        control_runs={x: tables.runs_table(campaign, steps, x) for x in campaign.labels if x not in plan.models},
        generator=generator_lines(campaign),
        generator_table=tables.generator_table(steps),
        reconciled=reconcile_lines(results),
        origin=origin(manifest),
        where=where_table(manifest),
        not_shown=not_shown(plan, manifest, steps, ranking),
        gaps=gap_lines(results, found.gaps),
    )


def _section(campaign: Campaign, steps: pd.DataFrame, limit: Limit, drawn: Mapping[str, Picture]) -> Section:
    model = limit.model
    about = campaign.manifest.models.get(model, ModelDescription()) if campaign.manifest else ModelDescription()
    made = (tables.step_table, tables.cost_table, tables.runs_table)
    return Section(
        model,
        about.summary or _command(campaign, model),
        _plain(about.docstring),
        limit,
        drawn.get(f"model-{model}"),
        tuple(table(campaign, steps, model) for table in made),
    )


def _command(campaign: Campaign, model: str) -> str:
    """Of a server that isn't the project's: how it was started."""
    command = campaign.plan.server(model).command
    return f"started as: {command}" if command else ""


def _plain(docstring: str) -> str:
    """A docstring's own line breaks are those of its file and mean nothing."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.split("\n\n"))


def markdown(text: Any) -> Markup:
    """Markdown, or lines of it, as HTML; HTML in it is text. Markup: made just now, with everything escaped."""
    joined = text if isinstance(text, str) else "\n".join(text)
    return Markup(MarkdownIt("commonmark", {"html": False}).enable("table").render(joined))
