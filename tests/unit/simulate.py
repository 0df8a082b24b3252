"""Closed systems simulated request by request, so that a test knows the truth that a window of them only estimates.

A user thinks for a time drawn uniformly, sends a request, waits for its answer and thinks again, as Locust's users do.
Times in s. Every draw comes from the generator that is passed in.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis.judge.laws.expected_queue import QueueMean, judge_queue
from analysis.judge.laws.law_error import (
    Deviation,
    balance,
    by_cycles,
    counts_miss,
    cycle_cv,
    drift_of_rate,
    drift_of_response,
    little_miss,
    warm_up,
)
from study.duration import RAMP_S
from study.plan import AUTO_MEASURE_S, AUTO_SETTLE_S, Plan, load_plan
from study.search import possible_trials

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, Floats], Floats]
"""Response or service times, in s, of requests that are sent at the times given."""


def constant(seconds: float) -> Draw:
    """Always the same time."""
    return lambda _draw, at: np.full(len(at), seconds)


def exponential(mean: float) -> Draw:
    """Exponential, coefficient of variation 1."""
    return lambda draw, at: draw.exponential(mean, len(at))


def lognormal(mean: float, sigma: float = 0.3) -> Draw:
    """Lognormal with this mean; sigma is that of the logarithm."""
    return lambda draw, at: mean * np.exp(sigma * draw.standard_normal(len(at)) - sigma**2 / 2)


def pareto(mean: float, shape: float = 1.6, longest: float = math.inf) -> Draw:
    """Pareto with this mean, cut at `longest`; below shape 2 its variance is infinite."""
    least = mean * (shape - 1) / shape
    return lambda draw, at: np.minimum(least * (1 + draw.pareto(shape, len(at))), longest)


def rare(usual: Draw, share: float, seconds: float) -> Draw:
    """As `usual`, but for a share of the requests that take so many seconds (a lost SYN takes 1 or 3)."""
    return lambda draw, at: np.where(draw.random(len(at)) < share, seconds, usual(draw, at))


def warming(cold: float, warm: float, until: float, sigma: float = 0.3) -> Draw:
    """Lognormal times whose mean falls on a straight line from `cold` at 0 to `warm` at the time `until`."""

    def drawn(draw: np.random.Generator, at: Floats) -> Floats:
        mean = cold + (warm - cold) * np.clip(at / until, 0, 1)
        return np.asarray(mean * np.exp(sigma * draw.standard_normal(len(at)) - sigma**2 / 2))

    return drawn


@dataclass(frozen=True, eq=False)
class Requests:
    """Every request of a simulated system, in order of `sent`; those that end after the simulation's end included."""

    sent: Floats
    """When the user woke: the request joins the queue."""
    began: Floats
    """When a server took it: until then it waits in the queue."""
    ended: Floats
    thought: Floats
    """Think time before the request."""


@dataclass(frozen=True, eq=False)
class SimulatedWindow:
    """What a window of a simulated system shows, as a worker counts it."""

    seconds: float
    attempts: int
    """Requests that ended in the window."""
    response: Floats
    """Their response times."""
    in_flight: float
    """Mean number of requests in flight."""
    think_count: int
    think_passed_s: float
    """Number and sum of the think times that ended in the window."""
    ages_start: Floats
    ages_end: Floats
    """Ages of the requests in flight at the window's two ends."""
    tick_rates: Floats
    """Ends per second, for each second of the window."""
    tick_responses_s: Floats
    """Sum of the response times that ended, for each second of the window."""

    @property
    def throughput(self) -> float:
        """X: ends per second."""
        return self.attempts / self.seconds

    @property
    def mean_s(self) -> float:
        """R: mean response time."""
        return float(self.response.mean()) if len(self.response) else 0.0


def delay_system(
    users: int,
    think: tuple[float, float],
    response: Draw,
    seconds: float,
    draw: np.random.Generator,
    spawn_rate: float = math.inf,
) -> Requests:
    """Users who never wait for each other: each response time is drawn by itself.

    Users start one after the other at `spawn_rate` per second from time 0, with a think time before the first request.
    """
    clock = np.arange(users) / spawn_rate
    rows: list[tuple[Floats, Floats, Floats]] = []
    while len(clock):
        thought = draw.uniform(*think, len(clock))
        sent = clock + thought
        ended = sent + response(draw, sent)
        rows.append((sent, ended, thought))
        clock = ended[ended < seconds]
    sent, ended, thought = (np.concatenate(part) for part in zip(*rows, strict=True))
    order = np.argsort(sent, kind="stable")
    return Requests(sent[order], sent[order], ended[order], thought[order])


