"""What one worker counts, phase by phase, on its own monotonic clock.

Little's L is exact: the integral of requests in flight over a phase is the sum, over all requests, of the part of
their time that lies inside the phase. So a request costs nothing until it ends, and those still running are added at
the phase's end.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from hdrh.histogram import HdrHistogram

LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS = 1, 300_000_000, 3
MICRO = 1_000_000
LOOP_INTERVAL_S = 0.010  # the timer whose lateness is the event loop's lag
USERS_EVERY = 10  # of those intervals: 100 ms
TICK_S = 1.0

now = time.monotonic


def histogram() -> HdrHistogram:
    return HdrHistogram(LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)


def text(values: HdrHistogram) -> str:
    """HdrHistogram's V2 text form."""
    encoded: bytes = values.encode()
    return encoded.decode("ascii")


def microseconds(seconds: float) -> int:
    """Clamped to the histogram's range, so that no value is ever refused and lost."""
    return min(max(int(seconds * MICRO), LOWEST_US), HIGHEST_US)


class Users(Protocol):
    """The part of Locust's worker runner that tells how many users run, and how many should."""

    @property
    def user_count(self) -> int: ...

    target_user_count: int


@dataclass(frozen=True)
class Phase:
    """Which stretch of a run: sent by the master, copied into every record."""

    step: int
    kind: str
    phase: str
    users: int


@dataclass(slots=True)
class Tally:
    """The open phase's counts. Times in seconds, histograms in microseconds."""

    phase: Phase
    began: float
    started: float
    cpu_began: float
    successes: int = 0
    bytes: int = 0
    response_s: float = 0.0
    in_flight_s: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    response: HdrHistogram = field(default_factory=histogram)
    failed: HdrHistogram = field(default_factory=histogram)
    lag: HdrHistogram = field(default_factory=histogram)
    loop_lag: HdrHistogram = field(default_factory=histogram)
    think_count: int = 0
    think_drawn_s: float = 0.0
    think_passed_s: float = 0.0
    running: list[int] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)
    ticks: dict[str, list[float]] = field(
        default_factory=lambda: {
            name: [] for name in ("at", "successes", "failures", "response_s", "in_flight_s", "cpu_s")
        }
    )


class Recorder:
    """One for each worker process. Users call `begin`, then `success` or `failure`; `thought` after a think time."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._in_flight: dict[object, float] = {}
        self._tally: Tally | None = None

    # What users call, once a request: kept short, it is part of the generator's cost.

    def begin(self, user: object, at: float) -> None:
        """A request starts (its connection included) at `at`, a value of `now`."""
        self._in_flight[user] = at

    def success(self, user: object, at: float, size: int) -> float:
        """The request of `user` was answered as the plan wants, with `size` bytes of body. Returns its seconds."""
        began = self._in_flight.pop(user)
        elapsed = at - began
        tally = self._tally
        if tally is not None:
            tally.successes += 1
            tally.bytes += size
            tally.response_s += elapsed
            tally.in_flight_s += elapsed if began > tally.began else at - tally.began
            tally.response.record_value(microseconds(elapsed))
        return elapsed

    def failure(self, user: object, at: float, kind: str, size: int = 0) -> float:
        """The request of `user` failed, for a reason named by docs/results.md. Returns its seconds."""
        began = self._in_flight.pop(user)
        elapsed = at - began
        tally = self._tally
        if tally is not None:
            tally.failures[kind] += 1
            tally.bytes += size
            tally.in_flight_s += at - max(began, tally.began)
            tally.failed.record_value(microseconds(elapsed))
        return elapsed

    def thought(self, drawn: float, passed: float) -> None:
        """A think time of `drawn` seconds ended after `passed` seconds; the difference is the generator's lag."""
        tally = self._tally
        if tally is not None:
            tally.think_count += 1
            tally.think_drawn_s += drawn
            tally.think_passed_s += passed
            tally.lag.record_value(microseconds(passed - drawn))

    # What the worker's own greenlets call.

    def enter(self, phase: Phase) -> dict[str, Any] | None:
        """Close the open phase, whose record is returned, and open `phase` at the same instant."""
        at = now()
        closed = self.close(at)
        self._tally = Tally(phase, began=at, started=time.time(), cpu_began=time.process_time())
        return closed

    def close(self, at: float) -> dict[str, Any] | None:
        """The open phase's record, as in docs/results.md; None where no phase is open."""
        tally, self._tally = self._tally, None
        if tally is None:
            return None
        if tally.ticks["at"] and at - tally.began - tally.ticks["at"][-1] < TICK_S / 2:
            for column in tally.ticks.values():  # no interval too short to be a sample of its own
                column.pop()
        self._tick(tally, at)
        ages = histogram()
        for began in self._in_flight.values():
            ages.record_value(microseconds(at - began))
        running = tally.running or [self._users.user_count]
        wanted = tally.wanted or [self._users.target_user_count]
        return {
            "record": "phase",
            **vars(tally.phase),
            "started": tally.started,
            "seconds": at - tally.began,
            "attempts": tally.successes + tally.failures.total(),
            "successes": tally.successes,
            "failures": dict(tally.failures),
            "bytes": tally.bytes,
            "response_us": text(tally.response),
            "failed_us": text(tally.failed),
            "lag_us": text(tally.lag),
            "loop_lag_us": text(tally.loop_lag),
            "think_count": tally.think_count,
            "think_drawn_s": tally.think_drawn_s,
            "think_passed_s": tally.think_passed_s,
            "in_flight_s": tally.ticks["in_flight_s"][-1],
            "in_flight_end": len(self._in_flight),
            "in_flight_age_us": text(ages),
            "users_wanted": wanted[-1],
            "users_min": min(running),
            "users_mean": sum(running) / len(running),
            "users_right": sum(have == want for have, want in zip(running, wanted, strict=True)) / len(running),
            "fds_used": _open_descriptors(),
            "fds_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "ticks": tally.ticks,
        }

    def watch(self, sleep: Any) -> None:
        """Sample for ever: the event loop's lag, the running users, the counts once a second. `sleep` is gevent's."""
        rounds = 0
        last_tick = now()
        while True:
            slept_at = now()
            sleep(LOOP_INTERVAL_S)
            at = now()
            tally = self._tally
            if tally is None:
                continue
            # Corrected for the samples that a long stall swallows: a stall of 3 s is 300 late timers, not one.
            tally.loop_lag.record_corrected_value(
                microseconds(at - slept_at - LOOP_INTERVAL_S), int(LOOP_INTERVAL_S * MICRO)
            )
            rounds += 1
            if rounds % USERS_EVERY == 0:
                tally.running.append(self._users.user_count)
                tally.wanted.append(self._users.target_user_count)
            if at - max(last_tick, tally.began) >= TICK_S:
                self._tick(tally, at)
                last_tick = at

    def _tick(self, tally: Tally, at: float) -> None:
        open_s = sum(at - max(began, tally.began) for began in self._in_flight.values())
        row = {
            "at": at - tally.began,
            "successes": tally.successes,
            "failures": tally.failures.total(),
            "response_s": tally.response_s,
            "in_flight_s": tally.in_flight_s + open_s,
            "cpu_s": time.process_time() - tally.cpu_began,
        }
        for name, value in row.items():
            tally.ticks[name].append(value)


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
