"""A real sshd on 127.0.0.1, with a host key, a user's key and a home of its own, for as long as a test needs it."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from cluster.hosts.inventory import SSH, HostEntry

PROGRAM = "/usr/sbin/sshd"
READY_S = 10.0

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/user_key.pub
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
UseDNS no
"""


class Sshd:
    """As a context; `home` is that of the person who connects: to be $HOME, it has known_hosts."""

    def __init__(self, directory: Path, settings: str = "") -> None:
        """`settings` are further lines of its configuration."""
        self.directory = directory
        self._settings = settings
        self.home = directory / "home"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def __enter__(self) -> Sshd:
        (self.home / ".ssh").mkdir(parents=True)
        for name in ("host_key", "user_key"):
            make_key(self.directory / name)
        self.know(self.directory / "host_key.pub")
        self.start(self._settings)
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self, settings: str = "") -> None:
        """Start it, with further lines of configuration."""
        config = self.directory / "sshd_config"
        config.write_text(CONFIG.format(port=self.port, directory=self.directory) + settings, encoding="utf-8")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (self.directory / "sshd.log").open("wb") as log:
            argv = [PROGRAM, "-D", "-e", "-f", str(config)]
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log_file = self.directory / "sshd.log"
        until = time.monotonic() + READY_S
        # By its log: a connect to a free port of the ephemeral range may reach itself.
        while "Server listening on" not in log_file.read_text(encoding="utf-8", errors="replace"):
            assert self._process.poll() is None, log_file.read_text(encoding="utf-8", errors="replace")
            assert time.monotonic() < until
            time.sleep(0.02)

    def stop(self) -> None:
        """End it; its port stays its own."""
        self._process.terminate()
        self._process.wait(timeout=READY_S)

    @property
    def known_hosts(self) -> Path:
        return self.home / ".ssh" / "known_hosts"

    def know(self, public_key: Path, name: str = "") -> None:
        """Let known_hosts have this key, and no other."""
        key = " ".join(public_key.read_text(encoding="utf-8").split()[:2])
        self.known_hosts.write_text(f"{name or f'[127.0.0.1]:{self.port}'} {key}\n", encoding="utf-8")

    def entry(self, name: str = "far", python: str = "") -> HostEntry:
        """An inventory's entry for it, with a remote directory of its own."""
        return HostEntry(
            name,
            SSH,
            destination="127.0.0.1",
            port=self.port,
            user=getpass.getuser(),
            key=str(self.directory / "user_key"),
            remote_dir=str(self.directory / "a remote 'dir'"),
            python=python,
        )


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)], check=True)


def missing() -> bool:
    return not (Path(PROGRAM).exists() and shutil.which("ssh") and shutil.which("ssh-keygen"))
