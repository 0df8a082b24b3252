"""What stands of a search, whose runs choose their loads: the same load has another number in each block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.draw.frames import points, tails_frame
from analysis.rank.capacity import BlockCapacity, capacity_values, decisive_trials
from analysis.rank.outcome import CampaignOutcome, outcome_of
from analysis.read.results import load
from analysis.tell.answer import answer_sentences
from analysis.tell.capacity_sentence import capacity_sentences
from analysis.tell.limit_sentence import limit_text
from analysis.tell.report.provenance import not_shown
from study.plan import Run, SearchTable, Slo, Step
from study.search import Trial
from tests.unit.synthetic import Load, plan, write_campaign, write_run

Loads = Mapping[int, Sequence[int]]
"""For each block the users of its trials, in their order; a negative number is a confirmation."""


def searched(directory: Path, loads: Loads, load_of: Callable[[Run, Step], Load]) -> CampaignOutcome:
    search = SearchTable(**{"from": 50, "most": 1000})
    asked = plan(models=["single"], users=(), aa=False, slo=Slo(p99_ms=50), blocks=len(loads), search=search)
    runs = asked.runs()
    files = write_campaign(directory, asked, skip=[run.directory for run in runs])
    draw = np.random.default_rng(1)
    for run in runs:
        steps = [
            Step(at, "trial" if users > 0 else "confirm", abs(users)) for at, users in enumerate(loads[run.block], 1)
        ]
        write_run(files.run(run.directory), asked, run, load_of, draw, steps=steps)
    return outcome_of(load(directory))


def full(users: int, rate: float) -> Load:
    """An overload at this rate, in requests/s."""
    return Load(rate=rate, response=users / rate - 3, server_cpu=1.0, seconds=60)


def sound(_run: Run, _step: Step) -> Load:
    return Load(seconds=60)


@pytest.mark.parametrize(("response", "verdict"), [(0.004, "valid"), (0.007, "disturbed")])
def test_a_disturbed_step_is_compared_with_the_same_load(tmp_path: Path, response: float, verdict: str) -> None:
    """In block 3 the load of 400 users is the second, where the other blocks have 200."""

    def load_of(run: Run, step: Step) -> Load:
        taken = run.block == 3 and step.users == 400
        return Load(strangers=0.1, response=response) if taken else Load()

    made = searched(tmp_path, {1: (100, 200, 400), 2: (100, 200, 400), 3: (100, 400)}, load_of)
    (row,) = made.steps.query("block == 3 and users == 400").to_dict("records")
    assert row["verdict"] == verdict
    given = [reason for reason in row["reasons"] if reason.code == "strangers.outside"]
    assert [each["blocks"] for each in given] == ([2] if verdict == "disturbed" else [])
    assert all(125 < each["low"] <= each["high"] < 140 for each in given)  # 400 users ask for 133 requests/s


def test_a_load_tried_twice_in_one_block_is_one_block(tmp_path: Path) -> None:
    def load_of(run: Run, step: Step) -> Load:
        return Load(strangers=0.1, response=0.007) if run.block == 2 and step.users == 400 else Load()

    made = searched(tmp_path, {1: (100, 400, 400), 2: (100, 400)}, load_of)
    (row,) = made.steps.query("block == 2 and users == 400").to_dict("records")
    assert row["verdict"] == "valid"
    assert [reason["blocks"] for reason in row["reasons"] if reason.code == "strangers.untested"] == [1]


@pytest.mark.parametrize(("response", "outcome"), [(0.004, "pass"), (0.5, "fail")])
def test_goodput_is_compared_over_the_blocks_of_one_load(tmp_path: Path, response: float, outcome: str) -> None:
    def load_of(run: Run, _step: Step) -> Load:
        return Load(seconds=60, response=response if run.block == 2 else 0.004)

    made = searched(tmp_path, {1: (100, 200, 400), 2: (100, 400)}, load_of)
    rows = made.checks[made.checks["code"] == "repeat.blocks"].set_index("users")
    assert rows["outcome"].to_dict() == {100: outcome, 200: "not available", 400: outcome}
    assert rows["finding"].map(lambda finding: finding["blocks"]).to_dict() == {100: 2, 200: 1, 400: 2}
    assert rows["step"].fillna(0).to_dict() == {100: 1, 200: 2, 400: 0}  # the third of one block, the second of another


def confirmed(directory: Path, confirmation: Load) -> tuple[CampaignOutcome, BlockCapacity, pd.DataFrame]:
    """A search of loads 100, 200 and 400, which fails; 200 passes and is tried again. Also the row of 200 users."""

    def load_of(_run: Run, step: Step) -> Load:
        if step.kind == "confirm":
            return confirmation
        return full(400, 100) if step.users == 400 else Load(seconds=60)

    made = searched(directory, {1: (100, 200, 400, -200)}, load_of)
    ((capacity,),) = (each.blocks for each in made.capacities)
    return made, capacity, made.rows.ladder.at(200).frame


DISTURBED = Load(seconds=60, strangers=0.3, server_cpu=0.95)


def test_a_trial_that_does_not_count_leaves_the_one_that_does(tmp_path: Path) -> None:
    made, capacity, row = confirmed(tmp_path, DISTURBED)
    assert made.steps.query("kind == 'confirm'")["verdict"].tolist() == ["disturbed"]
    assert row[["kind", "verdict"]].values.tolist() == [["trial", "valid"]]
    assert (capacity.low, capacity.high, capacity.confirmation, capacity.confirmed) == (200, 400, "unclear", False)
    assert "no trial twice as long confirms it" in capacity_sentences(made)[0]


def test_a_confirmation_that_passes_is_the_load_s(tmp_path: Path) -> None:
    made, capacity, row = confirmed(tmp_path, Load(seconds=120))
    assert row[["kind", "verdict"]].values.tolist() == [["confirm", "valid"]]
    assert (capacity.low, capacity.high, capacity.confirmed) == (200, 400, True)
    assert "confirms" not in capacity_sentences(made)[0]


@pytest.mark.parametrize("failed", [full(200, 50), Load(seconds=60, failures={"reset": 400}, rate=66.0)])
def test_a_confirmation_that_fails_takes_the_load_out_of_what_is_carried(tmp_path: Path, failed: Load) -> None:
    _, capacity, row = confirmed(tmp_path, failed)
    assert row["kind"].tolist() == ["confirm"]
    assert (capacity.low, capacity.high, capacity.confirmation) == (100, 200, None)


def test_the_last_trial_that_counts_decides() -> None:
    passed, failed, unclear = (Trial(200, outcome) for outcome in ("passed", "failed", "unclear"))
    beyond = Trial(400, "unclear")
    assert decisive_trials([passed, beyond, failed], [True, False, True]) == (beyond, failed)
    assert decisive_trials([passed, beyond, unclear], [True, False, False]) == (passed, beyond)
    assert decisive_trials([unclear, passed, beyond], [False, True, False]) == (passed, beyond)
    again = Trial(400, "generator")
    assert decisive_trials([beyond, again], [False, False]) == (again,)


@pytest.mark.parametrize(
    ("more", "rate", "peak", "reached"),
    [((1,), 61.0, 200, True), ((1,), 70.0, 200, False), ((1, 2), 61.0, 250, True)],
)
def test_the_peak_is_at_a_load_of_most_blocks(
    tmp_path: Path, more: Sequence[int], rate: float, peak: int, reached: bool
) -> None:
    """At 200 users all three blocks give 60/s; the blocks `more` have 250 users as well, at `rate`."""

    def load_of(_run: Run, step: Step) -> Load:
        return Load(seconds=60) if step.users < 200 else full(step.users, rate if step.users == 250 else 60.0)

    loads = {block: (50, 100, 200, 250) if block in more else (50, 100, 200) for block in (1, 2, 3)}
    made = searched(tmp_path, loads, load_of)
    assert made.ranking.peak_users == {"single": peak}
    assert ("single" in made.ranking.reached) == reached
    assert set(made.ranking.goodput.ranked.values["single"]) == ({1, 2, 3} if peak == 200 else set(more))
    (row,) = made.summary.to_dict("records")
    assert row["peak_rps"] == pytest.approx(60 if peak == 200 else rate, rel=0.03)
    assert ("peak_rps" in row["at_least"]) == (not reached)


@pytest.mark.parametrize(("known", "shown"), [((1,), False), ((1, 2), True)])
def test_a_percentile_that_few_blocks_have_is_empty(tmp_path: Path, known: Sequence[int], shown: bool) -> None:
    """In 30 s 50 users have 500 answers, too few for a 99th percentile."""

    def load_of(run: Run, _step: Step) -> Load:
        return Load(seconds=120 if run.block in known else 30)

    made = searched(tmp_path, dict.fromkeys((1, 2, 3), (50,)), load_of)
    assert made.steps.query("kind == 'trial'")["p99_ms"].notna().sum() == len(known)
    (row,) = made.summary.to_dict("records")
    assert (row["blocks"], row["common_users"]) == (3, 50)
    assert pd.notna(row["p99_ms"]) == shown
    assert pd.notna(row["mean_ms"])
    assert (len(points(made.steps, "p99_ms", ["single"])) > 0) == shown


def test_what_is_sustained_after_a_search_is_its_capacity_and_need_not_be_a_step(tmp_path: Path) -> None:
    def load_of(_run: Run, step: Step) -> Load:
        return full(400, 100) if step.users == 400 else Load(seconds=60)

    made = searched(tmp_path, {1: (100, 200, 400), 2: (100, 400)}, load_of)
    (row,) = made.summary.to_dict("records")
    assert row["sustained_users"] == row["capacity_users"] == 150
    assert 150 not in made.rows.users


def test_a_limit_is_named_at_a_load_of_most_blocks(tmp_path: Path) -> None:
    """Block 1 alone tried 150 users, and was full there; all three are full at 200."""

    def load_of(_run: Run, step: Step) -> Load:
        return full(step.users, 45.0) if step.users >= 150 else Load(seconds=60)

    made = searched(tmp_path, {1: (100, 200, 150), 2: (100, 200), 3: (100, 200)}, load_of)
    (limit,) = made.limits
    assert (limit.kind, limit.users) == ("CPU", 200)
    assert "tried this load" not in limit_text(limit)
    assert limit_text(limit).startswith("CPU, at 200 users: ")
    assert "; at 150 users something of it was full already, in the one run of this load" in limit_text(limit)


def test_a_limit_that_few_blocks_show_says_of_how_many_it_is(tmp_path: Path) -> None:
    def load_of(_run: Run, step: Step) -> Load:
        return full(400, 100.0) if step.users == 400 else Load(seconds=60)

    made = searched(tmp_path, {1: (100, 200, 400), 2: (100, 200), 3: (100, 200)}, load_of)
    (limit,) = made.limits
    assert (limit.kind, limit.users) == ("CPU", 400)
    assert "; 1 of 3 blocks tried this load" in limit_text(limit)


def test_where_no_limit_was_reached_the_load_is_that_which_was_tried(tmp_path: Path) -> None:
    """A run that ended early; its plan goes up to 1,000 users."""
    made = searched(tmp_path, {1: (50, 100, 200)}, sound)
    (text,) = (each for each in answer_sentences(made) if "at its limit" in each)
    assert text.startswith("single was not at its limit: valid at 200 users, the largest step")
    assert "The limit of single: it was valid and not full at 200 users." in not_shown(made)


def test_of_two_trials_of_a_load_the_tails_have_the_one_that_counts(tmp_path: Path) -> None:
    """The first takes 4 ms, and the confirmation, which decides, 8 ms."""

    def load_of(_run: Run, step: Step) -> Load:
        return Load(seconds=60, response=0.008 if step.kind == "confirm" else 0.004, spread=0.1)

    made = searched(tmp_path, {1: (100, 200, -200)}, load_of)
    curve = tails_frame(made.results, made.steps, 200)
    assert curve["ms"].min() > 5
    assert curve["share"].max() > 0.99
    assert len(tails_frame(made.results, made.steps, 50)) == len(tails_frame(made.results, made.steps, None)) == 0


def test_requests_that_timed_out_are_in_the_tail(tmp_path: Path) -> None:
    """2 % of them: no time of an answer is longer than what the slowest 2 % take."""
    slow = Load(seconds=60, failures={"timed-out": 40}, failed_after=2.0, server_cpu=1.0)
    made = searched(tmp_path, {1: (100,)}, lambda _run, _step: slow)
    share = 40 / float(made.steps.set_index("kind")["requests"]["trial"])
    assert tails_frame(made.results, made.steps.assign(verdict="valid"), 100)["share"].min() == pytest.approx(share)


def test_a_limit_stands_though_another_block_was_faster_at_a_larger_load(tmp_path: Path) -> None:
    """Blocks 1 and 2 are full at 200 users; in block 3 the server carries 250."""

    def load_of(run: Run, step: Step) -> Load:
        return full(200, 50.0) if step.users == 200 and run.block < 3 else Load(seconds=60)

    loads = {1: (100, 200), 2: (100, 200), 3: (100, 250)}
    (limit,) = searched(tmp_path / "other", loads, load_of).limits
    assert (limit.kind, limit.users) == ("CPU", 200)
    (limit,) = searched(tmp_path / "same", {**loads, 1: (100, 200, 250), 2: (100, 200, 250)}, load_of).limits
    assert limit.kind == "none reached"


def test_a_bracket_with_a_load_inside_that_gave_no_clear_result_is_not_compared(tmp_path: Path) -> None:
    """200 users pass and 400 fail; at 283 the generator was late."""

    def load_of(_run: Run, step: Step) -> Load:
        slow = {219: full(219, 50.0), 400: full(400, 100.0)}
        return {283: Load(seconds=60, lag_ms=60.0), **slow}.get(step.users, Load(seconds=60))

    made = searched(tmp_path, {1: (100, 200, 400, 283)}, load_of)
    ((block,),) = (each.blocks for each in made.capacities)
    assert (block.low, block.high, block.wide) == (200, 400, True)
    assert capacity_values(made.capacities) == {"single": {}}
    assert (
        "(p99; full: CPU; no trial with a clear result between what passed and what failed;"
        in capacity_sentences(made)[0]
    )
    untried = searched(tmp_path / "untried", {1: (100, 200, 400)}, load_of)
    assert capacity_values(untried.capacities) == {"single": {}}
    narrow = searched(tmp_path / "narrow", {1: (100, 200, 219)}, load_of)
    assert capacity_values(narrow.capacities) == {"single": {1: 200.0}}
