"""Servers that run already (`url` in a plan): where they are, that the person means them, and whether they answer.

All of it is found out before a request is sent. A name is resolved on every load host, since each may know another
address. A host that isn't in the inventory has to be allowed by its name, so that a typing mistake loads nobody
else's server.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from cluster.hosts.host import Host, at_once, json_value
from cluster.hosts.inventory import HostEntry, Inventory, url_host
from study.errors import HostError, StudyError, UsageError
from study.layout import CA
from study.plan import Plan
from study.workload import Server

CONNECT_S = 10.0


@dataclass(frozen=True)
class Looked:
    """What a host says of a server: its addresses, why it can't be reached, and which process it is.

    `refused`: because of its certificate.
    """

    addresses: tuple[str, ...] = ()
    obstacle: str = ""
    refused: bool = False
    pid: int | None = None


@dataclass(frozen=True)
class RunningServers:
    """What was found out about the servers that run already.

    `elsewhere` names those that aren't on the target, where nobody can watch them; `addresses` are each server's, by
    load host, which its users take: a name that is looked up again may stand for another machine.
    """

    elsewhere: frozenset[str] = frozenset()
    addresses: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


def running_servers(plan: Plan) -> list[Server]:
    """The plan's servers that are there already."""
    return [server for server in map(plan.server, dict.fromkeys(plan.models)) if not server.is_started]


def look_for_servers(
    plan: Plan,
    inventory: Inventory,
    load: Sequence[Host],
    files: Mapping[str, bytes],
    allowed: Collection[str],
    report: Callable[[str], None],
) -> RunningServers:
    """Where the servers are, seen from each load host.

    `report` gets a line for each server, before anything is sent to it; `files` are those that the plan names. Raises
    UsageError for a host that isn't allowed, StudyError for a server that can't be reached.
    """
    far, addresses = set(), {}
    for server in running_servers(plan):
        name, port = server.location("", 0)
        where = f"{server.name}: {server.url}"
        looks = at_once(load, lambda host, name=name, port=port: _look(host, name, port))  # type: ignore[misc]
        if failed := [f"{host}: {look.obstacle}" for host, look in looks.items() if not look.addresses]:
            raise StudyError(f"{where}: its name can't be resolved: {'; '.join(failed)}")
        addresses[server.name] = {host: look.addresses for host, look in looks.items()}
        found = {address for look in looks.values() for address in look.addresses}
        report(f"{where} is {_addresses(looks)}")
        if not _is_known(found, inventory.hosts) and name not in {each.lower() for each in allowed}:
            raise UsageError(
                f"{where} ({', '.join(sorted(found))}) is no host of the inventory; where you may load it, "
                f"`--allow-host {name}` says so"
            )
        if not _is_known(found, (inventory.target,)):
            far.add(server.name)
            report(f"{where} is not on the target: nobody watches its CPU, and check 8 can't say who was the limit")
        _connect(server, load, files)
    return RunningServers(frozenset(far), addresses)


def listening_process(target: Host, port: int) -> int:
    """The process that listens on the target's port. Raises HostError where it can't be found."""
    look = _look(target, "localhost", port, "--listener")
    if look.pid is None:
        raise HostError(f"{target.entry.name}: which process listens on port {port} can't be seen: run as its user")
    return look.pid


def _look(host: Host, name: str, port: int, *more: str) -> Looked:
    done = host.module("http.outside", *more, "--", name, str(port))
    try:
        return host.parsed(Looked, json_value(done.out), "outside")
    except ValueError:
        raise HostError(f"{host.entry.name}: outside ended with {done.status}: {done.err.strip()[-200:]}") from None


def _connect(server: Server, load: Sequence[Host], files: Mapping[str, bytes]) -> None:
    """Open a connection from each load host. Raises StudyError, UsageError for a certificate."""
    name, port = server.location("", 0)
    with tempfile.TemporaryDirectory(prefix="certificates-") as directory:
        ca = Path(directory) / f"{server.name}{CA}"
        ca.write_bytes(files.get(ca.name, b""))

        def connect(host: Host) -> Looked:
            options = ["--connect", f"{CONNECT_S:g}"]
            options += ["--tls"] if server.tls else []
            options += ["--ca", str(host.share(ca))] if server.ca is not None else []
            options += [] if server.verify else ["--no-verify"]
            return _look(host, name, port, *options)

        looks = at_once(load, connect)
    if failed := [f"{host}: {look.obstacle}" for host, look in looks.items() if look.obstacle]:
        kind = UsageError if any(look.refused for look in looks.values()) else StudyError
        raise kind(f"{server.name}: no connection to {server.url}: {'; '.join(failed)}")


def _addresses(looks: Mapping[str, Looked]) -> str:
    """One list where all hosts agree, else one for each."""
    lists = {host: ", ".join(map(url_host, look.addresses)) for host, look in looks.items()}
    if len(set(lists.values())) == 1:
        return next(iter(lists.values()))
    return "; ".join(f"{each} from {host}" for host, each in lists.items())


def _is_known(found: Collection[str], entries: Iterable[HostEntry]) -> bool:
    """Whether all the addresses are those of hosts of the inventory; loopback is a load host's own."""
    known: set[str] = set()
    for entry in entries:
        try:
            known.update(str(each[4][0]) for each in socket.getaddrinfo(entry.address, None))
        except OSError:
            continue
    return all(_is_loopback(address) if address not in known else True for address in found)


def _is_loopback(address: str) -> bool:
    return ip_address(address.partition("%")[0]).is_loopback
