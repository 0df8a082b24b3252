"""R1 comes from an idle step that is trusted; from another it is a bound, or not known, and that is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.draw.frames import knees
from analysis.rank.outcome import CampaignOutcome, outcome_of
from analysis.read.results import load
from analysis.tell.sentences import joined, sentence
from analysis.tell.summary import summary_text
from tests.unit.synthetic import Load, idle_load, plan, write_campaign

Z = 3.0
OVER: dict[str, Any] = {"rate": 90.0, "response": 400 / 90 - Z, "spread": 0.1, "seconds": 60.0, "server_cpu": 0.99}


def outcome(directory: Path, idle: Load, lowest: Load | None = None) -> CampaignOutcome:
    asked = plan(models=["single"], users=[100, 400], aa=False, return_step=False)
    write_campaign(
        directory, asked, lambda _run, step: Load(**OVER) if step.users == 400 else lowest or Load(),
        idle_of=lambda _run, _step: idle,
    )  # fmt: skip
    return outcome_of(load(directory))


def of_the_top(made: CampaignOutcome) -> str:
    (reasons,) = made.steps.loc[made.steps["users"] == 400, "reasons"]
    return joined(reasons)


def test_a_trusted_idle_step_gives_r1(tmp_path: Path) -> None:
    made = outcome(tmp_path, idle_load(Load(response=0.1)))
    assert "% under N / (R1 + Z) = 129" in of_the_top(made)
    assert not [each for each in made.missing if each.code == "baseline.untrusted"]
    assert knees(made.steps, ["single"], Z)["users"].tolist() == [pytest.approx(3.1 * 90, rel=0.03)]


@pytest.mark.parametrize(
    ("idle", "verdict"),
    [
        (Load(response=0.1, seconds=2.0, strangers=0.6, server_cpu=0.4), "disturbed"),
        (Load(response=0.1, seconds=2.0, loop_lag_ms=400.0), "generator-limited"),
        (Load(response=0.1, seconds=2.0, users_right=0.5), "worker-lost"),
    ],
)
def test_without_it_r1_is_at_most_r_at_the_lowest_load(tmp_path: Path, idle: Load, verdict: str) -> None:
    made = outcome(tmp_path, idle)
    (gap,) = (each for each in made.missing if each.code == "baseline.untrusted")
    state = "others used the cores in its idle step" if verdict == "disturbed" else f"its idle step is {verdict}"
    said = f"1-single: {state}, so that R1 is only known to be at most R at 100 users"
    assert sentence(gap) == said
    assert f"- {said}" in summary_text(made)
    assert "% under N / (R1 + Z) >= 133" in of_the_top(made)
    assert "at least 3" in of_the_top(made)
    assert knees(made.steps, ["single"], Z).empty


def test_without_any_load_that_is_trusted_r1_is_not_known(tmp_path: Path) -> None:
    made = outcome(tmp_path, Load(response=0.1, seconds=2.0, loop_lag_ms=400.0), Load(users_right=0.5))
    (gap,) = (each for each in made.missing if each.code == "baseline.untrusted")
    assert (
        sentence(gap)
        == "1-single: its idle step is generator-limited, so that R1 is not known, nor how far a step is short of it"
    )
    assert "N / (R1 + Z)" not in of_the_top(made)
    (slow,) = made.checks.query("users == 400 and code == 'target.slow'")["finding"]
    assert sentence(slow).startswith(
        "neither the idle step nor the lowest load gave the response time of an idle, undisturbed server"
    )
    assert knees(made.steps, ["single"], Z).empty


def test_an_idle_step_of_few_answers_is_one_all_the_same(tmp_path: Path) -> None:
    """Answers of 0.8 s: two in the window of 2 s."""
    slow = Load(response=0.8, spread=0.01)
    made = outcome(tmp_path, idle_load(slow), slow)
    (verdict,) = made.steps.loc[made.steps["kind"] == "idle", "verdict"]
    assert verdict == "too-few-samples"
    assert not [each for each in made.missing if each.code == "baseline.untrusted"]


def test_the_one_user_without_think_time_may_keep_its_worker_busy(tmp_path: Path) -> None:
    made = outcome(tmp_path, replace(idle_load(Load(response=0.1)), cpu=0.95))
    assert made.steps.set_index("kind")["verdict"]["idle"] == "valid"
