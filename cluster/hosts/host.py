"""A host: run, put, get, start, stop, each with a timeout. Callers never need to know which kind of host they have.

`start` and `stop` run cluster/remote/monitor.py and supervise.py on the host, so a kind of host implements only how to
run a command, how to copy a file and how to keep one process open for renewals. There are two kinds: this machine
(local.py) and a host reached by SSH (ssh.py).
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cluster.hosts.inventory import HostEntry
from study.errors import FormatError, HostError, UnreachableError
from study.reading import parse_as

Result = TypeVar("Result")

COMMAND_S = 30.0
LEASE_S = 20.0  # a host whose leases are not renewed for so long ends what the study runs there
ANSWER_S = 8.0  # within which a renewal must be answered
PIECE = 2**15  # bytes read at once
KEEPER_END_S = 2.0
MOST_ANSWER = 2**24  # bytes of one answer of a host; what is longer is refused
PROJECT = Path(__file__).resolve().parents[2]
STATE = PROJECT / ".study"  # where the study keeps its own files on the machine that fab runs on


@dataclass(frozen=True)
class Completed:
    """A command that ended: exit status and both outputs."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Spawn:
    """A process to start under supervision. Seconds and MiB; zero switches a limit off, no `cpus` means any core."""

    name: str
    argv: tuple[str, ...]
    log_directory: Path
    cpus: tuple[int, ...] = ()
    lease_s: float = 0.0
    lifetime_s: float = 0.0
    memory_floor_mb: int = 0
    grace_s: float = 8.0
    ready_s: float = 0.0

    @property
    def out(self) -> Path:
        """File that the process's standard output is appended to."""
        return self.log_directory / f"{self.name}.out"

    @property
    def err(self) -> Path:
        """File that the process's standard error is appended to."""
        return self.log_directory / f"{self.name}.log"


@dataclass(frozen=True)
class ProcessHandle:
    """A started process. The start time (clock ticks since boot) distinguishes it from a later one with its PID.

    `ready` is the first line of its output, where it was waited for.
    """

    name: str
    pid: int
    start_time: int
    ready: str = ""


@dataclass(frozen=True)
class Ended:
    """How a process ended, one of ENDINGS of cluster/remote/supervise.py, and its exit status."""

    name: str
    how: str
    status: int | None
    left: int = 0
    """Processes that had left its session, such as a daemon, and were ended with it."""


@dataclass(frozen=True)
class Installation:
    """Where a deploy puts the code and the Python environment on a host, and the Python that the host came with."""

    code: Path
    env: Path
    base_python: str


