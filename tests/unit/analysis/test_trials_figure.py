"""The curve of response time against users shows every trial of a search, with the SLO's line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle

from analysis.draw.capacity_figure import MARKS, trials_frame
from analysis.draw.figures import response_against_users
from analysis.draw.frames import ratios_frame
from analysis.draw.request_frames import requests_frame
from analysis.rank.outcome import CampaignOutcome, outcome_of
from analysis.read.results import load
from analysis.tell.report.chart_data import figure_charts
from study.plan import Plan, Run, SearchTable, Slo, Step
from tests.unit.synthetic import Load, plan, write_campaign

SECONDS: Mapping[int, float] = {1: 3.0, 2: 12.0, 4: 600.0, 10: 60.0, 200: 60.0, 400: 60.0, 300: 60.0}
"""Window of each load's trial. One user asks once in 3 s, so that hardly any percentile of the first few is known."""


def searched() -> Plan:
    changes: dict[str, Any] = {"models": ("single",), "users": (), "aa": False, "slo": Slo(p99_ms=50)}
    return plan(**changes, search=SearchTable(**{"from": 1, "most": 1000}))


def outcome(directory: Path, trials: Sequence[Step]) -> CampaignOutcome:
    def load_of(_run: Run, step: Step) -> Load:
        slow = step.users in (300, 400)
        return Load(response=0.2 if slow else 0.004, seconds=SECONDS[step.users], server_cpu=1.0 if slow else 0.4)

    write_campaign(directory, searched(), load_of, steps=trials)
    return outcome_of(load(directory))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> CampaignOutcome:
    loads = [*SECONDS, 200]
    trials = [Step(at, "confirm" if at == len(loads) else "trial", users) for at, users in enumerate(loads, 1)]
    return outcome(tmp_path_factory.mktemp("searched"), trials)


def drawn(made: CampaignOutcome) -> tuple[Figure, pd.DataFrame]:
    asked = made.campaign.plan
    trials = trials_frame(made.results, asked.slo)
    return response_against_users(made.steps, asked.models, asked.slo.p99_ms, trials), trials


def marks(figure: Figure, label: str) -> dict[float, float]:
    """Users and ms of the marks with this label, in the panel of the 99th percentile."""
    found = [each for each in figure.axes[-1].collections if each.get_label() == label]
    return {float(users): float(ms) for each in found for users, ms in np.asarray(each.get_offsets(), dtype=float)}


def test_every_trial_is_drawn_at_the_largest_percentile_that_stands(made: CampaignOutcome) -> None:
    figure, trials = drawn(made)
    labels = [str(each.get_label()) for each in figure.axes[-1].collections]
    outcomes = {label for label in labels if label.startswith(("_passed", "_failed"))}
    shown = {users for label in outcomes for users in marks(figure, label)}
    judged = trials[trials["outcome"].isin(["passed", "failed"])]
    assert shown == {float(users) for users in judged["users"]}
    assert set(marks(figure, "_failed p99")) == {300.0, 400.0}
    assert 200.0 in marks(figure, "_passed p99")
    few = judged[judged["users"] == 4].iloc[0]  # 800 answers: 8 above p99, 40 above p95
    assert few["figure"] == "p95"
    assert marks(figure, "_passed p95")[4.0] == pytest.approx(few["ms"])


def test_a_trial_whose_percentiles_are_unknown_has_its_mean(made: CampaignOutcome) -> None:
    trials = trials_frame(made.results, made.campaign.plan.slo).set_index("users")
    assert trials.loc[1, "figure"] == "mean"
    assert trials.loc[1, "ms"] == pytest.approx(4.0, rel=0.6)


def test_the_legend_names_what_passed_what_failed_what_stands_for_p99_and_the_slo(made: CampaignOutcome) -> None:
    figure, _ = drawn(made)
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    for words in (
        "a trial that passed", "a trial that failed", "p95 of a trial that passed, of too few answers for p99",
        "the SLO's p99, 50 ms",
    ):  # fmt: skip
        assert words in said
    limits = [line for line in figure.axes[-1].get_lines() if list(np.asarray(line.get_ydata())) == [50.0, 50.0]]
    assert len(limits) == 1


def test_all_marks_lie_within_the_axes(made: CampaignOutcome) -> None:
    figure, trials = drawn(made)
    low, high = figure.axes[-1].get_ylim()
    assert low < trials["ms"].min() <= trials["ms"].max() < high


def test_the_name_of_a_figure_is_drawn_as_a_formula_and_not_with_its_dollars(made: CampaignOutcome) -> None:
    figure, _ = drawn(made)
    (passed,) = [each for each in figure.axes[-1].collections if each.get_label() == "_passed p95"]
    with matplotlib.rc_context({"text.parse_math": False}):
        literal = MarkerStyle("$+_{p95}$")
    assert len(passed.get_paths()[0]) < len(literal.get_path())


def test_the_chart_has_every_trial_that_the_figure_has(made: CampaignOutcome) -> None:
    _, trials = drawn(made)
    judged = trials[trials["outcome"].isin(["passed", "failed"])]
    nothing = pd.DataFrame(columns=["model", "ms", "share"])
    charts = figure_charts(made, nothing, ratios_frame(made.ranking), requests_frame(made.results))
    panels = charts["response-time"]
    lines = {line.name: line for line in panels[-1].lines if not line.joined}
    assert set(lines) == {"single: a trial that passed (+)", "single: a trial that failed (×)"}
    shown = {(users, ms) for line in lines.values() for users, ms in zip(line.x, line.y, strict=True)}
    assert shown == set(zip(judged["users"], judged["ms"], strict=True))
    passed = lines["single: a trial that passed (+)"]
    assert dict(zip(passed.x, passed.note, strict=True))[4.0] == "p95, too few answers for p99"
    assert list(passed.x).count(200.0) == 2  # its trial, and the confirmation
    assert not any(line.marks in MARKS for panel in panels[:-1] for line in panel.lines)
