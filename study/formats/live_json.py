"""live.json: the master's running figures, replaced once a second; of no use after the run."""

from __future__ import annotations

from dataclasses import dataclass

from study.formats.units import PerSecond, UnixTime


@dataclass(frozen=True, kw_only=True)
class LiveFigures:
    """Before the first step, `step`, `kind`, `phase` and `users` are None."""

    time: UnixTime
    step: int | None = None
    kind: str | None = None
    phase: str | None = None
    users: int | None = None
    """Users that the step wants, over all workers."""
    running: int
    """Users that the workers report."""
    rps: PerSecond | None = None
    """Requests that ended in the workers' last whole second, failures included; None before there was one."""
    requests: int
    """Since the run began, failures included. Requests of users that the ladder itself ends aren't counted."""
    failures: int
