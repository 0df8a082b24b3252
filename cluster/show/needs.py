"""What a plan needs of its load hosts, as a pure function of the plan and the hosts' facts: how many, and which bound
decides. The rate that a core of the load sustains is the calibration's part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.campaign.preflight import SPARE_FDS, TIME_WAIT_S, WORKER_MB, mb_per_user
from study.formats.facts_json import Facts
from study.plan import Plan

REUSES = 1
"""Value of tcp_tw_reuse with which the kernel reuses such ports for every destination."""


@dataclass(frozen=True)
class LoadNeed:
    """One bound: what the whole load takes, and what one host has room for, in the same unit."""

    what: str
    total: float
    each: float

    @property
    def hosts(self) -> float:
        """How many hosts like this one it takes; infinite where one has no room at all."""
        return math.ceil(self.total / self.each) if self.each > 0 else math.inf


def load_needs(plan: Plan, facts: Sequence[Facts], workers: int) -> tuple[LoadNeed, ...]:
    """The bounds by users, the one that takes most hosts first. `facts` are the load hosts', `workers` those of one.

    Of each figure the least of all hosts counts. Locust's own clients close a connection first, which keeps its port
    for TIME_WAIT_S unless the kernel may reuse it (tcp_tw_reuse); the lean client lets the server close first.
    """
    users, rate = plan.most_users, plan.most_users / plan.mean_think_s if plan.mean_think_s else 0.0
    closing = plan.client != "lean" and not plan.keeps_alive
    lingering = closing and any(each.tcp_tw_reuse != REUSES for each in facts)
    ports = min(each.ephemeral_ports[1] - each.ephemeral_ports[0] + 1 for each in facts)
    memory = min(each.memory_available_mb for each in facts) - plan.memory_floor_mb - WORKER_MB * workers
    needs = (
        LoadNeed("descriptors", users, workers * (min(each.fds_hard for each in facts) - SPARE_FDS)),
        LoadNeed("local ports", max(users, rate * TIME_WAIT_S if lingering else 0.0), ports - SPARE_FDS),
        LoadNeed("MiB of memory", users * mb_per_user(plan), memory),
    )
    return tuple(sorted(needs, key=lambda need: need.total / need.each if need.each > 0 else math.inf, reverse=True))


def needs_text(needs: Sequence[LoadNeed]) -> str:
    """As `12 like these: local ports decide (1,000,000, a host has 28,132); descriptors 2, MiB of memory 3`."""
    first, *rest = needs
    enough = "1 is enough" if first.hosts == 1 else f"{first.hosts:,} like these"
    others = ", ".join(f"{need.what} {need.hosts:,}" for need in rest)
    return f"{enough}: {first.what} decide ({first.total:,.0f}, a host has room for {first.each:,.0f}); by {others}"
