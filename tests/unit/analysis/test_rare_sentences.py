"""Sentences that few campaigns give, each held against the figures that it quotes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.judge.findings import Finding
from analysis.rank.outcome import outcome_of
from analysis.rank.steps import Steps
from analysis.read.results import load
from analysis.tell.markdown_sections import LONGEST_LIST, background_lines, failed_checks, impossible_checks
from analysis.tell.sentences import REASONS, main_reasons
from tests.unit.synthetic import Load, plan, write_campaign

USERS = 400
FULL = Load(seconds=60, server_cpu=1.0, response=0.5, failed_after=0.5)
LOADS = {
    "single": Load(),
    "thread": replace(FULL, failures={"timed-out": 300}),
    "select": Load(seconds=60, server_cpu=1.0, failed_after=0.004, failures={"refused": 5000}),
    "fork": Load(lag_ms=80.0),
}


def test_what_is_said_of_a_server_that_holds_background_clients_is_what_its_users_got(tmp_path: Path) -> None:
    asked = plan(models=list(LOADS), users=[USERS], aa=False, return_step=False)
    write_campaign(tmp_path, asked, lambda run, _step: LOADS[run.label])
    rows = outcome_of(load(tmp_path)).rows.frame.assign(idle_held=2000.0)
    lines = background_lines(Steps(rows), list(LOADS))
    got = {row["model"]: row for row in rows[rows["kind"] == "ladder"].to_dict("records")}
    for label, line in zip(LOADS, lines, strict=True):
        share = got[label]["failures"] / got[label]["requests"]
        assert f"at {USERS} users with 2,000 idle connections held: {got[label]['rps']:.1f} requests/s" in line
        assert f"{share:.1%} failed" in line
    assert [got[label]["verdict"] for label in LOADS] == ["valid", "overload", "overload", "generator-limited"]
    assert "single goes on answering the others" in lines[0]
    assert "thread does not keep up in answering the others" in lines[1]
    assert "select stops answering the others" in lines[2]
    assert lines[3].startswith("- fork at 400 users")
    assert lines[3].endswith("observed, which is no finding about the server (generator-limited)")
    assert background_lines(Steps(rows.drop(columns="idle_held").assign(idle_held=float("nan"))), list(LOADS)) == []


@pytest.mark.parametrize("steps", [LONGEST_LIST, LONGEST_LIST + 7])
def test_a_list_of_steps_that_is_cut_says_how_many_are_left_out(steps: int) -> None:
    short = Finding("step.shortfall", rate=70.0, under=0.3, bound=100.0, at_least=False)
    rows = [
        {"block": 1, "model": "single", "step": users, "kind": "ladder", "users": users, "verdict": "overload",
         "reasons": (short,), "passed": False, "counts": True}
        for users in range(1, steps + 1)
    ]  # fmt: skip
    checks = pd.DataFrame(columns=["check", "outcome", "model", "step", "code", "value", "threshold", "finding"])
    lines = failed_checks(pd.DataFrame(rows), checks, ["single"])
    assert len([line for line in lines if "overload" in line]) == LONGEST_LIST
    assert lines[-1] == "- and 7 more of single in steps.csv and checks.csv" or steps == len(lines)


def test_a_check_without_evidence_is_told_once_with_its_number_of_times(tmp_path: Path) -> None:
    """Windows of 2 s have no three seconds, and their steps' own reasons don't repeat it."""
    asked = plan(models=["single"], users=[100, 400], aa=False, return_step=False, measure=2.0)
    write_campaign(tmp_path, asked, lambda _run, _step: Load(seconds=2.0, lag_ms=80.0))
    outcome = outcome_of(load(tmp_path))
    lines = impossible_checks(outcome.checks)
    drift = outcome.checks[outcome.checks["code"] == "steady.drift"]
    times = f"{(drift['outcome'] == 'not available').sum()} of {len(drift)} times"
    assert f"- check 5, drift, {times}: fewer than three seconds with answers were recorded" in lines
    assert len([line for line in lines if "check 5, drift," in line]) == 1
    assert not any("ports" in line for line in lines)
    bad = outcome.rows.frame[outcome.rows.frame["verdict"] == "generator-limited"]
    assert len(bad) >= 2
    for reasons in bad["reasons"]:
        assert any(getattr(each, "outcome", "") == "not available" for each in reasons)
        known = [each for each in reasons if getattr(each, "outcome", "") != "not available"]
        assert ("more in steps.csv" in main_reasons(reasons)) is (len(known) > REASONS)
        assert "three seconds" not in main_reasons(reasons)


def test_of_a_check_with_several_reasons_the_first_is_told_and_that_there_are_others() -> None:
    unknown = [
        Finding("steady.drift", value=None, threshold=0.05, change=None, seconds=None),
        Finding("generator.ports", value=None, threshold=0.8),
    ]
    checks = pd.DataFrame(
        [{"check": 5, "code": "steady.drift", "outcome": "not available", "finding": each} for each in unknown]
    )
    (line,) = impossible_checks(checks)
    assert "2 of 2 times" in line
    assert line.endswith("; other reasons in checks.csv")
    assert impossible_checks(checks.assign(outcome="pass")) == []
    assert impossible_checks(checks.assign(code="errors.counts")) == []
