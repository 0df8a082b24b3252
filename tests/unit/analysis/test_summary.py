"""What summary.csv and summary.md say, and what they refuse to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis import Analysis, analyze
from analysis.__main__ import main
from analysis.rank.family import Order
from analysis.tell.answer import answer_sentences
from analysis.tell.orders import signs_text
from study.formats.summary_json import SummaryFile
from study.plan import Run, Step
from study.reading import read_as
from tests.unit.synthetic import Load, plan, write_campaign

ASKED = plan(models=["single", "process", "thread", "select"], users=[50, 100, 200, 400])


def served(run: Run, step: Step, capacity: Mapping[str, float], swing: float = 0.01) -> Load:
    """A server of this capacity in requests/s: below it the law, at it the queue."""
    limit = capacity[run.model] * (1 + swing * ((3 * run.block + len(run.label)) % 3 - 1))
    free = 0.004
    rate = min(step.users / (3 + free), limit)
    response = max(free, step.users / rate - 3)
    return Load(rate=rate, response=response, spread=0.05, server_cpu=min(1.0, rate / limit), seconds=40.0)


CAPACITY = {"single": 100.0, "process": 20.0, "thread": 120.0, "select": 118.5}


def study(tmp_path: Path, blocks: int, capacity: Mapping[str, float] = CAPACITY, write: bool = False) -> Analysis:
    asked = plan(**{**ASKED.model_dump(), "blocks": blocks})
    files = write_campaign(tmp_path / "study", asked, lambda run, step: served(run, step, capacity))
    return analyze(files.directory, write=write, figures=False)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    return study(tmp_path_factory.mktemp("one"), 1, write=True)


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    return study(tmp_path_factory.mktemp("six"), 6, write=True)


def test_one_block_gives_an_order_and_no_ranking(one: Analysis) -> None:
    analysis = one
    assert "no order is claimed: one block was measured, and a ranking needs 5." in analysis.text
    line = next(line for line in analysis.text.splitlines() if line.startswith("Requests per second:"))
    assert line == "Requests per second: single, process, thread, select: no order is claimed"
    answer = " ".join(answer_sentences(analysis))
    assert not any(word in answer for word in (" > ", " < ", " = ", "most", "fewest", "fastest", "slowest"))
    assert analysis.summary["rank_rps"].isna().all()
    assert analysis.summary["rank_mean_ms"].isna().all()
    assert [pair.low for pair in analysis.ranking.goodput.pairs] == [None] * 6


def test_six_blocks_rank(six: Analysis) -> None:
    analysis = six
    named = {"requests per second": analysis.ranking.goodput, "response time": analysis.ranking.response}
    parts = []
    for name, figure in named.items():
        blocks = {pair.blocks for pair in figure.pairs}  # one of a collapsed model may not count
        parts.append(f"{name} over " + ("6 blocks" if blocks == {6} else f"{min(blocks)} to 6 blocks"))
    told = " and ".join(part for part, figure in zip(parts, named.values(), strict=True) if figure.ordered)
    assert f"Ranking by {told}: `>`" in analysis.text
    ranks = dict(zip(analysis.summary["model"], analysis.summary["rank_rps"], strict=True))
    assert ranks["process"] == 4
    assert ranks["single"] == 3
    assert {ranks["thread"], ranks["select"]} <= {1, 2}
    assert "single-aa = 1.00 x single [" in analysis.text or "single-aa = 0.99 x single [" in analysis.text
    tests = analysis.ranking.tests
    assert f"Holm's correction over {tests} comparisons" in analysis.text
    assert tests == 2 * 6 + 2


def test_the_control_is_never_ranked(six: Analysis) -> None:
    analysis = six
    assert "single-aa" not in analysis.summary["model"].tolist()
    assert all("single-aa" not in (pair.first, pair.second) for pair in analysis.ranking.goodput.pairs)
    assert analysis.ranking.goodput.control is not None
    section = analysis.text.partition("## A/A control")[2].partition("##")[0]
    assert section.count(", a tie (") + section.count(", undetermined (") == 2


@pytest.mark.slow
def test_figures_of_the_summary_are_medians_over_blocks_at_the_common_step(tmp_path: Path) -> None:
    analysis = study(tmp_path, 3)
    assert analysis.ranking.common_users == 50
    rows = analysis.steps.query("model == 'thread' and users == 50 and kind == 'ladder'")
    thread = analysis.summary.set_index("model").loc["thread"]
    assert thread["rps"] == pytest.approx(rows["rps"].median())
    assert thread["mean_ms"] == pytest.approx(rows["mean_ms"].median())
    assert thread["requests"] == round(rows["requests"].median())
    assert thread["peak_users"] == 400
    assert (thread["peak_rps_low"], thread["peak_rps_high"]) == (
        pytest.approx(analysis.steps.query("model == 'thread' and users == 400")["rps"].min()),
        pytest.approx(analysis.steps.query("model == 'thread' and users == 400")["rps"].max()),
    )


@pytest.mark.slow
def test_below_the_knee_nothing_is_ranked(tmp_path: Path) -> None:
    analysis = study(tmp_path, 6, dict.fromkeys(CAPACITY, 10_000.0))
    line = next(line for line in analysis.text.splitlines() if line.startswith("Requests per second:"))
    assert not set(line) & set("=<>")
    assert "None of single, process, thread and select was at its limit" in answer_sentences(analysis)[1]
    assert "at least 13" in analysis.text
    assert analysis.summary["rank_rps"].isna().all()
    assert analysis.summary["at_least"].map(lambda names: "peak_rps" in names).all()


def test_a_peak_that_no_step_showed_is_not_placed_below_another(tmp_path: Path) -> None:
    """The generator gave up on thread at 400 users: that says nothing about thread."""

    def load_of(run: Run, step: Step) -> Load:
        if run.model == "thread" and step.users == 400:
            return Load(lag_ms=80.0)
        return served(run, step, {**CAPACITY, "thread": 500.0})

    files = write_campaign(tmp_path / "study", ASKED, load_of)
    analysis = analyze(files.directory, write=False)
    assert analysis.ranking.goodput.order.unplaced == ("thread",)
    assert "thread at least 6" in analysis.text
    assert "not placed" not in analysis.text  # one block places nobody


def test_a_model_without_a_valid_step_is_no_rival_of_whom_anything_is_claimed(tmp_path: Path) -> None:
    def load_of(run: Run, step: Step) -> Load:
        return Load(lag_ms=80.0) if run.model == "process" else served(run, step, CAPACITY)

    analysis = analyze(write_campaign(tmp_path / "study", ASKED, load_of).directory, write=False)
    assert analysis.ranking.common_users == 200
    assert "at 200 users, the largest step that is valid for all models but process" in analysis.text
    row = analysis.summary.set_index("model").loc["process"]
    assert pd.isna(row["mean_ms"])
    assert row["common_verdict"] == "generator-limited"
    words = next(words for words in answer_sentences(analysis) if words.startswith("process was measured"))
    assert "none of its steps is trusted: at 400 users 13" in words
    assert words.endswith("(generator-limited).")
    assert words in analysis.text
    assert analysis.ranking.goodput.order.best is None


def test_a_model_that_collapsed_at_every_step_has_a_row_and_a_word(tmp_path: Path) -> None:
    asked = plan(models=["single", "process", "thread"], users=[100, 400], aa=False, return_step=False)
    capacity = {"single": 1000.0, "process": 20.0, "thread": 1000.0}

    def load_of(run: Run, step: Step) -> Load:
        load = served(run, step, capacity)
        if run.model != "process":
            return load
        return replace(load, failures={"reset": 60}, failed_after=load.response, overflows=20, seconds=100.0)

    write_campaign(tmp_path, asked, load_of)
    analysis = analyze(tmp_path, write=False)
    row = analysis.summary.set_index("model").loc["process"]
    assert (row["common_verdict"], row["common_users"]) == ("overload", 400)
    assert row["rps"] == pytest.approx(19, rel=0.1)
    answer = answer_sentences(analysis)
    assert answer[0].startswith("At p99 <= 500 ms and failures <= 1 %, single carries at least 400 users")
    assert "process carries fewer than 100 users (failures; full: CPU)" in answer[0]
    assert "At their peak, observed: single at least " in answer[1]
    assert any(words.startswith("process could not keep up at 100 users, its lowest step: 1") for words in answer)
    assert "at 400 users, the largest step that is valid for all models but process" in analysis.text
    assert not any("bends away" in words for words in answer)


@pytest.mark.slow
def test_a_control_without_a_figure_at_its_models_step_is_compared_at_another(tmp_path: Path) -> None:
    """Both were valid at 50 users: to say that the two have no step in common would be false."""

    def load_of(run: Run, step: Step) -> Load:
        return Load(lag_ms=80.0) if run.label == "single-aa" and step.users > 50 else Load()

    analysis = analyze(write_campaign(tmp_path / "study", ASKED, load_of).directory, write=False)
    assert (analysis.ranking.common_users or 0) > 50
    assert analysis.ranking.response.control is not None
    assert "are not compared" not in analysis.text
    nowhere = plan(users=[100, 200])
    write_campaign(tmp_path / "b", nowhere, lambda run, _step: Load(lag_ms=80.0 if run.label == "single-aa" else 1.0))
    text = analyze(tmp_path / "b", write=False).text
    assert (
        "mean response time: the two runs of the model are not compared: no block has a step of both at one load that"
        " is valid" in text
    )


def test_where_no_step_is_valid_nothing_is_compared(tmp_path: Path) -> None:
    files = write_campaign(tmp_path / "study", ASKED, lambda _run, _step: Load(lag_ms=100.0))
    analysis = analyze(files.directory, write=False)
    assert not analysis.any_valid
    assert (
        "Requests per second: no model has a step that is valid or overload, so nothing is compared." in analysis.text
    )
    assert analysis.summary["verdict"].eq("generator-limited").all()


def test_sustained_users_are_within_the_slo(one: Analysis) -> None:
    rows = one.summary.set_index("model")
    assert rows["sustained_users"].to_dict() == {"single": 200, "process": 50, "thread": 400, "select": 400}
    assert rows["sustained_users"].equals(rows["capacity_users"])


def test_sentences_show_ties() -> None:
    assert signs_text(Order(("a", "b", "c"), ("=", ">"), (), (), None, None)) == "a = b > c"
    assert signs_text(Order(("a",), (), (), (), None, None)) == "a"


def test_overload_is_shown_as_a_range_with_its_goodput(one: Analysis) -> None:
    line = next(line for line in one.text.splitlines() if line.startswith("- process: 50 valid"))
    assert "; in overload, at 100" in line


def test_columns_of_the_files(one: Analysis) -> None:
    files = one.campaign.files
    assert files.steps.read_text().startswith(
        "block,model,step,kind,users,requests,failures,rps,mean_ms,p50_ms,p90_ms,p95_ms,p99_ms,max_ms,in_flight,"
        "server_cpu_cores,server_pss_mb,generator_cpu_max,generator_lag_p99_ms,verdict,reasons,"
    )
    assert files.summary_csv.read_text().startswith(
        "model,requests,failures,rps,mean_ms,p50_ms,p99_ms,peak_rps,peak_users,sustained_users,rank_rps,rank_mean_ms,verdict,"
    )
    assert files.checks.read_text().startswith(
        "block,model,step,check,name,value,threshold,outcome,detail,code,users\n"
    )
    steps = pd.read_csv(files.steps)
    assert steps["users"].dtype == int
    sound = steps.query("model == 'single' and users == 50 and kind == 'ladder'").iloc[0]
    assert sound["server_pss_mb"] == 30.5
    assert sound["users_running_min"] == 50
    assert sound["rps"] == pytest.approx(50 / 3.004, rel=0.1)
    assert sound["mean_ms"] == pytest.approx(4, rel=0.02)


def test_summary_json_is_of_its_type_and_says_what_the_tables_say(six: Analysis) -> None:
    analysis = six
    read = read_as(SummaryFile, analysis.campaign.files.summary_json)
    assert set(read.models) == set(analysis.campaign.plan.models)
    written = pd.read_csv(analysis.campaign.files.summary_csv).set_index("model")
    for model, cells in read.models.items():
        assert list(cells) == list(written.columns)
        assert cells["peak_rps"] == pytest.approx(written.loc[model, "peak_rps"], rel=1e-5)
        assert ("sustained_users" in str(cells["at_least"])) == (
            "sustained_users" in str(written.loc[model, "at_least"])
        )
    figures = (analysis.ranking.capacity, analysis.ranking.goodput, analysis.ranking.response)
    assert len(read.comparisons) == sum(len(each.pairs) + (each.control is not None) for each in figures)
    assert {each.claim for each in read.comparisons} == {
        pair.claim for figure in figures for pair in (*figure.pairs, *filter(None, (figure.control,)))
    }
    assert [each.label for each in read.capacities] == [each.model for each in analysis.capacities]
    assert [each.at_least for each in read.capacities] == [each.at_least for each in analysis.capacities]
    assert [(each.label, each.kind) for each in read.limits] == [(each.model, each.kind) for each in analysis.limits]


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = write_campaign(tmp_path / "study", plan(users=[100], aa=False))
    assert main([str(files.directory)]) == 0
    out = capsys.readouterr().out
    assert "# made-up" in out
    for name in ("steps.csv", "summary.md", "figures/rps.png", "figures/cost.svg"):
        assert str(files.directory / name) in out
        assert (files.directory / name).stat().st_size > 0
    assert [path.name for path in files.directory.rglob(".*")] == []


def test_the_command_line_refuses_what_is_no_campaign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    with pytest.raises(SystemExit) as refused:
        main([])
    assert refused.value.code == 2
