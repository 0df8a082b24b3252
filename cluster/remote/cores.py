"""Who used which cores: the kernel's clock ticks of each CPU, and the CPU time of the study's own processes.

What a group of cores did beyond the study's own processes is other programs' work. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
MONITOR = b"cluster.remote.monitor"
PRESSURE = Path("/proc/pressure/cpu")


@dataclass(frozen=True)
class Member:
    """One process of a session. `cpu_s` is its own CPU time (s), `reaped_s` that of children it has waited for."""

    pid: int
    parent: int
    session: int
    cpu_s: float
    reaped_s: float
    threads: int


def processes() -> dict[int, Member]:
    """Every process by its PID; each /proc/PID/stat is read once, since a fork server may have hundreds."""
    members: dict[int, Member] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    fields = stat.read().rpartition(b")")[2].split()
            except OSError:
                continue
            own, reaped = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
            parent, session, threads = int(fields[1]), int(fields[3]), int(fields[17])
            members[int(entry)] = Member(int(entry), parent, session, own / TICKS, reaped / TICKS, threads)
    return members


def by_session(members: Mapping[int, Member], supervised: Collection[int] = ()) -> dict[int, list[Member]]:
    """The processes of each session.

    Those that left a `supervised` leader's session (setsid, a daemon) count there too: they are descendants of its
    monitor, which adopts orphans.
    """
    sessions: dict[int, list[Member]] = {}
    children: dict[int, list[Member]] = {}
    for member in members.values():
        sessions.setdefault(member.session, []).append(member)
        children.setdefault(member.parent, []).append(member)
    for leader in supervised:
        if leader not in members or not _is_monitor(members[leader].parent):
            continue
        pending = [members[leader].parent]
        while pending:
            for child in children.get(pending.pop(), ()):
                pending.append(child.pid)
                if child.session != leader:
                    sessions[leader].append(child)
    return sessions


def _is_monitor(pid: int) -> bool:
    try:
        return MONITOR in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def tree_cpu_s(members: Iterable[Member]) -> float:
    """CPU time (s) of a tree since it began: its processes and, through whoever reaped them, those that have ended."""
    return sum(member.cpu_s + member.reaped_s for member in members)


@dataclass(frozen=True)
class CpuTicks:
    """Clock ticks of one CPU, or of several, since boot."""

    user: int
    nice: int
    system: int
    irq: int
    softirq: int
    steal: int

    @property
    def busy(self) -> int:
        """In any mode but idle, steal not included."""
        return self.user + self.nice + self.system + self.irq + self.softirq

    @property
    def kernel(self) -> int:
        """In kernel mode."""
        return self.system + self.irq + self.softirq

    @property
    def programs(self) -> int:
        """In modes that are charged to processes."""
        return self.user + self.nice + self.system


@dataclass(frozen=True)
class KernelStat:
    """/proc/stat at one moment."""

    cpus: Mapping[int, CpuTicks]
    started: int
    """Processes and threads started on this machine since boot."""

    def of(self, cores: Collection[int]) -> CpuTicks:
        """The ticks of these CPUs together."""
        each = [vars(ticks).values() for cpu, ticks in self.cpus.items() if cpu in cores]
        return CpuTicks(*map(sum, zip(*each, strict=True))) if each else CpuTicks(0, 0, 0, 0, 0, 0)


def kernel_stat() -> KernelStat:
    """Read /proc/stat.

    The user and system times of single processes are no substitute: many processes live shorter than a tick.
    """
    cpus: dict[int, CpuTicks] = {}
    started = 0
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(" ")
        if name.startswith("cpu") and name[3:].isdigit():
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(word) for word in rest.split()[:8])
            cpus[int(name[3:])] = CpuTicks(user, nice, system, irq, softirq, steal)
        elif name == "processes":
            started = int(rest)
    return KernelStat(cpus, started)


def cpu_stalled_s() -> float | None:
    """Time (s) since boot in which some runnable task waited for a CPU; None where the kernel has no PSI."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = PRESSURE.read_text(encoding="ascii").splitlines()
        some = next(line for line in lines if line.startswith("some "))
        return int(some.rpartition("total=")[2]) / 1e6
    return None


@dataclass
class CoreGroup:
    """A group of cores and the study's own processes on it; figures count from the previous call of `figures`."""

    cores: frozenset[int]
    own: tuple[int, ...]
    """PIDs. One that leads a session stands for the whole session and its monitor, which is its parent."""
    _tracked: dict[int, bool] = field(default_factory=dict)
    """Whether a process may use one of the cores, by its PID; asked once."""
    _ticks: CpuTicks | None = None
    _spent: dict[int, float] = field(default_factory=dict)
    _sampler_s: float = 0.0

    def figures(self, members: Mapping[int, Member], stat: KernelStat) -> dict[str, float | int]:
        """Columns of samples-<host>.csv about the group: group_*; empty for the first time."""
        ticks, spent, sampler_s = stat.of(self.cores), self._own_s(members), time.process_time()
        before, self._ticks = self._ticks, ticks
        spent_before, self._spent = self._spent, spent
        sampler_before, self._sampler_s = self._sampler_s, sampler_s
        if before is None:
            return {}
        own = sum(max(0.0, spent[pid] - spent_before[pid]) for pid in spent.keys() & spent_before.keys())
        if self._here(os.getpid()):
            own += sampler_s - sampler_before
        return {
            "group_cores": len(self.cores),
            "group_busy_s": (ticks.programs - before.programs) / TICKS,
            "group_own_s": own,
            "group_steal_s": (ticks.steal - before.steal) / TICKS,
        }

    def _own_s(self, members: Mapping[int, Member]) -> dict[int, float]:
        """CPU time (s) of each of the study's processes that may use the group's cores, by PID."""
        sessions = by_session(members, self.own)
        spent: dict[int, float] = {}
        for pid in self.own:
            member = members.get(pid)
            if member is None:
                continue
            if member.session != pid:  # fab: its session is the person's terminal
                spent |= {pid: tree_cpu_s([member])} if self._here(pid) else {}
                continue
            spent |= {pid: tree_cpu_s(sessions[pid])} if self._here(pid) else {}
            if member.parent in members and member.parent != 1 and self._here(member.parent):
                spent[member.parent] = members[member.parent].cpu_s
        return spent

    def _here(self, pid: int) -> bool:
        if pid not in self._tracked:
            try:
                self._tracked[pid] = bool(os.sched_getaffinity(pid) & self.cores)
            except OSError:
                return False
        return self._tracked[pid]
