"""Renewing the leases of all hosts at the same time: one that is slow, or gone, holds up no other."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from cluster.hosts.host import Ended, Host
from study.errors import HostError, LostHostError

Known = dict[tuple[str, str], Ended | None]


class Renewing:
    """As a context, for the time of a run."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._hosts = {host.entry.name: host for host in hosts}
        self._pool = ThreadPoolExecutor(max_workers=len(hosts))
        self._asked: dict[str, Future[dict[str, Ended | None]]] = {}
        self._known: dict[str, dict[str, Ended | None]] = {}

    def __enter__(self) -> Renewing:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def once(self, seconds: float) -> Known:
        """Ask every host that doesn't owe an answer, and wait so long for all; returns the last that each has said.

        By host and process; None while it runs. Nothing is said of anybody before all have answered once. Raises
        LostHostError where one can't be asked any more.
        """
        for name, host in self._hosts.items():
            if name not in self._asked:
                self._asked[name] = self._pool.submit(host.renew)
        wait(self._asked.values(), timeout=seconds if len(self._known) == len(self._hosts) else None)
        for name in [name for name, asked in self._asked.items() if asked.done()]:
            try:
                self._known[name] = self._asked.pop(name).result()
            except HostError as error:
                raise LostHostError(name, str(error)) from None
        return {(host, name): ended for host, known in self._known.items() for name, ended in known.items()}
