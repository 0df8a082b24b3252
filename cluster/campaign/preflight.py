"""What a host can't do, told before anything starts, each finding with what to do about it.

Pure functions of the facts (cluster/remote/facts.py) and the plan. Only what makes a step impossible stops a campaign.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cluster.hosts.inventory import CONTROL, LOCAL, HostEntry, Inventory
from servers.core.runner import BACKLOG
from study.errors import HostError, StudyError, UnreachableError
from study.plan import Plan

Facts = dict[str, Any]

SPARE_FDS = 200  # a process's own files beside its connections
WORKER_MB_PER_USER = {"lean": 0.02, "fast": 0.1, "http": 0.15}  # resident, measured with 10,000 users
PROCESS_MB = 1.5  # what a forked child of the server adds
LEAST_DISK_MB = 200
GOOD_DISK_MB = 2000
CLOCK_S = 1.0  # samples are rows of a second, joined to the ledger by the wall clock
TIME_WAIT_S = 60  # Linux: how long a closed connection keeps its local port
LOCAL_ONLY = 2  # of tcp_tw_reuse: on loopback connections


@dataclass(frozen=True)
class Finding:
    """One thing looked at on one host. `stop`: a step of the plan can't be run; `warn`: it may mislead."""

    host: str
    level: Literal["ok", "warn", "stop"]
    what: str
    value: str
    remedy: str = ""


def stop_if_impossible(findings: list[Finding]) -> None:
    """Raises StudyError with every finding that makes a step of the plan impossible, and what to do about each."""
    if impossible := [finding for finding in findings if finding.level == "stop"]:
        lines = [f"  {found.host}, {found.what}: {found.value}: {found.remedy}" for found in impossible]
        raise StudyError("the plan can't be run here:\n" + "\n".join(lines))


def examine(
    inventory: Inventory, plan: Plan, facts: Mapping[str, Facts], unseen: Mapping[str, HostError] | None = None
) -> list[Finding]:
    """Findings for every host of the inventory, in its order; `facts` by host name, or why there are none."""
    findings: list[Finding] = []
    for entry in inventory.hosts:
        if unseen and entry.name in unseen:
            findings.append(_unseen(entry.name, unseen[entry.name]))
            continue
        known = facts[entry.name]
        findings += _everywhere(entry, known)
        if entry is inventory.target:
            findings += _target(entry, plan, known)
        else:
            beside = plan.bystanders if entry is inventory.load[0] else 0
            findings += _load(entry, plan, known, len(inventory.load), beside)
    if unseen and CONTROL in unseen:
        findings.append(_unseen(CONTROL, unseen[CONTROL]))
    else:
        findings.append(_port(CONTROL, inventory.control.address, plan.master_port, "master_port", facts[CONTROL]))
    return findings


def _unseen(name: str, error: HostError) -> Finding:
    """A host that can't be looked at: the error's first line says what is wrong, the others what to do."""
    what = "reachable" if isinstance(error, UnreachableError) else "looked at"
    wrong, _, remedy = str(error).removeprefix(f"{name}: ").partition("\n")
    return Finding(name, "stop", what, wrong, f"\n{remedy}" if remedy else f"see what `ssh {name}` says")


def _everywhere(entry: HostEntry, facts: Facts) -> Iterator[Finding]:
    name = entry.name
    if entry.connection != LOCAL:
        yield Finding(name, "ok", "reachable", "yes, and its host key is known")
    if facts["system"] != "Linux":
        yield Finding(
            name, "stop", "system", facts["system"], "use a Linux host: the study reads /proc and pins processes"
        )
    version = tuple(int(part) for part in facts["python"].split(".")[:2])
    if version < (3, 11):
        remedy = "install Python 3.11 or newer; ansible_python_interpreter names it where it isn't python3"
        yield Finding(name, "stop", "python", facts["python"], remedy)
    else:
        yield Finding(name, "ok", "python", facts["python"])
    cores = facts["cores"]
    if missing := [cpu for cpu in entry.cpus if cpu not in cores]:
        yield Finding(
            name, "stop", "cores", _listed(cores), f"cpus={_listed(missing)} is not there: change the inventory"
        )
    elif len(cores) < 2 and entry.connection == LOCAL:
        yield Finding(
            name, "warn", "cores", _listed(cores), "server and generator share a core: use two cores or two hosts"
        )
    else:
        yield Finding(name, "ok", "cores", f"{_listed(cores)}, used here {_listed(list(entry.cpus) or cores)}")
    yield from _disk(name, facts)
    busy = facts["load_1min"]
    if busy > len(cores) / 2:
        remedy = "something else runs here: wait until the host is idle"
        yield Finding(name, "warn", "other load", f"{busy:.1f} in the last minute", remedy)
    else:
        yield Finding(name, "ok", "other load", f"{busy:.1f} in the last minute")
    if facts["governor"] not in ("", "performance"):
        remedy = "set the CPU governor to performance, or clock changes will be in the figures"
        yield Finding(name, "warn", "CPU governor", facts["governor"], remedy)
    else:
        yield Finding(name, "ok", "CPU governor", facts["governor"] or "not told")
    if entry.connection != LOCAL:
        yield from _clock(name, *facts["clock_s"])


