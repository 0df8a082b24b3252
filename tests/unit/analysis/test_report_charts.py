"""The data of the report's charts: figures of steps.csv, seconds of the ledger, distributions of the histograms."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import Analysis, analyze
from analysis.draw.distributions import SHARES, response_curves
from analysis.draw.frames import ratios_frame, tails_frame
from analysis.draw.request_frames import requests_frame
from analysis.read.course import RunCourse, Series
from analysis.tell.report.chart_data import Chart, encoded, figure_charts, rounded
from analysis.tell.report.heading import question, when_and_where
from analysis.tell.report.run_data import MOST_SECONDS, course_value, runs_value, script_json
from analysis.tell.report.scripts import page_script, policy
from analysis.tell.report.terms import terms_of
from study.formats.facts_json import Facts
from study.formats.manifest_json import Manifest
from study.plan import Run, Step
from tests.unit.synthetic import Load, plan, write_campaign

ASKED = plan(models=["single", "process"], users=[100, 400], return_step=False)


def full_process(run: Run, step: Step) -> Load:
    """`process` is full at 400 users."""
    if run.model == "process" and step.users == 400:
        return Load(rate=90.0, response=400 / 90 - 3, spread=0.1, seconds=60.0, server_cpu=0.99, failures={"reset": 60})
    return Load(silent=((5, 8),)) if step.users == 400 else Load()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    return analyze(write_campaign(tmp_path_factory.mktemp("c"), ASKED, full_process).directory, write=False)


@pytest.fixture(scope="module")
def charts(found: Analysis) -> dict[str, tuple[Chart, ...]]:
    slower = tails_frame(found.results, found.steps, found.ranking.common_users)
    return figure_charts(found, slower, ratios_frame(found.ranking), requests_frame(found.results))


def test_a_chart_has_the_figures_of_steps_csv(found: Analysis, charts: dict[str, tuple[Chart, ...]]) -> None:
    rows = found.steps[found.steps["kind"] == "ladder"].set_index(["model", "users"])
    for line in charts["rps"][0].lines:
        if line.look is not None:
            assert line.y == pytest.approx([rows.loc[(line.name, users), "rps"] for users in line.x])
    for column, panel in zip(("p50_ms", "p95_ms", "p99_ms"), charts["response-time"], strict=True):
        for line in panel.lines:
            assert line.y == pytest.approx([rows.loc[(line.name, users), column] for users in line.x])
    assert charts["response-time"][2].limit == ASKED.slo.p99_ms


def test_what_is_not_valid_is_hollow_and_named(charts: dict[str, tuple[Chart, ...]]) -> None:
    process = next(line for line in charts["rps"][0].lines if line.name == "process")
    assert (process.hollow, process.note) == ((False, True), ("", "overload"))
    assert [line.name for line in charts["failures"][0].lines] == ["process, 400 users: reset"]


def test_a_figure_with_nothing_to_show_has_no_chart(charts: dict[str, tuple[Chart, ...]]) -> None:
    assert "capacity" not in charts or charts["capacity"][0].lines
    assert not any(name.startswith("requests-") for name in charts)
    assert all(line.x for panels in charts.values() for panel in panels for line in panel.lines)


def test_encoded_charts_are_json_and_name_each_look_once(charts: dict[str, tuple[Chart, ...]]) -> None:
    value = json.loads(script_json(encoded(charts)))
    assert set(value["figures"]) == set(charts)
    assert [each["colour"] for each in value["looks"]].count("#0072b2") == 1
    assert [rounded(each) for each in (1234.5678, 3.0, float("nan"), None, float("inf"))] == [
        1234.57,
        3,
        None,
        None,
        None,
    ]


def seconds_of(run: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(zlib.decompress(base64.b64decode(run["packed"]))))


def test_the_seconds_of_a_run_add_up_to_its_ledger(found: Analysis) -> None:
    data = runs_value(found)
    assert [run["name"] for run in data["runs"]] == [result.data.run.directory for result in found.results]
    for run, result in zip(data["runs"], found.results, strict=True):
        counts = seconds_of(run)["counts"]
        took = np.asarray(counts["at"]) / 10
        total = sum(record.successes for record in result.data.ledger().records)
        assert float(np.asarray(counts["rps"]) @ took) == pytest.approx(total, rel=0.01)


def test_a_silent_stretch_shows_in_the_seconds(found: Analysis) -> None:
    result = next(each for each in found.results if each.data.run.label == "single")
    window = next(span for span in result.course.spans if (span.users, span.phase) == (400, "measure"))
    at, rps = result.course.counts.at - window.start, result.course.counts.figures["rps"]
    assert rps[(at > 5.5) & (at < 8.5)] == pytest.approx([0, 0, 0])
    assert (rps[(at > 9.5) & (at < 29.5)] > 50).all()


def test_long_campaigns_are_thinned_to_means() -> None:
    course = RunCourse(counts=Series(np.arange(1.0, 8.0), {"rps": np.array([1, 3, 5, np.nan, np.nan, np.nan, 9.0])}))
    value = course_value(course, 2)["counts"]
    assert (value["at"], value["rps"]) == ([20, 20, 20], [2, 5, None])
    assert MOST_SECONDS >= 90_000  # of 15 models, 12 steps and 10 blocks


def test_a_distribution_is_the_histograms(found: Analysis) -> None:
    for each in response_curves(found.results):
        (step,) = (
            step for result in found.results for step in result.steps
            if (step.run.label, step.step.users, step.step.kind) == (each.label, each.users, "ladder")
        )  # fmt: skip
        assert step.window is not None
        times = step.window.response
        assert times.total * SHARES[len(each.ms) - 1] >= 10
        assert list(each.ms) == sorted(each.ms)
        for share, ms in list(zip(SHARES, each.ms, strict=False))[1:]:
            assert times.above(ms).total <= share * times.total
            assert ms <= (times.quantile_ms(1 - share) or 0) * 1.002


def test_texts_can_not_leave_the_script() -> None:
    assert "</script" not in script_json({"kind": "</script><script>alert(1)"})
    script = page_script()
    assert "Leon Sorokin" in script
    assert "'unsafe-inline'" not in policy(script).partition("script-src")[2]


def test_the_question_is_the_plans() -> None:
    assert question(ASKED) == "How do single and process serve 100 to 400 users?"
    one = plan(models=["single"], users=[1], aa=False)
    assert question(one) == "How does single serve 1 user?"


def test_when_and_where_are_said_as_far_as_they_are_known() -> None:
    facts = Facts(cpu="Xeon", cores=(0, 1), system="Linux", kernel="6.1", python="3.11.2", boot_id="b")
    whole = Manifest(created="2026-11-28T09:21:11+00:00", commit="c" * 40, hosts={"target": facts, "control": facts})
    assert when_and_where(whole) == (
        "28 November 2026, 09:21 UTC, on one machine (Xeon, 2 cores, Linux 6.1, Python 3.11.2)."
        " Code: an unknown program, commit cccccccccccc."
    )
    two = Manifest(hosts={"target": facts, "load": Facts(cpu="Arm", boot_id="other")})
    assert "on 2 machines (target: Xeon, 2 cores" in when_and_where(two)
    assert "isn't known" in when_and_where(None)
    assert "isn't known" in when_and_where(Manifest())


def test_words_are_explained_that_the_plan_brings_up() -> None:
    said = dict(terms_of(ASKED))
    assert {"block", "goodput", "knee", "A/A control"} <= set(said)
    assert all(text.endswith(".") for text in said.values())
    assert "capacity" not in said
    assert not {"knee", "A/A control"} & set(dict(terms_of(plan(aa=False, think_time=[0.0, 0.0]))))
    assert "asks again at once" in dict(terms_of(plan(think_time=[0.0, 0.0])))["user"]


def test_an_unmeasured_campaign_has_no_charts(tmp_path: Path) -> None:
    files = write_campaign(tmp_path, ASKED, skip=[run.directory for run in ASKED.runs()])
    empty = analyze(files.directory)
    slower, ratios = tails_frame(empty.results, empty.steps, None), ratios_frame(empty.ranking)
    assert figure_charts(empty, slower, ratios, requests_frame(empty.results)) == {}
    assert runs_value(empty)["runs"] == []
    assert not list(files.figures.glob("*.svg"))
