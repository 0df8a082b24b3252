"""The sampler, one on each host: `python -m cluster.remote.sampler` writes samples-<host>.csv, rows once a second.

It must take little, about 1 % of a core, and records what it takes: on a load host beside 14,000 to 28,000 sockets in
TIME_WAIT 0.9 to 1.3 % in the median and 2 % at most, most of it the count of local ports. Memory, the expensive figure,
is read every few seconds, and what grows with the number of processes only while there are few.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from cluster.remote.cores import (
    TICKS,
    CoreGroup,
    CpuTicks,
    KernelStat,
    Member,
    by_session,
    cpu_stalled_s,
    kernel_stat,
    processes,
    tree_cpu_s,
)
from cluster.remote.kernel import kernel_counters
from cluster.remote.listening import QueueWatch, ports_towards
from cluster.remote.memory import process_memory, tree_memory
from study.formats.csv_rows import RowWriter
from study.formats.samples_csv import KERNEL_COUNTERS, SampleRow

INTERVAL_S = 1.0
LEAST_WAIT_S = 0.05  # between two turns, where one took long
MEMORY_EVERY = 5
FEW = 64  # processes or threads up to which each one is read
MIB = 1024 * 1024
NICENESS = 10  # the load has priority on a core that the sampler shares with it


@dataclass
class Tree:
    """A supervised process, which leads a session, with its descendants; figures count from the previous row."""

    role: str
    name: str
    process: psutil.Process
    last_cpu: float | None = None
    last_reaped: float = 0.0
    last_ticks: CpuTicks | None = None
    last_switches: int | None = None
    last_threads: dict[int, float] = field(default_factory=dict)

    def row(self, members: list[Member], stat: KernelStat, seconds: float, with_memory: bool) -> SampleRow | None:
        """The row for the last `seconds`, given its processes; None once the process has ended."""
        if not any(member.pid == self.process.pid for member in members):
            return None
        cpu, reaped = tree_cpu_s(members), sum(member.reaped_s for member in members)
        threads = sum(member.threads for member in members)
        try:
            cores = self.process.cpu_affinity()
            fd_limit = self.process.rlimit(psutil.RLIMIT_NOFILE)[0]
        except psutil.NoSuchProcess:
            return None
        figures: dict[str, Any] = {}
        ticks = stat.of(cores)
        if self.last_cpu is not None and self.last_ticks is not None:
            figures["cpu_cores"] = max(cpu - self.last_cpu, 0.0) / seconds
            if self.role == "server":
                figures["ended_cores"] = max(reaped - self.last_reaped, 0.0) / seconds
                kernel, busy = ticks.kernel - self.last_ticks.kernel, ticks.busy - self.last_ticks.busy
                figures |= {"kernel_share": kernel / busy} if busy > 0 else {}
        self.last_cpu, self.last_reaped, self.last_ticks = cpu, reaped, ticks
        if len(members) <= FEW:
            figures |= self._each(members)
            figures |= self._memory(members) if with_memory else {}
        if self.role == "server" and threads <= FEW:
            figures |= self._busiest_thread(members, seconds)
        return SampleRow(
            time=time.time(),
            role=self.role,
            name=self.name,
            seconds=seconds,
            cores=len(cores),
            threads=threads,
            processes=len(members),
            fd_limit=fd_limit,
            **figures,
        )

    def _each(self, members: list[Member]) -> dict[str, Any]:
        """Sums over the processes: descriptors, context switches."""
        fds = switches = 0
        for member in members:
            try:
                process = self.process if member.pid == self.process.pid else psutil.Process(member.pid)
                fds += process.num_fds()
                switches += sum(process.num_ctx_switches())
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        figures: dict[str, Any] = {"fds": fds}
        if self.last_switches is not None:
            figures["context_switches"] = max(switches - self.last_switches, 0)
        self.last_switches = switches
        return figures

    def _memory(self, members: list[Member]) -> dict[str, Any]:
        leader = process_memory(self.process.pid)
        if leader is None:
            return {}
        read = [process_memory(member.pid) for member in members if member.pid != self.process.pid]
        others = [memory for memory in read if memory is not None]
        return {
            "pss_mb": leader.pss + sum(each.pss for each in others),
            "memory_mb": tree_memory(leader, others),
        }

    def _busiest_thread(self, members: list[Member], seconds: float) -> dict[str, Any]:
        now = {t.id: t.user_time + t.system_time for member in members for t in _threads(member.pid)}
        spent = [cpu - self.last_threads[key] for key, cpu in now.items() if key in self.last_threads]
        self.last_threads = now
        return {"busiest_thread_cores": max(spent) / seconds} if spent else {}


def _threads(pid: int) -> list[Any]:
    try:
        return list(psutil.Process(pid).threads())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


@dataclass
class HostCounters:
    """The host itself: all cores, memory, the kernel's counters; figures count from the previous row."""

    name: str
    port: int
    last_stat: KernelStat | None = None
    last_kernel: dict[str, int] = field(default_factory=dict)
    last_own: float = 0.0
    last_stalled: float | None = None

    def row(self, stat: KernelStat, seconds: float, with_ports: bool) -> SampleRow:
        """The row for the last `seconds`."""
        own, kernel, stalled = time.process_time(), kernel_counters(), cpu_stalled_s()
        figures: dict[str, Any] = {}
        if self.last_stat is not None:
            now, before = stat.of(stat.cpus), self.last_stat.of(self.last_stat.cpus)
            figures = {
                "cpu_cores": (now.busy + now.steal - before.busy - before.steal) / TICKS / seconds,
                "sampler_cpu_cores": (own - self.last_own) / seconds,
                "starts": stat.started - self.last_stat.started,
                **{
                    column: kernel[name] - self.last_kernel[name]
                    for column, name in KERNEL_COUNTERS.items()
                    if name in kernel
                },
            }
            if stalled is not None and self.last_stalled is not None:
                figures["cpu_pressure"] = min(1.0, (stalled - self.last_stalled) / seconds)
        self.last_stat, self.last_own, self.last_kernel, self.last_stalled = stat, own, kernel, stalled
        return SampleRow(
            time=time.time(),
            role="host",
            name=self.name,
            seconds=seconds,
            cores=psutil.cpu_count(),
            memory_available_mb=psutil.virtual_memory().available // MIB,
            ports_used=ports_towards(self.port) if with_ports else None,
            ports_limit=ephemeral_ports(),
            time_wait=time_wait(),
            **figures,
        )


