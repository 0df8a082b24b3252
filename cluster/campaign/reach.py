"""What a run will need of the way between the hosts, tried by `fab check`: the target's port, and the tunnels."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from cluster.campaign.preflight import HostCheck
from cluster.hosts import tunnel
from cluster.hosts.host import Host, json_value, try_all
from cluster.hosts.inventory import DIRECT, Inventory, url_host
from study.errors import HostError
from study.plan import Plan

LISTEN_S = 8.0  # of the check's own listener on the target
CONNECT_S = 5.0


def way_checks(inventory: Inventory, plan: Plan, target: Host, load: Sequence[Host]) -> list[HostCheck]:
    """Whether each load host opens a connection to the target's port, and has a tunnel to control where it needs one.

    Nothing may listen on the port yet. Load hosts on the target's machine need no way to it.
    """
    far = [host for host in load if host.entry.machine != target.entry.machine]
    checks = _connections(plan.port, target, far) if far else []
    if inventory.transport != DIRECT:
        for name, done in try_all(load, lambda host: _tunnel(host, plan.master_port)).items():
            if isinstance(done, HostError):
                reason = str(done).removeprefix(f"{name}: no tunnel to it: ")
                remedy = (
                    "let its sshd allow remote forwarding (AllowTcpForwarding, PermitListen), or set transport=direct"
                )
                checks.append(HostCheck(name, "stop", "tunnel", reason, remedy))
            elif done:
                checks.append(HostCheck(name, "ok", "tunnel", "was opened"))
    return checks


def _tunnel(host: Host, port: int) -> bool:
    """Whether the host needs a tunnel, which then was opened. Raises HostError."""
    if (argv := host.tunnel()) is None:
        return False
    tunnel.try_forward(argv, host.entry, port)
    return True


def _connections(port: int, target: Host, load: Sequence[Host]) -> list[HostCheck]:
    address = target.entry.address
    where = f"{url_host(address)}:{port}"
    asked = ("--address", address, "--port", str(port))
    count = ("--count", str(len(load)))
    with ThreadPoolExecutor(max_workers=1) as pool:
        listening = pool.submit(lambda: target.module("facts", *asked, "--accept", f"{LISTEN_S:g}", *count))
        results = try_all(load, lambda host: _obstacle(host, asked))
        listener = listening.result()
    if listener.status:
        last = listener.err.strip().splitlines()[-1:] or [f"exit status {listener.status}"]
        return [HostCheck(target.entry.name, "warn", "listener", f"{where}: {last[0]}", "see what it says")]
    checks = []
    for name, obstacle in results.items():
        if obstacle:
            remedy = f"let {name} connect to {where}: a firewall or a security group on the way refuses or drops it"
            checks.append(HostCheck(name, "stop", "way to target", f"{where}: {obstacle}", remedy))
        else:
            checks.append(HostCheck(name, "ok", "way to target", f"a connection to {where} was opened"))
    return checks


def _obstacle(host: Host, asked: Sequence[str]) -> str:
    """Why the host can't connect; empty where it can. Raises HostError."""
    done = host.module("facts", *asked, "--connect", f"{CONNECT_S:g}")
    try:
        return host.parsed(dict[str, str], json_value(done.out), "facts").get("obstacle", "")
    except ValueError:
        raise HostError(f"{host.entry.name}: facts ended with {done.status}: {done.err.strip()[-200:]}") from None
