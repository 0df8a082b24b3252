"""One worker's counts, phase by phase, by its own monotonic clock.

Little's L is exact: the integral of requests in flight over a phase is the sum, over all requests, of the part of
their time that lies inside the phase. So nothing is computed for a request before it ends: the requests still running
are added at the phase's end, and the part before its beginning is a constant (`carried_s`), known at that moment.

Times are appended to lists and put into the histograms ten times a second, many at once: recording one value in an
HdrHistogram takes longer than everything else here for a request.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from itertools import takewhile
from typing import Any, Protocol

import numpy as np

from cluster.engine.clocks import ClockWatch, now
from cluster.engine.encoding import MICRO, histogram, microseconds, record_all, text
from cluster.engine.live import SecondCounts
from cluster.engine.phase_tally import Phase, Tally
from study.formats.ledger_jsonl import PhaseRecord, Ticks
from study.formats.own_counts import OwnCounts

LOOP_INTERVAL_S = 0.010  # of the timer whose lateness is the event loop's lag
FOLD_EVERY = USERS_EVERY = 10  # intervals of that timer: 100 ms
TICK_S = 1.0


class UserCounts(Protocol):
    """The part of Locust's worker runner that has the number of running users, and the number that should run."""

    @property
    def user_count(self) -> int: ...

    target_user_count: int


