"""SSH tunnels: the workers of a load host reach Locust's master through them, with no other open port.

One supervised `ssh -M -N` for each load host runs on control, and the forward is asked of it over its socket: so the
person's own LocalForward and RemoteForward stay closed (ClearAllForwardings would close ours on the command line too).
The load host chooses the tunnel's port there, so that it can't be one in use. The measured traffic never goes through a
tunnel.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import time
from pathlib import Path

from cluster.hosts import ssh_config as openssh
from cluster.hosts.connection import control as ask
from cluster.hosts.connection import sockets
from cluster.hosts.host import Host
from cluster.hosts.inventory import LOOPBACK, HostEntry
from study.errors import HostError

READY_S = 40.0
POLL_S = 0.05


def process_name(host: HostEntry) -> str:
    """Name of the tunnel's supervised process on control."""
    return f"tunnel-{host.name}"


def _socket(host: HostEntry) -> Path:
    return sockets() / f"t{hashlib.sha256(host.name.encode()).hexdigest()[:12]}"  # the name may be too long


def command(config: Path, host: HostEntry) -> tuple[str, ...]:
    """ssh that connects to the host and waits for requests to forward."""
    _socket(host).unlink(missing_ok=True)
    return ("ssh", "-M", "-N", "-T", "-F", str(config), "-S", str(_socket(host)), *openssh.arguments(host))


def open_forward(control: Host, host: HostEntry, port: int, log: Path) -> int:
    """Wait until a tunnel's process, just started, is connected, and open its forward; returns its port on the host.

    It leads from the host's loopback to `port` of control's loopback. `log` is the standard error of the process.
    Raises HostError.
    """
    until = time.monotonic() + READY_S
    while not _socket(host).exists():
        if control.listed().get(process_name(host)) is not None:
            output = log.read_text(encoding="utf-8", errors="replace").strip()
            raise HostError(f"{host.name}: no tunnel to it: {output or 'ssh ended without a message'}")
        if time.monotonic() > until:
            raise HostError(f"{host.name}: no tunnel to it within {READY_S:g} s; transport=direct does without")
        time.sleep(POLL_S)
    return _forward(host, port)


def try_forward(argv: tuple[str, ...], host: HostEntry, port: int) -> None:
    """Open the host's tunnel for a moment, as a run would. Raises HostError where it can't be."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0)
        try:
            until = time.monotonic() + READY_S
            while not _socket(host).exists():
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    said = log.read().decode(errors="replace").strip()
                    raise HostError(f"{host.name}: no tunnel to it: {said or 'ssh gave no answer'}")
                time.sleep(POLL_S)
            _forward(host, port)
        finally:
            process.terminate()
            process.wait()


def _forward(host: HostEntry, port: int) -> int:
    done = ask(_socket(host), "-O", "forward", "-R", f"{LOOPBACK}:0:{LOOPBACK}:{port}")
    if done.returncode or not done.stdout.strip().isdigit():
        why = done.stderr.strip() or "ssh gave no port"
        raise HostError(
            f"{host.name}: no tunnel to it: {why}. Its sshd must allow remote forwarding "
            "(AllowTcpForwarding, PermitListen); transport=direct does without"
        )
    return int(done.stdout)
