"""What a worker counts, held against sums made the slow way."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from cluster.engine import clocks
from cluster.engine import recorder as module
from cluster.engine.encoding import HIGHEST_US, LOWEST_US, binned, histogram, microseconds, quantile_s, record_all
from cluster.engine.live import SecondCounts
from cluster.engine.phase_tally import Phase
from cluster.engine.recorder import Recorder


@dataclass
class Users:
    user_count: int = 3
    target_user_count: int = 3


class Clock:
    """The recorder's clock, set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 1000.0
        monkeypatch.setattr(module, "now", lambda: self.at)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def phase(name: str = "measure") -> Phase:
    return Phase(step=1, kind="ladder", phase=name, users=3)


def counts(encoded: str) -> HdrHistogram:
    return HdrHistogram.decode(encoded)


@dataclass(frozen=True)
class TimedRequest:
    begins: float
    ends: float
    good: bool


moments = st.integers(0, 10_000).map(lambda milliseconds: milliseconds / 1000)
requests = st.builds(
    lambda a, b, good: TimedRequest(min(a, b), max(a, b) + 0.0005, good), moments, moments, st.booleans()
)


@given(st.lists(requests, max_size=30), st.lists(st.integers(1, 9_999), min_size=1, max_size=4, unique=True))
def test_in_flight_is_the_integral(of: list[TimedRequest], inner: list[int]) -> None:
    """Phases from 0 to 10 s, cut at random: each gets of every request what lies inside it, and its end's ages."""
    # Quarter milliseconds apart, so that no request begins or ends as a phase does.
    cuts = [0.00025, *sorted(cut / 1000 + 0.00025 for cut in inner), 11.0]
    acts: list[tuple[float, str, Any]] = [(cut, "cut", None) for cut in cuts]
    for request in of:
        acts += [(request.begins, "begin", request), (request.ends, "end", request)]
    recorder, records = Recorder(Users(), "load1-1"), []
    with pytest.MonkeyPatch.context() as patch:
        for at, act, request in sorted(acts, key=lambda entry: entry[0]):
            patch.setattr(module, "now", lambda at=at: at)
            key = id(request)
            if act == "begin":
                recorder.begin(key, at)
            elif act == "end" and request.good:
                recorder.success(key, at, 10)
            elif act == "end":
                recorder.failure(key, at, "reset", 1)
            elif (record := recorder.enter(phase())) is not None:
                records.append(record)
    assert len(records) == len(cuts) - 1
    for record, (start, end) in zip(records, itertools.pairwise(cuts), strict=True):
        inside = [max(0.0, min(request.ends, end) - max(request.begins, start)) for request in of]
        ended = [request for request in of if start <= request.ends < end]
        good = [request for request in ended if request.good]
        ages = sorted(microseconds(end - request.begins) for request in of if request.begins < end < request.ends)
        assert record.in_flight_s == pytest.approx(sum(inside), abs=1e-9)
        assert record.seconds == pytest.approx(end - start)
        assert (record.attempts, record.successes) == (len(ended), len(good))
        assert record.bytes == 10 * len(good) + len(ended) - len(good)
        assert record.in_flight_end == len(ages)
        held = counts(record.in_flight_age_us)
        assert held.get_total_count() == len(ages)
        if ages:
            assert held.get_max_value() == held.get_highest_equivalent_value(ages[-1])
        assert counts(record.response_us).get_total_count() == len(good)
        assert counts(record.failed_us).get_total_count() == len(ended) - len(good)


@given(st.lists(st.floats(-1, 400, allow_nan=False) | st.integers(0, 5_000).map(lambda us: us / 1e6), max_size=50))
def test_many_values_are_recorded_as_one_by_one(seconds: list[float]) -> None:
    one_by_one, at_once = histogram(), histogram()
    for value in seconds:
        one_by_one.record_value(microseconds(value))
    for half in np.array_split(np.array(seconds), 2):
        record_all(at_once, half)
    assert list(at_once.counts) == list(one_by_one.counts)
    assert at_once.encode() == one_by_one.encode()
    for field in ("total_count", "min_value", "max_value"):
        assert getattr(at_once, field) == getattr(one_by_one, field)


def test_the_ends_of_the_range_are_kept() -> None:
    filled = histogram()
    record_all(filled, np.array([-1.0, 0.0, 1e-6, 300.0, 1e9]))
    assert (filled.total_count, filled.min_value, filled.max_value) == (5, LOWEST_US, HIGHEST_US)