class Keeper:
    """The process that answers a host's renewals, with a socket as its standard input and output."""

    def __init__(self, argv: Sequence[str], directory: Path | None = None) -> None:
        """Start it here, from a directory. Raises OSError."""
        self._unread = b""
        self._socket, theirs = socket.socketpair()
        with theirs:
            end, null = theirs.fileno(), subprocess.DEVNULL
            self._process = subprocess.Popen(argv, cwd=directory, stdin=end, stdout=end, stderr=null, process_group=0)

    def send(self, data: bytes, until: float) -> None:
        """Write all of the data. Raises OSError, TimeoutError at the time `until` (monotonic)."""
        self._socket.settimeout(max(0.01, until - time.monotonic()))
        self._socket.sendall(data)

    def line(self, until: float) -> bytes:
        """The next line that it prints, without its end. Raises OSError or EOFError, TimeoutError at `until`."""
        while b"\n" not in self._unread:
            self._socket.settimeout(max(0.01, until - time.monotonic()))
            if not (piece := self._socket.recv(PIECE)) or len(self._unread) > MOST_ANSWER:
                raise EOFError
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def close(self) -> None:
        """End it: it exits at the end of its input."""
        self._socket.close()
        try:
            self._process.wait(KEEPER_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Host(ABC):
    """One host of the inventory, or control. Every method raises HostError."""

    def __init__(self, entry: HostEntry) -> None:
        self.entry = entry
        self._keeper: Keeper | None = None

    @property
    @abstractmethod
    def python(self) -> str:
        """The interpreter that has the packages which the study needs."""

    @property
    @abstractmethod
    def directory(self) -> Path:
        """Where the study keeps its files on the host."""

    @property
    def storage(self) -> Path:
        """The directory that grows with a campaign: the preflight checks its free space and that it is writable."""
        return self.directory

    @property
    def installation(self) -> Installation | None:
        """What a deploy must bring to the host; None where the host runs this checkout itself."""
        return None

    @property
    def state(self) -> Path:
        """Where supervise keeps one file for each process, and the lease."""
        return self.directory / "processes"

    # -- what a kind of host implements --------------------------------------------------------------------------------

    @abstractmethod
    def run(self, argv: Sequence[str], timeout: float = COMMAND_S) -> Completed:
        """Run a command to its end, from the directory where the code is."""

    @abstractmethod
    def put(self, local: Path, remote: Path, timeout: float = COMMAND_S) -> None:
        """Copy a file or a directory to the host."""

    @abstractmethod
    def get(self, remote: Path, local: Path, timeout: float = COMMAND_S) -> None:
        """Copy a file or a directory from the host."""

    @abstractmethod
    def _open_keeper(self) -> Keeper:
        """Start `supervise keep` on the host. Raises HostError, or OSError where the connection breaks."""

    def module(self, name: str, *arguments: str, timeout: float = COMMAND_S) -> Completed:
        """Run a module of cluster/remote/ that needs the standard library alone."""
        return self.run([self.python, "-m", f"cluster.remote.{name}", *arguments], timeout)

    def share(self, file: Path) -> Path:
        """Make a file of this machine readable on the host; returns its path there."""
        there = self.directory / file.name
        self.put(file, there)
        return there

    def tunnel(self) -> tuple[str, ...] | None:
        """Command, run here, of the host's tunnel (cluster/hosts/tunnel.py); None where it needs none."""
        return None

    def close(self) -> None:
        """Close what is open towards the host; the next call opens it again."""
        self.end_renewals()

    def start(self, spawn: Spawn, timeout: float = COMMAND_S) -> ProcessHandle:
        """Start a process under supervision; `timeout` is in addition to the seconds that its readiness may take."""
        monitor = (self.python, "-m", "cluster.remote.monitor", "--state", str(self.state))
        argv = (
            *monitor,
            *("--name", spawn.name, "--out", str(spawn.out), "--err", str(spawn.err)),
            *("--cpus", ",".join(map(str, spawn.cpus)), "--lease", str(spawn.lease_s)),
            *("--lifetime", str(spawn.lifetime_s), "--memory-floor", str(spawn.memory_floor_mb)),
            *("--grace", str(spawn.grace_s), "--ready", str(spawn.ready_s), "--", *spawn.argv),
        )
        completed = self.run(argv, timeout + spawn.ready_s)
        return self.parsed(ProcessHandle, self._answer("monitor", completed), "monitor")

    def stop(self, name: str, timeout: float = COMMAND_S) -> Ended:
        """End the process of that name and all of its session; harmless where it has ended already."""
        answer = self._supervise("stop", "--name", name, timeout=timeout)
        return self.parsed(_Known, answer, "supervise stop").ending

    def stop_all(self, timeout: float = COMMAND_S) -> dict[str, Ended | None]:
        """End every process that supervise knows on the host, all at the same time; returns how each ended, by name."""
        return self._by_name(self._supervise("stop-all", timeout=timeout))

    def listed(self) -> dict[str, Ended | None]:
        """Every process that supervise knows on the host, by name; None while it runs. Renews nothing."""
        return self._by_name(self._supervise("list"))

    def renew(self) -> dict[str, Ended | None]:
        """Renew the leases of all processes on the host; returns what `listed` would.

        One process on the host answers all renewals: starting one for each would disturb the measurement. It is
        started again, once, where it or the connection to it has ended. Raises UnreachableError.
        """
        try:
            return self._by_name(self._ask_keeper())
        except (OSError, EOFError, ValueError):
            self.end_renewals()
        try:
            return self._by_name(self._ask_keeper())
        except (OSError, EOFError, ValueError) as error:
            self.end_renewals()
            raise UnreachableError(f"{self.entry.name}: doesn't answer any more: {reason(error)}") from None

    def end_renewals(self) -> None:
        """End the process that answers renewals; another `renew` starts it again."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close()

    def claim(self) -> None:
        """Make and mark the study's directory. Raises HostError where it holds something else."""
        self._supervise("claim")

    def hold(self, holder: str) -> None:
        """Take the host for a checkout. Raises HostError where another one measures on it, which it names."""
        self._supervise("hold", "--holder", holder)

    def release(self, holder: str) -> None:
        """The end of `hold`."""
        self._supervise("release", "--holder", holder)

    def _ask_keeper(self) -> Any:
        """One renewal: a line sent, a line of JSON received. Raises OSError, EOFError or ValueError."""
        if self._keeper is None:
            self._keeper = self._open_keeper()
        until = time.monotonic() + ANSWER_S
        self._keeper.send(b"\n", until)
        return json_value(self._keeper.line(until))

    def _supervise(self, action: str, *arguments: str, timeout: float = COMMAND_S) -> Any:
        """One command of cluster/remote/supervise.py; returns its answer. Raises HostError."""
        completed = self.module("supervise", action, "--state", str(self.state), *arguments, timeout=timeout)
        return self._answer(f"supervise {action}", completed)

    def _answer(self, command: str, completed: Completed) -> Any:
        """The JSON that a command printed. Raises HostError where it is an error, or is none."""
        try:
            answer = json_value(completed.out)
        except ValueError:
            last = "\n".join(completed.err.strip().splitlines()[-5:])
            raise HostError(f"{self.entry.name}: {command} ended with {completed.status}: {last}") from None
        if isinstance(answer, dict) and "error" in answer:
            raise HostError(f"{self.entry.name}: {answer['error']}")
        return answer

    def parsed(self, kind: type[Result], value: Any, what: str) -> Result:
        """A value that the host sent, checked against its type. Raises HostError."""
        try:
            return parse_as(kind, value, f"{self.entry.name}: {what} answered wrongly")
        except FormatError as error:
            raise HostError(str(error)) from None

    def _by_name(self, answer: Any) -> dict[str, Ended | None]:
        processes = self.parsed(tuple[_Known, ...], answer, "supervise")
        return {each.name: each.ending if each.ended else None for each in processes}


@dataclass(frozen=True)
class _Known:
    """What supervise tells of a process; `ended` is empty while it runs."""

    name: str
    ended: str
    status: int | None
    left: int = 0

    @property
    def ending(self) -> Ended:
        return Ended(self.name, self.ended, self.status, self.left)


def json_value(text: str | bytes) -> Any:
    """A JSON text that a host sent, as a value. Raises ValueError, also for one that is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def reason(error: Exception) -> str:
    """Why a connection broke, as text: the system's errors often have none."""
    return str(error) or ("no answer" if isinstance(error, TimeoutError) else "the connection was closed")


def try_all(hosts: Sequence[Host], do: Callable[[Host], Result]) -> dict[str, Result | HostError]:
    """Call `do` for all hosts at the same time; returns each one's result, or the HostError it raised, by name."""

    def attempt(host: Host) -> Result | HostError:
        try:
            return do(host)
        except HostError as error:
            return error

    with ThreadPoolExecutor(max_workers=max(len(hosts), 1)) as pool:
        calls = {host.entry.name: pool.submit(attempt, host) for host in hosts}
    return {name: call.result() for name, call in calls.items()}


def at_once(hosts: Sequence[Host], do: Callable[[Host], Result]) -> dict[str, Result]:
    """Call `do` for all hosts at the same time; results by name. Raises one HostError that names all that failed."""
    results = try_all(hosts, do)
    if failed := [str(result) for result in results.values() if isinstance(result, HostError)]:
        raise HostError("\n".join(failed))
    return {name: result for name, result in results.items() if not isinstance(result, HostError)}