class Recorder:
    """One for each worker process. Users call `begin`, then `success` or `failure`; `thought` after a think time, or
    `turned` where there is none."""

    def __init__(self, users: UserCounts, worker: str, tell: Callable[[SecondCounts], None] | None = None) -> None:
        """`worker` is the worker's name in the ledger; `tell` is called with the counts of each whole second."""
        self._users = users
        self._worker = worker
        self._second_over = tell
        self._in_flight: dict[Any, float] = {}  # start of each user's request; in order of start, as dicts keep theirs
        self._tally: Tally | None = None
        self.entered = False
        """Whether the first phase has begun."""

    # Called by users once a request: this is part of the generator's cost.

    def begin(self, user: object, at: float) -> None:
        """A request of `user`, its connection included, starts at `at`, a value of `now`."""
        self._in_flight[user] = at

    def success(self, user: object, at: float, size: int) -> float:
        """The request of `user` was answered as the plan wants, with `size` bytes of body. Returns its time in s."""
        elapsed = at - self._in_flight.pop(user)
        tally = self._tally
        if tally is not None:
            tally.answered.append(elapsed)
            tally.bytes += size
            if at < tally.began:  # the kernel had it before the phase began
                tally.read_late_s += tally.began - at
        return elapsed

    def failure(self, user: object, at: float, kind: str, size: int = 0) -> float:
        """The request of `user` failed; `kind` is one of docs/results.md. Returns its time in s."""
        elapsed = at - self._in_flight.pop(user)
        tally = self._tally
        if tally is not None:
            tally.unanswered.append(elapsed)
            tally.failures[kind] += 1
            tally.bytes += size
        return elapsed

    def drew(self, seconds: float) -> None:
        """A think time was drawn. Counted apart from those that end: long ones may end in a later phase."""
        tally = self._tally
        if tally is not None:
            tally.draws += 1
            tally.draws_s += seconds

    def thought(self, drawn: float, passed: float) -> None:
        """A think time of `drawn` seconds ended after `passed` seconds; the difference is the generator's lag."""
        tally = self._tally
        if tally is not None:
            tally.drawn.append(drawn)
            tally.passed.append(passed)

    def turned(self, seconds: float) -> None:
        """A request started `seconds` after the answer before it, without a think time."""
        tally = self._tally
        if tally is not None:
            tally.turned.append(seconds)

    def connected(self, seconds: float) -> None:
        """The connection of a request that succeeds now was established over TLS in so many seconds of its time."""
        tally = self._tally
        if tally is not None:
            tally.connects += 1
            tally.connect_s += seconds

    # Called by the worker's own greenlets.

    def begun_before(self, moment: float) -> list[Any]:
        """The users whose requests in flight began before `moment`, the oldest first."""
        return [user for user, _ in takewhile(lambda request: request[1] < moment, self._in_flight.items())]

    def enter(self, phase: Phase) -> PhaseRecord | None:
        """Close the open phase and open `phase` at the same instant. Returns the closed phase's record."""
        self.entered = True
        at, wall = now(), time.time()
        closed = self.close(at, wall)
        self._tally = Tally(phase, at, wall, time.process_time(), carried_s=self._open_s(at))
        self._opened(phase, at)
        return closed

    def close(self, at: float, wall: float | None = None) -> PhaseRecord | None:
        """Close the open phase at `at` and return its record; None where no phase is open.

        `wall` is the wall clock at that moment; by default the moment is taken for this one.
        """
        wall = time.time() if wall is None else wall
        tally, self._tally = self._tally, None
        if tally is None:
            return None
        if tally.ticks["at"] and at - tally.began - tally.ticks["at"][-1] < TICK_S / 2:
            # What is left of the phase is too short to be a sample: the last row is dropped, and the closing row covers
            # its interval too.
            for column in tally.ticks.values():
                column.pop()
        self._tick(tally, at)
        ages = histogram()
        record_all(ages, at - np.array(list(self._in_flight.values())))
        running = tally.running or [self._users.user_count]
        wanted = tally.wanted or [self._users.target_user_count]
        return PhaseRecord(
            **vars(tally.phase),
            worker=self._worker,
            started=tally.started,
            seconds=at - tally.began,
            wall_s=wall - tally.started,
            clock_step_s=tally.clock_step_s,
            attempts=tally.successes + tally.failures.total(),
            successes=tally.successes,
            failures=dict(tally.failures),
            bytes=tally.bytes,
            response_us=text(tally.response),
            failed_us=text(tally.failed),
            lag_us=text(tally.lag),
            loop_lag_us=text(tally.loop_lag),
            draws=tally.draws,
            draws_s=tally.draws_s,
            think_count=tally.think_count,
            think_drawn_s=tally.think_drawn_s,
            think_passed_s=tally.think_passed_s,
            turnarounds=tally.turnarounds,
            turnaround_s=tally.turnaround_s,
            connects=tally.connects,
            connect_s=tally.connect_s,
            read_late_s=tally.read_late_s,
            in_flight_s=tally.ticks["in_flight_s"][-1],
            in_flight_end=len(self._in_flight),
            in_flight_age_us=text(ages),
            users_wanted=wanted[-1],
            users_min=min(running),
            users_mean=sum(running) / len(running),
            users_right=sum(have == want for have, want in zip(running, wanted, strict=True)) / len(running),
            fds_used=_open_descriptors(),
            fds_limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            ticks=Ticks(**{name: tuple(column) for name, column in tally.ticks.items()}),
            own=self._own_counts(at),
        )

    def watch(self, sleep: Any) -> None:
        """Sample the event loop's lag, the clocks, the running users, and once a second the counts; never returns.

        `sleep` is gevent's.
        """
        rounds = 0
        last_tick = now()
        clocks = ClockWatch()
        while True:
            slept_at = now()
            sleep(LOOP_INTERVAL_S)
            at = now()
            tally = self._tally
            if tally is None:
                continue
            # Corrected for coordinated omission: a stall of 3 s counts as 300 late timers, not as one.
            tally.loop_lag.record_corrected_value(
                microseconds(at - slept_at - LOOP_INTERVAL_S), int(LOOP_INTERVAL_S * MICRO)
            )
            rounds += 1
            if rounds % FOLD_EVERY == 0:
                tally.fold()
            if rounds % USERS_EVERY == 0:
                tally.running.append(self._users.user_count)
                tally.wanted.append(self._users.target_user_count)
                tally.clock_step_s = max(tally.clock_step_s, clocks.moved_s())
            if at - max(last_tick, tally.began) >= TICK_S:
                self._tick(tally, at)
                last_tick = at
                second = tally.last_second(self._worker)
                if self._second_over is not None:
                    self._second_over(second)

    def _tick(self, tally: Tally, at: float) -> None:
        """Append a row to the ticks, counted from the phase's beginning up to `at`."""
        tally.fold()
        in_flight_s = self._ended_s(tally) + self._open_s(at) - tally.carried_s
        row = {
            "at": at - tally.began,
            "successes": tally.successes,
            "failures": tally.failures.total(),
            "response_s": tally.response_s,
            "in_flight_s": in_flight_s,
            "cpu_s": time.process_time() - tally.cpu_began,
        }
        for name, value in row.items():
            tally.ticks[name].append(value)

    # For user classes of a locustfile of one's own (cluster/engine/own/).

    def _opened(self, phase: Phase, at: float) -> None:
        """A phase has begun."""

    def _ended_s(self, tally: Tally) -> float:
        """Sum of the times (s) of the phase's requests that have left `_in_flight`."""
        return tally.response_s + tally.failed_s

    def _own_counts(self, at: float) -> OwnCounts | None:
        """What a phase that ends has in addition; None with the study's own clients."""
        return None

    def _open_s(self, at: float) -> float:
        """Sum of the ages (s) of the requests in flight."""
        return sum(at - began for began in self._in_flight.values())


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
