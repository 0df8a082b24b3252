"""Calibration: what is tried, what was held, and what is said about the plan."""

import re
from pathlib import Path

import pytest

from analysis import Capacity, analyze, capacity, capacity_sentence
from analysis.rank.generator_rate import raised
from analysis.tell.calibration_sentence import calibration_lines
from cluster.campaign import calibration
from study.formats.json_files import write_json
from study.plan import Plan, Run, SearchTable, Step, parse_plan
from tests.unit.synthetic import Load, write_campaign

ASKED = parse_plan('name = "asked"\nmodels = ["single"]\nusers = [100, 3000]\nthink_time = [1, 5]\n', "asked")


LADDER = parse_plan(
    'name = "calibration"\nmodels = ["null"]\nusers = [100, 200, 400]\nthink_time = [0.1, 0.3]\nspawn_rate = 400\n'
    "settle = 1\nmeasure = 3\nreturn_step = false\naa = false\n",
    "calibration",
)
"""As calibrations were before they searched."""


def calibration_plan() -> Plan:
    return LADDER


def test_it_doubles_the_rate_until_the_generator_is_late_and_its_slo_cannot_be_broken() -> None:
    plan = parse_plan(calibration.plan_text(ASKED), "calibration", {"null": ()})
    assert calibration.need(ASKED) == 1000.0
    assert plan.capacity_search is not None
    assert plan.capacity_search.start / plan.mean_think_s == 500
    assert plan.most_users / plan.mean_think_s >= 50_000
    assert plan.slo.p99_ms > 1000 * plan.timeout
    assert plan.slo.failures_percent == 100
    assert (plan.client, plan.connection, plan.timeout) == (ASKED.client, ASKED.connection, ASKED.timeout)


def test_a_search_and_a_plan_without_think_time_are_not_calibrated_for() -> None:
    without = ASKED.model_copy(update={"think_time": (0.0, 0.0)})
    assert calibration.need(without) is None
    assert not calibration.is_needed(without)
    assert calibration.is_needed(ASKED)
    assert not calibration.is_needed(
        ASKED.model_copy(update={"users": (), "search": SearchTable(**{"from": 1, "most": 2})})
    )


def test_a_repeated_trial_counts_and_the_one_that_a_bad_second_spoilt_does_not(tmp_path: Path) -> None:
    plan = parse_plan(calibration.plan_text(ASKED), "calibration")
    trials = [Step(at, "trial", users) for at, users in enumerate((100, 200, 200, 400, 400, 300), 1)]

    def load_of(_run: Run, step: Step) -> Load:
        return Load(response=0.0005, lag_ms=50.0 if step.number in (2, 4, 5) else 1.0)

    write_campaign(tmp_path, plan, load_of, steps=trials)
    found = capacity(tmp_path)
    assert found is not None
    assert found.rate == pytest.approx(1500.0, rel=0.05)
    assert not found.at_least


@pytest.mark.parametrize(
    ("late_from", "held", "at_least"), [(None, 2000.0, True), (400, 1000.0, False), (200, 500.0, False)]
)
def test_the_capacity_is_the_highest_rate_held_with_little_lag(
    tmp_path: Path, late_from: int | None, held: float, at_least: bool
) -> None:
    def load_of(_run: Run, step: Step) -> Load:
        return Load(response=0.0005, lag_ms=50.0 if late_from and step.users >= late_from else 1.0)

    write_campaign(tmp_path, calibration_plan(), load_of)
    found = capacity(tmp_path)
    assert found is not None
    assert found.rate == pytest.approx(held, rel=0.05)
    assert found.at_least is at_least


def test_nothing_is_held_where_the_first_rate_was_late(tmp_path: Path) -> None:
    write_campaign(tmp_path, calibration_plan(), lambda _run, _step: Load(lag_ms=50.0))
    assert capacity(tmp_path) is None
    assert "the verdicts show at which steps" in capacity_sentence(None, 1000.0, 1)


def test_the_sentence_counts_the_cores_that_are_missing() -> None:
    held = Capacity(rate=1000.0, at_least=False, lag_ms=3.0, cpu=0.6)
    assert "within half of it" in capacity_sentence(held, 450.0, 1)
    assert "3 cores for the load, 1000 requests/s each, would make it half, and there is 1" in capacity_sentence(
        held, 1400.0, 1
    )


def test_a_busy_worker_does_not_hold_a_rate(tmp_path: Path) -> None:
    def load_of(_run: Run, step: Step) -> Load:
        return Load(response=0.0005, cpu=0.97 if step.number == 3 else 0.3)

    write_campaign(tmp_path, calibration_plan(), load_of)
    found = capacity(tmp_path)
    assert found is not None
    assert found.rate == pytest.approx(1000.0, rel=0.05)


def test_a_larger_valid_step_of_the_campaign_raises_what_the_generator_holds(tmp_path: Path) -> None:
    plan = ASKED.model_copy(update={"models": ("single",), "users": (100, 3000), "aa": False})
    write_campaign(tmp_path, plan, lambda _run, _step: Load(seconds=20.0))
    rows = analyze(tmp_path, write=False).rows
    held = raised(Capacity(rate=500.0, at_least=False, lag_ms=3.0, cpu=0.6), rows)
    assert held is not None
    assert (held.at_least, held.in_campaign) == (True, True)
    assert held.rate == pytest.approx(1000.0, rel=0.05)
    said = capacity_sentence(held, 1000.0, 1)
    assert "at least 99" in said or "at least 100" in said
    assert "would" not in said
    more = Capacity(rate=5000.0, at_least=False, lag_ms=3.0, cpu=0.6)
    assert raised(more, rows) == more


def test_no_sentence_of_a_campaign_contradicts_its_own_valid_steps(tmp_path: Path) -> None:
    """The calibration held 500/s; a valid step of the campaign 1,000/s. Only the larger one is said, as a bound."""
    plan = ASKED.model_copy(update={"models": ("single",), "aa": False})
    files = write_campaign(tmp_path, plan, lambda _run, _step: Load(seconds=20.0))
    write_json(files.manifest, {"hosts": {}, "load_cores": 1})

    def late(_run: Run, step: Step) -> Load:
        return Load(response=0.0005, lag_ms=50.0 if step.users >= 200 else 1.0)

    write_campaign(files.calibration.directory, calibration_plan(), late)
    alone = capacity(files.calibration.directory)
    assert alone is not None
    assert alone.rate == pytest.approx(500.0, rel=0.05)
    done = analyze(tmp_path, figures=False)
    (line,) = calibration_lines(done.campaign, done.rows)
    assert re.search(r"holds at least (99|100)\d requests/s \(lag p99 .* in a step of the campaign itself\)", line)
    for text in (line, done.text, files.report.read_text(encoding="utf-8")):
        assert "would make it half" not in text
        assert f"{alone.rate:.0f} requests/s" not in text
    assert line in done.text


def test_a_step_that_is_not_valid_raises_nothing(tmp_path: Path) -> None:
    plan = ASKED.model_copy(update={"models": ("single",), "aa": False})
    write_campaign(tmp_path, plan, lambda _run, _step: Load(seconds=20.0, lag_ms=40.0))
    held = Capacity(rate=500.0, at_least=False, lag_ms=3.0, cpu=0.6)
    assert raised(held, analyze(tmp_path, write=False).rows) == held