def time_wait() -> int:
    """Sockets in TIME_WAIT."""
    match = re.search(r"^TCP:.* tw (\d+)", Path("/proc/net/sockstat").read_text(encoding="ascii"), re.MULTILINE)
    return int(match[1]) if match else 0


def somaxconn() -> int:
    """The kernel's limit of every accept queue."""
    return int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii"))


def ephemeral_ports() -> int:
    """How many local ports a connection can be given."""
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    return int(high) - int(low) + 1


@dataclass
class Watched:
    """All that one sampler watches."""

    trees: list[Tree]
    host: HostCounters
    group: CoreGroup
    """The server's cores on the target, the workers' cores on a load host."""
    queue: QueueWatch | None
    """The server's accept queue, on the target."""
    backlog: int | None
    """The accept queue's length that the server asks for."""

    def rows(self, turn: int, seconds: float) -> Iterator[SampleRow]:
        """The rows of one turn, `seconds` after the one before."""
        members, stat = processes(), kernel_stat()
        group: dict[str, Any] = self.group.figures(members, stat)
        sessions = by_session(members, [tree.process.pid for tree in self.trees])
        for tree in self.trees:
            row = tree.row(sessions.get(tree.process.pid, []), stat, seconds, with_memory=turn % MEMORY_EVERY == 0)
            if row is not None:
                yield replace(row, **group, **self._queue()) if tree.role == "server" else row
        # Ports towards the target matter on load hosts.
        row = self.host.row(stat, seconds, with_ports=self.queue is None)
        yield row if self.queue is not None else replace(row, **group)

    def wait(self, due: float) -> None:
        """Until the next turn at `due`, a value of time.monotonic; meanwhile look at the accept queue."""
        least = time.monotonic() + LEAST_WAIT_S
        if self.queue is not None:
            self.queue.look_until(max(due, least))
        else:
            time.sleep(max(due, least) - time.monotonic())

    def _queue(self) -> Mapping[str, Any]:
        figures = self.queue.take() if self.queue is not None else None
        if figures is None:
            return {}
        return {
            "accept_queue": figures.now,
            "accept_queue_mean": figures.mean,
            "accept_queue_looks": figures.looks,
            "listen_socket_drops": figures.drops,
            "backlog": None if self.backlog is None else min(self.backlog, somaxconn()),
        }


def main() -> int:
    """Write rows until a signal ends the process."""
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.sampler", description=__doc__)
    parser.add_argument("--host", required=True, help="the host's name")
    parser.add_argument("--port", type=int, required=True, help="the server's port")
    parser.add_argument("--server", help="PID:LABEL of the server, on the target")
    parser.add_argument("--backlog", type=int, help="the accept queue's length that the server asks for")
    parser.add_argument("--worker", action="append", default=[], help="PID:NAME of a worker")
    parser.add_argument("--own", action="append", type=int, default=[], help="PID of another process of the study")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--append", action="store_true", help="go on with the table that another sampler began")
    options = parser.parse_args()
    os.nice(NICENESS)
    names = [("server", options.server)] if options.server else []
    trees = []
    for role, word in [*names, *(("worker", word) for word in options.worker)]:
        pid, _, name = word.partition(":")
        trees.append(Tree(role, name, psutil.Process(int(pid))))
    watched = Watched(
        trees,
        HostCounters(options.host, options.port),
        CoreGroup(cores_of(trees), (*(tree.process.pid for tree in trees), *options.own)),
        QueueWatch(options.port) if options.server else None,
        options.backlog,
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("a" if options.append else "w", encoding="utf-8", newline="", buffering=1) as stream:
        writer = RowWriter(stream, SampleRow, header=stream.tell() == 0)
        last = due = time.monotonic()
        turn = 0
        while True:  # its monitor ends it: SIGTERM, the lease or the lifetime
            at = time.monotonic()
            for row in watched.rows(turn, max(at - last, 1e-3)):
                if turn:  # the first turn has no previous one to count from
                    writer.write(row)
            last, turn, due = at, turn + 1, due + INTERVAL_S
            watched.wait(due)


def cores_of(trees: list[Tree]) -> frozenset[int]:
    """The cores that any of these processes may use."""
    cores: set[int] = set()
    for tree in trees:
        try:
            cores.update(tree.process.cpu_affinity())
        except psutil.NoSuchProcess:
            continue
    return frozenset(cores)


if __name__ == "__main__":
    sys.exit(main())
