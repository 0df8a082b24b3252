"""SSH tunnels: the workers of a load host reach Locust's master through them, with no other open port.

One supervised `ssh -N -R` for each load host runs on control. The load host chooses the tunnel's port there, so that it
can't be one in use. The measured traffic never goes through a tunnel.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from cluster.hosts import ssh_config as openssh
from cluster.hosts.host import Host
from cluster.hosts.inventory import LOOPBACK, HostEntry
from study.errors import HostError

READY_S = 20.0
POLL_S = 0.05
ALLOCATED = re.compile(r"Allocated port (\d+) for remote forward")


def process_name(host: HostEntry) -> str:
    """Name of the tunnel's supervised process on control."""
    return f"tunnel-{host.name}"


def command(config: Path, host: HostEntry, port: int) -> tuple[str, ...]:
    """ssh that forwards a port on the host's loopback, which the host chooses, to `port` on control's loopback."""
    forward = ("-R", f"{LOOPBACK}:0:{LOOPBACK}:{port}")
    strict = ("-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=INFO")
    return ("ssh", "-N", "-T", "-F", str(config), *strict, *forward, *openssh.arguments(host))


def allocated(output: str) -> int | None:
    """The port on the host, from ssh's output; None while it isn't there."""
    match = ALLOCATED.search(output)
    return int(match[1]) if match else None


def wait_until_open(control: Host, host: HostEntry, log: Path) -> int:
    """Wait until a tunnel that was just started is open; returns its port on the host. Raises HostError.

    `log` is the standard error of its process.
    """
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        output = log.read_text(encoding="utf-8", errors="replace")
        if port := allocated(output):
            return port
        if control.listed().get(process_name(host)) is not None:
            raise HostError(f"{host.name}: no tunnel to it: {output.strip() or 'ssh ended without a message'}")
        time.sleep(POLL_S)
    raise HostError(f"{host.name}: no tunnel to it within {READY_S:g} s; transport=direct does without")
