"""A host over SSH: commands quoted in one place, files through tar over the same connection, everything bounded."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shlex
import tarfile
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fabric import Connection
from paramiko import Channel

from cluster.hosts import ssh_config as openssh
from cluster.hosts.connection import BROKEN, connect
from cluster.hosts.host import COMMAND_S, LEASE_S, PROJECT, Completed, Host
from cluster.hosts.inventory import REMOTE_DIR, HostEntry
from cluster.hosts.ssh_config import CONNECT_S
from study.errors import HostError, UnreachableError

KILL_S = 5.0  # from a command's end by its own limit to its end by force
ANSWER_S = 8.0  # within which a host that is alive renews a lease
TIMED_OUT = (124, 137)  # timeout's own exit statuses
PIECE = 2**15
ITS_PYTHON = 'p=$0; test -x "$p" || p=$1; shift; exec "$p" -I "$@"'  # the environment's, the host's own before a deploy
READ_MODULE = "import sys; exec(compile(sys.stdin.read(int(sys.argv.pop(1))), sys.argv[1], 'exec'))"


def command(argv: Sequence[str], timeout: float, directory: Path | None = None) -> str:
    """One line for the remote shell: every argument quoted, ended by the host itself when its time is over."""
    inside = f"cd {shlex.quote(str(directory))} 2>/dev/null; " if directory else ""
    return f"{inside}exec timeout -k {KILL_S:g} {timeout:g} {shlex.join(argv)}"


def putting(remote: Path, digest: str) -> str:
    """Take a tar archive on the standard input, see that it is whole, and unpack it below `remote`."""
    there = shlex.quote(str(remote))
    return (
        f'mkdir -p {there} && t=$(mktemp -p {there} .put.XXXXXX) && trap \'rm -f "$t"\' EXIT && cat > "$t" && '
        f'echo "{digest}  $t" | sha256sum -c --status && tar -xf "$t" -C {there} --no-same-owner'
    )


class SshHost(Host):
    """A host over SSH. `code_name` and `env_name` name the directories that a deploy makes."""

    def __init__(self, entry: HostEntry, code_name: str, env_name: str) -> None:
        super().__init__(entry, "", Path())
        self._code_name, self._env_name = code_name, env_name
        self._connection: Connection | None = None
        self._connecting = threading.Lock()
        self._keeper: Channel | None = None

    # -- where things are ---------------------------------------------------------------------------------------------

    @cached_property
    def root(self) -> Path:
        """What the inventory calls remote_dir; below it, a directory for each host that the inventory names."""
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
    def code(self) -> Path:
        return self.directory / "code" / self._code_name

    @property
    def env(self) -> Path:
        return self.directory / "env" / self._env_name

    @property
    def python(self) -> str:
        return str(self.env / "bin" / "python")

    @property
    def base_python(self) -> str:
        """The interpreter that the host came with."""
        return self.entry.python or "python3"

    # -- the five methods: start and stop are Host's own --------------------------------------------------------------

    def run(self, argv: Sequence[str], timeout: float = COMMAND_S) -> Completed:
        return self._run(argv, timeout, b"")

    def module(self, name: str, *arguments: str, timeout: float = COMMAND_S) -> Completed:
        """The module goes over with the call: so hosts can be looked at, and ended things on, whatever they have."""
        return self._run(self._python_with(name, arguments), timeout, _source(name))

    def put(self, local: Path, remote: Path, timeout: float = COMMAND_S) -> None:
        packed = io.BytesIO()
        into = remote if local.is_dir() else remote.parent
        try:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                archive.add(local, arcname="." if local.is_dir() else remote.name)
        except OSError as error:
            raise HostError(f"{self.entry.name}: {local} can't be read: {error.strerror}") from None
        self.put_archive(packed.getvalue(), into, timeout)

    def put_archive(self, archive: bytes, into: Path, timeout: float = COMMAND_S) -> None:
        """Unpack a tar archive on the host, once all of it has come."""
        line = putting(into, hashlib.sha256(archive).hexdigest())
        status, _, err = self._execute(command(["sh", "-c", line], timeout), archive, timeout)
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

    def supervise(self, action: str, *arguments: str, timeout: float = COMMAND_S) -> Any:
        """Renewing goes on all the time, beside the load: one process there answers all of it."""
        if action != "renew":
            return super().supervise(action, *arguments, timeout=timeout)
        with contextlib.suppress(*BROKEN):
            return self._asked_to_renew()
        self._keeper = None
        try:
            return self._asked_to_renew()
        except BROKEN as error:
            self._keeper = None
            raise UnreachableError(f"{self.entry.name}: doesn't answer any more: {_why(error)}") from None

    def close(self) -> None:
        connection, self._connection, self._keeper = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(*BROKEN):
                connection.close()
            if isinstance(connection.gateway, Connection):
                connection.gateway.close()

    # -- over the connection ------------------------------------------------------------------------------------------

    def _python_with(self, module: str, arguments: Sequence[str]) -> list[str]:
        """The command that reads a module's source from its standard input, and leaves there what follows it."""
        length = str(len(_source(module).decode()))
        pythons = (self.python, self.base_python)
        return ["sh", "-c", ITS_PYTHON, *pythons, "-c", READ_MODULE, length, *arguments]

    def _run(self, argv: Sequence[str], timeout: float, stdin: bytes) -> Completed:
        status, out, err = self._execute(command(argv, timeout, self.code), stdin, timeout)
        if status in TIMED_OUT:
            raise HostError(f"{self.entry.name}: {argv[0]} took more than {timeout:g} s")
        return Completed(status, out.decode(errors="replace"), err.decode(errors="replace"))

    def _execute(self, line: str, stdin: bytes, timeout: float) -> tuple[int, bytes, bytes]:
        """Run a line of shell; returns exit status, output, error output. The host ends it; the rest is for the wire.

        It is done once: a connection that is lost on the way leaves open how far it came.
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
                raise UnreachableError(f"{self.entry.name}: was lost: {_why(error)}") from None

    def _session(self) -> Channel:
        """A new channel; the connection is made again, once, where it is dead."""
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
                raise UnreachableError(f"{self.entry.name}: opens no session: {_why(error)}") from None

    def _asked_to_renew(self) -> Any:
        if self._keeper is None:
            line = shlex.join(
                self._python_with("supervise", ["keep", "--state", str(self.state), "--lease", f"{LEASE_S:g}"])
            )
            self._keeper = self._session()
            self._keeper.exec_command(f"exec {line}")
            self._keeper.sendall(_source("supervise"))
        until = time.monotonic() + ANSWER_S
        self._keeper.settimeout(ANSWER_S)
        self._keeper.sendall(b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            self._keeper.settimeout(max(0.01, until - time.monotonic()))
            if not (piece := self._keeper.recv(PIECE)):
                raise EOFError
            answer += piece
        return json.loads(answer)


def _source(module: str) -> bytes:
    return (PROJECT / "cluster" / "remote" / f"{module}.py").read_bytes()


def _read(receive: Any, channel: Channel, until: float) -> bytes:
    pieces: list[bytes] = []
    while True:
        channel.settimeout(max(0.01, until - time.monotonic()))
        if not (piece := receive(PIECE)):
            return b"".join(pieces)
        pieces.append(piece)


def _why(error: Exception) -> str:
    return str(error) or ("no answer" if isinstance(error, TimeoutError) else "the connection was closed")


def _last(said: bytes) -> str:
    return "\n".join(said.decode(errors="replace").strip().splitlines()[-5:])
