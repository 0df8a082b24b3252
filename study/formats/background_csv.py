"""bystanders.csv: what became of the background clients, one row a second and kind."""

from __future__ import annotations

from dataclasses import dataclass

from study.formats.units import Seconds, UnixTime

EVENTS = ("opened", "answered", "refused", "reset", "timed_out")
"""The columns that count what happened in the interval."""


@dataclass(frozen=True, kw_only=True)
class BackgroundRow:
    """The background clients of one kind in one interval. Kinds: `idle` and `slow`."""

    time: UnixTime
    """At the end of the interval."""
    kind: str
    seconds: Seconds
    """Length of the interval."""
    wanted: int
    """How many the plan wants."""
    held: int
    """Connected at the moment; idle ones only once they have been answered on that connection."""
    waiting: int
    """Have sent a whole request and wait for its answer."""
    opened: int
    """Connections made."""
    answered: int
    """Answers with the status that the plan wants."""
    refused: int
    """Connections refused, and answers with another status."""
    reset: int
    """Connections that the server closed or reset, before an answer or while held."""
    timed_out: int
    """No connection or no answer within the plan's timeout."""
