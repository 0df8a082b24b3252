"""Placement: the cores that the server, the workers, the samplers and fab itself run on, as functions of the facts.

The server shares no core with what loads and measures it, wherever the hosts have enough cores for that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cluster.hosts.inventory import CONTROL, HostEntry, Inventory
from study.formats.facts_json import Facts


def given_cpus(entry: HostEntry, facts: Facts) -> tuple[int, ...]:
    """The host's `cpus` in the inventory, or all cores that it has."""
    return entry.cpus or facts.cores


def server_cpus(entry: HostEntry, facts: Facts) -> tuple[int, ...]:
    """The server's cores: `cpus` of the inventory; else all, but for the last one on a target with several cores.

    The last one is left to the sampler and sshd. On control's own machine the inventory has shared out the cores.
    """
    cpus = given_cpus(entry, facts)
    return cpus[:-1] if not entry.cpus and entry.machine != CONTROL and len(cpus) > 1 else cpus


def sampler_cpus(entry: HostEntry, facts: Facts) -> tuple[int, ...]:
    """The target's cores without the server's; the server's own where it has all."""
    server = server_cpus(entry, facts)
    return tuple(cpu for cpu in facts.cores if cpu not in server) or server


def worker_count(entry: HostEntry, facts: Facts) -> int:
    """Locust workers on a load host: `workers` of the inventory, or one per core."""
    return entry.workers or len(given_cpus(entry, facts))


@dataclass(frozen=True)
class Placement:
    """The placement of a campaign; `facts` by host name."""

    inventory: Inventory
    facts: Mapping[str, Facts]

    def cpus(self, entry: HostEntry) -> tuple[int, ...]:
        """The cores of the server on the target, of the workers on a load host, of fab and the master on control."""
        cpus = server_cpus if entry == self.inventory.target else given_cpus
        return cpus(entry, self.facts[entry.name])

    def sampler(self, entry: HostEntry) -> tuple[int, ...]:
        """The cores of a host's sampler: not the server's, where there are others."""
        if entry.machine == CONTROL:
            return self.inventory.control.cpus or self.cpus(entry)
        return sampler_cpus(entry, self.facts[entry.name]) if entry == self.inventory.target else self.cpus(entry)

    def workers(self) -> list[tuple[str, str]]:
        """(Host name, worker name) of each worker; the worker's name is the one in the ledger."""
        return [
            (entry.name, f"{entry.name}-{number}")
            for entry in self.inventory.load
            for number in range(1, worker_count(entry, self.facts[entry.name]) + 1)
        ]

    def load_cores(self) -> int:
        """Number of cores that the workers have; one that two hosts of the same machine share counts once."""
        return len({(entry.machine, cpu) for entry in self.inventory.load for cpu in self.cpus(entry)})


@contextlib.contextmanager
def on_cores(cpus: tuple[int, ...]) -> Iterator[None]:
    """Pin this process, and what it starts meanwhile, to control's cores, so that the server has its own to itself."""
    if not hasattr(os, "sched_setaffinity"):  # no Linux: control may be a Mac
        yield
        return
    before = os.sched_getaffinity(0)
    _pin(set(cpus))
    try:
        yield
    finally:
        _pin(before)


def _pin(cpus: set[int]) -> None:
    """Pin every thread of this process: each connection over SSH has one."""
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # the thread has ended meanwhile
            os.sched_setaffinity(int(thread), cpus)
