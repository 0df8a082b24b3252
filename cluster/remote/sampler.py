"""The sampler, one on each host: `python -m cluster.remote.sampler` writes samples-<host>.csv, rows once a second.

It must take less than 1 % of a core, and records what it takes. Hence the expensive figures (proportional set size,
local ports) are read every few seconds, and those that grow with the number of processes only while there are few.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from cluster.remote.kernel import kernel_counters
from study.formats.csv_rows import RowWriter
from study.formats.samples_csv import KERNEL_COUNTERS, SampleRow

INTERVAL_S = 1.0
PSS_EVERY = 5
PORTS_EVERY = 15
FEW = 64  # processes or threads up to which each one is read
FEW_SOCKETS = 5000  # sockets in TIME_WAIT up to which the table of connections is read every second
MIB = 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")
NICENESS = 10  # the load has priority on a core that the sampler shares with it
LISTEN_PAGE = 65536  # bytes read of /proc/net/tcp and tcp6, which list the listening sockets first


@dataclass(frozen=True)
class Member:
    """One process of a session. `cpu_s` is its own CPU time (s), `reaped_s` that of children it has waited for."""

    pid: int
    cpu_s: float
    reaped_s: float
    threads: int


def sessions() -> dict[int, list[Member]]:
    """Every process by its session; each /proc/PID/stat is read once, since a fork server may have hundreds."""
    members: dict[int, list[Member]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()
            except OSError:
                continue
            own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
            member = Member(int(entry), own / TICKS, reaped / TICKS, int(fields[17]))
            members.setdefault(int(fields[3]), []).append(member)
    return members


@dataclass
class Tree:
    """A supervised process, which leads a session, with its descendants; figures count from the previous row."""

    role: str
    name: str
    process: psutil.Process
    last_cpu: float | None = None
    last_reaped: float = 0.0
    last_busy: tuple[int, int] = (0, 0)
    last_switches: int | None = None
    last_threads: dict[int, float] = field(default_factory=dict)

    def row(self, members: list[Member], seconds: float, with_pss: bool) -> SampleRow | None:
        """The row for the last `seconds`, given the session's members; None once the process has ended."""
        leader = next((member for member in members if member.pid == self.process.pid), None)
        if leader is None:
            return None
        # The leader's account has its reaped children, and theirs, which were added when those were reaped.
        cpu = sum(member.cpu_s for member in members) + leader.reaped_s
        threads = sum(member.threads for member in members)
        try:
            cores = self.process.cpu_affinity()
            fd_limit = self.process.rlimit(psutil.RLIMIT_NOFILE)[0]
        except psutil.NoSuchProcess:
            return None
        figures: dict[str, Any] = {}
        busy = busy_ticks(cores)
        if self.last_cpu is not None:
            figures["cpu_cores"] = max(cpu - self.last_cpu, 0.0) / seconds
            if self.role == "server":
                figures["ended_cores"] = max(leader.reaped_s - self.last_reaped, 0.0) / seconds
                kernel, whole = (now - before for now, before in zip(busy, self.last_busy, strict=True))
                figures |= {"kernel_share": kernel / whole} if whole > 0 else {}
        self.last_cpu, self.last_reaped, self.last_busy = cpu, leader.reaped_s, busy
        if len(members) <= FEW:
            figures |= self._each(members, with_pss)
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

    def _each(self, members: list[Member], with_pss: bool) -> dict[str, Any]:
        """Sums over the processes: descriptors, context switches, proportional set size."""
        fds = switches = 0
        pss = 0.0
        for member in members:
            try:
                process = self.process if member.pid == self.process.pid else psutil.Process(member.pid)
                fds += process.num_fds()
                switches += sum(process.num_ctx_switches())
                pss += process.memory_full_info().pss / MIB if with_pss else 0.0
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        figures: dict[str, Any] = {"fds": fds, "pss_mb": pss if with_pss else None}
        if self.last_switches is not None:
            figures["context_switches"] = max(switches - self.last_switches, 0)
        self.last_switches = switches
        return figures

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
    last_cpu: float | None = None
    last_kernel: dict[str, int] = field(default_factory=dict)
    own: psutil.Process = field(default_factory=psutil.Process)
    last_own: float | None = None
    last_started: int = 0

    def row(self, seconds: float, with_ports: bool) -> SampleRow:
        """The row for the last `seconds`."""
        times = psutil.cpu_times()
        busy = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
        own_times = self.own.cpu_times()
        own = own_times.user + own_times.system
        kernel, started = kernel_counters(), tasks_started()
        figures: dict[str, Any] = {}
        if self.last_cpu is not None and self.last_own is not None:
            figures = {
                "cpu_cores": (busy - self.last_cpu) / seconds,
                "sampler_cpu_cores": (own - self.last_own) / seconds,
                "starts": started - self.last_started,
                **{
                    column: kernel[name] - self.last_kernel[name]
                    for column, name in KERNEL_COUNTERS.items()
                    if name in kernel
                },
            }
        self.last_cpu, self.last_own, self.last_kernel, self.last_started = busy, own, kernel, started
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


