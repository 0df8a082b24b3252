"""Checks of every host against the plan before anything starts, each with what to do where it fails.

Pure functions of the hosts' facts (cluster/remote/facts.py) and the plan. Only a check that makes a step of the plan
impossible stops a campaign.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cluster.campaign.placement import sampler_cpus, server_cpus, worker_count
from cluster.hosts.inventory import CONTROL, SSH, HostEntry, Inventory, url_host
from cluster.hosts.ssh_config import arguments
from servers.core.runner import BACKLOG
from study.errors import HostError, StudyError, UnreachableError
from study.formats.facts_json import Facts
from study.plan import Plan

Level = Literal["ok", "warn", "stop"]

SPARE_FDS = 200  # descriptors of a process in addition to its connections
WORKER_MB_PER_USER = {"lean": 0.02, "fast": 0.1, "http": 0.15}  # resident MiB, measured with 10,000 users
TLS_MB_PER_USER = {"lean": 0.02, "fast": 0.04, "http": 0.04}  # more, for a connection; measured with 1,000 kept open
OWN_MB_PER_USER = 0.2  # of a user class of a locustfile of one's own, which may hold more
WORKER_MB = 150  # of a worker without users
PROCESS_MB = 1.5  # MiB that each forked child of the server adds
LEAST_DISK_MB = 200
GOOD_DISK_MB = 2000
CLOCK_S = 1.0  # tolerated clock difference: samples have one row per second, joined to the ledger by wall-clock time
PORT_RANGE = (1024, 65000)
MOST_PORTS = PORT_RANGE[1] - PORT_RANGE[0] + 1
TIME_WAIT_S = 60  # Linux: how long a closed connection keeps its local port
LOOPBACK_ONLY = 2  # value of tcp_tw_reuse


@dataclass(frozen=True)
class HostCheck:
    """One check of one host. `stop`: a step of the plan can't be run; `warn`: its figures may mislead."""

    host: str
    level: Level
    what: str
    value: str
    remedy: str = ""


def mb_per_user(plan: Plan) -> float:
    """Resident MiB of a worker for each user, over TLS where any of the servers speaks it."""
    tls = any(plan.server(name).tls for name in plan.models)
    if plan.locustfile is not None:
        return OWN_MB_PER_USER
    return WORKER_MB_PER_USER[plan.client] + (TLS_MB_PER_USER[plan.client] if tls else 0.0)


def stop_if_impossible(checks: Sequence[HostCheck]) -> None:
    """Raises StudyError with every check that makes a step of the plan impossible, and what to do about each."""
    if impossible := [check for check in checks if check.level == "stop"]:
        lines = [f"  {check.host}, {check.what}: {check.value}: {check.remedy}" for check in impossible]
        raise StudyError("the plan can't be run here:\n" + "\n".join(lines))


def examine(
    inventory: Inventory, plan: Plan, facts: Mapping[str, Facts], failures: Mapping[str, HostError] | None = None
) -> list[HostCheck]:
    """All checks of every host, in the inventory's order. `failures` says why a host has no `facts`; both by name."""
    failures = failures or {}
    checks: list[HostCheck] = []
    for entry in inventory.hosts:
        if entry.name in failures:
            checks.append(_unknown(entry, failures[entry.name]))
            continue
        known = facts[entry.name]
        checks += _any_host(entry, known)
        if entry is inventory.target:
            checks += _target(entry, plan, known) if starts_server(plan) else ()
        else:
            background = plan.background_clients if entry is inventory.load[0] else 0
            checks += _load_host(entry, plan, known, len(inventory.load), background)
    if CONTROL in failures:
        checks.append(_unknown(inventory.control, failures[CONTROL]))
    else:
        checks.append(_port(CONTROL, inventory.control.address, plan.master_port, "master_port", facts[CONTROL]))
    return checks


def _unknown(entry: HostEntry, error: HostError) -> HostCheck:
    """A host without facts: the error's first line says what is wrong, its other lines what to do."""
    what = "reachable" if isinstance(error, UnreachableError) else "looked at"
    wrong, _, remedy = str(error).removeprefix(f"{entry.name}: ").partition("\n")
    line = shlex.join(word for word in ("ssh", *arguments(entry)) if word != "--")
    see = f"see what `{line}` says" if entry.connection == SSH else "see what it says"
    return HostCheck(entry.name, "stop", what, wrong, f"\n{remedy}" if remedy else see)