def queue_system(
    users: int,
    think: tuple[float, float],
    service: Draw,
    seconds: float,
    draw: np.random.Generator,
    servers: int = 1,
    spawn_rate: float = math.inf,
) -> Requests:
    """Users of `servers` servers that take requests first come, first served; `service` is how long one is held."""
    size = 4096
    pending = [(at, float(thought)) for at, thought in _starts(users, think, draw, spawn_rate)]
    heapq.heapify(pending)
    free = [0.0] * servers
    rows: list[tuple[float, float, float, float]] = []
    thinks: list[float] = []
    holds: list[float] = []
    while pending[0][0] < seconds:
        if not thinks:
            thinks = draw.uniform(*think, size).tolist()
            holds = service(draw, np.full(size, pending[0][0])).tolist()
        sent, thought = pending[0]
        began = max(sent, free[0])
        ended = began + holds.pop()
        heapq.heapreplace(free, ended)
        following = thinks.pop()
        heapq.heapreplace(pending, (ended + following, following))
        rows.append((sent, began, ended, thought))
    sent_, began_, ended_, thought_ = np.asarray(rows, dtype=float).T
    return Requests(sent_, began_, ended_, thought_)


def _starts(
    users: int, think: tuple[float, float], draw: np.random.Generator, spawn_rate: float
) -> list[tuple[float, float]]:
    """First request of each user, and the think time before it."""
    thought = draw.uniform(*think, users)
    return [(number / spawn_rate + float(first), float(first)) for number, first in enumerate(thought)]


def observe(requests: Requests, start: float, seconds: float) -> SimulatedWindow:
    """The window of so many seconds that starts at the time `start`."""
    end = start + seconds
    sent, ended = requests.sent, requests.ended
    within = (ended >= start) & (ended < end)
    woke = (sent >= start) & (sent < end)
    overlap = np.clip(np.minimum(ended, end) - np.maximum(sent, start), 0, None)
    edges = np.append(np.arange(start, end - 1e-9, 1.0), end)
    response = ended[within] - sent[within]
    counts, _ = np.histogram(ended[within], edges)
    sums, _ = np.histogram(ended[within], edges, weights=response)
    return SimulatedWindow(
        seconds=seconds,
        attempts=int(within.sum()),
        response=response,
        in_flight=float(overlap.sum()) / seconds,
        think_count=int(woke.sum()),
        think_passed_s=float(requests.thought[woke].sum()),
        ages_start=start - sent[(sent < start) & (ended >= start)],
        ages_end=end - sent[(sent < end) & (ended >= end)],
        tick_rates=counts / np.diff(edges),
        tick_responses_s=sums,
    )


def waiting(requests: Requests, at: Floats) -> Floats:
    """Number of requests in the queue at each of these times."""
    began = np.sort(requests.began)
    return np.asarray(
        np.searchsorted(requests.sent, at, "right") - np.searchsorted(began, at, "right"), dtype=np.float64
    )


def busy_share(requests: Requests, start: float, seconds: float, servers: int = 1) -> float:
    """Utilisation of the servers in a window."""
    end = start + seconds
    held = np.clip(np.minimum(requests.ended, end) - np.maximum(requests.began, start), 0, None)
    return float(held.sum()) / (servers * seconds)


def planned_window(
    plan: Plan, users: int, response: Draw, draw: np.random.Generator, servers: int = 0
) -> SimulatedWindow:
    """The measure window of one step of a plan, after its ramp from nothing and its settling.

    Without `servers` users don't wait for each other; else `response` is how long one of so many servers is held.
    """
    start, measure = window_of_step(plan, users)
    if servers:
        requests = queue_system(users, plan.think_time, response, start + measure, draw, servers, plan.spawn_rate)
    else:
        requests = delay_system(users, plan.think_time, response, start + measure, draw, plan.spawn_rate)
    return observe(requests, start, measure)


