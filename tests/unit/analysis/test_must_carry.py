"""`must_carry` of a plan: carried, missed or not known; what people, programs and CI servers are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from analysis import Analysis, analyze
from analysis.__main__ import main
from analysis.rank.capacity import ModelCapacity, carried_loads
from analysis.tell.capacity_sentence import listed_capacities
from cluster.show.session import Session
from study.exit_status import ExitStatus
from study.plan import Run, Slo, Step
from tests.unit.synthetic import Load, plan, write_campaign

MODELS = ["single", "thread", "select"]
ASKED = plan(
    models=MODELS, users=[100, 200, 400], aa=False, return_step=False, slo=Slo(p99_ms=50, must_carry=200)
)  # fmt: skip
FULL = Load(seconds=60.0, server_cpu=1.0, response=0.5)
LATE = Load(seconds=60.0, lag_ms=40.0)
FIRST_BAD = {"single": (200, FULL), "thread": (400, FULL), "select": (200, LATE)}


def load_of(run: Run, step: Step) -> Load:
    """From some load on `single` and `thread` are full; of `select` the generator is late."""
    users, bad = FIRST_BAD[run.model]
    return bad if step.users >= users else Load(seconds=60.0)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    directory = tmp_path_factory.mktemp("carry")
    write_campaign(directory, ASKED, load_of)
    return analyze(directory, figures=False)


def capacity(low: int | None, high: int | None) -> ModelCapacity:
    return ModelCapacity("single", low, low, high, None, "slo", None, (), True)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (200, 400, "carries"), (200, None, "carries"), (300, 301, "carries"), (100, 200, "misses"),
        (None, 150, "misses"), (199, 201, "undetermined"), (199, None, "undetermined"), (None, 300, "undetermined"),
        (None, None, "undetermined"),
    ],
)  # fmt: skip
def test_bounds_decide_or_leave_it_open(low: int | None, high: int | None, verdict: str) -> None:
    asked = plan(models=["single"], slo=Slo(must_carry=200))
    assert [each.verdict for each in carried_loads([capacity(low, high)], asked)] == [verdict]


def test_what_was_not_measured_is_not_known_and_nothing_is_asked_without_the_key() -> None:
    assert [each.verdict for each in carried_loads([], plan(models=["single"], slo=Slo(must_carry=200)))] == [
        "undetermined"
    ]
    assert carried_loads([capacity(1, 2)], plan()) == ()


def test_a_model_that_misses_it_decides_the_exit_status(found: Analysis) -> None:
    assert found.exit_status is ExitStatus.MISSED
    rest = tuple(each for each in found.capacities if each.model != "single")
    without = found.campaign.plan.model_copy(update={"models": ("thread", "select")})
    fewer = replace(found, capacities=rest, campaign=replace(found.campaign, plan=without))
    assert fewer.exit_status is ExitStatus.UNDETERMINED
    one = replace(fewer, campaign=replace(found.campaign, plan=without.model_copy(update={"models": ("thread",)})))
    assert one.exit_status is ExitStatus.OK


def test_summary_and_report_say_it_of_each_model(found: Analysis) -> None:
    sentence = (
        "Each model must carry 200 users: thread carries so many; single misses it; of select it is not known."
    )  # fmt: skip
    assert sentence in found.text
    assert sentence in found.campaign.files.report.read_text(encoding="utf-8")


def test_three_capacities_are_a_list_in_the_report_and_one_sentence_elsewhere(found: Analysis) -> None:
    listed = listed_capacities(found)
    assert listed is not None
    page = found.campaign.files.report.read_text(encoding="utf-8")
    assert [f"<li>{part}</li>" in page for part in listed.parts] == [True] * len(MODELS)
    assert listed.text in found.text
    assert ", ".join(listed.parts) not in page


def test_a_ci_server_gets_a_case_for_each_model_and_threshold(found: Analysis, tmp_path: Path) -> None:
    found.write_junit(tmp_path / "new" / "junit.xml")
    suite = ElementTree.parse(tmp_path / "new" / "junit.xml").getroot()
    assert suite.attrib == {"name": "made-up", "tests": "6", "failures": "2", "errors": "0"}
    cases = {(case.get("classname"), case.get("name")): case.find("failure") for case in suite}
    passed = [where for where, failure in cases.items() if failure is None]
    assert set(passed) == {
        *((f"made-up.{model}", "has a step that counts") for model in MODELS), ("made-up.thread", "carries 200 users"),
    }  # fmt: skip
    missed, unknown = (cases[f"made-up.{model}", "carries 200 users"] for model in ("single", "select"))
    assert missed is not None
    assert unknown is not None
    assert (missed.get("type"), unknown.get("type")) == ("misses", "undetermined")
    assert str(missed.get("message")).startswith("misses 200 users at p99 <= 50 ms and failures <= 1 %: single carries")
    assert "not known whether it carries 200 users" in str(unknown.get("message"))


def test_the_analysis_alone_writes_it_too(found: Analysis, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(found.campaign.files.directory), "--no-figures", "--out", str(tmp_path / "out")]
    assert main([*given, "--junit", str(tmp_path / "junit.xml")]) == 0
    found.write_junit(tmp_path / "same.xml")
    assert (tmp_path / "junit.xml").read_bytes() == (tmp_path / "same.xml").read_bytes()
    capsys.readouterr()
    assert main([*given, "--junit", str(tmp_path)]) == 2
    assert "a directory, where the name of a file is wanted" in capsys.readouterr().err


def test_other_locust_runs_have_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), f"b={tmp_path}", "--junit", str(tmp_path / "junit.xml")]) == 2
    assert "--junit" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_model_without_a_step_that_counts_is_a_failure(tmp_path: Path) -> None:
    write_campaign(tmp_path, plan(models=["single", "thread"], users=[100], aa=False), skip=("1-thread",),
                   load_of=lambda _run, _step: LATE)  # fmt: skip
    analyze(tmp_path, write=False).write_junit(tmp_path / "junit.xml")
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    messages = [str(failure.get("message")) for failure in suite.iter("failure")]
    assert len(messages) == 2
    assert messages[0] == "single: none of 1 step counts: 1 generator-limited"


def test_a_job_of_github_gets_the_summary(
    found: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    Session().print_markdown(found.text)
    assert summary.read_text(encoding="utf-8") == f"before\n{found.text}\n"
    assert "## Answer" in capsys.readouterr().out


def test_the_tables_are_parquet_too_where_pyarrow_is_installed(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    write_campaign(tmp_path, plan(models=["single"], users=[100], aa=False))
    analyze(tmp_path, figures=False)
    for name in ("steps", "checks", "summary"):
        table = pandas.read_csv(tmp_path / f"{name}.csv")
        stored = pandas.read_parquet(tmp_path / f"{name}.parquet")
        assert list(stored.columns) == list(table.columns)
        assert len(stored) == len(table)


def test_without_pyarrow_no_parquet_of_an_earlier_analysis_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_campaign(tmp_path, plan(models=["single"], users=[100], aa=False))
    (tmp_path / "steps.parquet").write_bytes(b"old")
    monkeypatch.setattr("analysis.pipeline.find_spec", lambda _name: None)
    analyze(tmp_path, figures=False)
    assert not list(tmp_path.glob("*.parquet"))