def starts_server(plan: Plan) -> bool:
    """Whether the study starts any of the plan's servers, and needs the port for it."""
    return any(plan.server(name).is_started for name in plan.models)


def programs(name: str, wanted: Mapping[str, Sequence[str]], missing: Sequence[str]) -> list[HostCheck]:
    """A check of each server that is a command: what it needs on the target, by the server's name."""
    checks = []
    for server, needed in wanted.items():
        absent = [program for program in needed if program in missing]
        value = f"{', '.join(absent)}: not there" if absent else f"{', '.join(needed)}: there"
        remedy = "install it, or `fab deploy` if it is of the study's environment; no shell reads a command"
        if needed:
            checks.append(_good_or(not absent, "warn", name, f"command of {server}", value, remedy))
    return checks


def _any_host(entry: HostEntry, facts: Facts) -> Iterator[HostCheck]:
    """The checks of a target and of a load host alike."""
    name, remote = entry.name, entry.machine != CONTROL
    if remote:
        yield HostCheck(name, "ok", "reachable", "yes, and its host key is known")
    if facts.system != "Linux":
        remedy = "use a Linux host: the study reads /proc and pins processes"
        yield HostCheck(name, "stop", "system", facts.system, remedy)
    version = tuple(int(part) for part in facts.python.split(".")[:2])
    remedy = "install Python 3.11 or newer; ansible_python_interpreter names it where it isn't python3"
    yield _good_or(version >= (3, 11), "stop", name, "python", facts.python, remedy)
    yield _cores(entry, facts.cores)
    yield from _disk(name, facts)
    idle = facts.load_1min <= len(facts.cores) / 2
    load = f"{facts.load_1min:.1f} in the last minute"
    yield _good_or(idle, "warn", name, "other load", load, "something else runs here: wait until the host is idle")
    governor = facts.governor
    remedy = "set the CPU governor to performance, or changes of the clock frequency will be in the figures"
    steady = governor in ("", "performance")
    yield _good_or(steady, "warn", name, "CPU governor", governor or "unknown", remedy)
    if remote:
        yield _clock(name, *facts.clock_s)


def _good_or(good: bool, level: Level, name: str, what: str, value: str, remedy: str) -> HostCheck:
    """A check that is ok if `good`, else of the given level with a remedy."""
    return HostCheck(name, "ok", what, value) if good else HostCheck(name, level, what, value, remedy)


def _cores(entry: HostEntry, cores: tuple[int, ...]) -> HostCheck:
    """Whether the host has the cores that the inventory names, and more than one."""
    if missing := [cpu for cpu in entry.cpus if cpu not in cores]:
        remedy = f"cpus={_listed(missing)} is not there: change the inventory"
        return HostCheck(entry.name, "stop", "cores", _listed(cores), remedy)
    if len(cores) < 2 and entry.machine == CONTROL:
        remedy = "server and generator share a core: use two cores or two hosts"
        return HostCheck(entry.name, "warn", "cores", _listed(cores), remedy)
    return HostCheck(entry.name, "ok", "cores", f"{_listed(cores)}, used here {_listed(entry.cpus or cores)}")


def _disk(name: str, facts: Facts) -> Iterator[HostCheck]:
    """Free space, and whether the study's directory can be written."""
    free, where = facts.disk_free_mb, facts.directory
    level: Level = "stop" if free < LEAST_DISK_MB else "warn" if free < GOOD_DISK_MB else "ok"
    yield HostCheck(name, level, "free disk", f"{free} MiB in {where}", "" if level == "ok" else "free some disk space")
    if not facts.writable:
        remedy = f"nothing can be written to {where}: let the user own it, or set remote_dir in the inventory"
        yield HostCheck(name, "stop", "directory", where, remedy)


def _clock(name: str, least: float, most: float) -> HostCheck:
    """The host's clock is ahead of control's by `least` to `most` seconds: warns only where it is certainly off."""
    value = f"{(least + most) / 2:+.2f} s against here, to within {(most - least) / 2:.2f} s"
    remedy = "set the clock (chrony, systemd-timesyncd): samples are joined to the counts by it"
    return _good_or(not (least > CLOCK_S or most < -CLOCK_S), "warn", name, "clock", value, remedy)