def window_of_step(plan: Plan, users: int) -> tuple[float, float]:
    """When the measure window of a step begins, counted from the start of its first user, and how long it is."""
    settle = AUTO_SETTLE_S if isinstance(plan.settle, str) else plan.settle
    measure = AUTO_MEASURE_S if isinstance(plan.measure, str) else plan.measure
    return users / plan.spawn_rate + RAMP_S + settle, measure


def shipped_steps(most_users: int = 100_000) -> list[tuple[Plan, int]]:
    """Every step of every plan in campaigns/, those of few enough users; of a search the loads that it doubles to."""
    plans = [load_plan(path).plan for path in sorted(Path("campaigns").glob("*.toml"))]
    return [(plan, users) for plan in plans for users in _loads(plan) if users <= most_users]


def _loads(plan: Plan) -> Iterable[int]:
    search = plan.capacity_search
    return plan.users if search is None else [trial.users for trial in possible_trials(search, ())[-1]]


def misses(window: SimulatedWindow, users: int, think: tuple[float, float]) -> dict[str, Deviation]:
    """What checks 2, 3 and 5 say of a window; those that it is too short for are left out."""
    if not window.attempts:
        return {}
    sd = float(window.response.std())
    cv = cycle_cv(think, window.mean_s, sd)
    mean_think = window.think_passed_s / window.think_count if window.think_count else 0.0
    ages = (float(window.ages_start.sum()), float(window.ages_end.sum()))
    thinking = (users - len(window.ages_start), users - len(window.ages_end))
    passed, ended = window.think_passed_s, window.think_count
    deviations = {
        "balance": balance(users, window.seconds, window.in_flight, passed, ended, think, thinking),
        "Little": little_miss(window.in_flight, window.seconds, float(window.response.sum()), ages),
        "counts": counts_miss(window.think_count, window.attempts, len(window.ages_start), len(window.ages_end)),
        "drift of X": drift_of_rate(window.tick_rates.tolist(), window.throughput / users, cv),
        "drift of R": drift_of_response(window.tick_responses_s.tolist(), window.tick_rates.tolist(), sd),
        "warm-up": warm_up(window.tick_responses_s.tolist(), window.tick_rates.tolist()),
        "X (R + Z)": by_cycles(users, window.throughput, window.mean_s, mean_think, cv, window.attempts),
    }
    return {name: deviation for name, deviation in deviations.items() if deviation is not None}


CHECKED = ("balance", "Little", "counts", "drift of X", "drift of R", "warm-up")
"""Of `misses`, those that decide; `X (R + Z)` is there to be compared with `balance`."""

SOUND: dict[str, Draw] = {
    "1 ms": lognormal(0.001),
    "4 ms, wide": lognormal(0.004, 0.8),
    "Pareto 1.6, mean 200 ms": pareto(0.2),
    "0.3 % at 3 s": rare(lognormal(0.002), 0.003, 3.0),
}
"""Response times of servers with which nothing is wrong."""


def lost(window: SimulatedWindow, share: float) -> SimulatedWindow:
    """The window as it is where a share of the users does nothing: neither asks nor thinks."""
    return replace(window, in_flight=window.in_flight * (1 - share), think_passed_s=window.think_passed_s * (1 - share))


def sampled_queue(
    users: int,
    think: tuple[float, float],
    service: Draw,
    seconds: float,
    per_second: float,
    draw: np.random.Generator,
    servers: int = 1,
    cpu_share: float = 1.0,
    service_cv: float = 1.0,
) -> tuple[QueueMean, float]:
    """The accept queue of a FIFO server sampled over a window, judged, and the utilisation that was measured.

    `cpu_share` is the part of a request's holding time that is CPU: what a sampler sees of a server that also waits.
    """
    settle = 15 * max(think)
    requests = queue_system(users, think, service, settle + seconds, draw, servers)
    at = settle + (np.arange(int(seconds * per_second), dtype=np.float64) + draw.random()) / per_second
    measured = cpu_share * busy_share(requests, settle, seconds, servers)
    rate = float(((requests.ended >= settle) & (requests.ended < settle + seconds)).sum()) / seconds
    queued = float(waiting(requests, at).mean())
    return judge_queue(queued, len(at), seconds, measured, rate, servers, service_cv), measured
