"""run.json: the state of a run. Written last, by rename: a run without it never happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class LostHost:
    """A load host that was lost during a run."""

    host: str
    step: int | None
    """The step that the run was in; None before the first."""


@dataclass(frozen=True)
class ServerCounts:
    """A server's own counts at its end, which it prints as its last line; None where it doesn't count that.

    For a server that counts nothing, `accepted` is the number of connections that the target's kernel accepted for
    all programs, and `counted_by` is "kernel".
    """

    accepted: int
    answered: int | None = None
    refused: int | None = None
    timed_out: int | None = None
    dropped: int | None = None
    aborted: int | None = None
    statuses: Mapping[str, int] | None = None
    """Answers by HTTP status."""
    peak_connections: int | None = None
    counted_by: Literal["server", "kernel"] = "server"


def added(counts: Sequence[ServerCounts]) -> ServerCounts:
    """The counts of a run's servers together; a count that one of them lacks is None."""

    def total(name: str) -> int | None:
        each = [getattr(one, name) for one in counts]
        return None if None in each else sum(each)

    return ServerCounts(
        accepted=sum(one.accepted for one in counts),
        answered=total("answered"),
        refused=total("refused"),
        timed_out=total("timed_out"),
        dropped=total("dropped"),
        aborted=total("aborted"),
        statuses=dict(sum((Counter(one.statuses or {}) for one in counts), Counter())),
        peak_connections=max((one.peak_connections or 0 for one in counts), default=0) or None,
    )


@dataclass(frozen=True, kw_only=True)
class RunState:
    """One run, as it ended. Reading an older file, a key that is missing has its default here."""

    state: Literal["done", "failed", "skipped"] = "failed"
    """`skipped`: a program or module that the server needs isn't installed on the target."""
    reason: str = ""
    """Why it failed or was skipped, for a person; empty where it is done."""
    block: int = 0
    label: str = ""
    """Differs from `model` for the A/A control."""
    model: str = ""
    attempt: int = 1
    """Counts from 1: how often the run was started, this time included."""
    load: tuple[str, ...] = ()
    """The load hosts that carried the run."""
    without: tuple[str, ...] = ()
    """Load hosts of the inventory that could not be reached."""
    lost: LostHost | None = None
    boot_ids: Mapping[str, str] = field(default_factory=dict)
    """Each host's boot id as the run began."""
    rebooted: tuple[str, ...] = ()
    """Hosts whose boot id differs from that of an earlier run of the same block."""
    started: str = ""
    """UTC, ISO 8601."""
    ended: str = ""
    """UTC, ISO 8601."""
    server: ServerCounts | None = None
    """None where the server was ended before it could print its counts."""
    probes: int = 0
    """Requests that the campaign itself sent to check the server's answers: in the server's counts, in no ledger."""
    slots: int | None = None
    """How many clients the server says that it serves at once; None where it has no fixed number, or doesn't say."""
