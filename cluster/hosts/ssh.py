"""A host reached by SSH: commands are quoted in one place, files go through tar over the same connection.

Every call has a timeout, which the host itself enforces; the margin above it is for the network. What a host answers is
input: it is bounded while it is read, and an archive is unpacked as in archive.py.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import secrets
import shlex
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from cluster.hosts import ssh_config as openssh
from cluster.hosts import tunnel
from cluster.hosts.archive import MIB, MOST_BYTES, unpack
from cluster.hosts.connection import SessionRefusedError, SshConnection, exchange
from cluster.hosts.host import (
    ANSWER_S,
    COMMAND_S,
    LEASE_S,
    MOST_ANSWER,
    PROJECT,
    Completed,
    Host,
    Installation,
    Keeper,
    reason,
)
from cluster.hosts.inventory import REMOTE_DIR, HostEntry
from cluster.hosts.ssh_config import CONNECT_S
from study.errors import HostError, UnreachableError

KILL_S = 5.0  # between SIGTERM and SIGKILL for a command that takes too long
TIMED_OUT = (124, 137, 143)  # exit statuses of timeout(1); 143 is BusyBox's
MOST_NOISE = 2**16  # bytes that a login shell may print before the command
MOST_ARCHIVE = MOST_BYTES + 32 * MIB  # with what tar itself adds to the files
SSH_FAILED = 255
# Prints the directories that others can write to: remote_dir and the host's own must be the user's and writable by
# nobody else (a group of the user's own aside); above them, only directories with the sticky bit may be open to all.
OTHERS_MAY_WRITE = """
u=$(id -u); g=$(id -g); p=$0
for d in "$0" "$1"; do
  test ! -d "$d" || find "$d/." -prune \\( ! -user "$u" -o -perm -0002 -o -perm -0020 ! -group "$g" \\) \\
    -exec ls -ld {} \\;
done
while test ! -d "$p"; do p=$(dirname "$p"); done
p=$(cd "$p" && pwd -P)
test "$p" = "$0" && p=$(dirname "$p")
while :; do
  find "$p/." -prune -perm -0002 ! -perm -1000 -exec ls -ld {} \\;
  test "$p" = / && exit 0
  p=$(dirname "$p")
