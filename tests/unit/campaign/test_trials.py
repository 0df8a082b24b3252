"""A search on Locust's master: trials judged from the workers' records, and the load after each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cluster.engine.encoding import histogram, record_all, text
from cluster.engine.trials import TrialRun, count_above, figures_of
from study.formats.ledger_jsonl import PhaseRecord, SearchRecord
from study.plan import Plan, Step, parse_plan
from study.reading import parse_as
from tests.unit.synthetic import Load, phase_records

PLAN = """
name = "searched"
models = ["single"]
think_time = [0.1, 0.3]
measure = 2
[search]
from = 20
most = 200
[slo]
p99_ms = 50
"""


@pytest.fixture
def asked() -> Plan:
    return parse_plan(PLAN, "searched")


def records(asked: Plan, step: Step, load: Load) -> list[PhaseRecord]:
    made = phase_records(asked, step, "measure", load, 0.0, np.random.default_rng(step.number))
    return [parse_as(PhaseRecord, dict(record), "made up") for record in made]


def walk(asked: Plan, capacity: int, load: dict[str, Any]) -> tuple[list[tuple[int, str, str]], SearchRecord]:
    """Each trial's users, kind and outcome, on a server that is slow beyond its capacity."""
    run = TrialRun(asked)
    tried: list[tuple[int, str, str]] = []
    while isinstance(step := run.next_step(), Step):
        slow = step.users > capacity
        for record in records(asked, step, Load(response=0.2 if slow else 0.004, seconds=4.0, **load)):
            run.add(record)
        tried.append((step.users, step.kind, run.judge(step, ("load1-1", "load1-2")).outcome))
        assert run.to_recover == (tried[-1][2] == "failed")
    return tried, step


def test_a_search_doubles_bisects_and_confirms(asked: Plan) -> None:
    tried, ended = walk(asked, 130, {})
    assert [users for users, _, _ in tried[:4]] == [20, 40, 80, 160]
    assert [kind for _, kind, _ in tried] == ["trial"] * (len(tried) - 1) + ["confirm"]
    assert ended.low is not None
    assert ended.high is not None
    assert ended.low <= 130 < ended.high <= 1.1 * ended.low + 1
    assert (ended.ended, ended.confirmed) == ("slo", True)


def test_a_late_generator_ends_it_at_the_second_trial_of_the_load(asked: Plan) -> None:
    tried, ended = walk(asked, 130, {"lag_ms": 30.0})
    assert tried == [(20, "trial", "generator"), (20, "trial", "generator")]
    assert (ended.low, ended.high, ended.ended) == (None, None, "generator")


def test_a_record_that_is_missing_makes_a_trial_unclear(asked: Plan) -> None:
    run = TrialRun(asked)
    step = run.next_step()
    assert isinstance(step, Step)
    run.add(records(asked, step, Load(seconds=4.0))[0])
    assert run.judge(step, ("load1-1", "load1-2")).outcome == "unclear"


def test_times_above_a_limit_are_counted_by_whole_bins() -> None:
    times = np.array([0.01] * 7 + [0.0501] * 3 + [0.2] * 2)
    made = histogram()
    record_all(made, times)
    assert [count_above(text(made), limit) for limit in (5, 50, 100, 300)] == [12, 5, 2, 0]


def test_figures_are_sums_over_workers(asked: Plan) -> None:
    both = records(asked, Step(1, "trial", 20), Load(seconds=4.0))
    figures = figures_of(both, 20, 50.0, 2)
    assert figures.answers == sum(record.successes for record in both)
    assert figures.rate == pytest.approx(20 / 0.204, rel=0.15)
    assert figures.complete
    assert not figures_of(both, 20, 50.0, 3).complete


@pytest.mark.parametrize(("limit_ms", "overdue"), [(50.0, 12), (5000.0, 0)])
def test_a_request_that_timed_out_has_lasted_as_long_as_it_was_waited_for(
    asked: Plan, limit_ms: float, overdue: int
) -> None:
    """Its timeout was 2 s, which says nothing of a limit of 5 s."""
    load = Load(seconds=4.0, failures={"timed-out": 12, "reset": 8}, failed_after=2.0)
    assert figures_of(records(asked, Step(1, "trial", 20), load), 20, limit_ms, 2).overdue == overdue
