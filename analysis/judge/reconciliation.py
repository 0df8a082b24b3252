"""The generator's counts of a whole run against the server's own (check 7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.read.background_rows import BackgroundClients
from analysis.read.ledger import Ledger
from study.formats.run_json import ServerCounts

WHOLE_ANSWERS = ("bad-status", "wrong-body", "wrong-header", "rejected")
"""Kinds of failures in which a whole answer came."""
NEVER_SENT = ("refused",)
"""Kinds of failures in which no request left the client."""
MASTER_CONNECTIONS, BACKGROUND, IN_FLIGHT = "master-connections", "background", "in-flight"
NO_ATTEMPTS = (MASTER_CONNECTIONS, BACKGROUND, IN_FLIGHT)
"""Keys of `uncertain` that are no kinds of failures."""


@dataclass(frozen=True)
class Reconciled:
    """Counts of a run over all its phases."""

    attempts: int
    answered_client: int
    """Attempts that ended with a whole answer, right or wrong."""
    answered_server: int | None
    uncertain: Mapping[str, int]
    """Requests that the server may or may not have answered: timed out, aborted, reset, cut short, and still in flight
    when the ledger ends; for the kernel's count also connections that are no requests."""
    refused_server: int = 0
    probes: int = 0
    """Requests of the campaign itself, in the server's counts and in no ledger."""
    missing: tuple[str, ...] = ()
    """Phases of workers that didn't come: with any, the counts can't be compared."""
    by_kernel: bool = False
    """The server keeps no count: `answered_server` is what the target's kernel accepted, for any program."""
    background: int = 0
    """Answers, or connections where the kernel counts, of the background clients: in no ledger either."""
    never_sent: int = 0
    """Attempts that ended without a request: no connection was to be had."""
    beyond: int = 0
    """Of `answered_client`, answers that are no attempts: of a locustfile of one's own those that it didn't report, and
    those that redirected and were followed."""

    @property
    def in_doubt(self) -> Mapping[str, int]:
        """The attempts that the server may or may not have answered, by kind.

        Attempts = answered_client - beyond + never_sent + these.
        """
        return {kind: count for kind, count in self.uncertain.items() if kind not in NO_ATTEMPTS}

    @property
    def surplus(self) -> int | None:
        """How many more than the generator the server counts; None where the counts can't be compared."""
        if self.answered_server is None or self.missing:
            return None
        return self.answered_server - self.probes - self.background - self.answered_client

    @property
    def apart(self) -> int | None:
        """By how many requests the two counts differ at least, whether the uncertain ones were answered or not.

        What the server refused got an answer too, which the server counts separately.
        """
        if self.surplus is None:
            return None
        return max(0, -self.surplus - self.refused_server, self.surplus - sum(self.uncertain.values()))


def reconcile(
    ledger: Ledger,
    server: ServerCounts | None,
    probes: int = 0,
    each_connects: bool = True,
    background: BackgroundClients | None = None,
) -> Reconciled:
    """Add up ramp, settle, measure and drain of every step and set them against the server's counts.

    Where the kernel counts instead, a connection is a request only if `each_connects`.
    """
    failures: Counter[str] = Counter()
    last: dict[str, int] = {}
    for record in ledger.records:
        failures.update(record.failures)
        last[record.worker] = record.in_flight_end
    unreported, followed = _of_own(ledger)
    uncertain = {kind: count for kind, count in sorted(failures.items()) if kind not in (*WHOLE_ANSWERS, *NEVER_SENT)}
    phases = dict.fromkeys((record.step, record.phase) for record in ledger.records)
    by_kernel = server is not None and server.counted_by == "kernel"
    if by_kernel:
        uncertain[MASTER_CONNECTIONS] = len(ledger.workers)
    if background is not None and background.in_doubt:
        uncertain[BACKGROUND] = background.in_doubt
    missing = [f"{worker} step {step} {phase}" for step, phase in phases for worker in ledger.missing(step, phase)]
    return Reconciled(
        attempts=sum(record.attempts for record in ledger.records),
        answered_client=sum(record.successes for record in ledger.records)
        + sum(failures[kind] for kind in WHOLE_ANSWERS)
        + unreported
        + followed,
        answered_server=_answered(server, each_connects),
        uncertain={**uncertain, IN_FLIGHT: sum(last.values())},
        refused_server=(server.refused or 0) if server is not None else 0,
        probes=probes,
        missing=tuple(missing),
        by_kernel=by_kernel,
        background=(background.opened if by_kernel else background.answered) if background is not None else 0,
        never_sent=sum(failures[kind] for kind in NEVER_SENT),
        beyond=unreported + followed,
    )


def _of_own(ledger: Ledger) -> tuple[int, int]:
    """Of a locustfile of one's own: answers that it didn't report, since an exception left its `with` block, and those
    that redirected and were followed; none of them is an attempt."""
    own = [record for record in ledger.records if record.own is not None]
    received = sum(record.own.received for record in own if record.own is not None)
    sent = sum(record.own.sent for record in own if record.own is not None)
    exchanges = sum(record.own.exchanges for record in own if record.own is not None)
    return max(0, received - sum(record.attempts for record in own)), max(0, exchanges - sent)


def _answered(server: ServerCounts | None, each_connects: bool) -> int | None:
    """What the server answered; where the kernel counts, the connections that it accepted, if each is a request."""
    if server is None:
        return None
    if server.counted_by == "kernel":
        return server.accepted if each_connects else None
    return server.answered
