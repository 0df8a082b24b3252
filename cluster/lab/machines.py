"""The lab: a control machine, a target and load hosts on one computer, each a separate machine to SSH.

Every host has its own network namespace (network.py), host name, sshd with a host key, home of root, and one core. All
share one file system and one kernel. Every host accepts control's key, and control's known_hosts has their host keys.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cluster.lab.network import Network, checked_output, tags

CONTROL, TARGET, LOAD, GATEWAY = "control", "target", ("load1", "load2"), "gateway"
HOSTS = (CONTROL, TARGET, *LOAD, GATEWAY)
BY_HAND = "lab"  # tag of the lab that `fab lab.up` makes; that of a test session is its PID
SSHD = "/usr/sbin/sshd"
SSHD_READY_S = 10.0

SSHD_CONFIG = """\
ListenAddress {address}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
StrictModes no
UseDNS no
ClientAliveInterval 5
Subsystem sftp internal-sftp
SetEnv PATH={path}
"""


def missing() -> str:
    """What a lab needs and this machine lacks, for a message; empty where nothing is missing."""
    if os.geteuid() != 0:
        return "the lab makes network namespaces: it needs root (sudo)"
    wanted = {"ip": "iproute2", "ss": "iproute2", SSHD: "openssh-server", "ssh": "openssh-client"}
    if absent := sorted({package for program, package in wanted.items() if not shutil.which(program)}):
        return f"the lab needs {' and '.join(absent)}: apt-get install {' '.join(absent)}"
    return ""


class Lab:
    """All machines of a lab: call `up` and `down`, or use it as a context."""

    def __init__(self, tag: str = BY_HAND) -> None:
        self.network = Network(tag, HOSTS)
        self.directory = Path(tempfile.gettempdir()) / f"study-lab-{tag}"

    def __enter__(self) -> Lab:
        self.up()
        return self

    def __exit__(self, *error: object) -> None:
        self.down()

    def up(self) -> None:
        """Make every host. Raises RuntimeError where that can't be done, after removing what was made."""
        if lacks := missing():
            raise RuntimeError(lacks)
        remove_abandoned()
        self.down()  # one of the same tag that was left behind
        try:
            self.network.up()
            self.directory.mkdir(mode=0o700)
            self._give_key()
            for host in HOSTS:
                self._make_files(host)
            for host in HOSTS[1:]:
                self._start_sshd(host)
            self.inventory_file.write_text(self.inventory(), encoding="utf-8")
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """End and remove everything; harmless where there is nothing."""
        self.network.down()
        shutil.rmtree(self.directory, ignore_errors=True)

    def home(self, host: str) -> Path:
        """Root's home on the host."""
        return self.directory / host / "home"

    @property
    def inventory_file(self) -> Path:
        """The inventory, in control's home."""
        return self.home(CONTROL) / "lab.ini"

    def inventory(self) -> str:
        """An inventory of the target and the load hosts, by address."""
        line = "{} ansible_host={} ansible_user=root"
        target, *load = (line.format(host, self.network.address(host)) for host in (TARGET, *LOAD))
        return "\n".join(("[target]", target, "", "[load]", *load, ""))

    # -- using it ------------------------------------------------------------------------------------------------------

    def command(self, host: str, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` on the host, as root, in its network, with its home and on its core."""
        environment = ("env", "-u", "SSH_AUTH_SOCK", f"HOME={self.home(host)}")
        return self.network.inside(host, ["taskset", "-c", core(host), *environment, *argv])

    def run(self, host: str, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command on the host to its end, without SSH, in root's home there."""
        return subprocess.run(
            self.command(host, argv),
            cwd=self.home(host),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def processes(self, host: str) -> list[str]:
        """Command lines of the host's processes, without sshd: what the study runs there."""
        lines = []
        for pid in self.network.pids(host):
            try:
                argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            line = b" ".join(argv).decode(errors="replace").strip()
            if line and not line.startswith("sshd:"):
                lines.append(line)
        return lines

    def listening(self, host: str) -> list[str]:
        """Addresses and ports on which the host listens, without sshd's."""
        sshd = f"{self.network.address(host)}:22"
        return [where for where in self.network.listening(host) if where != sshd]

    # -- making it -----------------------------------------------------------------------------------------------------

    def _give_key(self) -> None:
        """Make control's key, without a passphrase: only the hosts of the lab accept it."""
        ssh = self.home(CONTROL) / ".ssh"
        ssh.mkdir(parents=True, mode=0o700)
        checked_output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(ssh / "id_ed25519")])

    def _make_files(self, host: str) -> None:
        """Make the host's home and its own /etc files: OpenSSH reads the home from /etc/passwd, not from $HOME."""
        self.home(host).mkdir(parents=True, exist_ok=True)
        etc = self.network.overlay(host)
        users = Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
        root = f"root:x:0:0:root:{self.home(host)}:/bin/bash"
        others = [line for line in users if not line.startswith("root:")]
        (etc / "passwd").write_text("\n".join((root, *others, "")), encoding="utf-8")
        names = [f"{self.network.address(name)} {name}" for name in HOSTS]
        (etc / "hosts").write_text("\n".join(("127.0.0.1 localhost", *names, "")), encoding="utf-8")
        (etc / "resolv.conf").write_text("# no name server\n", encoding="utf-8")

    def _start_sshd(self, host: str) -> None:
        """Start the host's sshd, and add its host key to control's known_hosts."""
        directory, address = self.directory / host, self.network.address(host)
        checked_output(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host, "-f", str(directory / "host_key")])
        shutil.copy(self.home(CONTROL) / ".ssh" / "id_ed25519.pub", directory / "authorized_keys")
        path = f"{sys.base_prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        settings = SSHD_CONFIG.format(address=address, directory=directory, path=path)
        (directory / "sshd_config").write_text(settings, encoding="utf-8")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh", host]
        sshd = [SSHD, "-D", "-e", "-f", str(directory / "sshd_config")]
        with (directory / "sshd.log").open("wb") as log:
            process = subprocess.Popen(
                self.command(host, [*named, *sshd]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.home(host), start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + SSHD_READY_S
        while f"{address}:22" not in self.network.listening(host):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"no sshd on {host}: {(directory / 'sshd.log').read_text()}")
            time.sleep(0.02)
        key = " ".join((directory / "host_key.pub").read_text(encoding="utf-8").split()[:2])
        with (self.home(CONTROL) / ".ssh" / "known_hosts").open("a", encoding="utf-8") as known:
            known.write(f"{address} {key}\n{host} {key}\n")


def core(host: str) -> str:
    """The host's core: this machine's first for the target alone, its last for all others."""
    cores = sorted(os.sched_getaffinity(0))
    return str(cores[0] if host == TARGET else cores[-1])


def remove_abandoned() -> None:
    """Remove the labs of test sessions that were killed."""
    for tag in tags():
        if tag.isdigit() and not Path(f"/proc/{tag}").exists():
            Lab(tag).down()
