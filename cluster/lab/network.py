"""Separate hosts on one Linux machine, as far as the network goes: namespaces joined by a bridge.

The bridge has a namespace of its own, and no namespace has a default route: nothing in here can reach the machine's own
network, or be reached from it. RFC 2544 keeps 198.18.0.0/15 for benchmarks, so the addresses clash with nobody's.
Needs root and iproute2.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from ipaddress import IPv4Interface
from pathlib import Path

SUBNET = "198.18.0.{number}/24"
PREFIX = "study-"
BRIDGE = "bridge"
PORT = "eth0"  # a host's only way to the others
ETC = Path("/etc/netns")  # what `ip netns exec` lays over /etc
PROJECT = Path(__file__).resolve().parents[2]
COMMAND_S = 20.0


class Network:
    """Hosts by name, each with an address of its own. `tag` tells this network from another one on the machine."""

    def __init__(self, tag: str, hosts: Sequence[str]) -> None:
        self.tag = tag
        self.addresses = {name: IPv4Interface(SUBNET.format(number=10 + at)) for at, name in enumerate(hosts)}
        self._relays: dict[str, subprocess.Popen[str]] = {}

    def address(self, host: str) -> str:
        return str(self.addresses[host].ip)

    def namespace(self, host: str) -> str:
        return f"{PREFIX}{self.tag}-{host}"

    def inside(self, host: str, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` on the host: its network, and what lies over /etc there."""
        return ["ip", "netns", "exec", self.namespace(host), *argv]

    def up(self) -> None:
        for name in (BRIDGE, *self.addresses):
            ip("netns", "add", self.namespace(name))
            self._ip(name, "link", "set", "lo", "up")
        self._ip(BRIDGE, "link", "add", BRIDGE, "type", "bridge")
        self._ip(BRIDGE, "link", "set", BRIDGE, "up")
        for name, address in self.addresses.items():
            peer = ("peer", "name", PORT, "netns", self.namespace(name))
            self._ip(BRIDGE, "link", "add", name, "type", "veth", *peer)
            self._ip(BRIDGE, "link", "set", name, "master", BRIDGE, "up")
            self._ip(name, "address", "add", str(address), "dev", PORT)
            self._ip(name, "link", "set", PORT, "up")

    def down(self) -> None:
        """End whatever runs in the namespaces and remove them; harmless where nothing is left of them."""
        self._relays.clear()
        remove(self.tag)

    def overlay(self, host: str) -> Path:
        """The files in here lie over those of the same name in /etc on the host."""
        directory = ETC / self.namespace(host)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    # -- what can go wrong with a network ------------------------------------------------------------------------------

    def cut(self, host: str) -> None:
        """Nothing reaches the host or leaves it any more; nobody is told."""
        self._ip(BRIDGE, "link", "set", host, "down")

    def slow(self, host: str, delay_s: float, loss: float) -> None:
        """Every frame that leaves the host comes so much later, and some never: what netem does at a host's port.

        netem is a module that many kernels lack, this relay works in all: cluster/lab/relay.py carries each frame.
        """
        inner, outer = f"{host}-in", f"{host}-out"
        argv = (sys.executable, "-m", "cluster.lab.relay", inner, outer, str(delay_s), str(loss))
        relay = subprocess.Popen(self.inside(BRIDGE, argv), cwd=PROJECT, text=True, stdout=subprocess.PIPE)
        self._relays[host] = relay
        assert relay.stdout is not None
        assert relay.stdout.readline() == "ready\n", f"no relay for {host}"
        self._ip(BRIDGE, "link", "add", f"{host}-slow", "type", "bridge")
        for port, bridge in ((host, f"{host}-slow"), (inner, f"{host}-slow"), (outer, BRIDGE)):
            self._ip(BRIDGE, "link", "set", port, "master", bridge, "up")
        self._ip(BRIDGE, "link", "set", f"{host}-slow", "up")

    def unroute(self, host: str, other: str) -> None:
        """Nothing goes from the host to that other one: as if a router in between knew no way."""
        self._ip(host, "route", "add", "blackhole", self.address(other))

    def only_ssh_out(self, host: str) -> None:
        """The host takes nothing but answers from sshds, as behind a home router: it can call, and not be called.

        A rule for every protocol would silence ARP too: a peer that has forgotten the host couldn't answer its call.
        """
        self._ip(host, "rule", "add", "pref", "1", "iif", PORT, "ipproto", "tcp", "sport", "22", "lookup", "local")
        for protocol in ("tcp", "udp"):
            self._ip(host, "rule", "add", "pref", "2", "iif", PORT, "ipproto", protocol, "blackhole")
        self._ip(host, "rule", "add", "pref", "3", "lookup", "local")
        self._ip(host, "rule", "del", "pref", "0")

    def mend(self) -> None:
        """Undo all of the above."""
        for host, relay in self._relays.items():
            relay.terminate()
            relay.communicate(timeout=COMMAND_S)
            self._ip(BRIDGE, "link", "del", f"{host}-slow")
            self._ip(BRIDGE, "link", "set", host, "master", BRIDGE)
        self._relays.clear()
        for host in self.addresses:
            self._ip(BRIDGE, "link", "set", host, "up")
            self._ip(host, "route", "flush", "type", "blackhole")
            if "blackhole" in self._ip(host, "rule", "list"):
                self._ip(host, "rule", "add", "pref", "0", "lookup", "local")
                for preference in ("1", "2", "2", "3"):
                    self._ip(host, "rule", "del", "pref", preference)

    def _ip(self, host: str, *arguments: str) -> str:
        return ip("-n", self.namespace(host), *arguments)

    # -- what is left on a host ----------------------------------------------------------------------------------------

    def pids(self, host: str) -> list[int]:
        """Every process of the host."""
        return pids(self.namespace(host))

    def listening(self, host: str) -> list[str]:
        """Addresses and ports on which the host's processes listen for TCP."""
        shown = run(self.inside(host, ["ss", "-Hltn"]))
        return [line.split()[3] for line in shown.splitlines()]


def ip(*arguments: str) -> str:
    return run(["ip", *arguments])


def run(argv: Sequence[str]) -> str:
    """A command that must not fail; returns what it printed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def pids(namespace: str) -> list[int]:
    return [int(line) for line in ip("netns", "pids", namespace).split()]


def tags() -> set[str]:
    """Of every network of this kind on the machine, also those that somebody left behind."""
    names = [line.split()[0] for line in ip("netns", "list").splitlines() if line.startswith(PREFIX)]
    return {name.removeprefix(PREFIX).rpartition("-")[0] for name in names}


def remove(tag: str) -> None:
    """End all processes in the network's namespaces, and remove them with their files below /etc/netns."""
    for line in ip("netns", "list").splitlines():
        namespace = line.split()[0]
        if namespace.rpartition("-")[0] != PREFIX + tag:
            continue
        for _ in range(100):  # what forks meanwhile is seen the next time round
            if not (left := pids(namespace)):
                break
            subprocess.run(["kill", "-KILL", *map(str, left)], stderr=subprocess.DEVNULL, check=False)
        ip("netns", "del", namespace)
        shutil.rmtree(ETC / namespace, ignore_errors=True)
    if ETC.is_dir() and not any(ETC.iterdir()):
        ETC.rmdir()
