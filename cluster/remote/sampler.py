"""What a host sees of a run, once a second: `python -m cluster.remote.sampler`, one on each host.

Made to cost under 1 % of a core, and to say what it costs: what is dear (proportional memory, local ports) is taken
every few seconds, and what grows with the number of processes only while they are few.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from cluster.remote.kernel import OPENED, kernel_counters

COLUMNS = (
    "time", "role", "name", "seconds", "cpu_cores", "cores", "threads", "processes", "fds", "fd_limit",
    "busiest_thread_cores", "pss_mb", "context_switches", "accept_queue", "backlog", "memory_available_mb",
    "listen_overflows", "listen_drops", "syn_cookies", "retransmits", "tcp_timeouts", "passive_opens",
    "ports_used", "ports_limit", "time_wait", "sampler_cpu_cores", "ended_cores", "kernel_share", "starts",
)  # fmt: skip
INTERVAL_S = 1.0
PSS_EVERY = 5
PORTS_EVERY = 15
FEW = 64  # processes or threads up to which each is looked at
FEW_SOCKETS = 5000  # in TIME_WAIT, up to which the table of connections is read every second
MIB = 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")
NICENESS = 10  # where it shares a core with the load, the load comes first
KERNEL = {
    "listen_overflows": "TcpExt.ListenOverflows",
    "listen_drops": "TcpExt.ListenDrops",
    "syn_cookies": "TcpExt.SyncookiesSent",
    "tcp_timeouts": "TcpExt.TCPTimeouts",
    "retransmits": "Tcp.RetransSegs",
    "passive_opens": OPENED,
}
LISTEN_PAGE = 65536  # /proc/net/tcp lists the listening sockets first: no need to read the thousands behind them

Row = dict[str, Any]


@dataclass(frozen=True)
class Member:
    """One process of a session. `cpu_s` counts its own CPU time, `reaped_s` that of children waited for."""

    pid: int
    cpu_s: float
    reaped_s: float
    threads: int


def sessions() -> dict[int, list[Member]]:
    """Every process by its session, from one look at each /proc/PID/stat: a fork server may have hundreds of them."""
    found: dict[int, list[Member]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()
            except OSError:
                continue
            own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
            member = Member(int(entry), own / TICKS, reaped / TICKS, int(fields[17]))
            found.setdefault(int(fields[3]), []).append(member)
    return found


@dataclass
class Tree:
    """A supervised process with its descendants: it leads their session."""

    role: str
    name: str
    process: psutil.Process
    last_cpu: float | None = None
    last_reaped: float = 0.0
    last_busy: tuple[int, int] = (0, 0)
    last_switches: int | None = None
    last_threads: dict[int, float] = field(default_factory=dict)

    def row(self, members: list[Member], seconds: float, with_pss: bool) -> Row | None:
        """Figures since the last call; None once the process has ended."""
        leader = next((member for member in members if member.pid == self.process.pid), None)
        if leader is None:
            return None
        # Children that were reaped are in their parent's account; theirs in turn were added there when they were.
        cpu = sum(member.cpu_s for member in members) + leader.reaped_s
        threads = sum(member.threads for member in members)
        row: Row = {"role": self.role, "name": self.name, "processes": len(members), "threads": threads}
        try:
            cores = self.process.cpu_affinity()
            row["fd_limit"] = self.process.rlimit(psutil.RLIMIT_NOFILE)[0]
        except psutil.NoSuchProcess:
            return None
        row["cores"] = len(cores)
        busy = busy_ticks(cores)
        if self.last_cpu is not None:
            row["cpu_cores"] = max(cpu - self.last_cpu, 0.0) / seconds
            if self.role == "server":
                row["ended_cores"] = max(leader.reaped_s - self.last_reaped, 0.0) / seconds
                kernel, whole = (now - before for now, before in zip(busy, self.last_busy, strict=True))
                row |= {"kernel_share": kernel / whole} if whole > 0 else {}
        self.last_cpu, self.last_reaped, self.last_busy = cpu, leader.reaped_s, busy
        if len(members) <= FEW:
            row |= self._each(members, seconds, with_pss)
        if self.role == "server" and threads <= FEW:
            row |= self._busiest_thread(members, seconds)
        return row

    def _each(self, members: list[Member], seconds: float, with_pss: bool) -> Row:
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
        row: Row = {"fds": fds}
        if with_pss:
            row["pss_mb"] = pss
        if self.last_switches is not None:
            row["context_switches"] = max(switches - self.last_switches, 0)
        self.last_switches = switches
        return row

    def _busiest_thread(self, members: list[Member], seconds: float) -> Row:
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
    """The host itself: all cores, memory, the kernel's counters."""

    name: str
    port: int
    last_cpu: float | None = None
    last_kernel: dict[str, int] = field(default_factory=dict)
    own: psutil.Process = field(default_factory=psutil.Process)
    last_own: float | None = None
    last_started: int = 0

    def row(self, seconds: float, with_ports: bool) -> Row:
        times = psutil.cpu_times()
        busy = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
        own_times = self.own.cpu_times()
        own = own_times.user + own_times.system
        kernel, started = kernel_counters(), tasks_started()
        row: Row = {
            "role": "host",
            "name": self.name,
            "cores": psutil.cpu_count(),
            "memory_available_mb": psutil.virtual_memory().available // MIB,
            "time_wait": time_wait(),
            "ports_limit": ephemeral_ports(),
        }
        if self.last_cpu is not None and self.last_own is not None:
            row["cpu_cores"] = (busy - self.last_cpu) / seconds
            row["sampler_cpu_cores"] = (own - self.last_own) / seconds
            row["starts"] = started - self.last_started
            row |= {column: kernel[name] - self.last_kernel[name] for column, name in KERNEL.items() if name in kernel}
        if with_ports:
            row["ports_used"] = ports_towards(self.port)
        self.last_cpu, self.last_own, self.last_kernel, self.last_started = busy, own, kernel, started
        return row