def _target(entry: HostEntry, plan: Plan, facts: Facts) -> Iterator[HostCheck]:
    """The checks of the target alone."""
    name, users = entry.name, plan.most_users + plan.background_clients
    if entry.machine != CONTROL:
        yield _sampler(entry, facts)
    yield _at_least(
        name, "descriptors", facts.fds_hard, users + SPARE_FDS, _fd_limits(facts),
        "raise the hard limit: limits.conf, or LimitNOFILE of sshd", impossible=_each_holds_connection(plan),
    )  # fmt: skip
    if facts.file_max is not None:
        what, remedy = "open files of the system", "sysctl -w fs.file-max=..."
        yield _at_least(name, what, facts.file_max, 2 * users, "fs.file-max", remedy)
    yield from _processes_and_threads(name, plan, facts, users)
    if most := max((plan.server(model).cores or 0 for model in plan.models), default=0):
        have = len(server_cpus(entry, facts))
        yield _at_least(name, "cores for the server", have, most, "cpus=", "fewer cores for the servers of the plan")
    yield _at_least(
        name, "accept queue", facts.somaxconn or 0, BACKLOG, "net.core.somaxconn",
        f"sysctl -w net.core.somaxconn={BACKLOG}, or bursts are dropped", impossible=False,
    )  # fmt: skip
    yield from _memory(name, plan, facts, plan.memory_floor_mb + 100)
    yield _port(name, entry.address, plan.port, "port", facts)


