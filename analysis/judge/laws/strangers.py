"""Check 11: how much of the server's or the workers' cores somebody else took, from the samples of one window.

A process's CPU time is exact to the nanosecond, but a core's busy time is sampled at the kernel's timer ticks (100 to
1000 a second, CONFIG_TICK_CPU_ACCOUNTING), so that their difference has the error of a proportion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.judge.thresholds import THRESHOLDS as T


@dataclass(frozen=True)
class Strangers:
    """Busy time of others and steal, as shares of a group of cores."""

    share: float
    """Mean over the window, steal included; not below 0."""
    more: float
    """By how much the study's own processes used more than the ticks count as busy, as a share; 0 where they didn't."""
    steal: float
    """The part of it that the hypervisor gave to other machines."""
    worst: float
    """The largest share in one second."""
    noise: float
    """Standard error of `share`, from the ticks."""
    allowed: float
    worst_allowed: float

    @property
    def outcome(self) -> Literal["pass", "flag", "fail", "not available"]:
        """`fail` is the verdict `disturbed` where METHOD's other condition holds.

        Not available where the ticks miss more of the study's own time than may be others': they would miss theirs too.
        """
        if self.more > self.allowed:
            return "not available"
        if self.share > self.allowed or self.worst > self.worst_allowed:
            return "fail"
        return "flag" if self.share > max(T.strangers_flag, self.noise * 2) else "pass"


def judge_strangers(
    busy: Sequence[float], own: Sequence[float], steal: Sequence[float], seconds: Sequence[float], cores: float
) -> Strangers | None:
    """Others on a group of `cores`, from one entry for each sample of the window; None of none.

    `busy` is the group's time in user, nice and system mode, in cores, without irq and softirq (kernels that account
    them apart charge them to no process; they are the load's own packets for the most part). `own` is what the study's
    processes on these cores used: the server's tree, or the workers, with the sampler and whatever else of it runs
    there. `steal` is in cores too, 0 where there is no hypervisor.
    """
    rows = np.array([busy, own, steal, seconds], dtype=float)
    rows = rows[:, ~np.isnan(rows).any(axis=0) & (rows[3] > 0)]
    if not rows.shape[1] or cores <= 0:
        return None
    used, ours, stolen, lasted = rows
    total = float(lasted.sum())
    taken = (used - ours + stolen) / cores
    level = min(1.0, max(0.0, float((used + stolen) @ lasted) / total / cores))
    noise = math.sqrt(level * (1 - level) / (T.timer_ticks * cores * total))
    second = math.sqrt(level * (1 - level) / (T.timer_ticks * cores * float(lasted.min())))
    return Strangers(
        share=max(0.0, float(taken @ lasted) / total),
        more=max(0.0, -float(taken @ lasted) / total),
        steal=float(stolen @ lasted) / total / cores,
        worst=max(0.0, float(taken.max())),
        noise=noise,
        allowed=max(T.strangers, T.strangers_sigmas * noise),
        worst_allowed=max(T.strangers_second, T.strangers_second_sigmas * second),
    )