def busy_ticks(cores: list[int]) -> tuple[int, int]:
    """Clock ticks of these cores since boot: in kernel mode, and in any mode but idle.

    The user and system times of single processes are no substitute: many processes live shorter than a tick.
    """
    kernel = busy = 0
    for line in _stat():
        name, _, rest = line.partition(" ")
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            user, nice, system, _idle, _iowait, irq, softirq = (int(word) for word in rest.split()[:7])
            kernel += system + irq + softirq
            busy += user + nice + system + irq + softirq
    return kernel, busy


def tasks_started() -> int:
    """Processes and threads started on this machine since boot."""
    return next(int(line.split()[1]) for line in _stat() if line.startswith("processes "))


def _stat() -> list[str]:
    return Path("/proc/stat").read_text(encoding="ascii").splitlines()


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


def accept_queue(port: int) -> int | None:
    """Connections that wait in the listening sockets of the port; None where no socket listens."""
    queues = []
    for table in socket_tables(LISTEN_PAGE):
        for line in table.splitlines():
            fields = line.split()
            if len(fields) > 4 and fields[3] == b"0A" and fields[1].endswith(b":%04X" % port):
                queues.append(int(fields[4].partition(b":")[2], 16))
    return sum(queues) if queues else None


def ports_towards(port: int) -> int:
    """Local ports of connections to the target's port, those in TIME_WAIT included."""
    return sum(len(re.findall(rb":%04X 0[1-9] " % port, table)) for table in socket_tables())


def socket_tables(size: int = -1) -> Iterator[bytes]:
    """The kernel's lists of TCP sockets over IPv4 and over IPv6, or the first `size` bytes of each."""
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError), open(path, "rb", buffering=0) as table:  # a host without IPv6
            yield table.read(size)


def rows(
    trees: list[Tree], host: HostCounters, port: int, backlog: int | None, turn: int, seconds: float
) -> Iterator[SampleRow]:
    """The rows of one turn, `seconds` after the one before."""
    by_session = sessions()
    for tree in trees:
        row = tree.row(by_session.get(tree.process.pid, []), seconds, with_pss=turn % PSS_EVERY == 0)
        if row is None:
            continue
        if tree.role == "server" and (queue := accept_queue(port)) is not None:
            limit = None if backlog is None else min(backlog, somaxconn())
            row = replace(row, accept_queue=queue, backlog=limit)
        yield row
    yield host.row(seconds, with_ports=turn % PORTS_EVERY == 0 or time_wait() < FEW_SOCKETS)


def main() -> int:
    """Write rows until a signal ends the process."""
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.sampler", description=__doc__)
    parser.add_argument("--host", required=True, help="the host's name")
    parser.add_argument("--port", type=int, required=True, help="the server's port")
    parser.add_argument("--server", help="PID:LABEL of the server, on the target")
    parser.add_argument("--backlog", type=int, help="the accept queue's length that the server asks for")
    parser.add_argument("--worker", action="append", default=[], help="PID:NAME of a worker")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    os.nice(NICENESS)
    watched = [("server", options.server)] if options.server else []
    trees = []
    for role, word in [*watched, *(("worker", word) for word in options.worker)]:
        pid, _, name = word.partition(":")
        trees.append(Tree(role, name, psutil.Process(int(pid))))
    host = HostCounters(options.host, options.port)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", encoding="utf-8", newline="", buffering=1) as stream:
        writer = RowWriter(stream, SampleRow)
        last = due = time.monotonic()
        turn = 0
        while True:  # its monitor ends it: SIGTERM, the lease or the lifetime
            at = time.monotonic()
            for row in rows(trees, host, options.port, options.backlog, turn, max(at - last, 1e-3)):
                if turn:  # the first turn has no previous one to count from
                    writer.write(row)
            last, turn, due = at, turn + 1, due + INTERVAL_S
            time.sleep(max(due - time.monotonic(), 0.05))


if __name__ == "__main__":
    sys.exit(main())