done
"""
# Runs with the environment's Python, or before a deploy with the one that the host came with.
ANY_PYTHON = 'p=$0; test -x "$p" || p=$1; shift; exec "$p" -I "$@"'
SENT_ALONG = {"supervise": ("process_table",)}
READ_MODULE = "import sys; exec(compile(sys.stdin.read(int(sys.argv.pop(1))), sys.argv[1], 'exec'))"


def shell_line(script: str) -> str:
    """One line that sh, bash, zsh, csh, tcsh and fish all read the same: it runs a script of sh.

    Whatever one of them would read in another way, inside '...' too, is written in octal: quotes, backslashes, line
    ends, csh's `!`, `%` and all that is no ASCII.
    """
    coded = "".join(
        chr(byte) if re.match(rb"[A-Za-z0-9 ./:,_=+@{}()\[\]|&;<>*?#^~-]", bytes((byte,))) else f"\\0{byte:03o}"
        for byte in script.encode("utf-8", "surrogateescape")
    )
    return f'exec sh -c \'eval "$(printf %b "{coded}")"\''


def command(argv: Sequence[str], timeout: float, directory: Path | None = None) -> str:
    """A script of sh: every argument quoted, under timeout(1) on the host itself."""
    inside = f"cd {shlex.quote(str(directory))} 2>/dev/null; " if directory else ""
    return f"{inside}timeout -k {KILL_S:g} {timeout:g} {shlex.join(argv)}"


def unpack_command(remote: Path, digest: str) -> str:
    """Shell that reads a tar archive from standard input, checks its SHA-256 and unpacks it below `remote`."""
    there = shlex.quote(str(remote))
    return (
        f'mkdir -p {there} && t=$(mktemp {there}/.put.XXXXXX) && trap \'rm -f "$t"\' EXIT && cat > "$t" && '
        f'{{ echo "{digest}  $t" | sha256sum -c >/dev/null 2>&1 || {{ echo "not what was sent" >&2; false; }}; }} && '
        f'tar -xf "$t" -C {there} -o'
    )


class SshHost(Host):
    """A host reached by SSH. `code_name` and `env_name` name the directories that a deploy makes."""

    def __init__(self, entry: HostEntry, code_name: str, env_name: str) -> None:
        super().__init__(entry)
        self._code_name, self._env_name = code_name, env_name
        self._connection: SshConnection | None = None
        self._connecting = threading.Lock()

    # -- where things are ---------------------------------------------------------------------------------------------

    @cached_property
    def root(self) -> Path:
        """The inventory's remote_dir, as an absolute path; each host of the inventory has a directory below it.

        Raises HostError where others could exchange what is in it: it would run as the user who connects.
        """
        root = self._absolute(self.entry.remote_dir or REMOTE_DIR)
        script = command(["sh", "-c", OTHERS_MAY_WRITE, str(root), str(root / self.entry.name)], CONNECT_S)
        status, out, err = self._execute(script, b"", CONNECT_S)
        if status or out.strip():
            listed = _last(out) or _last(err) or f"exit status {status}"
            raise HostError(
                f"{self.entry.name}: others can change what is in {root}, and it would run as this user ({listed}): "
                "set remote_dir= to a directory of its own"
            )
        return root

    @cached_property
    def _home(self) -> Path:
        status, home, _ = self._execute("pwd", b"", CONNECT_S)
        if status or not home.startswith(b"/"):
            raise HostError(f"{self.entry.name}: has no home directory to work in: set remote_dir in the inventory")
        return Path(os.fsdecode(home).rstrip("\n"))

    def _absolute(self, path: str) -> Path:
        """A path of the inventory on the host. Raises HostError for another user's home."""
        if path.startswith("/"):
            return Path(path)
        if path.startswith("~") and not path.startswith("~/") and path != "~":
            raise HostError(f"{self.entry.name}: {path}: another user's home: write the whole path")
        return self._home / path.removeprefix("~").removeprefix("/")

    @property
    def directory(self) -> Path:
        return self.root / self.entry.name

    @property
    def installation(self) -> Installation:
        """Below the host's directory, each in a directory named by its digest."""
        code, env = self.directory / "code" / self._code_name, self.directory / "env" / self._env_name
        return Installation(code, env, self._base_python)

    @property
    def _base_python(self) -> str:
        """The interpreter that the inventory names: a program of PATH, or a path."""
        named = self.entry.python.removeprefix("/usr/bin/env ").strip() or "python3"
        return str(self._absolute(named)) if named.startswith("~") else named

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
        local = local.resolve()  # what a link points to, as a local host copies it; links within a directory stay links
        into = remote if local.is_dir() else remote.parent
        try:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                archive.add(local, arcname="." if local.is_dir() else remote.name)
        except OSError as error:
            raise HostError(f"{self.entry.name}: {local} can't be read: {error.strerror}") from None
        digest = hashlib.sha256(packed.getvalue()).hexdigest()
        script = command(["sh", "-c", unpack_command(into, digest)], timeout)
        status, _, err = self._execute(script, packed.getvalue(), timeout)
        if status:
            raise HostError(f"{self.entry.name}: {into} can't be written: {_last(err) or f'exit status {status}'}")

    def get(self, remote: Path, local: Path, timeout: float = COMMAND_S) -> None:
        choice = 'if test -d "$0"; then echo d; exec tar -cf - -C "$0" .; fi; echo f; exec tar -cf - -C "$1" "$2"'
        script = command(["sh", "-c", choice, str(remote), str(remote.parent), remote.name], timeout)
        with self._answer_of(script, b"", timeout, MOST_ARCHIVE) as (status, out, err):
            if status:
                raise HostError(f"{self.entry.name}: {remote} can't be read: {_last(err) or f'exit status {status}'}")
            is_directory = out.readline(3) == b"d\n"
            try:
                self._unpack(out, local, is_directory)
            except OSError as error:
                raise HostError(f"{self.entry.name}: {remote} can't be copied to {local}: {error}") from None

    def _unpack(self, packed: IO[bytes], local: Path, is_directory: bool) -> None:
        """A directory's content, or the one file of an archive. Raises HostError or OSError."""
        local.parent.mkdir(parents=True, exist_ok=True)
        if is_directory:
            unpack(packed, local, self.entry.name)
            return
        with TemporaryDirectory(dir=local.parent, prefix=".got-") as temporary:
            names = unpack(packed, Path(temporary) / "it", self.entry.name)
            if len(names) != 1:
                raise HostError(f"{self.entry.name}: sent {len(names)} files in place of one")
            (Path(temporary) / "it" / names[0]).replace(local)

    def tunnel(self) -> tuple[str, ...]:
        return tunnel.command(openssh.write_config(), self.entry)

    def close(self) -> None:
        self.end_renewals()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # -- over the connection ------------------------------------------------------------------------------------------

    def _python_with(self, module: str, arguments: Sequence[str]) -> list[str]:
        """The command that runs a module whose source is the beginning of its standard input."""
        length = str(len(_source(module).decode()))
        pythons = (self.python, self.installation.base_python)
        return ["sh", "-c", ANY_PYTHON, *pythons, "-c", READ_MODULE, length, *arguments]

    def _run(self, argv: Sequence[str], timeout: float, stdin: bytes) -> Completed:
        began = time.monotonic()
        status, out, err = self._execute(command(argv, timeout, self.installation.code), stdin, timeout)
        if status in TIMED_OUT and time.monotonic() - began >= timeout:
            raise HostError(f"{self.entry.name}: {argv[0]} took more than {timeout:g} s")
        return Completed(status, out.decode(errors="replace"), err.decode(errors="replace"))

    def _execute(self, script: str, stdin: bytes, timeout: float) -> tuple[int, bytes, bytes]:
        """Run a script of sh; returns exit status, standard output, standard error. Raises HostError."""
        with self._answer_of(script, stdin, timeout, MOST_ANSWER) as (status, out, err):
            return status, out.read(), err

    @contextlib.contextmanager
    def _answer_of(
        self, script: str, stdin: bytes, timeout: float, most: int
    ) -> Iterator[tuple[int, IO[bytes], bytes]]:
        """As `_execute`, with the standard output as an open file of at most `most` bytes.

        Two marks around the output tell it from what a login shell prints, and the command's exit status from ssh's.
        Never repeated once it may have started: after a lost connection nobody knows how far the command came.
        """
        mark = secrets.token_hex(8)
        line = shell_line(f"printf '\\n{mark}\\n'; {script}\nprintf '\\n{mark} %d\\n' $?")
        until = time.monotonic() + timeout + KILL_S + ANSWER_S
        name = self.entry.name
        try:
            ssh_status, answer, err = self._exchange(line, stdin, until, most)
        except TimeoutError as error:
            self.close()
            raise UnreachableError(f"{name}: was lost: {reason(error)}") from None
        except OverflowError:
            raise HostError(f"{name}: sent more than {most // MIB} MiB in answer to one command") from None
        with answer:
            began = answer.read(MOST_NOISE).find(f"\n{mark}\n".encode())
            answer.seek(max(0, answer.seek(0, io.SEEK_END) - 2 * len(mark)))
            end = re.search(rf"\n{mark} ([0-9]+)\n\Z".encode(), answer.read())
            if began < 0 and ssh_status != SSH_FAILED:
                answer.seek(0)
                raise HostError(f"{name}: {_no_shell(ssh_status, answer.read(MOST_NOISE), err)}")
            if began < 0 or end is None:
                self.close()
                raise UnreachableError(f"{name}: was lost: {_last(err) or 'the connection was closed'}")
            start = began + len(mark) + 2
            answer.truncate(answer.seek(0, io.SEEK_END) - len(end[0]))
            answer.seek(start)
            yield int(end[1]), answer, err

    def _exchange(self, line: str, stdin: bytes, until: float, most: int) -> tuple[int, IO[bytes], bytes]:
        """Run a line in a session; a connection that was lost before is opened again, once."""
        connection = self._connected()
        try:
            return exchange(connection.session(line), stdin, until, most)
        except SessionRefusedError:
            self._forget(connection)
        connection = self._connected()
        try:
            return exchange(connection.session(line), stdin, until, most)
        except SessionRefusedError as error:
            self._forget(connection)
            raise UnreachableError(f"{self.entry.name}: opens no session: {error}") from None

    def _connected(self) -> SshConnection:
        with self._connecting:
            if self._connection is None or not self._connection.is_open:
                self._connection = SshConnection(self.entry.name, openssh.arguments(self.entry))
            return self._connection

    def _forget(self, connection: SshConnection) -> None:
        """Close a connection, unless another call has opened a new one already."""
        with self._connecting:
            if self._connection is connection:
                self._connection = None
        connection.close()

    def _open_keeper(self) -> Keeper:
        options = ["keep", "--state", str(self.state), "--lease", f"{LEASE_S:g}"]
        mark = secrets.token_hex(8)
        line = shell_line(f"printf '\\n{mark}\\n'; exec {shlex.join(self._python_with('supervise', options))}")
        keeper = Keeper(self._connected().session(line))
        until = time.monotonic() + CONNECT_S
        try:
            keeper.send(_source("supervise"), until)
            while keeper.line(until) != mark.encode():
                pass
        except BaseException:
            keeper.close()
            raise
        return keeper