def test_phases_are_kept_apart(clock: Clock) -> None:
    recorder = Recorder(Users(), "load1-1")
    recorder.begin("early", 999.0)
    recorder.success("early", clock.at, 7)  # no phase is open: counted nowhere
    assert recorder.enter(phase("settle")) is None
    recorder.begin("a", clock.at)
    recorder.drew(3.0)
    recorder.thought(2.0, 2.004)
    clock.at += 1.0
    settled = recorder.enter(phase("measure"))
    recorder.begin("b", clock.at)
    clock.at += 0.5
    recorder.success("a", clock.at, 100)
    recorder.failure("b", clock.at, "short-body", 99)
    measured = recorder.close(clock.at)
    assert settled is not None
    assert measured is not None
    assert recorder.close(clock.at) is None
    assert (settled.phase, settled.attempts) == ("settle", 0)
    assert settled.in_flight_s == pytest.approx(1.0)
    assert (settled.draws, settled.draws_s) == (1, 3.0)
    assert (settled.think_count, settled.think_drawn_s) == (1, 2.0)
    assert settled.think_passed_s == pytest.approx(2.004)
    assert counts(settled.lag_us).get_max_value() == pytest.approx(4000, rel=0.001)
    assert (measured.phase, measured.attempts, measured.failures) == ("measure", 2, {"short-body": 1})
    assert (measured.bytes, measured.think_count, measured.in_flight_end) == (199, 0, 0)
    assert measured.in_flight_s == pytest.approx(1.0)  # half a second of each
    assert counts(measured.response_us).get_max_value() == pytest.approx(1_500_000, rel=0.001)


def test_answers_that_came_before_a_phase_and_were_read_in_it_are_told_apart(clock: Clock) -> None:
    """Two requests of 1 s, answered 0.3 and 0.1 s before the second phase, in which they are read."""
    recorder = Recorder(Users(), "w")
    recorder.enter(phase("settle"))
    for user, at in (("a", 1000.0), ("b", 1000.2)):
        recorder.begin(user, at)
    clock.at = 1001.3
    settle = recorder.enter(phase())
    recorder.success("a", 1001.0, 6)
    recorder.success("b", 1001.2, 6)
    clock.at = 1002.3
    measure = recorder.close(clock.at)
    assert settle is not None
    assert measure is not None
    assert settle.read_late_s == 0.0
    assert measure.read_late_s == pytest.approx(0.4)
    assert settle.in_flight_s - measure.read_late_s == pytest.approx(2.0)
    assert measure.in_flight_s + measure.read_late_s == pytest.approx(0.0)


def test_who_began_before(clock: Clock) -> None:
    recorder = Recorder(Users(), "load1-1")
    for at, user in enumerate("abcd"):
        recorder.begin(user, float(at))
    recorder.success("a", 9.0, 0)
    recorder.begin("a", 9.0)  # a later request of the same user
    assert recorder.begun_before(3.0) == ["b", "c"]
    assert recorder.begun_before(0.0) == []
    assert recorder.begun_before(10.0) == ["b", "c", "d", "a"]


