"""The accept queue of a simulated FIFO server, below and at its limit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.judge.laws.expected_queue import erlang_c, judge_queue, mean_queue, pool_busy, pool_full
from analysis.judge.thresholds import THRESHOLDS
from tests.unit import simulate

PLACES = [(60, (0.1, 0.3), 4.0, 4.0), (200, (0.1, 0.3), 4.0, 10.0), (100, (1.0, 5.0), 20.0, 4.0)]


@pytest.mark.parametrize("load", [0.3, 0.6, 0.7, 0.8, 0.85])
@pytest.mark.parametrize(("users", "think", "seconds", "rate"), PLACES)
def test_below_85_percent_a_queue_is_called_full_in_at_most_2_of_100_windows(
    load: float, users: int, think: tuple[float, float], seconds: float, rate: float
) -> None:
    wrong = 0
    for number in range(40):
        service = (simulate.constant, simulate.exponential)[number % 2](load * sum(think) / 2 / users)
        draw = np.random.default_rng([number, users])
        wrong += simulate.sampled_queue(users, think, service, seconds, rate, draw)[0].full
    assert wrong <= 1


@pytest.mark.parametrize("cpu_share", [0.3, 0.6])
@pytest.mark.parametrize(("users", "think", "seconds", "rate"), PLACES)
def test_a_server_that_is_full_while_its_cpu_is_not_is_found(
    cpu_share: float, users: int, think: tuple[float, float], seconds: float, rate: float
) -> None:
    """It holds each request for longer than its CPU time: what the processor's share says of it isn't its load."""
    for number in range(5):
        service = simulate.constant(1.1 * sum(think) / 2 / users)
        draw = np.random.default_rng([number, users])
        queue, measured = simulate.sampled_queue(users, think, service, seconds, rate, draw, cpu_share=cpu_share)
        assert measured < 0.9
        assert queue.full


def test_services_that_vary_much_are_allowed_for_where_that_is_known() -> None:
    service, cv = simulate.lognormal(0.6 * 0.2 / 60, 1.2), 1.8
    drawn = [
        simulate.sampled_queue(60, (0.1, 0.3), service, 4.0, 10.0, np.random.default_rng(number), service_cv=cv)[0]
        for number in range(50)
    ]
    assert sum(queue.full for queue in drawn) <= 1


def test_four_samples_of_zero_four_two_zero_at_half_a_core_are_no_limit() -> None:
    queue = judge_queue(1.5, 4, 4.0, 0.5, 2000.0)
    assert queue.expected == pytest.approx(0.25)
    assert not queue.full


def test_what_is_expected_is_m_d_1_and_what_is_allowed_takes_more_than_chance_for_it() -> None:
    """At 80 % M/D/1 has 1.6 on average and M/M/1 3.2: a mean between the two is no evidence of a limit."""
    queue = judge_queue(3.0, 600, 60.0, 0.8, 2000.0)
    assert queue.expected == pytest.approx(1.6)
    assert not queue.full
    assert queue.allowed > mean_queue(0.8)
    assert judge_queue(2 * queue.allowed, 600, 60.0, 0.8, 2000.0).full


def test_one_connection_is_never_evidence() -> None:
    assert not judge_queue(0.9, 1000, 60.0, 0.01, 100.0).full
    assert judge_queue(0.9, 1000, 60.0, 0.01, 100.0).allowed == THRESHOLDS.queue_least


def test_where_all_is_busy_the_queue_says_nothing_more() -> None:
    assert judge_queue(100.0, 40, 4.0, 1.0, 2000.0).allowed == math.inf


def test_the_queue_of_theory() -> None:
    """M/D/1 and M/M/1 by Pollaczek and Khinchine; Erlang's C of 2 servers at one erlang is a third."""
    assert mean_queue(0.8, service_cv=0) == pytest.approx(0.8**2 / (2 * 0.2))
    assert mean_queue(0.8) == pytest.approx(0.8**2 / 0.2)
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert mean_queue(0.5, servers=2) == pytest.approx(1 / 3)
    assert mean_queue(1.0) == math.inf


def test_the_simulated_queue_is_that_of_theory() -> None:
    """1,000 users who think long are random arrivals."""
    requests = simulate.queue_system(1000, (1, 3), simulate.exponential(0.0014), 120.0, np.random.default_rng(2))
    assert simulate.waiting(requests, np.linspace(20, 120, 20_000)).mean() == pytest.approx(0.7**2 / 0.3, rel=0.15)
    assert simulate.busy_share(requests, 20, 100) == pytest.approx(0.7, rel=0.02)


def test_a_pool_of_known_size_is_full_when_its_members_are_held_all_the_time() -> None:
    requests = simulate.queue_system(20, (0, 0), simulate.constant(0.02), 10.0, np.random.default_rng(1), servers=8)
    window = simulate.observe(requests, 2.0, 8.0)
    assert pool_busy(window.throughput, 0.02, 8) == pytest.approx(1, rel=0.01)
    assert pool_full(window.throughput, 0.02, 8)
    assert not pool_full(0.85 * 8 / 0.02, 0.02, 8)
