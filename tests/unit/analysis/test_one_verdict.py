"""A load has one verdict in all tables, figures and sentences; marks and lists say what later, larger steps showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import analyze
from analysis.draw.distributions import response_curves
from analysis.draw.frames import points
from analysis.rank.load_outcomes import verdict_of
from analysis.rank.outcome import CampaignOutcome
from analysis.tell.capacity_sentence import strangers_beside
from analysis.tell.limit_sentence import limit_text
from analysis.tell.markdown_sections import failed_checks, verdict_lines
from analysis.tell.report.captions import figure_captions
from analysis.tell.report.report_tables import ladder_tables, verdict_table
from analysis.tell.step_verdict import ALONE, ALONE_MEANS
from study.plan import Run, Step
from tests.unit.analysis.test_chosen_loads import full, searched
from tests.unit.drawn_campaigns import Truth, drawn
from tests.unit.synthetic import Load, plan, write_campaign


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ("valid", "valid"),
        ("valid valid unsteady", "valid"),
        ("valid valid valid generator-limited generator-limited generator-limited", "generator-limited"),
        ("generator-limited valid", "generator-limited"),  # whatever comes first
        ("valid valid generator-limited unsteady", "generator-limited"),
        ("valid valid overload overload disturbed", "overload"),  # four of five count, two of five are valid
        ("overload overload generator-limited disturbed", "disturbed"),  # half of them count
        ("valid not-measured not-measured", "valid"),
        ("not-measured", "not-measured"),
        ("", "not-measured"),
    ],
)
def test_the_verdict_of_a_load(verdicts: str, verdict: str) -> None:
    assert verdict_of(verdicts.split()) == verdict


def split_campaign() -> CampaignOutcome:
    """Six blocks; at 100 users single is valid in three of them, at 400 in two, where two more are an overload."""
    outcome = drawn(np.random.default_rng(3), {"single": Truth(5000.0, 0.001)}, blocks=6, users=(100, 400)).outcome
    frame = outcome.rows.frame
    late = (frame["users"] == 100) & (frame["block"] > 3)
    frame.loc[late, "verdict"] = "generator-limited"
    frame.loc[(frame["users"] == 400) & frame["block"].isin([3, 4]), "verdict"] = "overload"
    frame.loc[(frame["users"] == 400) & (frame["block"] > 4), "verdict"] = "disturbed"
    return outcome


def test_every_table_figure_and_sentence_gives_the_same_verdict_of_a_load() -> None:
    outcome = split_campaign()
    steps, campaign = outcome.steps, outcome.campaign
    wanted = {100: "generator-limited", 400: "overload"}
    shares = {
        100: "generator-limited in 3 of 6 / valid in 3 of 6",
        400: "overload in 2 of 6 / disturbed in 2 of 6 / valid in 2 of 6",
    }
    notes = {users: share.replace(" / ", "; ") for users, share in shares.items()}
    frame = points(steps, "rps", ["single"])
    assert dict(zip(frame["users"], frame["verdict"], strict=True)) == wanted
    assert not frame["valid"].any()
    (row,) = verdict_table(campaign, steps[steps["model"] == "single"]).rows[:1]
    assert [(cell.text, cell.note) for cell in row[1:]] == [(wanted[users], notes[users]) for users in wanted]
    table, _ = ladder_tables(campaign, steps)["single"]
    assert [(row[-1].text, row[-1].note) for row in table.rows] == [(wanted[users], notes[users]) for users in wanted]
    (line,) = verdict_lines(outcome.rows, ["single"])
    assert line.startswith(f"- single: 100 {shares[100]}, 400 {shares[400]}")
    no_tails, no_pairs = pd.DataFrame(columns=["model", "ms", "share"]), pd.DataFrame(columns=["call", "bound"])
    captions = figure_captions(steps, no_tails, no_pairs, outcome.ranking, outcome.campaign.plan)
    assert f"not valid in more than half of the runs at 100 ({shares[100]}) and 400" in captions["model-single"][1]


def test_the_distribution_of_a_load_has_its_verdict_and_counts_what_timed_out(tmp_path: Path) -> None:
    def load_of(run: Run, _step: Step) -> Load:
        failing = Load(seconds=60, failures={"timed-out": 40}, failed_after=2.0, server_cpu=1.0)
        return failing if run.block == 1 else Load(seconds=60, lag_ms=60.0)

    made = searched(tmp_path, {1: (100,), 2: (100,)}, load_of)
    (curve,) = response_curves(made.results)
    assert curve.verdict == made.rows.ladder.at(100).verdict
    (alone,) = response_curves(each for each in made.results if each.data.run.block == 1)
    requests = float(made.steps.query("kind == 'trial' and block == 1")["requests"].iloc[0])
    assert 1e-5 ** ((len(alone.ms) - 1) / 75) == pytest.approx(40 / requests, rel=0.2)  # it ends where they begin


def saturated(tmp_path: Path, *blocks: dict[int, Load]) -> CampaignOutcome:
    return searched(
        tmp_path,
        {number: tuple(loads) for number, loads in enumerate(blocks, start=1)},
        lambda run, step: blocks[run.block - 1][step.users],
    )


def test_a_mark_goes_where_its_limit_went(tmp_path: Path) -> None:
    """At 100 users the core was full for a moment: twice as many got twice as much, and nothing was full."""
    busy, idle = Load(seconds=60, server_cpu=0.95), Load(seconds=60)
    made = saturated(tmp_path, {100: busy, 200: idle}, {100: idle, 200: idle})
    steps = made.rows.ladder
    assert steps.frame["saturated"].tolist() == [True, False, False, False]
    assert steps.withdrawn().tolist() == [True, False, False, False]
    assert made.limits[0].kind == "none reached"
    line, _, means = verdict_lines(made.rows, ["single"])
    assert f"100 valid ({ALONE} in 1 of 2), 200 valid" in line
    assert "saturated" not in line
    assert means == f"{ALONE_MEANS[0].upper()}{ALONE_MEANS[1:]}."
    table, _ = ladder_tables(made.campaign, made.steps)["single"]
    assert table.rows[0][-1].note == f"{ALONE} in 1 of 2"
    assert means[1:-1] in table.caption


def test_a_mark_stays_where_nothing_contradicts_its_limit(tmp_path: Path) -> None:
    """Another block had room at a larger load: it says nothing of this one."""
    busy, idle = Load(seconds=60, server_cpu=0.95), Load(seconds=60)
    made = saturated(tmp_path, {100: busy}, {100: idle, 200: idle}, {100: busy, 200: full(200, 20.0)})
    assert not made.rows.ladder.withdrawn().any()
    (line,) = verdict_lines(made.rows, ["single"])
    assert "100 valid (saturated in 2 of 3)" in line


def test_a_valid_step_is_no_limit_where_more_users_got_more(tmp_path: Path) -> None:
    """At 100 users they got what they asked for; an overload at 200 shows that the server had more to give."""
    busy = Load(seconds=60, server_cpu=0.95)
    made = saturated(tmp_path, {100: busy, 200: full(200, 50.0)}, {100: busy, 200: full(200, 50.0)})
    ladder = made.rows.ladder.frame
    assert ladder["verdict"].tolist() == ["valid", "overload"] * 2
    assert ladder["rps"].iloc[1] > 1.03 * ladder["rps"].iloc[0]
    assert made.rows.ladder.withdrawn().tolist() == [True, False] * 2
    assert made.limits[0].users == 200


def what_failed(made: CampaignOutcome) -> list[str]:
    return failed_checks(made.rows.frame, made.checks, ["single"])


def test_a_failed_trial_says_that_a_later_one_of_its_load_passed(tmp_path: Path) -> None:
    late = Load(seconds=60, lag_ms=60.0)

    def load_of(run: Run, step: Step) -> Load:
        return late if step.kind == "trial" and step.users == 200 else Load(seconds=60)

    (line,) = what_failed(searched(tmp_path / "one", {1: (100, 200, -200)}, load_of))
    assert line.startswith("- single at 200 users, generator-limited: ")
    assert line.endswith("; a later trial of this load in the same block passed")
    (line,) = what_failed(searched(tmp_path / "two", {1: (100, 200, -200), 2: (200, 100)}, load_of))
    assert line.startswith("- single at 200 users, generator-limited in 2 windows, the first: ")
    assert line.endswith("; after 1 of them a later trial of this load in the same block passed")
    (line,) = what_failed(searched(tmp_path / "other", {1: (200, 100), 2: (100, -200)}, load_of))
    assert "later trial" not in line  # another block's is no repetition
    lines = what_failed(searched(tmp_path / "before", {1: (-200, 100, 200)}, load_of))
    assert "later trial" not in " ".join(lines)


def test_a_return_step_that_failed_is_not_one_of_the_way_up(tmp_path: Path) -> None:
    asked = plan(models=["single"], users=[100, 200], aa=False, return_step=True)
    write_campaign(tmp_path, asked, lambda _run, step: Load(lag_ms=60.0 if step.users == 100 else 1.0))
    made = analyze(tmp_path, write=False)
    lines = failed_checks(made.rows.frame, made.checks, ["single"])
    assert [line.partition(",")[0] for line in lines if "generator-limited" in line] == [
        "- single at 100 users", "- single at 100 users (return)",
    ]  # fmt: skip


def generator(tmp_path: Path, loads: Mapping[int, Sequence[int]], late: Mapping[int, tuple[int, ...]]) -> str:
    """The sentence of the limit where the users of these loads woke late in these blocks."""

    def load_of(run: Run, step: Step) -> Load:
        return Load(seconds=60, lag_ms=60.0, late=0.03) if run.block in late.get(step.users, ()) else Load(seconds=60)

    (limit,) = searched(tmp_path, loads, load_of).limits
    assert limit.kind == "generator"
    return limit_text(limit)


def test_a_limit_that_some_blocks_show_at_smaller_loads_is_not_called_first(tmp_path: Path) -> None:
    every = dict.fromkeys((1, 2, 3, 4), (100, 200, 400))
    text = generator(tmp_path / "some", every, {200: (1, 2), 400: (1, 2, 3, 4)})
    assert text.startswith("The generator and not the server, at 400 users: ")
    assert "; at 200 users the generator was the limit already, in 2 of 4 runs of this load" in text
    text = generator(tmp_path / "none", every, {400: (1, 2, 3, 4)})
    assert text.startswith("The generator and not the server, first at 400 users: ")
    assert "already" not in text
    # At 100 users it was late for a moment: 200 users are valid in the same block.
    text = generator(tmp_path / "moment", every, {100: (3,), 400: (1, 2, 3, 4)})
    assert text.startswith("The generator and not the server, first at 400 users: ")


def test_the_step_above_says_in_how_many_runs_it_has_its_verdict(tmp_path: Path) -> None:
    def load_of(run: Run, step: Step) -> Load:
        drifting = step.users == 400 and run.block > 1
        return Load(seconds=60, drift=0.8 if drifting else 0.0)

    (limit,) = searched(tmp_path, dict.fromkeys((1, 2, 3), (100, 400)), load_of).limits
    assert "At 400 users unsteady in 2 of 3 runs, the first: goodput drifted" in limit_text(limit)


def test_windows_beside_others_are_named_with_whose_cores_and_what_the_other_blocks_say(tmp_path: Path) -> None:
    """Block 3's load of 200 users is tested by two other blocks, that of 300 by none."""
    loads = {1: (100, 200), 2: (100, 200), 3: (100, 200, 300)}

    def load_of(run: Run, step: Step) -> Load:
        taken = {(3, 200): Load(seconds=60, strangers=0.1), (3, 300): Load(seconds=60, load_strangers=0.2)}
        return taken.get((run.block, step.users), Load(seconds=60))

    made = searched(tmp_path, loads, load_of)
    (text,) = strangers_beside(made)
    assert text == (
        "In 2 of 7 windows that count, others took more than check 11 allows: 10% of the server's cores in 1 window and"
        " 20% of the workers' cores in 1 window. 1 of them gave what the undisturbed blocks of the same load gave,"
        " within 3%. What they did to single at 300 users in block 3 can't be told: too few undisturbed blocks have"
        " this load."
    )
    calm = searched(tmp_path / "calm", loads, lambda _run, _step: Load(seconds=60))
    assert strangers_beside(calm) == ()


def test_a_confirmation_is_held_against_the_trials_of_its_load(tmp_path: Path) -> None:
    def load_of(run: Run, step: Step) -> Load:
        return Load(seconds=60, strangers=0.1) if step.kind == "confirm" else Load(seconds=60)

    made = searched(tmp_path, {1: (100,), 2: (100,), 3: (-100,)}, load_of)
    (row,) = made.steps.query("kind == 'confirm'").to_dict("records")
    assert row["verdict"] == "valid"
    assert "strangers.untested" not in [reason.code for reason in row["reasons"]]
    (text,) = strangers_beside(made)
    assert "can't be told" not in text
