"""Memory of a process tree: each page that its processes map, counted once.

The sum of the proportional set sizes (PSS) over all processes is that, for pages that only the tree maps, if all of
them are read at one moment. A fork server's children live for milliseconds: one that is born after the processes were
listed, or ends before it is read, shares its parent's pages meanwhile, so that the parent's PSS is halved and the other
half is missing from the sum. Hence a second lower bound, which such children can't lower: all pages of the leader, and
of each other process those that nobody shares. The figure is the larger of the two. Standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

KIB_PER_MIB = 1024


@dataclass(frozen=True)
class ProcessMemory:
    """One process, from /proc/PID/smaps_rollup, in MiB."""

    rss: float
    pss: float
    private: float
    """Pages that no other process maps."""


def process_memory(pid: int) -> ProcessMemory | None:
    """A process's memory now; None where it has ended, or its memory can't be read."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:
            lines = rollup.read().splitlines()[1:]
    except OSError:
        return None
    kib = {line.partition(b":")[0]: int(line.split()[1]) for line in lines}
    if b"Pss" not in kib:  # a zombie
        return None
    private = kib[b"Private_Clean"] + kib[b"Private_Dirty"]
    return ProcessMemory(kib[b"Rss"] / KIB_PER_MIB, kib[b"Pss"] / KIB_PER_MIB, private / KIB_PER_MIB)


def tree_memory(leader: ProcessMemory, others: Sequence[ProcessMemory]) -> float:
    """The memory in MiB of a tree's leader and its other processes: the larger of the two lower bounds."""
    proportional = leader.pss + sum(each.pss for each in others)
    return max(proportional, leader.rss + sum(each.private for each in others))