def _source(module: str) -> bytes:
    """A module of cluster/remote/ as one program, with those of its neighbours that it imports."""
    lines = ["import sys, types"]
    for each in SENT_ALONG.get(module, ()):
        name = f"cluster.remote.{each}"
        lines.append(f"sys.modules[{name!r}] = types.ModuleType({name!r})")
        lines.append(f"exec(compile({_text(each)!r}, {each!r}, 'exec'), vars(sys.modules[{name!r}]))")
    return "\n".join((*lines, f"exec(compile({_text(module)!r}, {module!r}, 'exec'))")).encode()


def _text(module: str) -> str:
    return (PROJECT / "cluster" / "remote" / f"{module}.py").read_text(encoding="utf-8")


def _no_shell(status: int, out: bytes, err: bytes) -> str:
    """What a host did in place of running a command: its login shell is no shell, or sshd forces another command."""
    printed = _last(b"\n".join(part for part in (out.strip(), err.strip()) if part))
    what = f"printed {printed!r}" if printed else "printed nothing"
    return (
        f"runs no command for this user: it {what} and ended with {status}. "
        "Its login shell may be nologin, or sshd's ForceCommand is set: it takes a user with a shell"
    )


def _last(output: bytes) -> str:
    """The last lines of an output, for a message."""
    return "\n".join(output.decode(errors="replace").strip().splitlines()[-5:])
