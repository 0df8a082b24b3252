"""The generator's counts of a whole run against the server's own (check 7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.ledger import Ledger

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

    @property
    def apart(self) -> int | None:
        """How many requests the two counts are apart, with those beside taken on either side as it fits."""
        if self.answered_server is None or self.missing:
            return None
        surplus = self.answered_server - self.probes - self.answered_client
        return max(0, -surplus, surplus - sum(self.beside.values()))

    def sentence(self) -> str:
        beside = (
            ", ".join(f"{count} {kind}" for kind, count in self.beside.items() if count)
            or "none timed out, aborted or in flight"
        )
        server = "an unknown number" if self.answered_server is None else f"{self.answered_server}"
        ours = f"{self.attempts} attempts, {self.answered_client} answered"
        own = f", {self.probes} of them the campaign's own probes" if self.probes else ""
        return f"{ours}; the server counts {server} answered{own}; beside them: {beside}"


def reconcile(ledger: Ledger, server: Mapping[str, Any] | None, probes: int = 0) -> Reconciled:
    """Add up ramp, settle, measure and drain of every step and set them against the server's counts."""
    failures: Counter[str] = Counter()
    last: dict[str, int] = {}
    for record in ledger.records:
        failures.update(record.failures)
        last[record.worker] = record.in_flight_end
    beside = {kind: count for kind, count in sorted(failures.items()) if kind not in (*FULL_ANSWERS, *NEVER_REACHED)}
    phases = dict.fromkeys((record.step, record.phase) for record in ledger.records)
    missing = [f"{worker} step {step} {phase}" for step, phase in phases for worker in ledger.missing(step, phase)]
    return Reconciled(
        attempts=sum(record.attempts for record in ledger.records),
        answered_client=sum(record.successes for record in ledger.records)
        + sum(failures[kind] for kind in FULL_ANSWERS),
        answered_server=_count(server, "answered"),
        beside={**beside, "in flight": sum(last.values())},
        refused_server=_count(server, "refused") or 0,
        probes=probes,
        missing=tuple(missing),
    )


def _count(server: Mapping[str, Any] | None, key: str) -> int | None:
    value = server.get(key) if server is not None else None
    return value if isinstance(value, int) else None
