"""How long is left of a search: a function of the trials so far, held to searches on simulated servers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.duration import RECOVERED_S, run_seconds, search_seconds, steps_seconds
from study.plan import Plan, Step, parse_plan
from study.search import Outcome, Search, Trial, possible_trials
from tests.unit.simulated_search import noisy, run, sharp

TEXT = """
name = "timed"
models = ["single"]
spawn_rate = 1000
settle = 1
measure = 2
[search]
from = {start}
most = {most}
"""


def asked(start: int = 50, most: int = 6400) -> Plan:
    return parse_plan(TEXT.format(start=start, most=most), "timed")


def took(plan: Plan, trials: list[Trial], after: int) -> float:
    """How long the trials from number `after` on take, from the plan alone."""
    whole = 0.0
    for number in range(after, len(trials)):
        failed = number > 0 and trials[number - 1].outcome == "failed"
        before = trials[number - 1].users if number and not failed else 0
        step = Step(1, "confirm" if trials[number].long else "trial", trials[number].users)
        whole += steps_seconds(plan, (step,), before)[0] + (RECOVERED_S if failed else 0.0)
    return whole


@pytest.mark.parametrize("capacity", [10, 50, 51, 99, 100, 330, 799, 3000, 6399, 6400, 1e9])
def test_what_is_left_of_a_search_holds_what_it_then_takes(capacity: float) -> None:
    plan = asked()
    search = plan.capacity_search
    assert search is not None
    _, trials = run(search, sharp(capacity))
    for number in range(len(trials) + 1):
        least, most = search_seconds(plan, trials[:number])
        assert 0 <= least <= took(plan, trials, number) + 1e-9 <= most + 2e-9, trials[:number]
    assert search_seconds(plan, trials) == (0.0, 0.0)


def test_on_noisy_servers_it_holds_but_for_repeats_and_steps_down() -> None:
    draw = np.random.default_rng(3)
    for _ in range(30):
        plan = asked(int(draw.integers(20, 200)), 100_000)
        search = plan.capacity_search
        assert search is not None
        capacity = search.start * math.exp(draw.uniform(0.1, 6))
        found, trials = run(search, noisy(capacity, 0.02, draw, disturbed=0.02))
        for number in range(len(trials)):
            rest = trials[number:]
            extra = sum(1 for trial in rest if trial.outcome == "unclear" or (trial.long and trial.outcome == "failed"))
            longest = max(took(plan, [Trial(each.users, "failed"), each], 1) for each in trials)
            least, most = search_seconds(plan, trials[:number])
            whole = took(plan, trials, number)
            assert whole <= most + 2 * extra * longest + 1e-9
            assert least <= whole + 1e-9 or found.ended == "unclear"


def test_it_counts_down_within_a_trial_and_not_below_what_must_follow() -> None:
    plan, trials = asked(), [Trial(50, "passed"), Trial(100, "failed")]
    lefts = [search_seconds(plan, trials, passed) for passed in (0.0, 1.0, 2.0, 3.0, 60.0)]
    assert lefts == sorted(lefts, reverse=True)
    assert lefts[0][0] - lefts[1][0] == pytest.approx(1.0)
    # The trial goes on for longer than planned: two more between and the confirmation are still to come.
    assert lefts[-1][0] >= 2 * 3 + 5
    assert min(lefts[-1]) > 0


def test_each_trial_narrows_it() -> None:
    plan = asked()
    assert plan.capacity_search is not None
    _, trials = run(plan.capacity_search, sharp(1000))
    widths = [most - least for least, most in (search_seconds(plan, trials[:at]) for at in range(len(trials) + 1))]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 30
    assert widths[-1] == 0


def test_a_run_takes_what_its_search_takes_and_its_start_and_end() -> None:
    plan = asked()
    (least, most), (shortest, longest) = search_seconds(plan), run_seconds(plan)
    assert shortest - least == pytest.approx(longest - most)
    assert least == pytest.approx(3 + 0.15 + 50 / 1000)  # one trial, which fails


outcomes = st.sampled_from(["passed", "failed", "generator", "unclear"])


@given(st.lists(outcomes, max_size=40), st.integers(1, 500), st.floats(0.01, 1.0), st.integers(1, 10_000_000))
def test_whatever_came_back_something_finite_follows(
    script: list[Outcome], start: int, resolution: float, most: int
) -> None:
    search = Search(start, max(start, most), resolution)
    given_so_far = iter(script)
    trials: list[Trial] = []

    def server(users: int, long: bool, before: object) -> Outcome:
        return next(given_so_far, "passed")

    _, trials = run(search, server)
    for number in range(0, len(trials) + 1, 3):
        ways = possible_trials(search, trials[:number])
        assert ways
        assert all(len(way) <= search.most_trials(search.most) for way in ways)
        assert all(1 <= trial.users <= search.most for way in ways for trial in way)
