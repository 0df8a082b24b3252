"""Tunnels: how the workers of a load host reach Locust's master with nothing open but SSH.

One supervised `ssh -N -R` for each load host, started here. Its port there is the load host's choice, so that it takes
none that is in use; the measured traffic never goes this way.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from cluster.hosts import ssh_config as openssh
from cluster.hosts.host import Host
from cluster.hosts.inventory import LOOPBACK, HostEntry
from study.errors import HostError

READY_S = 20.0
ALLOCATED = re.compile(r"Allocated port (\d+) for remote forward")


def name_of(host: HostEntry) -> str:
    """The tunnel's process, on control."""
    return f"tunnel-{host.name}"


def command(config: Path, host: HostEntry, port: int) -> tuple[str, ...]:
    """A port of the host's choosing, on its loopback alone, leads to `port` on the loopback of this machine."""
    forward = ("-R", f"{LOOPBACK}:0:{LOOPBACK}:{port}")
    strict = ("-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=INFO")
    return ("ssh", "-N", "-T", "-F", str(config), *strict, *forward, *openssh.arguments(host))


def allocated(said: str) -> int | None:
    """The port on the host, from what ssh said; None while it has said none."""
    found = ALLOCATED.search(said)
    return int(found[1]) if found else None


def opened(control: Host, host: HostEntry, port: int, start: Callable[[str, tuple[str, ...]], Path]) -> int:
    """Open a tunnel; `start` starts it under its name and returns its log. Returns the port on the host."""
    name = name_of(host)
    log = start(name, command(openssh.write_config(), host, port))
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        said = log.read_text(encoding="utf-8", errors="replace")
        if there := allocated(said):
            return there
        if control.listed().get(name) is not None:
            raise HostError(f"{host.name}: no tunnel to it: {said.strip() or 'ssh ended without a word'}")
        time.sleep(0.05)
    raise HostError(f"{host.name}: no tunnel to it within {READY_S:g} s; transport=direct does without")
