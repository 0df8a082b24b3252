"""The outcome of a trial: each rule with a case that it decides and one that it doesn't."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from study.search import Outcome, Trial
from study.trial import TrialFigures, as_trial, broken_by, is_slow, outcome_of

SOUND = TrialFigures(
    users=100, answers=1000, failures=0, above=0, overdue=0, rate=480.0, in_flight=4.0, between_s=0.2, lag_p99_ms=1.0,
    worker_cpu_p95=0.3, users_right=1.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "passed"),
        ({"above": 10}, "passed"),
        ({"above": 11}, "failed"),
        ({"above": 6, "overdue": 5}, "failed"),
        ({"failures": 10}, "passed"),
        ({"failures": 11}, "failed"),
        ({"answers": 299}, "unclear"),
        ({"answers": 300, "above": 3}, "passed"),
        ({"answers": 20, "above": 4}, "failed"),
        ({"answers": 0, "rate": 0.0, "in_flight": 100.0, "overdue": 100}, "failed"),
        ({"lag_p99_ms": 10.1}, "generator"),
        ({"lag_p99_ms": 10.1, "above": 500}, "generator"),
        ({"worker_cpu_p95": 0.71}, "generator"),
        ({"users_right": 0.98}, "unclear"),
        ({"complete": False}, "unclear"),
        ({"rate": 430.0}, "unclear"),
        ({"rate": 460.0}, "passed"),
    ],
)
def test_each_rule_decides(changes: dict[str, float], outcome: Outcome) -> None:
    assert outcome_of(replace(SOUND, **changes), failures_percent=1.0) == outcome  # type: ignore[arg-type]


LATE = {"lag_p99_ms": 14.0, "drawn_s": 0.2, "idle_s": 0.0002, "between_s": 0.201, "late_s": 0.001}
"""Users woke 1 ms late on average, 14 ms at the 99th percentile."""


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"rate": 497.0, "in_flight": 0.1}, "generator"),  # on the line: what is late is all that is missing
        ({"rate": 460.0, "in_flight": 7.5}, "passed"),  # a cycle of 217 ms: 16 ms are the server's
        ({"rate": 460.0, "in_flight": 7.5, "above": 11}, "failed"),
        ({"rate": 460.0, "in_flight": 0.1, "late_s": 0.016, "between_s": 0.216}, "generator"),
        ({"rate": 460.0, "in_flight": 7.5, "idle_s": None}, "generator"),
        ({"rate": 460.0, "in_flight": 7.5, "worker_cpu_p95": 0.71}, "generator"),
    ],
)
def test_late_users_decide_where_they_explain_more_than_the_server_does(
    changes: dict[str, float], outcome: Outcome
) -> None:
    assert outcome_of(replace(SOUND, **{**LATE, **changes}), failures_percent=1.0) == outcome  # type: ignore[arg-type]


def test_the_slo_is_broken_by_failures_before_times() -> None:
    assert broken_by(980, 20, 900, 0, failures_percent=1.0) == "failures"
    assert broken_by(990, 10, 900, 0, failures_percent=1.0) == "p99"
    assert broken_by(0, 0, 0, 0, failures_percent=1.0) is None


def test_the_generator_decides_only_the_second_time_at_one_load() -> None:
    first = as_trial(800, "generator", False, [Trial(400, "passed")])
    assert first == Trial(800, "unclear")
    assert as_trial(800, "generator", False, [Trial(400, "passed"), first]) == Trial(800, "generator")
    assert as_trial(400, "generator", False, [first]) == Trial(400, "unclear")
    assert as_trial(800, "passed", True, [first]) == Trial(800, "passed", long=True)


def test_slow_is_more_than_twice_and_more_than_5_ms() -> None:
    assert is_slow(0.0201, 0.01)
    assert not is_slow(0.0199, 0.01)
    assert not is_slow(0.004, 0.0001)


def test_sound_windows_of_300_answers_are_rarely_unclear() -> None:
    """Exponential response times whose p99 is 60 % of the limit, and think times uniform as in quick.toml."""
    draw, unclear, failed = np.random.default_rng(5), 0, 0
    for _ in range(2000):
        count = int(draw.normal(500, 0.3 * 500**0.5))  # answers vary less than Poisson's: each user waits in between
        times = draw.exponential(0.6 * 50 / np.log(100), count)
        figures = replace(SOUND, answers=count, above=int((times > 50).sum()), rate=float(count))
        outcome = outcome_of(replace(figures, in_flight=0.02 * count, between_s=0.16), failures_percent=1.0)
        unclear, failed = unclear + (outcome == "unclear"), failed + (outcome == "failed")
    assert unclear <= 20
    assert failed <= 20  # an exponential tail: one time in 2,000 is above the limit
