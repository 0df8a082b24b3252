"""The lab's network: one network namespace per host on one Linux machine, joined by a bridge.

The bridge has a namespace of its own, and no namespace has a default route: nothing in the lab can reach the machine's
own network, or be reached from it. The addresses are of 198.18.0.0/15, which RFC 2544 reserves for benchmarks. Needs
root and iproute2.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from ipaddress import IPv4Interface
from pathlib import Path

from cluster.hosts.host import PROJECT

SUBNET = "198.18.0.{number}/24"
PREFIX = "study-"
BRIDGE = "bridge"
PORT = "eth0"  # each host's interface to the bridge
ETC = Path("/etc/netns")  # `ip netns exec` mounts files below it over those in /etc
COMMAND_S = 20.0


class Network:
    """A network of named hosts. `tag` distinguishes it from other networks of this kind on the machine."""

    def __init__(self, tag: str, hosts: Sequence[str]) -> None:
        self.tag = tag
        self.addresses = {name: IPv4Interface(SUBNET.format(number=10 + at)) for at, name in enumerate(hosts)}
        self._relays: dict[str, subprocess.Popen[str]] = {}

    def address(self, host: str) -> str:
        """The host's address."""
        return str(self.addresses[host].ip)

    def namespace(self, host: str) -> str:
        """Name of the host's network namespace."""
        return f"{PREFIX}{self.tag}-{host}"

    def inside(self, host: str, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` in the host's network and with its files over /etc."""
        return ["ip", "netns", "exec", self.namespace(host), *argv]

    def up(self) -> None:
        """Make the namespaces, the bridge and the links. Raises RuntimeError."""
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
        """End all processes in the namespaces and remove them; harmless where there are none."""
        self._relays.clear()
        remove(self.tag)

    def overlay(self, host: str) -> Path:
        """Directory whose files replace those of the same name in /etc on the host."""
        directory = ETC / self.namespace(host)
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    # -- faults --------------------------------------------------------------------------------------------------------

    def cut(self, host: str) -> None:
        """Drop every frame to and from the host, without any error to anyone."""
        self._ip(BRIDGE, "link", "set", host, "down")

    def slow(self, host: str, delay_s: float, loss: float) -> None:
        """Delay every frame that leaves the host, and lose the share `loss` of them, as netem would.

        Many kernels lack the module netem; cluster/lab/relay.py, which carries each frame, works with all.
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
        """Drop what the host sends to the other one, as if a router had no route to it."""
        self._ip(host, "route", "add", "blackhole", self.address(other))

    def only_ssh_out(self, host: str) -> None:
        """Let the host receive nothing but answers of sshds: like behind NAT, it can connect but not be connected to.

        The rules name TCP and UDP: a rule for every protocol would drop ARP as well.
        """
        self._ip(host, "rule", "add", "pref", "1", "iif", PORT, "ipproto", "tcp", "sport", "22", "lookup", "local")
        for protocol in ("tcp", "udp"):
            self._ip(host, "rule", "add", "pref", "2", "iif", PORT, "ipproto", protocol, "blackhole")
        self._ip(host, "rule", "add", "pref", "3", "lookup", "local")
        self._ip(host, "rule", "del", "pref", "0")

    def mend(self) -> None:
        """Undo all faults above."""
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

    # -- what runs on a host -------------------------------------------------------------------------------------------

    def pids(self, host: str) -> list[int]:
        """PIDs of the host's processes."""
        return pids(self.namespace(host))

    def listening(self, host: str) -> list[str]:
        """Addresses and ports on which the host's processes listen for TCP."""
        table = checked_output(self.inside(host, ["ss", "-Hltn"]))
        return [line.split()[3] for line in table.splitlines()]


def ip(*arguments: str) -> str:
    """Output of an `ip` command. Raises RuntimeError where it fails."""
    return checked_output(["ip", *arguments])


def checked_output(argv: Sequence[str]) -> str:
    """A command's standard output. Raises RuntimeError where it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def pids(namespace: str) -> list[int]:
    """PIDs of the processes in a network namespace."""
    return [int(line) for line in ip("netns", "pids", namespace).split()]


def tags() -> set[str]:
    """The tags of all networks of this kind on the machine."""
    names = [line.split()[0] for line in ip("netns", "list").splitlines() if line.startswith(PREFIX)]
    return {name.removeprefix(PREFIX).rpartition("-")[0] for name in names}


def remove(tag: str) -> None:
    """End all processes in a network's namespaces, and remove the namespaces and their files below /etc/netns."""
    for line in ip("netns", "list").splitlines():
        namespace = line.split()[0]
        if namespace.rpartition("-")[0] != PREFIX + tag:
            continue
        for _ in range(100):  # again for processes that were forked meanwhile
            if not (running := pids(namespace)):
                break
            subprocess.run(["kill", "-KILL", *map(str, running)], stderr=subprocess.DEVNULL, check=False)
        ip("netns", "del", namespace)
        shutil.rmtree(ETC / namespace, ignore_errors=True)
    if ETC.is_dir() and not any(ETC.iterdir()):
        ETC.rmdir()