def test_watching(clock: Clock) -> None:
    """3.3 s of a worker with an answer in every round and a stall of 0.4 s: ticks, users and the loop's lag."""
    users = Users()
    recorder = Recorder(users, "load1-1")
    recorder.enter(phase())
    rounds = 0

    def sleep(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds > 290:
            raise StopIteration
        recorder.begin("user", clock.at)
        clock.at += seconds + (0.4 if rounds == 100 else 0.0)
        recorder.success("user", clock.at, 1)
        users.user_count = 3 if rounds > 145 else 2

    with pytest.raises(StopIteration):
        recorder.watch(sleep)
    record = recorder.close(clock.at)
    assert record is not None
    ticks = record.ticks
    assert {len(column) for column in vars(ticks).values()} == {len(ticks.at)}
    assert len(ticks.at) == 3
    assert ticks.at[-1] == record.seconds == pytest.approx(3.3)
    assert all(later - earlier > 0.5 for earlier, later in itertools.pairwise([0.0, *ticks.at]))
    assert ticks.successes[-1] == record.successes == 290
    for name in ("successes", "response_s", "in_flight_s"):
        assert getattr(ticks, name) == tuple(sorted(getattr(ticks, name)))
        assert getattr(ticks, name)[0] > 0
    assert record.in_flight_s == pytest.approx(3.3)
    assert (record.users_min, record.users_wanted) == (2, 3)
    assert record.users_right == pytest.approx(0.5, abs=0.04)
    lag = counts(record.loop_lag_us)
    assert lag.get_max_value() == pytest.approx(400_000, rel=0.001)
    assert lag.get_total_count() == 290 + 39  # the late timers that the stall swallowed


def test_without_think_time_the_gap_is_a_turnaround_and_no_think_time(clock: Clock) -> None:
    recorder = Recorder(Users(), "load1-1")
    recorder.enter(phase())
    recorder.turned(0.002)
    recorder.turned(0.004)
    recorder.drew(3.0)
    recorder.thought(3.0, 3.001)
    clock.at += 1.0
    record = recorder.close(clock.at)
    assert record is not None
    assert (record.turnarounds, record.think_count, record.draws) == (2, 1, 3)
    assert record.turnaround_s == pytest.approx(0.006)
    assert record.draws_s == 3.0
    assert record.think_passed_s == pytest.approx(3.001)
    assert counts(record.lag_us).get_total_count() == 3  # check 4 bounds both


def test_each_whole_second_is_told_and_what_the_ladder_ends_is_no_request(clock: Clock) -> None:
    """A request in every round of 10 ms; in the second second the ladder ends 50 users."""
    told: list[SecondCounts] = []
    recorder = Recorder(Users(), "load1-1", told.append)
    recorder.enter(phase())
    rounds = 0

    def sleep(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds > 250:
            raise StopIteration
        recorder.begin("user", clock.at)
        clock.at += seconds
        if 120 < rounds <= 170:
            recorder.failure("user", clock.at, "aborted")
        elif rounds % 100 == 0:
            recorder.failure("user", clock.at, "reset")
        else:
            recorder.success("user", clock.at, 1)

    with pytest.raises(StopIteration):
        recorder.watch(sleep)
    assert [second.seconds for second in told] == pytest.approx([1.0, 1.0], abs=0.011)
    first, second = told
    assert first.requests == first.requests_so_far == pytest.approx(100, abs=1)
    assert second.requests == pytest.approx(50, abs=1)
    assert second.requests_so_far == first.requests + second.requests
    assert (first.failures_so_far, second.failures_so_far) == (1, 2)
    for told_second in told:
        assert sum(count for _, count in told_second.response) == told_second.answers
        assert quantile_s([told_second.response], 0.5) == pytest.approx(0.01, rel=0.01)


def test_quantiles_of_bins_of_several_workers_are_those_of_all_times() -> None:
    draw = np.random.default_rng(1)
    times = draw.lognormal(-6, 1, 3000)
    workers = [binned([part[:100], part[100:]]) for part in np.array_split(times, 3)]
    for share in (0.01, 0.5, 0.99, 1.0):
        exact = float(np.quantile(times, share, method="inverted_cdf"))
        assert quantile_s(workers, share) == pytest.approx(exact, rel=0.0101)
    assert quantile_s([binned([]), ()], 0.5) is None
    assert quantile_s([binned([np.array([0.0, 1e-9])])], 0.5) == pytest.approx(1e-6)


def test_both_clocks_of_a_phase_and_a_step_of_the_wall_clock_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock runs 1 % fast, and is set forward by 0.7 s once."""
    at, step = 1000.0, 0.0
    for where in (module, clocks):
        monkeypatch.setattr(where, "now", lambda: at)
    monkeypatch.setattr(time, "time", lambda: 5e8 + 1.01 * at + step)
    recorder = Recorder(Users(), "load1-1")
    recorder.enter(phase())
    rounds = 0

    def sleep(seconds: float) -> None:
        nonlocal at, step, rounds
        rounds += 1
        if rounds > 400:
            raise StopIteration
        at += seconds
        step = 0.7 if rounds > 200 else 0.0

    with pytest.raises(StopIteration):
        recorder.watch(sleep)
    record = recorder.close(at)
    assert record is not None
    assert record.seconds == pytest.approx(4.0)
    assert record.wall_s == pytest.approx(4.0 * 1.01 + 0.7)
    assert record.clock_step_s == pytest.approx(0.7 + 0.001, abs=1e-6)  # and 1 % of 100 ms


def test_clocks_that_were_read_at_different_moments_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = iter([0.0, 0.0, 1.0, 1.4, 2.0, 2.0])  # the second reading is interrupted for 0.4 s
    monkeypatch.setattr(clocks, "now", lambda: next(slow))
    wall = iter([100.0, 101.4, 102.3])
    monkeypatch.setattr(time, "time", lambda: next(wall))
    watch = clocks.ClockWatch()
    assert watch.moved_s() == 0.0
    assert watch.moved_s() == pytest.approx(0.3)
