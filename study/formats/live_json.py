"""What master and fab tell each other during a run, on control.

live.json has the master's running figures and is replaced once a second; seconds.csv keeps a row of each.
All but that are of no use after the run.
"""

from __future__ import annotations

from dataclasses import dataclass

from study.formats.csv_rows import columns
from study.formats.units import Cores, Milliseconds, PerSecond, UnixTime


@dataclass(frozen=True)
class TriedLoad:
    """One trial of a search, as it came to while the run goes on."""

    users: int
    outcome: str
    """`passed`, `failed`, `generator` or `unclear`."""
    long: bool = False
    """Measured twice as long, to confirm the load."""


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
    trials: tuple[TriedLoad, ...] = ()
    """Of a search, those that were judged."""
    fresh_servers: int = 0
    """How many fresh servers the master has asked for, each since the one before it did not recover from a trial."""
    p50_ms: Milliseconds | None = None
    """Response time up to which half of the answers of that second lie."""
    p99_ms: Milliseconds | None = None
    """The same for 99 %: the longest of them where they are fewer than 100."""
    lag_p99_ms: Milliseconds | None = None
    """The same of how late requests started."""
    worker_cpu: Cores | None = None
    """CPU of the busiest worker's process in that second."""


@dataclass(frozen=True, kw_only=True)
class FreshServers:
    """fresh-servers.json, fab's answer to the master's last request for a fresh server."""

    answered: int
    """How many of the master's requests have been answered."""
    started: bool
    """Whether a fresh server was started at the last one; none is where the run did not start the server itself."""


@dataclass(frozen=True, kw_only=True)
class SecondRow:
    """The fields of live.json that are a text or a number; an empty cell where one is null."""

    time: UnixTime
    step: int | None = None
    kind: str = ""
    phase: str = ""
    users: int | None = None
    running: int
    rps: PerSecond | None = None
    requests: int
    failures: int
    p50_ms: Milliseconds | None = None
    p99_ms: Milliseconds | None = None
    lag_p99_ms: Milliseconds | None = None
    worker_cpu: Cores | None = None


def second_row(figures: LiveFigures) -> SecondRow:
    """The row of one live.json."""
    values = {name: getattr(figures, name) for name in columns(SecondRow)}
    return SecondRow(**{**values, "kind": figures.kind or "", "phase": figures.phase or ""})
