"""samples-<host>.csv: what a host measured during a run, one row a second and role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from study.formats.units import Cores, Mebibytes, Seconds, Share, StoredUnit, UnixTime


@dataclass(frozen=True, kw_only=True)
class SampleRow:
    """One row; None, an empty cell, where a figure doesn't apply to the role or was not taken that second.

    Roles: `server` (the model's process tree), `worker` (one row per worker), `host`.
    """

    time: UnixTime
    """At the end of the interval."""
    role: str
    name: str
    """The model's label, the worker's name in the ledger, or the host's name."""
    seconds: Seconds
    """Length of the interval since the row before."""
    cpu_cores: Cores | None = None
    """CPU time over `seconds`. server: of the whole tree, ended children through their parent; host: all cores."""
    cores: Annotated[int, StoredUnit("cores")] | None = None
    """How many it may use."""
    threads: int | None = None
    processes: int | None = None
    fds: int | None = None
    fd_limit: int | None = None
    """Soft limit of one process."""
    busiest_thread_cores: Cores | None = None
    """CPU of the server's busiest thread."""
    pss_mb: Annotated[float, StoredUnit("MiB")] | None = None
    """Proportional set size, every fifth second."""
    context_switches: int | None = None
    """In the interval."""
    accept_queue: int | None = None
    """Connections waiting in the queue of the listening socket."""
    backlog: int | None = None
    """The limit of that queue."""
    memory_available_mb: Mebibytes | None = None
    listen_overflows: int | None = None
    """This and the next five: kernel counters of the host, in the interval."""
    listen_drops: int | None = None
    syn_cookies: int | None = None
    retransmits: int | None = None
    tcp_timeouts: int | None = None
    passive_opens: int | None = None
    ports_used: int | None = None
    """Local ports of connections to the target's port, those in TIME_WAIT included."""
    ports_limit: int | None = None
    time_wait: int | None = None
    """Sockets in TIME_WAIT."""
    sampler_cpu_cores: Cores | None = None
    """CPU of the sampler itself."""
    ended_cores: Cores | None = None
    """The part of the server's `cpu_cores` that belongs to children which have ended."""
    kernel_share: Share | None = None
    """Share of kernel mode in the busy time of the server's cores, other processes on them included."""
    starts: int | None = None
    """Processes and threads started on the machine in the interval."""
    memory_mb: Annotated[float, StoredUnit("MiB")] | None = None
    """Memory of the process tree, every fifth second: each page that it maps, counted once, libraries included.

    The larger of two lower bounds, see cluster/remote/memory.py. A forked child that ends before it is read halves the
    `pss_mb` of its parent, not this figure."""
    accept_queue_mean: Annotated[float, StoredUnit("")] | None = None
    """Mean of the accept queue over the interval's looks."""
    accept_queue_looks: int | None = None
    """How often it was looked at in the interval, at drawn moments."""
    listen_socket_drops: int | None = None
    """Connections that the server's own listening sockets dropped in the interval."""
    group_cores: Annotated[int, StoredUnit("cores")] | None = None
    """This and the next three are about a group of cores: in the row of the server, those that the server may use; in
    the row of a load host, those that its workers may use. How many they are."""
    group_busy_s: Seconds | None = None
    """Time in the interval that these cores spent in user, nice and system mode, by the kernel's timer ticks."""
    group_own_s: Seconds | None = None
    """CPU time in the interval of the study's own processes on these cores: the server's tree, or the workers; and the
    sampler, the background clients, Locust's master and fab where they may use one of these cores."""
    group_steal_s: Seconds | None = None
    """Time in the interval that a hypervisor gave to other machines while these cores had work."""
    cpu_pressure: Share | None = None
    """Share of the interval in which some runnable task of the host waited for a CPU (PSI)."""


KERNEL_COUNTERS = {
    "listen_overflows": "TcpExt.ListenOverflows",
    "listen_drops": "TcpExt.ListenDrops",
    "syn_cookies": "TcpExt.SyncookiesSent",
    "retransmits": "Tcp.RetransSegs",
    "tcp_timeouts": "TcpExt.TCPTimeouts",
    "passive_opens": "Tcp.PassiveOpens",
}
"""Columns that are kernel counters, with the kernel's group and name in /proc/net/snmp and /proc/net/netstat."""
