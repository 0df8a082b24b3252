"""The generator's counts of a whole run against the server's own (check 7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.read.background_rows import BackgroundClients
from analysis.read.ledger import Ledger
from study.formats.run_json import ServerCounts

FULL_ANSWERS = ("bad-status", "wrong-body")
NEVER_REACHED = ("refused",)


@dataclass(frozen=True)
class Reconciled:
    """Counts of a run over all its phases. The server may or may not have answered what is `beside`."""

    attempts: int
    answered_client: int
    """Attempts that ended with a whole answer, right or wrong."""
    answered_server: int | None
    beside: Mapping[str, int]
    """Timed out, aborted, reset, cut short, and still in flight when the ledger ends."""
    refused_server: int = 0
    probes: int = 0
    """Requests of the campaign itself, in the server's counts and in no ledger."""
    missing: tuple[str, ...] = ()
    """Phases of workers that didn't come: with any, the counts can't be compared."""
    by_kernel: bool = False
    """The server keeps no count: `answered_server` is what the target's kernel accepted, for it and for all others."""

    bystanders: int = 0
    """Answers, or connections where the kernel counts, of the clients beside the load: in no ledger either."""

    @property
    def surplus(self) -> int | None:
        """How many more than the generator the server counts; None where the counts can't be compared."""
        if self.answered_server is None or self.missing:
            return None
        return self.answered_server - self.probes - self.bystanders - self.answered_client

    @property
    def apart(self) -> int | None:
        """How many requests the two counts are apart, with those beside taken on either side as it fits.

        What the server refused got an answer too, which the server counts apart.
        """
        if self.surplus is None:
            return None
        return max(0, -self.surplus - self.refused_server, self.surplus - sum(self.beside.values()))

    def sentence(self) -> str:
        beside = (
            ", ".join(f"{count} {kind}" for kind, count in self.beside.items() if count)
            or "none timed out, aborted or in flight"
        )
        server = "an unknown number" if self.answered_server is None else f"{self.answered_server}"
        ours = f"{self.attempts} attempts, {self.answered_client} answered"
        own = f", {self.probes} of them the campaign's own probes" if self.probes else ""
        if self.bystanders:
            own += f", {self.bystanders} of them those of the clients beside the load"
        if self.by_kernel and self.answered_server is None:
            return f"{ours}; the server keeps no count, and of connections that stay open the kernel counts no requests"
        if self.by_kernel:
            return (
                f"{ours}; the server keeps no count, the kernel's counters stand in: {server} connections accepted on"
                f" the target, by any program{own}; beside them: {beside}"
            )
        return f"{ours}; the server counts {server} answered{own}; beside them: {beside}"


def reconcile(
    ledger: Ledger,
    server: ServerCounts | None,
    probes: int = 0,
    each_connects: bool = True,
    bystanders: BackgroundClients | None = None,
) -> Reconciled:
    """Add up ramp, settle, measure and drain of every step and set them against the server's counts.

    Where the kernel counts instead, a connection is a request only if `each_connects`.
    """
    failures: Counter[str] = Counter()
    last: dict[str, int] = {}
    for record in ledger.records:
        failures.update(record.failures)
        last[record.worker] = record.in_flight_end
    beside = {kind: count for kind, count in sorted(failures.items()) if kind not in (*FULL_ANSWERS, *NEVER_REACHED)}
    phases = dict.fromkeys((record.step, record.phase) for record in ledger.records)
    by_kernel = server is not None and server.counted_by == "kernel"
    if by_kernel:
        beside["workers' own connections to their master"] = len(ledger.workers)
    if bystanders is not None and bystanders.in_doubt:
        beside["in doubt of the clients beside the load"] = bystanders.in_doubt
    missing = [f"{worker} step {step} {phase}" for step, phase in phases for worker in ledger.missing(step, phase)]
    return Reconciled(
        attempts=sum(record.attempts for record in ledger.records),
        answered_client=sum(record.successes for record in ledger.records)
        + sum(failures[kind] for kind in FULL_ANSWERS),
        answered_server=None
        if server is None or (by_kernel and not each_connects)
        else server.accepted
        if by_kernel
        else server.answered,
        beside={**beside, "in flight": sum(last.values())},
        refused_server=(server.refused or 0) if server is not None else 0,
        probes=probes,
        missing=tuple(missing),
        by_kernel=by_kernel,
        bystanders=(bystanders.opened if by_kernel else bystanders.answered) if bystanders is not None else 0,
    )
