"""What a machine can't do, told before anything starts, each finding with what to do about it.

Pure functions of the facts (cluster/facts.py) and the plan. Only what makes a step impossible stops a campaign.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cluster.errors import StudyError
from cluster.inventory import CONTROL, HostEntry, Inventory
from cluster.plan import Plan
from servers.core.runner import BACKLOG

Facts = dict[str, Any]

SPARE_FDS = 200  # a process's own files beside its connections
WORKER_MB_PER_USER = {"lean": 0.02, "fast": 0.1, "http": 0.15}  # resident, measured with 10,000 users
PROCESS_MB = 1.5  # what a forked child of the server adds
LEAST_DISK_MB = 200
GOOD_DISK_MB = 2000


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


def examine(inventory: Inventory, plan: Plan, facts: dict[str, Facts]) -> list[Finding]:
    """Findings for every host of the inventory, in its order; `facts` by host name."""
    findings: list[Finding] = []
    for entry in inventory.hosts:
        known = facts[entry.name]
        findings += _everywhere(entry, known)
        if entry is inventory.target:
            findings += _target(entry, plan, known)
        else:
            findings += _load(entry, plan, known, len(inventory.load))
    findings.append(_port(CONTROL, "127.0.0.1", plan.master_port, "master_port", facts[CONTROL]))
    return findings


def _everywhere(entry: HostEntry, facts: Facts) -> Iterator[Finding]:
    name = entry.name
    if facts["system"] != "Linux":
        yield Finding(
            name, "stop", "system", facts["system"], "use a Linux host: the study reads /proc and pins processes"
        )
    version = tuple(int(part) for part in facts["python"].split(".")[:2])
    if version < (3, 11):
        yield Finding(name, "stop", "python", facts["python"], "install Python 3.11 or newer")
    else:
        yield Finding(name, "ok", "python", facts["python"])
    cores = facts["cores"]
    if missing := [cpu for cpu in entry.cpus if cpu not in cores]:
        yield Finding(
            name, "stop", "cores", _listed(cores), f"cpus={_listed(missing)} is not there: change the inventory"
        )
    elif len(cores) < 2:
        yield Finding(
            name, "warn", "cores", _listed(cores), "server and generator share a core: use two cores or two hosts"
        )
    else:
        yield Finding(name, "ok", "cores", f"{_listed(cores)}, used here {_listed(list(entry.cpus) or cores)}")
    free = facts["disk_free_mb"]
    level: Literal["ok", "warn", "stop"] = "stop" if free < LEAST_DISK_MB else "warn" if free < GOOD_DISK_MB else "ok"
    yield Finding(name, level, "free disk", f"{free} MiB", "" if level == "ok" else "free some disk space")
    busy = facts["load_1min"]
    if busy > len(cores) / 2:
        yield Finding(
            name, "warn", "other load", f"{busy:.1f}", "something else runs here: wait until the host is idle"
        )
    if facts["governor"] not in ("", "performance"):
        remedy = "set the CPU governor to performance, or clock changes will be in the figures"
        yield Finding(name, "warn", "CPU governor", facts["governor"], remedy)


def _target(entry: HostEntry, plan: Plan, facts: Facts) -> Iterator[Finding]:
    name, users = entry.name, max(plan.users)
    models = {plan.server(model).model for model in plan.models}
    yield _at_least(
        name, "descriptors", facts["fds_hard"], users + SPARE_FDS, "ulimit -Hn",
        "raise it: ulimit -Hn, limits.conf", impossible=_held(plan),
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


def _port(name: str, address: str, port: int, key: str, facts: Facts) -> Finding:
    if obstacle := facts["ports"][str(port)]:
        remedy = f"end what listens there (`fab stop` if an earlier campaign left it), or set {key} in the plan"
        return Finding(name, "stop", key, f"{address}:{port}: {obstacle}", remedy)
    return Finding(name, "ok", key, f"{address}:{port} is free")


def _load(entry: HostEntry, plan: Plan, facts: Facts, hosts: int) -> Iterator[Finding]:
    name = entry.name
    users = -(-max(plan.users) // hosts)
    workers = workers_of(entry, facts)
    each = -(-users // workers)
    yield _at_least(
        name, "descriptors", facts["fds_hard"], each + SPARE_FDS, "ulimit -Hn",
        "raise it, or use more workers", impossible=_held(plan),
    )  # fmt: skip
    low, high = facts["ephemeral_ports"]
    ports = high - low + 1
    remedy = "sysctl -w net.ipv4.ip_local_port_range='1024 65000', or use more load hosts"
    yield _at_least(name, "local ports", ports, users + SPARE_FDS, "ip_local_port_range", remedy)
    yield from _memory(
        name, plan, facts, plan.memory_floor_mb + int(users * WORKER_MB_PER_USER[plan.client]) + 150 * workers
    )


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


def workers_of(entry: HostEntry, facts: Facts) -> int:
    """Workers on a load host: as the inventory says, or one for each core that it gives."""
    return entry.workers or len(entry.cpus) or len(facts["cores"])


def _listed(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))
