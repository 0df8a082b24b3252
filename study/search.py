"""The capacity search: which load to try next, as a pure function of the trials so far (METHOD, "Capacity").

A run doubles the users from `start` until a trial breaks the SLO, bisects on a log scale, confirms the low end by a
trial twice as long, and steps down where that fails. Where the load generator was the limit it bisects below that load,
since the server's own limit may lie between; it ends with a lower bound where no load there breaks the SLO. Nothing
here waits or measures: whoever runs the trials calls `next_trial` after each of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

STEPS_DOWN = 3
"""Trials below a low end that its confirmation did not bear out."""
Outcome = Literal["passed", "failed", "generator", "unclear"]
"""`passed`: the SLO holds. `failed`: the SLO is broken. `generator`: the load generator was the limit.
`unclear`: a check other than these failed, as when a stranger took CPU time."""
PER_OCTAVE = 8
"""Capacities between a load and its double for which the rest of a search is foreseen: each way to bisect at 0.1."""
BEYOND = ("failed", "generator")
"""Outcomes beyond which no load is tried: the search goes on below."""
End = Literal["slo", "most", "generator", "unclear"]


@dataclass(frozen=True)
class Search:
    """What a plan's table [search] asks for: users of the first trial, the most users to try, relative width wanted."""

    start: int
    most: int
    resolution: float = 0.1

    @property
    def bisections(self) -> int:
        """How often a factor of two is halved on a log scale until it is as narrow as the resolution."""
        return max(0, math.ceil(math.log2(math.log(2) / math.log1p(self.resolution))))

    def most_trials(self, capacity: float) -> int:
        """The most trials that a search takes at this capacity (users), none of them unclear."""
        doublings = math.ceil(math.log2(max(capacity, 1) / self.start)) + 1 if capacity >= self.start else 1
        return max(doublings, 1) + self.bisections + 1 + STEPS_DOWN


@dataclass(frozen=True)
class Trial:
    """One load that was tried. `long`: measured twice as long, to confirm it."""

    users: int
    outcome: Outcome
    long: bool = False


@dataclass(frozen=True)
class Next:
    """The trial to run next."""

    users: int
    long: bool = False


@dataclass(frozen=True)
class Bracket:
    """What one search came to, in users: `low` is carried, `high` is not; None where no such load was tried.

    `ended` says what ended it; unless it is the SLO, the capacity is at least `low`. `confirmed`: a trial twice as long
    passed at `low`.
    """

    low: int | None
    high: int | None
    ended: End
    confirmed: bool = False


def next_trial(search: Search, trials: Sequence[Trial]) -> Next | Bracket:
    """The next load to try, or the answer where there is none left to try."""
    if not trials:
        return Next(min(search.start, search.most))
    last = trials[-1]
    if last.outcome == "unclear" and not _unclear_twice(trials):
        return Next(last.users, last.long)
    low, high = bracket(trials)
    confirming = [trial for trial in trials if trial.long and trial.outcome != "unclear"]
    if last.outcome == "unclear" or (last.outcome == "generator" and (confirming or low is None)):
        return Bracket(low, high, last.outcome, _confirmed(trials, low))
    ceiling = min((trial.users for trial in trials if trial.outcome in BEYOND), default=None)
    if ceiling is None:
        assert low is not None
        return Bracket(low, None, "most") if low >= search.most else Next(min(2 * low, search.most))
    if not confirming and low is not None and low < ceiling and not _narrow(search, low, ceiling, trials):
        return Next(_between(low, ceiling))
    if high is None or ceiling < high:
        return Bracket(low, high, "generator", _confirmed(trials, low))
    if low is None and not confirming:
        return Bracket(None, high, "slo")
    return _confirm(search, confirming, low, high)


def bracket(trials: Sequence[Trial]) -> tuple[int | None, int | None]:
    """The largest load that passed below the smallest that failed, and that smallest one; None where there is none.

    A load that passed once and failed later counts as failed.
    """
    high = min((trial.users for trial in trials if trial.outcome == "failed"), default=None)
    passed = [trial.users for trial in trials if trial.outcome == "passed" and (high is None or trial.users < high)]
    return max(passed, default=None), high


def possible_trials(search: Search, trials: Sequence[Trial]) -> tuple[tuple[Trial, ...], ...]:
    """What can follow these trials, each with the outcome that it then has: a sequence for each of many capacities.

    Repeats of unclear trials and steps below a failed confirmation aren't foreseen.
    """
    low, _ = bracket(trials)
    ceiling = min((trial.users for trial in trials if trial.outcome in BEYOND), default=search.most + 1)
    least, most = low or min(search.start, ceiling) - 1, ceiling - 1
    octaves = math.ceil(math.log2(max(most, 1) / max(least, 1))) if most > least else 0
    steps = (max(least, 1) * 2 ** ((step + 0.5) / PER_OCTAVE) for step in range(PER_OCTAVE * octaves))
    capacities = sorted({least, most, *(min(round(step), most) for step in steps)})
    return tuple(dict.fromkeys(_walk(search, trials, capacity) for capacity in capacities))


def _walk(search: Search, trials: Sequence[Trial], capacity: int) -> tuple[Trial, ...]:
    """The trials that follow on a server of this capacity, in users, whose confirmation passes."""
    every = list(trials)
    while isinstance(asked := next_trial(search, every), Next):
        passes = asked.long or asked.users <= capacity
        every.append(Trial(asked.users, "passed" if passes else "failed", asked.long))
    return tuple(every[len(trials) :])


def _unclear_twice(trials: Sequence[Trial]) -> bool:
    return len(trials) > 1 and trials[-2].outcome == "unclear" and trials[-2].users == trials[-1].users


def _narrow(search: Search, low: int, high: int, trials: Sequence[Trial]) -> bool:
    """Whether the interval is as narrow as was asked for, or as whole users and the bound on trials allow."""
    ended = [trial for trial in trials if trial.outcome != "unclear"]
    first_beyond = next(number for number, trial in enumerate(ended) if trial.outcome in BEYOND)
    bisected = len(ended) - first_beyond - 1
    return high <= low * (1 + search.resolution) or high - low <= 1 or bisected >= search.bisections


def _between(low: int, high: int) -> int:
    """The middle on a log scale, as whole users inside the bracket."""
    return min(max(round(math.sqrt(low * high)), low + 1), high - 1)


def _confirm(search: Search, confirming: Sequence[Trial], low: int | None, high: int) -> Next | Bracket:
    """A long trial at the low end; after a failed one, long trials below it, each lower by the resolution."""
    if not confirming:
        assert low is not None
        return Next(low, long=True)
    last = confirming[-1]
    if last.outcome == "passed":
        return Bracket(last.users, high, "slo", confirmed=True)
    lower = min(math.floor(last.users / (1 + search.resolution)), last.users - 1)
    if len(confirming) > STEPS_DOWN or lower < 1:
        return Bracket(low, high, "slo")
    return Next(lower, long=True)


def _confirmed(trials: Sequence[Trial], low: int | None) -> bool:
    return any(trial.long and trial.outcome == "passed" and trial.users == low for trial in trials)
