"""Searches on simulated servers whose capacity is known, one run or a whole campaign of them."""

from __future__ import annotations

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