def _disk(name: str, facts: Facts) -> Iterator[Finding]:
    free, where = facts["disk_free_mb"], facts["directory"]
    level: Literal["ok", "warn", "stop"] = "stop" if free < LEAST_DISK_MB else "warn" if free < GOOD_DISK_MB else "ok"
    yield Finding(name, level, "free disk", f"{free} MiB in {where}", "" if level == "ok" else "free some disk space")
    if not facts["writable"]:
        remedy = f"nothing can be written to {where}: let the user own it, or set remote_dir in the inventory"
        yield Finding(name, "stop", "directory", where, remedy)


def _clock(name: str, least: float, most: float) -> Iterator[Finding]:
    """Ahead of control's by `least` to `most` seconds: only what is certain is held against the host."""
    value = f"{(least + most) / 2:+.2f} s against here, to within {(most - least) / 2:.2f} s"
    if least > CLOCK_S or most < -CLOCK_S:
        remedy = "set the clock (chrony, systemd-timesyncd): samples are joined to the counts by it"
        yield Finding(name, "warn", "clock", value, remedy)
    else:
        yield Finding(name, "ok", "clock", value)


def _target(entry: HostEntry, plan: Plan, facts: Facts) -> Iterator[Finding]:
    name, users = entry.name, max(plan.users) + plan.bystanders
    if entry.connection != LOCAL:
        yield _sampler(entry, facts)
    models = {plan.server(model).model for model in plan.models}
    yield _at_least(
        name, "descriptors", facts["fds_hard"], users + SPARE_FDS, _fd_limits(facts),
        "raise the hard limit: limits.conf, or LimitNOFILE of sshd", impossible=_held(plan),
    )  # fmt: skip
    if facts["file_max"] is not None:
        yield _at_least(
            name, "open files of the system", facts["file_max"], 2 * users, "fs.file-max", "sysctl -w fs.file-max=..."
        )
    if "process" in models:
        room = [
            limit for limit in (facts["processes_hard"], facts["pid_max"], facts["threads_max"]) if limit and limit > 0
        ]
        yield _at_least(
            name, "processes", min(room), users + 500, "ulimit -u, kernel.pid_max", "raise it", impossible=False
        )
        need = plan.memory_floor_mb + int(users * PROCESS_MB)
        yield _at_least(
            name, "memory for a process per user", facts["memory_available_mb"], need, "MiB", "fewer users", False
        )
    if models & {"thread", "select"}:
        room = [
            limit for limit in (facts["threads_max"], facts["pid_max"], facts["processes_hard"]) if limit and limit > 0
        ]
        if facts["max_map_count"]:
            room.append(facts["max_map_count"] // 2)  # a thread's stack and its guard page
        yield _at_least(
            name,
            "threads",
            min(room),
            users + 500,
            "kernel.threads-max, vm.max_map_count",
            "raise it",
            impossible=False,
        )
    yield _at_least(
        name, "accept queue", facts["somaxconn"] or 0, BACKLOG, "net.core.somaxconn",
        f"sysctl -w net.core.somaxconn={BACKLOG}, or bursts are dropped", impossible=False,
    )  # fmt: skip
    yield from _memory(name, plan, facts, plan.memory_floor_mb + 100)
    yield _port(name, entry.address, plan.port, "port", facts)


def _sampler(entry: HostEntry, facts: Facts) -> Finding:
    """Said also where nothing can be done about it: what it costs is in the samples (`sampler_cpu_cores`)."""
    server, sampler = server_cpus(entry, facts), sampler_cpus(entry, facts)
    if set(server) & set(sampler):
        several = len(facts["cores"]) > 1
        remedy = "leave it a core: set fewer in cpus" if several else "a target with two cores leaves the server one"
        return Finding(entry.name, "warn", "sampler's core", f"{_listed(sampler)}, the server's too", remedy)
    return Finding(entry.name, "ok", "sampler's core", f"{_listed(sampler)}; the server has {_listed(server)}")


def _port(name: str, address: str, port: int, key: str, facts: Facts) -> Finding:
    if obstacle := facts["ports"][str(port)]:
        remedy = f"end what listens there (`fab stop` if an earlier campaign left it), or set {key} in the plan"
        return Finding(name, "stop", key, f"{address}:{port}: {obstacle}", remedy)
    return Finding(name, "ok", key, f"{address}:{port} is free")


def _load(entry: HostEntry, plan: Plan, facts: Facts, hosts: int, beside: int) -> Iterator[Finding]:
    """`beside` are the clients beside the load that this host runs, all in one process."""
    name = entry.name
    users = -(-max(plan.users) // hosts)
    workers = workers_of(entry, facts)
    each = -(-users // workers)
    yield _at_least(
        name, "descriptors", facts["fds_hard"], each + SPARE_FDS, _fd_limits(facts),
        "raise the hard limit: limits.conf, or LimitNOFILE of sshd; or use more workers", impossible=_held(plan),
    )  # fmt: skip
    if beside:
        yield _at_least(
            name, "descriptors of the clients beside the load", facts["fds_hard"], beside + SPARE_FDS, "ulimit -Hn",
            "raise it, or lower idle_connections and slow_clients",
        )  # fmt: skip
    low, high = facts["ephemeral_ports"]
    ports = high - low + 1
    remedy = "sysctl -w net.ipv4.ip_local_port_range='1024 65000', or use more load hosts"
    yield _at_least(name, "local ports", ports, users + beside + SPARE_FDS, "ip_local_port_range", remedy)
    yield from _reuse(entry, plan, facts["tcp_tw_reuse"], ports, hosts)
    yield from _memory(
        name, plan, facts, plan.memory_floor_mb + int(users * WORKER_MB_PER_USER[plan.client]) + 150 * workers
    )


def _reuse(entry: HostEntry, plan: Plan, reuse: int | None, ports: int, hosts: int) -> Iterator[Finding]:
    """A connection that the client closes first keeps its port for TIME_WAIT_S, unless the kernel may reuse it.

    The lean client lets the server close first; a held connection is not closed.
    """
    if reuse is None:
        return
    value = str(reuse)
    may_reuse = reuse == 1 or (reuse == LOCAL_ONLY and entry.connection == LOCAL)
    if not may_reuse and plan.mean_think_s and plan.client != "lean" and not _held(plan):
        need = round(max(plan.users) / plan.mean_think_s / hosts * TIME_WAIT_S)
        value = f"{reuse}; up to {need} connections in {TIME_WAIT_S} s, {ports} ports"
        if need > ports:
            remedy = "sysctl -w net.ipv4.tcp_tw_reuse=1, or use more load hosts"
            yield Finding(entry.name, "warn", "tcp_tw_reuse", value, remedy)
            return
    yield Finding(entry.name, "ok", "tcp_tw_reuse", value)


def _held(plan: Plan) -> bool:
    """Whether every user holds a connection all the time; else only overload makes it so."""
    return plan.connection == "keep-alive"


def _memory(name: str, plan: Plan, facts: Facts, need: int) -> Iterator[Finding]:
    have = facts["memory_available_mb"]
    if have < plan.memory_floor_mb:
        remedy = f"the plan stops a run below {plan.memory_floor_mb} MiB: end other programs, or lower memory_floor_mb"
        yield Finding(name, "stop", "memory", f"{have} MiB", remedy)
    else:
        yield _at_least(name, "memory", have, need, "MiB", "end other programs or use fewer users", impossible=False)


def _at_least(name: str, what: str, have: int, need: int, unit: str, remedy: str, impossible: bool = True) -> Finding:
    """RLIM_INFINITY is -1: always enough."""
    value = f"{'unlimited' if have < 0 else have} of {need} needed ({unit})"
    if 0 <= have < need:
        return Finding(name, "stop" if impossible else "warn", what, value, remedy)
    return Finding(name, "ok", what, value)


def given_cpus(entry: HostEntry, facts: Facts) -> tuple[int, ...]:
    """The cores that the inventory gives, or all that the host has."""
    return entry.cpus or tuple(facts["cores"])


def server_cpus(entry: HostEntry, facts: Facts) -> tuple[int, ...]:
    """The server's cores: as the inventory says; else all, but for the last one where the target has several.

    That one is left to the sampler and to sshd. On this machine the inventory has made the choice.
    """
    cpus = given_cpus(entry, facts)
    return cpus[:-1] if not entry.cpus and entry.connection != LOCAL and len(cpus) > 1 else cpus


def sampler_cpus(entry: HostEntry, facts: Facts) -> tuple[int, ...]:
    """The target's cores that the server hasn't; where it has all, the sampler shares them."""
    server = server_cpus(entry, facts)
    return tuple(cpu for cpu in facts["cores"] if cpu not in server) or server


def workers_of(entry: HostEntry, facts: Facts) -> int:
    """Workers on a load host: as the inventory says, or one for each core that it gives."""
    return entry.workers or len(given_cpus(entry, facts))


def _fd_limits(facts: Facts) -> str:
    """Processes of the study raise the soft limit to the hard one."""
    return f"soft {facts['fds_soft']}, hard {facts['fds_hard']}"


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))
