"""What summary and report say of bounds, of models without a figure and of loads is what is known, and no more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.draw.capacity_figure import capacities, capacity_frame
from analysis.draw.frames import ratios_frame
from analysis.judge.findings import Finding
from analysis.rank.capacity import BlockCapacity, over_blocks
from analysis.rank.family import Pair, Ranked, compare_family, order
from analysis.rank.machine_summary import summary_value
from analysis.rank.model_summary import summary_frame
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.ranking import FigureRanking, rank_models
from analysis.rank.steps import CHECK_COLUMNS, Steps
from analysis.tell.answer import answer_sentences, capacity_order
from analysis.tell.capacity_sentence import capacity_sentences, client_text, load_text
from analysis.tell.markdown_sections import control_lines, failed_checks
from analysis.tell.orders import why_no_order
from analysis.tell.report.capacity_caption import capacity_table
from analysis.tell.report.captions import figure_captions
from analysis.tell.report.report_tables import scoreboard
from analysis.tell.sentences import sentence
from analysis.tell.summary import claim, order_line, verdict_text
from study.search import End
from tests.unit.drawn_campaigns import Drawn, Truth, drawn
from tests.unit.synthetic import plan

NO_TAILS = pd.DataFrame(columns=["model", "ms", "share"])
IDLE, FULL = 5000.0, 60.0
"""Capacities per second of which 400 users take little, and of which they want twice as much."""


@pytest.fixture(scope="module")
def compared() -> Drawn:
    """Six blocks: `single` and `thread` are never full, `fork` is full at 400 users; times are far apart."""
    truth = {"single": Truth(IDLE, 0.001), "thread": Truth(IDLE, 0.01), "fork": Truth(FULL, 0.1)}
    return drawn(np.random.default_rng(3), truth, blocks=6, users=(100, 400))


def captions_of(outcome: CampaignOutcome, steps: pd.DataFrame | None = None, tails: pd.DataFrame = NO_TAILS) -> Any:
    ranking, rows = outcome.ranking, outcome.steps if steps is None else steps
    return figure_captions(rows, tails, ratios_frame(ranking), ranking, outcome.campaign.plan)


def test_two_bounds_have_no_ratio_one_has_a_sign_and_values_have_an_interval(compared: Drawn) -> None:
    outcome = compared.outcome
    assert outcome.ranking.reached == {"fork"}
    shown = ratios_frame(outcome.ranking).set_index(["figure", "pair"]).sort_index()
    peaks = shown.loc["peak goodput"]
    both = next(peaks.loc[pair] for pair in ("single / thread", "thread / single") if pair in peaks.index)
    assert both[["value", "low", "high"]].isna().all()
    assert both["bound"] == "unknown"
    for model in ("single", "thread"):
        one = peaks.loc[f"{model} / fork"]
        assert (one["bound"], one["value"] > 1.5, np.isnan(one["low"])) == ("at least", True, True)
    times = shown.loc["mean response time"]
    assert (times["bound"] == "").all()
    assert times[["value", "low", "high"]].notna().all().all()
    _, text, (table,) = captions_of(outcome)["ratios"]
    cells = {(row[1].text, row[0].text): (row[2].text, row[3].text) for row in table.rows}
    assert cells["peak goodput", str(both.name)] == ("only bounds are known", "")
    assert re.fullmatch(r"\u2265 [\d.]+", cells["peak goodput", "single / fork"][0])
    assert cells["peak goodput", "single / fork"][1] == ""
    assert re.fullmatch(r"[\d.]+ to [\d.]+", cells["mean response time", "single / fork"][1])
    assert "only a bound is known has no interval" in text


def test_the_comparisons_of_summary_json_have_no_value_of_two_bounds(compared: Drawn) -> None:
    found = {
        (each.figure, frozenset((each.first, each.second))): each
        for each in summary_value(compared.outcome).comparisons
    }
    both = found["rps", frozenset({"single", "thread"})]
    assert (both.ratio, both.low, both.high, both.bound) == (None, None, None, "unknown")
    one = found["rps", frozenset({"single", "fork"})]
    assert (one.low, one.high, one.bound) == (None, None, "at least")
    assert one.ratio is not None
    value = found["mean_ms", frozenset({"single", "fork"})]
    assert None not in (value.ratio, value.low, value.high)
    assert value.bound == ""
    control = found["rps", frozenset({"single", "single-aa"})]  # one model at one load: there a bound is a value
    assert None not in (control.ratio, control.low, control.high)
    assert control.bound == ""


def rows_of(*rows: tuple[int, str, int, str, int]) -> pd.DataFrame:
    columns = ["block", "model", "step", "kind", "users"]
    return pd.DataFrame(rows, columns=columns).assign(verdict="valid", passed=False, counts=True)


def failed(*places: tuple[int | None, str, int | None, int | None]) -> pd.DataFrame:
    """Rows of checks: block, model, step and users."""
    finding = Finding("repeat.blocks", value=0.1, threshold=0.05, low=90.0, high=110.0, blocks=2)
    rows = [(*place, 10, "repeat.blocks", 0.1, 0.05, "fail", finding) for place in places]
    frame = pd.DataFrame(rows, columns=list(CHECK_COLUMNS))
    return frame.astype({"block": "Int64", "step": "Int64", "users": "Int64"})


def test_a_failed_check_is_named_at_the_load_that_its_own_run_had_there() -> None:
    steps = rows_of(
        (1, "single", 1, "trial", 50), (1, "single", 2, "trial", 100), (1, "thread", 2, "trial", 400),
        (2, "thread", 2, "trial", 800), (1, "single", 3, "return", 50), (1, "single", 0, "idle", 1),
    )  # fmt: skip
    cases = {
        (1, "single", 2, 100): "single at 100 users",
        (1, "thread", 2, 400): "thread at 400 users",
        (2, "thread", 2, 800): "thread at 800 users",
        (1, "single", 3, 50): "single at 50 users (return)",
        (1, "single", 0, 1): "single at the idle step",
        (None, "thread", 2, 400): "thread at 400 users",
        (None, "thread", None, 800): "thread at 800 users",  # another number of a step in each block
        (None, "thread", None, None): "thread",
    }
    for place, text in cases.items():
        (row,) = scoreboard(failed(place), steps).rows
        assert row[-1].text == text
    (row,) = scoreboard(failed((1, "thread", 2, 400), (2, "thread", 2, 800), (None, "thread", 2, 400)), steps).rows
    assert row[-1].text == "thread at 400 users, thread at 800 users"
    lines = failed_checks(steps, failed((None, "thread", None, 800), (None, "thread", None, None)), ["thread"])
    assert [line.split(":")[0] for line in lines] == [
        "- thread, check 10, CoV of X over blocks at 800 users", "- thread, check 10, CoV of X over blocks",
    ]  # fmt: skip


def test_a_model_without_a_figure_is_named_with_why(compared: Drawn) -> None:
    steps = compared.outcome.steps.assign(server_pss_mb=10.0)
    at_top = steps["users"] == 400
    steps.loc[at_top & (steps["model"] == "thread"), "server_pss_mb"] = np.nan
    steps.loc[at_top & (steps["model"] == "fork"), "verdict"] = "disturbed"
    told = captions_of(compared.outcome, steps)
    memory = told["cost"][1].split("Observed")[-1]
    assert memory == (
        " at 400 users: 10 MiB of memory (single); not known of thread; of fork the step there is not valid or overload"
        " in more than half of the runs."
    )
    short = steps[~(at_top & steps["model"].isin(["fork", "thread"]))]
    told = captions_of(compared.outcome, short)
    assert "; thread and fork were not measured there." in told["rps"][1]
    assert (
        "; of thread and fork no two steps are valid or overload in more than half of the runs."
        in told["response-rps"][1]
    )
    assert "no two steps" not in captions_of(compared.outcome)["response-rps"][1]


def test_models_without_a_tail_or_without_failures_are_named(compared: Drawn) -> None:
    share = np.geomspace(1, 0.001, 40)
    tails = pd.DataFrame({"model": "single", "ms": 1 - np.log(share), "share": share})
    assert (
        "(single), all valid runs together; not known of thread and fork."
        in captions_of(compared.outcome, None, tails)["tails"][1]
    )
    steps = compared.outcome.steps
    steps = steps.assign(failure_kinds=steps["model"].map(lambda model: {"reset": 5} if model == "fork" else {}))
    steps.loc[steps["model"] == "fork", "failures"] = 5
    assert captions_of(compared.outcome, steps)["failures"][1].endswith("; no request of single and thread failed.")


def test_what_is_the_same_of_all_models_is_no_range_and_a_verdict_stands_by_its_model(compared: Drawn) -> None:
    steps = compared.outcome.steps.assign(server_pss_mb=13.6)
    assert "13.6 MiB of memory (single, thread and fork [overload])." in captions_of(compared.outcome, steps)["cost"][1]
    steps.loc[steps["model"] == "single", "server_pss_mb"] = 20.0
    text = captions_of(compared.outcome, steps)["cost"][1]
    assert re.search(r"13.6 MiB of memory \((thread|fork \[overload\])\) to 20 \(single\)\.", text)
    steps.loc[steps["model"] == "fork", "server_pss_mb"] = 5.0
    assert "5 MiB of memory (fork [overload]) to 20 (single)." in captions_of(compared.outcome, steps)["cost"][1]


Ends = tuple[int | None, int | None, End]
"""The most users that passed, the fewest that failed, and what ended the search."""
HIGHER: Ends = (3200, 3520, "slo")
LOWER: Ends = (1000, 1100, "slo")


def blocks(*ends: Ends) -> list[BlockCapacity]:
    return [
        BlockCapacity(block, low, high, ended, "p99" if ended == "slo" else None, "passed", ())
        for block, (low, high, ended) in enumerate(ends, start=1)
    ]


@pytest.fixture(scope="module")
def carried() -> CampaignOutcome:
    """Of a search: closed brackets, one open in a block, bounds alone, nothing clear, and nothing that passed."""
    truth = {name: Truth(IDLE, 0.004) for name in ("single", "thread", "select", "fork", "process", "poll-loop")}
    asked: dict[str, Any] = {"users": [], "search": {"from": 100, "most": 800}}
    made = drawn(np.random.default_rng(5), truth, blocks=6, users=(100, 800), asked=asked).outcome
    plan = made.campaign.plan
    brackets: dict[str, Sequence[Ends]] = {
        "single": [(3489, None, "generator")] * 6,
        "thread": [HIGHER] * 6,
        "select": [*[LOWER] * 5, (1000, None, "unclear")],
        "fork": [(None, None, "unclear")] * 6,
        "process": [(None, 141, "slo")] * 6,
    }
    found = tuple(over_blocks(label, blocks(*ends), plan) for label, ends in brackets.items())
    ranking = rank_models(made.rows, plan, found)
    summary = summary_frame(made.rows, ranking, plan, found)
    return replace(made, capacities=found, ranking=ranking, summary=summary)


def test_a_capacity_that_is_a_bound_stands_with_its_sign_in_the_order_too(carried: CampaignOutcome) -> None:
    (text,) = capacity_order(carried)
    assert text.startswith("By capacity: thread (3,200 users) > select (at least 1,000 users); over 5 blocks")
    assert "Not compared: single and process, since in some block no load failed or none passed." in text
    assert (
        "Not compared: fork and poll-loop, since no block has a load that passed and one that failed next to it."
        in text
    )
    assert text.endswith(
        "Of select 5 of 6 blocks are compared: in the others no trial next to the capacity gave a clear result."
    )
    whole = over_blocks("select", blocks(*[LOWER] * 6), carried.campaign.plan)
    found = tuple(whole if each.model == "select" else each for each in carried.capacities)
    ranking = rank_models(carried.rows, carried.campaign.plan, found)
    (text,) = capacity_order(replace(carried, capacities=found, ranking=ranking))
    assert text.startswith("By capacity: thread (3,200 users) > select (1,000 users); over 6 blocks")
    assert "blocks are compared" not in text


def test_nothing_is_beyond_a_load_that_nobody_knows(carried: CampaignOutcome) -> None:
    (text,) = capacity_sentences(carried)
    assert "what fork carries is not known (no load gave a clear result)" in text
    assert "select carries at least 1,000 users (beyond it no load gave a clear result in 1 of 6 blocks)" in text


def test_every_model_has_a_row_in_table_and_figure_of_capacities(carried: CampaignOutcome) -> None:
    rows = {row[0].text: (row[1].text, row[-1].text) for row in capacity_table(carried).rows}
    assert rows == {
        "single": ("\u2265 3,489", "beyond it the load generator was the limit"),
        "thread": ("3,200", "p99"),
        "select": ("\u2265 1,000", "beyond it no load gave a clear result"),
        "fork": ("not known", "no load gave a clear result"),
        "process": ("< 141", "p99"),
        "poll-loop": ("not measured", ""),
    }
    models = carried.campaign.plan.models
    axes = capacities(capacity_frame(carried.summary), models).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(models)
    shown = [text.get_text() for text in axes.texts if text.get_text()]
    assert shown == ["≥ 3,489", "3,200", "≥ 1,000", "not known", "< 141", "not measured"]
    nothing = carried.summary.assign(capacity_users=None, capacity_high=None)
    assert capacity_frame(nothing).empty


def test_superlatives_of_response_times_read_as_a_sentence(compared: Drawn) -> None:
    (text,) = (each for each in answer_sentences(compared.outcome) if "fastest" in each)
    assert re.search(
        r", single answered fastest, in [\d.]+ ms on average, and fork slowest, in [\d.]+ ms on average: tested against"
        r" every other model, a ranking over 6 blocks\.",
        text,
    )


def test_a_ranking_is_of_the_figures_that_have_one_and_of_the_others_it_says_why(compared: Drawn) -> None:
    rows = compared.outcome.rows.frame
    few = Steps(rows[(rows["users"] == 100) | (rows["block"] <= 3)])
    short = rank_models(few, compared.plan)
    assert short.response.ordered
    assert not short.goodput.ordered
    assert claim(short).startswith("Ranking by response time over 6 blocks: `>`")
    line = order_line("Requests per second", short, short.goodput, "figures").splitlines()[0]
    assert line.startswith("Requests per second: single, thread, fork: no order is claimed (")
    assert line.endswith(f"({why_no_order(short, short.goodput)})")
    assert "no order is claimed" not in order_line("Average response time", short, short.response, "figures")


def test_a_claim_outside_an_order_is_named_where_no_order_is_claimed(compared: Drawn) -> None:
    """`thread` is only known to be at least so fast, so that it has no place, and yet it is faster than `fork`."""
    values = {
        "single": {1: 9000.0, 2: 9000.0},
        "thread": {block: 5000.0 + block for block in range(1, 7)},
        "fork": {block: 100.0 + block for block in range(1, 7)},
    }
    figure = Ranked("rps", values, more_is_better=True, bounds=frozenset({"single", "thread"}))
    family = compare_family([figure])
    found = order(family, figure)
    assert (found.models, found.signs, found.unplaced) == (("single", "fork"), ("~",), ("thread",))
    ranking = replace(compared.outcome.ranking, blocks=6)
    goodput = FigureRanking(figure, found, {}, family.pairs, None, {}, 1.0)
    assert not goodput.ordered
    assert why_no_order(ranking, goodput) == "tests hold only for thread > fork"
    nothing = replace(goodput, pairs=tuple(replace(pair, claim="undetermined") for pair in family.pairs))
    assert why_no_order(ranking, nothing) == "no test tells two of them apart over 6 blocks"


def test_a_verdict_at_the_common_step_is_told_with_its_users() -> None:
    row = {"verdict": "disturbed", "common_verdict": "not-measured"}
    assert verdict_text(row, 100) == "disturbed, not measured at 100 users"
    assert verdict_text({**row, "common_verdict": "overload"}, 100) == "disturbed, overload at 100 users"
    assert verdict_text({**row, "common_verdict": "disturbed"}, 100) == "disturbed"
    assert verdict_text({**row, "verdict": "valid", "common_verdict": ""}, None) == "valid"


def test_what_the_control_withdraws_has_digits_and_a_reason(compared: Drawn) -> None:
    ranking = compared.outcome.ranking
    response = replace(ranking.response, cap=1.00041)
    lines = control_lines(replace(ranking, response=response), compared.plan)
    (line,) = (each for each in lines if each.startswith("- mean response time"))
    assert "; a difference of two models must exceed 0.041%, " in line
    nothing = replace(ranking, capacity=replace(ranking.capacity, control=None))
    searched = compared.plan.model_copy(update={"search": {"from": 1, "most": 2}})
    (line,) = (each for each in control_lines(nothing, searched) if each.startswith("- capacity"))
    assert line.endswith("are not compared: in some block the capacity of one of them is only a bound or not known")


def test_an_undetermined_control_says_what_it_leaves_open(compared: Drawn) -> None:
    """Two runs of one model that differ by 5 %, give or take 10 %: a difference of 15 % isn't excluded."""
    pair = Pair("rps", "single-aa", "single", 1.05, 0.95, 1.16, 0.3, 0.9, 6, "undetermined")
    figure = replace(compared.outcome.ranking.goodput, control=pair, cap=1.05)
    text = control_lines(replace(compared.outcome.ranking, goodput=figure), compared.plan)[0]
    assert "it shows no difference of the two runs, and excludes none of up to 16.0%;" in text
    assert "a difference of two models must exceed 5.0%, what these two runs differ by, besides its own test" in text
    even = replace(figure, control=replace(pair, ratio=1.0), cap=1.0)
    text = control_lines(replace(compared.outcome.ranking, goodput=even), compared.plan)[0]
    assert text.endswith("; it shows no difference of the two runs, and excludes none of up to 16.0%")
    tied = replace(figure, control=replace(pair, claim="tie"), cap=1.02)
    assert "excludes none" not in control_lines(replace(compared.outcome.ranking, goodput=tied), compared.plan)[0]


def test_one_user_and_no_think_time_are_told_as_such() -> None:
    alone = plan(users=[1], think_time=(0.0, 0.0))
    assert (load_text(alone), load_text(plan(users=[1, 20]))) == ("1 user", "1, 20 users")
    assert client_text(alone).startswith("no think time, client")
    assert client_text(plan(think_time=(2.0, 2.0))).startswith("think time 2 s, client")
    assert client_text(plan()).startswith("think time 1-5 s, client")


def test_of_a_window_without_requests_no_share_failed() -> None:
    nothing = Finding("errors.failures", value=0.0, threshold=0.01, failed=0, requests=0, kinds={})
    assert sentence(nothing) == "no request ended in the window"
