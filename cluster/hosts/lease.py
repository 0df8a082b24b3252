"""Renews the leases of all hosts at the same time, so that a slow or lost host delays no other."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from cluster.hosts.host import Ended, Host
from study.errors import HostError, LostHostError

Processes = dict[tuple[str, str], Ended | None]
"""Supervised processes by (host, process name); None while one runs."""


class Renewing:
    """A context for the time of a run."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._hosts = {host.entry.name: host for host in hosts}
        self._pool = ThreadPoolExecutor(max_workers=len(hosts))
        self._pending: dict[str, Future[dict[str, Ended | None]]] = {}
        self._answers: dict[str, dict[str, Ended | None]] = {}

    def __enter__(self) -> Renewing:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for host in self._hosts.values():
            host.end_renewals()

    def once(self, seconds: float) -> Processes:
        """Renew on every host without a pending renewal, wait at most `seconds`; returns the latest answer of each.

        The first call waits until all hosts have answered. Raises LostHostError where a host can't be asked any more.
        """
        for name, host in self._hosts.items():
            if name not in self._pending:
                self._pending[name] = self._pool.submit(host.renew)
        wait(self._pending.values(), timeout=seconds if len(self._answers) == len(self._hosts) else None)
        for name in [name for name, renewal in self._pending.items() if renewal.done()]:
            try:
                self._answers[name] = self._pending.pop(name).result()
            except HostError as error:
                raise LostHostError(name, str(error)) from None
        return {(host, name): ended for host, known in self._answers.items() for name, ended in known.items()}
