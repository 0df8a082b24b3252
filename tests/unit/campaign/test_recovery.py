"""The wait after a failed trial, on simulated servers: one works off its backlog, one has to be replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from cluster.engine.recovery import Recovered, Recovery
from study.formats.run_json import ServerCounts, added
from study.plan import RECOVERY_S
from study.search import Bracket, Outcome, Search, Trial
from tests.unit.simulated_search import run

IDLE_S, SLOW_S = 0.004, 0.5
CAPACITY = 330


@dataclass
class Clogged:
    """Carries CAPACITY users. After more it is slow at any load: for `backlog_s`, or until it is replaced."""

    backlog_s: float
    can_be_replaced: bool = True
    now: float = 0.0
    clogged_until: float = 0.0
    replaced: int = 0
    ends: list[Recovered] = field(default_factory=list)

    def __call__(self, users: int, _long: bool, trials: Sequence[Trial]) -> Outcome:
        """The outcome of a trial; before it the server is waited for, where the one before failed."""
        if trials and trials[-1].outcome == "failed":
            self.ends.append(self.recovery().wait())
        slow = self.now < self.clogged_until
        self.now += 3.0
        if users > CAPACITY:
            self.clogged_until = self.now + self.backlog_s
        return "failed" if slow or users > CAPACITY else "passed"

    def recovery(self) -> Recovery:
        return Recovery(self.response_s, IDLE_S, self.replace, lambda: self.now, self.sleep)

    def response_s(self) -> float:
        return SLOW_S if self.now < self.clogged_until else IDLE_S

    def replace(self) -> bool:
        self.now += 2.0
        if self.can_be_replaced:
            self.replaced, self.clogged_until = self.replaced + 1, 0.0
        return self.can_be_replaced

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def carries(found: Bracket) -> bool:
    return found.low is not None and found.high is not None and found.low <= CAPACITY < found.high <= 1.1 * found.low


def test_a_backlog_is_waited_for_and_fails_no_trial() -> None:
    server = Clogged(backlog_s=RECOVERY_S - 1)
    found, _ = run(Search(50, 10_000), server)
    assert carries(found)
    assert server.replaced == 0
    assert [(end.idle, end.fresh) for end in server.ends] == [(True, False)] * len(server.ends)
    assert server.ends[0].seconds == pytest.approx(RECOVERY_S - 1, abs=0.2)


def test_a_server_that_stays_slow_is_replaced_and_fails_no_trial() -> None:
    server = Clogged(backlog_s=3600)
    found, trials = run(Search(50, 10_000), server)
    assert carries(found)
    assert server.replaced == sum(trial.outcome == "failed" for trial in trials)
    assert all(end.idle and end.fresh for end in server.ends)
    assert all(RECOVERY_S <= end.seconds < RECOVERY_S + 3 for end in server.ends)


def test_where_no_fresh_server_comes_it_ends_and_says_that_the_server_is_slow() -> None:
    server = Clogged(backlog_s=3600, can_be_replaced=False)
    found, _ = run(Search(50, 10_000), server)
    assert not carries(found)
    assert all(not end.idle and not end.fresh and end.response_s == SLOW_S for end in server.ends)


def test_a_server_that_answers_nobody_is_replaced() -> None:
    def clock() -> float:
        return ticks[0]

    def sleep(seconds: float) -> None:
        ticks[0] += seconds

    ticks = [0.0]
    answers: list[float | None] = [None]

    def replace() -> bool:
        answers[0] = IDLE_S
        return True

    ended = Recovery(lambda: answers[0], IDLE_S, replace, clock, sleep).wait()
    assert (ended.idle, ended.fresh, ended.response_s) == (True, True, IDLE_S)


def test_counts_of_a_runs_servers_are_added_and_one_that_is_missing_stays_missing() -> None:
    first = ServerCounts(accepted=10, answered=9, refused=1, statuses={"200": 8, "503": 1}, peak_connections=5)
    second = ServerCounts(accepted=4, answered=4, statuses={"200": 4}, peak_connections=3)
    both = added((first, second))
    assert (both.accepted, both.answered, both.refused, both.peak_connections) == (14, 13, None, 5)
    assert both.statuses == {"200": 12, "503": 1}
