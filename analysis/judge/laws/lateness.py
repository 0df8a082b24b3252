"""Whose fault a missing throughput is, where users woke late and the target was full (METHOD, "Verdict of a step")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Shares:
    """What a user's cycle has too much, divided between the generator and the server."""

    shortfall: float
    """1 - X / (N / (R1 + Z)): how far X is under what a server without a limit would give."""
    generator: float
    """Share of it, from 0 to 1, that the users' lateness explains."""
    server: float
    """The rest."""

    @property
    def verdict(self) -> Literal["generator-limited", "overload"]:
        """The larger part names it."""
        return "generator-limited" if self.generator > self.server else "overload"


def shares_explained(
    users: int, throughput: float, idle_response_s: float, think_drawn_s: float, late_s: float
) -> Shares:
    """Divide the shortfall of X; times in s, `throughput` in requests/s.

    A cycle takes N / X. It should take R1 + Z, with R1 the response time of the idle server and Z the mean think time
    as drawn. What it takes too long is a sum, of which `late_s`, the mean of think time passed less think time drawn,
    is the generator's and the rest the server's. (The 99th percentile of the lag explains nothing: it isn't added up.)
    Raises ValueError where no request ended.
    """
    if throughput <= 0:
        raise ValueError("no request ended: there is no cycle to divide")
    should = idle_response_s + think_drawn_s
    excess = users / throughput - should
    if excess <= 0:
        return Shares(1 - throughput * should / users, 0.0, 0.0)
    generator = min(1.0, max(0.0, late_s) / excess)
    return Shares(1 - throughput * should / users, generator, 1 - generator)