def _processes_and_threads(name: str, plan: Plan, facts: Facts, users: int) -> Iterator[HostCheck]:
    """Limits of the models that have a process or a thread for each connection."""
    models = {plan.server(model).model for model in plan.models}
    limits = [limit for limit in (facts.processes_hard, facts.pid_max, facts.threads_max) if limit and limit > 0]
    if "process" in models:
        yield _at_least(
            name, "processes", min(limits), users + 500, "ulimit -u, kernel.pid_max", "raise it", impossible=False
        )
        need = plan.memory_floor_mb + int(users * PROCESS_MB)
        yield _at_least(
            name, "memory for a process per user", facts.memory_available_mb, need, "MiB", "fewer users", False
        )
    if models & {"thread", "select"}:
        if facts.max_map_count:
            limits.append(facts.max_map_count // 2)  # a thread's stack and its guard page
        unit = "kernel.threads-max, vm.max_map_count"
        yield _at_least(name, "threads", min(limits), users + 500, unit, "raise it", impossible=False)


def _sampler(entry: HostEntry, facts: Facts) -> HostCheck:
    """Whether the sampler has a core of its own. What it uses is in the samples (`sampler_cpu_cores`)."""
    server, sampler = server_cpus(entry, facts), sampler_cpus(entry, facts)
    if set(server) & set(sampler):
        several = len(facts.cores) > 1
        remedy = "leave it a core: set fewer in cpus" if several else "with two cores the server would have its own"
        return HostCheck(entry.name, "warn", "sampler's core", f"{_listed(sampler)}, the server's too", remedy)
    return HostCheck(entry.name, "ok", "sampler's core", f"{_listed(sampler)}; the server has {_listed(server)}")


def _port(name: str, address: str, port: int, key: str, facts: Facts) -> HostCheck:
    """Whether the port can be bound; `key` is the plan's key for it."""
    if obstacle := facts.ports[str(port)]:
        remedy = f"end what listens there (`fab stop` if an earlier campaign left it), or set {key} in the plan"
        if os.strerror(errno.EADDRNOTAVAIL) in obstacle:
            variable = "address" if key == "port" else "control_address"
            remedy = f"the machine has no such address: set {variable}= in the inventory to one that `ip address` shows"
        return HostCheck(name, "stop", key, f"{url_host(address)}:{port}: {obstacle}", remedy)
    return HostCheck(name, "ok", key, f"{url_host(address)}:{port} is free")


def _load_host(entry: HostEntry, plan: Plan, facts: Facts, hosts: int, background: int) -> Iterator[HostCheck]:
    """The checks of one of so many load hosts, which runs `background` clients, all in one process."""
    name = entry.name
    users = -(-plan.most_users // hosts)
    workers = worker_count(entry, facts)
    each = -(-users // workers)
    yield _at_least(
        name, "descriptors", facts.fds_hard, each + SPARE_FDS, _fd_limits(facts),
        "raise the hard limit: limits.conf, or LimitNOFILE of sshd; or use more workers",
        impossible=_each_holds_connection(plan),
    )  # fmt: skip
    if background:
        yield _at_least(
            name, "descriptors of the background clients", facts.fds_hard, background + SPARE_FDS, "ulimit -Hn",
            "raise it, or lower idle_connections and slow_clients",
        )  # fmt: skip
    low, high = facts.ephemeral_ports or (1, 0)
    ports = high - low + 1
    remedy = _more_ports(plan.most_users, background)
    yield _at_least(name, "local ports", ports, users + background + SPARE_FDS, "ip_local_port_range", remedy)
    yield from _reuse(entry, plan, facts.tcp_tw_reuse, ports, hosts)
    yield from _memory(name, plan, facts, plan.memory_floor_mb + int(users * mb_per_user(plan)) + WORKER_MB * workers)


def _more_ports(users: int, background: int) -> str:
    """How one load host gets enough local ports, or how many load hosts it takes: the background clients are on one."""
    room = MOST_PORTS - SPARE_FDS
    if background >= room:
        return f"lower idle_connections and slow_clients: they are on one host, whose address has {MOST_PORTS} ports"
    hosts = max(-(-users // (room - background)), 1)
    wide = f"sysctl -w net.ipv4.ip_local_port_range='{PORT_RANGE[0]} {PORT_RANGE[1]}'"
    if hosts == 1:
        return f"{wide}, or use more load hosts"
    return f"{wide} and use at least {hosts} load hosts: one address gives {MOST_PORTS} ports at most"


def _reuse(entry: HostEntry, plan: Plan, reuse: int | None, ports: int, hosts: int) -> Iterator[HostCheck]:
    """Whether ports run out: one that the client closes first stays in TIME_WAIT, unless the kernel may reuse it.

    The lean client lets the server close first, and with keep-alive nothing is closed.
    """
    if reuse is None:
        return
    value = str(reuse)
    may_reuse = reuse == 1 or (reuse == LOOPBACK_ONLY and entry.machine == CONTROL)
    if not may_reuse and plan.mean_think_s and plan.client != "lean" and not _each_holds_connection(plan):
        need = round(plan.most_users / plan.mean_think_s / hosts * TIME_WAIT_S)
        value = f"{reuse}; up to {need} connections in {TIME_WAIT_S} s, {ports} ports"
        if need > ports:
            remedy = "sysctl -w net.ipv4.tcp_tw_reuse=1, or use more load hosts"
            yield HostCheck(entry.name, "warn", "tcp_tw_reuse", value, remedy)
            return
    yield HostCheck(entry.name, "ok", "tcp_tw_reuse", value)


def _each_holds_connection(plan: Plan) -> bool:
    """Whether every user holds a connection all the time; otherwise that happens only under overload."""
    return plan.keeps_alive


def _memory(name: str, plan: Plan, facts: Facts, need: int) -> Iterator[HostCheck]:
    """Whether `need` MiB are available, and more than the floor below which a run is stopped."""
    have = facts.memory_available_mb
    if have < plan.memory_floor_mb:
        remedy = f"the plan stops a run below {plan.memory_floor_mb} MiB: end other programs, or lower memory_floor_mb"
        yield HostCheck(name, "stop", "memory", f"{have} MiB", remedy)
    else:
        yield _at_least(name, "memory", have, need, "MiB", "end other programs or use fewer users", impossible=False)


def _at_least(name: str, what: str, have: int, need: int, unit: str, remedy: str, impossible: bool = True) -> HostCheck:
    """Whether a limit suffices. A negative one is RLIM_INFINITY."""
    value = f"{'unlimited' if have < 0 else have} of {need} needed ({unit})"
    if 0 <= have < need:
        return HostCheck(name, "stop" if impossible else "warn", what, value, remedy)
    return HostCheck(name, "ok", what, value)


def _fd_limits(facts: Facts) -> str:
    """Both limits, for people: processes of the study raise the soft limit to the hard one."""
    return f"soft {facts.fds_soft}, hard {facts.fds_hard}"


def _listed(numbers: Sequence[int]) -> str:
    """Numbers with commas between them."""
    return ",".join(map(str, numbers))
