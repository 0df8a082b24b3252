"""A host reached by SSH: commands are quoted in one place, files go through tar over the same connection.

Every call has a timeout, which the host itself enforces; the margin above it is for the network.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shlex
import tarfile
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fabric import Connection
from paramiko import Channel, SSHException

from cluster.hosts import ssh_config as openssh
from cluster.hosts import tunnel
from cluster.hosts.connection import BROKEN, connect
from cluster.hosts.host import ANSWER_S, COMMAND_S, LEASE_S, PIECE, PROJECT, Completed, Host, Installation, Wire, reason
from cluster.hosts.inventory import REMOTE_DIR, HostEntry
from cluster.hosts.ssh_config import CONNECT_S
from study.errors import HostError, UnreachableError

KILL_S = 5.0  # between SIGTERM and SIGKILL for a command that takes too long
TIMED_OUT = (124, 137)  # exit statuses of timeout(1)
# Runs with the environment's Python, or before a deploy with the one that the host came with.
ANY_PYTHON = 'p=$0; test -x "$p" || p=$1; shift; exec "$p" -I "$@"'
READ_MODULE = "import sys; exec(compile(sys.stdin.read(int(sys.argv.pop(1))), sys.argv[1], 'exec'))"


def command(argv: Sequence[str], timeout: float, directory: Path | None = None) -> str:
    """One line for the remote shell: every argument quoted, under timeout(1) on the host itself."""
    inside = f"cd {shlex.quote(str(directory))} 2>/dev/null; " if directory else ""
    return f"{inside}exec timeout -k {KILL_S:g} {timeout:g} {shlex.join(argv)}"


def unpack_command(remote: Path, digest: str) -> str:
    """Shell that reads a tar archive from standard input, checks its SHA-256 and unpacks it below `remote`."""
    there = shlex.quote(str(remote))
    return (
        f'mkdir -p {there} && t=$(mktemp -p {there} .put.XXXXXX) && trap \'rm -f "$t"\' EXIT && cat > "$t" && '
        f'echo "{digest}  $t" | sha256sum -c --status && tar -xf "$t" -C {there} --no-same-owner'
    )


class SshHost(Host):
    """A host reached by SSH. `code_name` and `env_name` name the directories that a deploy makes."""

    def __init__(self, entry: HostEntry, code_name: str, env_name: str) -> None:
        super().__init__(entry)
        self._code_name, self._env_name = code_name, env_name
        self._connection: Connection | None = None
        self._connecting = threading.Lock()

    # -- where things are ---------------------------------------------------------------------------------------------

    @cached_property
    def root(self) -> Path:
        """The inventory's remote_dir, as an absolute path; each host of the inventory has a directory below it."""
        given = self.entry.remote_dir or REMOTE_DIR
        if given.startswith("/"):
            return Path(given)
        status, home, _ = self._execute("pwd", b"", CONNECT_S)
        if status or not home.startswith(b"/"):
            raise HostError(f"{self.entry.name}: has no home directory to work in: set remote_dir in the inventory")
        return Path(home.decode().strip()) / given.removeprefix("~/")

    @property
    def directory(self) -> Path:
        return self.root / self.entry.name

    @property
    def installation(self) -> Installation:
        """Below the host's directory, each in a directory named by its digest."""
        code, env = self.directory / "code" / self._code_name, self.directory / "env" / self._env_name
        return Installation(code, env, self.entry.python or "python3")

    @property
    def python(self) -> str:
        return str(self.installation.env / "bin" / "python")

    # -- run, put, get -------------------------------------------------------------------------------------------------

    def run(self, argv: Sequence[str], timeout: float = COMMAND_S) -> Completed:
        return self._run(argv, timeout, b"")

    def module(self, name: str, *arguments: str, timeout: float = COMMAND_S) -> Completed:
        """The module's source is sent with the call: works also on a host that has no code yet, or a damaged one."""
        return self._run(self._python_with(name, arguments), timeout, _source(name))

    def put(self, local: Path, remote: Path, timeout: float = COMMAND_S) -> None:
        packed = io.BytesIO()
        into = remote if local.is_dir() else remote.parent
        try:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                archive.add(local, arcname="." if local.is_dir() else remote.name)
        except OSError as error:
            raise HostError(f"{self.entry.name}: {local} can't be read: {error.strerror}") from None
        digest = hashlib.sha256(packed.getvalue()).hexdigest()
        line = command(["sh", "-c", unpack_command(into, digest)], timeout)
        status, _, err = self._execute(line, packed.getvalue(), timeout)
        if status:
            raise HostError(f"{self.entry.name}: {into} can't be written: {_last(err) or f'exit status {status}'}")

    def get(self, remote: Path, local: Path, timeout: float = COMMAND_S) -> None:
        choice = 'if test -d "$0"; then exec tar -cf - -C "$0" .; else exec tar -cf - -C "$1" "$2"; fi'
        line = command(["sh", "-c", choice, str(remote), str(remote.parent), remote.name], timeout)
        status, out, err = self._execute(line, b"", timeout)
        if status:
            raise HostError(f"{self.entry.name}: {remote} can't be read: {_last(err) or f'exit status {status}'}")
        try:
            local.parent.mkdir(parents=True, exist_ok=True)
            with tarfile.open(fileobj=io.BytesIO(out)) as archive:
                if archive.getnames()[:1] == ["."]:
                    local.mkdir(exist_ok=True)
                    archive.extractall(local, filter="data")
                else:
                    (member,) = archive.getmembers()
                    archive.extract(member.replace(name=local.name, deep=False), local.parent, filter="data")
        except (OSError, ValueError, tarfile.TarError) as error:
            raise HostError(f"{self.entry.name}: {remote} can't be copied to {local}: {error}") from None

    def tunnel(self, port: int) -> tuple[str, ...]:
        return tunnel.command(openssh.write_config(), self.entry, port)

    def close(self) -> None:
        self.end_renewals()
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*BROKEN):
                connection.close()
            if isinstance(connection.gateway, Connection):
                connection.gateway.close()

    def end_renewals(self) -> None:
        with contextlib.suppress(*BROKEN):
            super().end_renewals()

    # -- over the connection ------------------------------------------------------------------------------------------

    def _python_with(self, module: str, arguments: Sequence[str]) -> list[str]:
        """The command that runs a module whose source is the beginning of its standard input."""
        length = str(len(_source(module).decode()))
        pythons = (self.python, self.installation.base_python)
        return ["sh", "-c", ANY_PYTHON, *pythons, "-c", READ_MODULE, length, *arguments]

    def _run(self, argv: Sequence[str], timeout: float, stdin: bytes) -> Completed:
        status, out, err = self._execute(command(argv, timeout, self.installation.code), stdin, timeout)
        if status in TIMED_OUT:
            raise HostError(f"{self.entry.name}: {argv[0]} took more than {timeout:g} s")
        return Completed(status, out.decode(errors="replace"), err.decode(errors="replace"))

    def _execute(self, line: str, stdin: bytes, timeout: float) -> tuple[int, bytes, bytes]:
        """Run a line of shell; returns exit status, standard output, standard error. Raises UnreachableError.

        Never repeated: after a lost connection nobody knows how far the command came.
        """
        until = time.monotonic() + timeout + KILL_S + ANSWER_S
        with self._session() as channel:
            try:
                channel.settimeout(until - time.monotonic())
                channel.exec_command(line)
                channel.sendall(stdin)
                channel.shutdown_write()
                out = _read(channel.recv, channel, until)
                err = _read(channel.recv_stderr, channel, until)
                if not channel.status_event.wait(max(0.0, until - time.monotonic())) or channel.exit_status < 0:
                    raise EOFError
                return channel.exit_status, out, err
            except BROKEN as error:
                self.close()
                raise UnreachableError(f"{self.entry.name}: was lost: {reason(error)}") from None

    def _session(self) -> Channel:
        """A new channel; a dead connection is opened again, once."""
        with self._connecting:
            if self._connection is not None:
                try:
                    return self._connection.transport.open_session(timeout=CONNECT_S)
                except BROKEN:
                    self.close()
            self._connection = connect(self.entry.name, openssh.arguments(self.entry))
            try:
                return self._connection.transport.open_session(timeout=CONNECT_S)
            except BROKEN as error:
                self.close()
                raise UnreachableError(f"{self.entry.name}: opens no session: {reason(error)}") from None

    def _open_keeper(self) -> Wire:
        options = ["keep", "--state", str(self.state), "--lease", f"{LEASE_S:g}"]
        line = shlex.join(self._python_with("supervise", options))
        channel = self._session()
        try:
            channel.exec_command(f"exec {line}")
            channel.sendall(_source("supervise"))
        except SSHException as error:
            raise ConnectionError(str(error)) from None
        wire: Wire = channel
        return wire


def _source(module: str) -> bytes:
    return (PROJECT / "cluster" / "remote" / f"{module}.py").read_bytes()


def _read(receive: Any, channel: Channel, until: float) -> bytes:
    pieces: list[bytes] = []
    while True:
        channel.settimeout(max(0.01, until - time.monotonic()))
        if not (piece := receive(PIECE)):
            return b"".join(pieces)
        pieces.append(piece)


def _last(output: bytes) -> str:
    """The last lines of an output, for a message."""
    return "\n".join(output.decode(errors="replace").strip().splitlines()[-5:])
