"""One OpenSSH connection for each host: `ssh -M` opens and authenticates it, every command is a session over it.

OpenSSH itself decides about host keys, certificates, agents, gateways and Match blocks, so that whatever `ssh HOST`
connects to is reached, with the same trust. The master connection is a background process of ssh's own; it ends when it
is told to, or IDLE_S after its last session, so that none outlives a fab that was killed. Nothing is ever asked:
authentication is by keys and agents.
"""

from __future__ import annotations

import atexit
import itertools
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, BinaryIO, cast

from cluster.hosts.ssh_config import CONNECT_S, explained, write_config
from study.errors import HostError

IDLE_S = 20
OPEN_S = 4.0 * CONNECT_S  # through gateways, each of which has CONNECT_S to answer
PIECE = 2**16
SPOOL = 2**20  # bytes of an answer kept in memory; a longer one goes to a temporary file
MOST_ERRORS = 2**18  # bytes kept of a command's standard error
NO_SESSION = "study: no session"

_numbers = itertools.count(1)
_opened: list[SshConnection] = []


class SessionRefusedError(Exception):
    """The command was not started: the connection is gone, or opens no further session."""


class SshConnection:
    """A master connection, open since it was made. `destination` is arguments of `ssh`. Raises HostError."""

    def __init__(self, name: str, destination: tuple[str, ...]) -> None:
        self._socket = sockets() / f"{next(_numbers)}"
        log = self._socket.with_suffix(".log")
        argv = [
            *("ssh", "-v", "-F", str(write_config()), "-M", "-N", "-S", str(self._socket)),
            *("-o", f"ControlPersist={IDLE_S}", *destination),
        ]
        with log.open("wb") as errors:  # a file: the background process keeps it open
            status = _status(name, argv, errors)
        if status:
            raise explained(name, destination, log.read_text(encoding="utf-8", errors="replace"), status)
        _opened.append(self)

    @property
    def is_open(self) -> bool:
        """Whether the master has not removed its socket; it may have been killed all the same."""
        return self._socket.exists()

    def session(self, line: str) -> list[str]:
        """The command, run here, that runs a line of shell on the host; it reads no configuration."""
        refused = f"ProxyCommand=sh -c 'echo {NO_SESSION} >&2; :'"  # in place of a connection of its own
        return [*_client(self._socket), "-T", "-o", "LogLevel=ERROR", "-o", refused, "--", "host", line]

    def close(self) -> None:
        """End the connection with all of its sessions."""
        end_master(self._socket)


def _client(socket: Path) -> tuple[str, ...]:
    """The beginning of a command that uses a master's socket."""
    return ("ssh", "-F", os.devnull, "-o", "ControlMaster=no", "-S", str(socket))


def _status(name: str, argv: Sequence[str], errors: BinaryIO) -> int:
    """ssh's exit status once it went to the background or failed; -1 where it took longer than OPEN_S."""
    try:
        # In a process group of its own: Ctrl-C reaches fab alone, which then stops everything in order.
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, process_group=0
        )
    except FileNotFoundError:
        raise HostError(f"{name}: there is no ssh here: install OpenSSH's client (openssh-client)") from None
    try:
        return process.wait(OPEN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return -1


def control(socket: Path, *arguments: str, timeout: float = CONNECT_S) -> subprocess.CompletedProcess[str]:
    """One request to a master, as `-O exit`. Its status is 255 where there is no master, or none that answers."""
    argv = [*_client(socket), *arguments, "--", "host"]
    try:
        return subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=timeout, check=False, process_group=0
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 255, "", f"ssh did not answer within {timeout:g} s")


def end_master(socket: Path) -> None:
    """Tell a master to exit, where one is left."""
    if socket.exists():
        control(socket, "-O", "exit")
        socket.unlink(missing_ok=True)


@cache
def sockets() -> Path:
    """This process's own directory for sockets, removed at its end: a short path, since a socket's is limited (104)."""
    directory = Path(tempfile.mkdtemp(prefix="study-"))
    atexit.register(_end_all, directory, os.getpid())
    return directory


def _end_all(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a child that was forked
        for connection in _opened:
            connection.close()
        shutil.rmtree(directory, ignore_errors=True)


def exchange(argv: Sequence[str], stdin: bytes, until: float, most: int) -> tuple[int, IO[bytes], bytes]:
    """Run a command here; returns its exit status, its standard output as an open file, and its standard error.

    Raises TimeoutError at the time `until` (monotonic), OverflowError once it has printed more than `most` bytes, and
    SessionRefusedError. Either way nothing of it is left here.
    """
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    )
    out = cast(IO[bytes], tempfile.SpooledTemporaryFile(max_size=SPOOL))  # noqa: SIM115 - the caller reads it
    try:
        errors = _transfer(process, memoryview(stdin), out, until, most)
        status = process.wait(max(0.01, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    if NO_SESSION.encode() in errors:
        raise SessionRefusedError(errors.decode(errors="replace").partition(NO_SESSION)[0].strip())
    out.seek(0)
    return status, out, errors


def _transfer(process: subprocess.Popen[bytes], stdin: memoryview, out: IO[bytes], until: float, most: int) -> bytes:
    """Write the input and read both outputs until they end; returns the standard error."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    errors, size = bytearray(), 0
    with selectors.DefaultSelector() as selector:
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        while selector.get_map():
            if (left := until - time.monotonic()) <= 0:
                raise TimeoutError
            for key, _ in selector.select(left):
                if key.fileobj is process.stdin:
                    stdin = _write(key.fd, stdin)
                    ended = not stdin
                else:
                    piece = os.read(key.fd, PIECE)
                    ended = not piece
                    if key.fileobj is process.stdout:
                        size += len(piece)
                        out.write(piece)
                    elif len(errors) < MOST_ERRORS:
                        errors += piece
                if size > most:
                    raise OverflowError
                if ended:
                    selector.unregister(key.fileobj)
                    cast(IO[bytes], key.fileobj).close()
    return bytes(errors)


def _write(descriptor: int, data: memoryview) -> memoryview:
    """Write what fits; returns what is left, nothing where nobody reads any more."""
    try:
        return data[os.write(descriptor, data[:PIECE]) :] if data else data
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return data[:0]
