"""The whole distribution of response times of each label and load, at shares that all curves have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from analysis.draw.frames import LEAST_SLOWER
from analysis.judge.judging import RunResult, StepResult
from analysis.judge.verdicts import SERVED
from analysis.rank.load_outcomes import MOST_BLOCKS, verdict_of
from analysis.rank.steps import LADDER_KINDS
from analysis.read.histograms import highest_us, lowest_us, merge

SHARES = tuple(float(f"{share:.3g}") for share in np.geomspace(1, 1e-5, 76))
"""Shares of requests that took longer, evenly spread over a log axis."""


@dataclass(frozen=True)
class Distribution:
    """One label at one load, its runs added bin by bin."""

    label: str
    users: int
    verdict: str
    """That of the load."""
    runs: int
    ms: tuple[float, ...]
    """For each of SHARES in turn the time that no larger share of requests exceeds; it ends where fewer than ten
    requests took longer, or only those that timed out."""


def response_curves(results: Iterable[RunResult]) -> Iterator[Distribution]:
    """By label and users in the order in which they were first measured.

    As in the figures: where most runs of a load are valid or an overload, the others are left out.
    """
    groups: dict[tuple[str, int], list[StepResult]] = {}
    for result in results:
        for step in result.steps:
            if step.step.kind in LADDER_KINDS and step.window is not None and step.window.response.total:
                groups.setdefault((step.run.label, step.step.users), []).append(step)
    for (label, users), steps in groups.items():
        served = [step for step in steps if step.judgement.verdict in SERVED]
        shown = served if len(served) > MOST_BLOCKS * len(steps) else steps
        windows = [step.window for step in shown if step.window is not None]
        times, longer = merge(each.response for each in windows), sum(each.timed_out.total for each in windows)
        every, slower = times.total + longer, times.total + longer - np.cumsum(times.counts)
        wanted = [share for share in SHARES if share * every >= max(LEAST_SLOWER, longer) or share == 1]
        at = [int(np.searchsorted(-slower, -share * every)) for share in wanted[1:]]
        ms = (lowest_us(times.index[:1])[0] / 1000, *(highest_us(times.index[at]) / 1000 if at else ()))
        verdict = verdict_of(step.judgement.verdict for step in steps)
        yield Distribution(label, users, verdict, len(shown), tuple(float(each) for each in ms))