def busy_ticks(cores: list[int]) -> tuple[int, int]:
    """Clock ticks of these cores since boot: those that met the kernel, and all that met anything.

    A process's own user and system times don't say this of the many that live shorter than a tick.
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
    found = re.search(r"^TCP:.* tw (\d+)", Path("/proc/net/sockstat").read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) if found else 0


def somaxconn() -> int:
    """The kernel's cap on every accept queue."""
    return int(Path("/proc/sys/net/core/somaxconn").read_text(encoding="ascii"))


def ephemeral_ports() -> int:
    """How many local ports a connection can be given."""
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    return int(high) - int(low) + 1


def accept_queue(port: int) -> int | None:
    """Connections that wait in the listening sockets of the port; None where nobody listens."""
    with open("/proc/net/tcp", "rb", buffering=0) as table:
        lines = table.read(LISTEN_PAGE).splitlines()
    queues = []
    for line in lines:
        fields = line.split()
        if len(fields) > 4 and fields[3] == b"0A" and fields[1].endswith(b":%04X" % port):
            queues.append(int(fields[4].partition(b":")[2], 16))
    return sum(queues) if queues else None


def ports_towards(port: int) -> int:
    """Local ports that connections to the target's port hold, those in TIME_WAIT included."""
    return len(re.findall(rb":%04X 0[1-9] " % port, Path("/proc/net/tcp").read_bytes()))


def rows(
    trees: list[Tree], host: HostCounters, port: int, backlog: int | None, turn: int, seconds: float
) -> Iterator[Row]:
    """One turn's rows."""
    by_session = sessions()
    for tree in trees:
        row = tree.row(by_session.get(tree.process.pid, []), seconds, with_pss=turn % PSS_EVERY == 0)
        if row is None:
            continue
        if tree.role == "server" and (queue := accept_queue(port)) is not None:
            row["accept_queue"] = queue
            if backlog is not None:
                row["backlog"] = min(backlog, somaxconn())
        yield row
    yield host.row(seconds, with_ports=turn % PORTS_EVERY == 0 or time_wait() < FEW_SOCKETS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.sampler", description=__doc__)
    parser.add_argument("--host", required=True, help="the host's name")
    parser.add_argument("--port", type=int, required=True, help="the server's port")
    parser.add_argument("--server", help="PID:LABEL of the server, on the target")
    parser.add_argument("--backlog", type=int, help="what the server asked for as the length of its accept queue")
    parser.add_argument("--worker", action="append", default=[], help="PID:NAME of a worker")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    os.nice(NICENESS)
    named = [("server", asked.server)] if asked.server else []
    trees = []
    for role, word in [*named, *(("worker", word) for word in asked.worker)]:
        pid, _, name = word.partition(":")
        trees.append(Tree(role, name, psutil.Process(int(pid))))
    host = HostCounters(asked.host, asked.port)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    with asked.out.open("w", encoding="utf-8", newline="", buffering=1) as stream:
        sheet = csv.DictWriter(stream, COLUMNS)
        sheet.writeheader()
        last = due = time.monotonic()
        turn = 0
        while True:  # ended by the monitor: SIGTERM, the lease or the lifetime
            at = time.monotonic()
            for row in rows(trees, host, asked.port, asked.backlog, turn, max(at - last, 1e-3)):
                if turn:  # the first turn only sets the marks that the others count from
                    sheet.writerow({"time": f"{time.time():.3f}", "seconds": f"{at - last:.4f}", **_short(row)})
            last, turn, due = at, turn + 1, due + INTERVAL_S
            time.sleep(max(due - time.monotonic(), 0.05))


def _short(row: Row) -> Row:
    return {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items()}


if __name__ == "__main__":
    sys.exit(main())
