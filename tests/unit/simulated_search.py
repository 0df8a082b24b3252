"""Searches on simulated servers whose capacity is known, one run or a whole campaign of them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence

import numpy as np

from study.search import Bracket, Outcome, Search, Trial, next_trial

Server = Callable[[int, bool, Sequence[Trial]], Outcome]


def run(search: Search, server: Server, most: int = 200) -> tuple[Bracket, list[Trial]]:
    """Walk the search to its end on a simulated server; `most` bounds a search that never ends."""
    trials: list[Trial] = []
    for _ in range(most):
        asked = next_trial(search, trials)
        if isinstance(asked, Bracket):
            return asked, trials
        trials.append(Trial(asked.users, server(asked.users, asked.long, trials), asked.long))
    raise AssertionError(f"no end after {most} trials: {trials}")


def sharp(capacity: float) -> Server:
    """Passes up to its capacity and fails beyond it."""
    return lambda users, _long, _trials: "passed" if users <= capacity else "failed"


def noisy(capacity: float, noise: float, draw: np.random.Generator, disturbed: float) -> Server:
    """Near the edge a trial passes by chance: each trial's edge is drawn around the capacity.

    With this the outcome isn't monotone in the users. `disturbed` is the share of trials that a stranger disturbs.
    """

    def server(users: int, long: bool, _trials: Sequence[Trial]) -> Outcome:
        if draw.random() < disturbed:
            return "unclear"
        edge = capacity * math.exp(draw.normal() * noise / (math.sqrt(2) if long else 1))
        return "passed" if users <= edge else "failed"

    return server


def campaign(
    search: Search, truth: dict[str, float], blocks: int, noise: float, draw: np.random.Generator
) -> dict[str, dict[int, Bracket]]:
    """Each label's bracket in each block. Its capacity differs by `noise` from run to run, by half of it by trial."""
    return {
        label: {
            block: run(search, noisy(capacity * math.exp(draw.normal() * noise), noise / 2, draw, 0.0))[0]
            for block in range(1, blocks + 1)
        }
        for label, capacity in truth.items()
    }


def closed_p99(
    users: int, servers: int, service_s: float, think_s: tuple[float, float], draw: np.random.Generator
) -> float:
    """The 99th percentile (s) of response times in a closed system: uniform think times, FIFO, constant service.

    A user's next request starts a think time after the answer before. 200 cycles of each user, the first 20 left out.
    """
    asking = [(float(at), user) for user, at in enumerate(draw.uniform(0, think_s[1], users))]
    heapq.heapify(asking)
    free = [0.0] * servers
    times: list[float] = []
    for _ in range(200 * users):
        at, user = heapq.heappop(asking)
        ended = max(at, heapq.heappop(free)) + service_s
        heapq.heappush(free, ended)
        times.append(ended - at)
        heapq.heappush(asking, (ended + float(draw.uniform(*think_s)), user))
    return float(np.quantile(times[20 * users :], 0.99))


def closed_capacity(servers: int, service_s: float, think_s: tuple[float, float], p99_s: float, seed: int) -> int:
    """The most users of a closed system whose 99th percentile of response times is at most `p99_s`."""
    draw, low, high = np.random.default_rng(seed), 1, 2
    while closed_p99(high, servers, service_s, think_s, draw) <= p99_s:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        within = closed_p99(middle, servers, service_s, think_s, draw) <= p99_s
        low, high = (middle, high) if within else (low, middle)
    return low
