"""Hosts: where processes run. Five methods - run, start, stop, put, get - each bounded in time.

`start` and `stop` are commands of cluster/remote/supervise.py on the host, so a kind of host is only a way to run a
command and to move a file. This machine is such a kind, reached without SSH; it is no second program.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from cluster.hosts.inventory import LOCAL, HostEntry
from cluster.remote import supervise
from study.errors import HostError

Result = TypeVar("Result")

COMMAND_S = 30.0
LEASE_S = 20.0  # a host that control has not reached for so long ends what the study runs there
PROJECT = Path(__file__).resolve().parents[2]
STATE = PROJECT / ".study"  # what the study keeps on the machine where fab runs


@dataclass(frozen=True)
class Completed:
    """A command that ended."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Spawn:
    """A process to start under supervision. Seconds and MiB; zero switches a limit off."""

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
        return self.log_directory / f"{self.name}.out"

    @property
    def err(self) -> Path:
        return self.log_directory / f"{self.name}.log"


@dataclass(frozen=True)
class Handle:
    """A started process: its name on the host, its PID, and its start time, which tells it from a later stranger."""

    name: str
    pid: int
    start_time: int
    ready: str = ""


@dataclass(frozen=True)
class Ended:
    """How a process ended: exited, stopped, lease, memory, lifetime or vanished, and its exit status."""

    name: str
    how: str
    status: int | None


class Host(ABC):
    """A kind of host says how to run a command and how to move a file. Every method raises HostError."""

    def __init__(self, entry: HostEntry, python: str, directory: Path) -> None:
        self.entry = entry
        self._python = python
        self._directory = directory

    @property
    def python(self) -> str:
        """The interpreter that has what the study needs."""
        return self._python

    @property
    def directory(self) -> Path:
        """Where the study keeps its files on the host."""
        return self._directory

    @abstractmethod
    def run(self, argv: Sequence[str], timeout: float = COMMAND_S) -> Completed:
        """Run a command to its end, from the directory where the code is."""

    def module(self, name: str, *arguments: str, timeout: float = COMMAND_S) -> Completed:
        """Run one of those modules of cluster/remote/ that need the standard library alone."""
        return self.run([self.python, "-m", f"cluster.remote.{name}", *arguments], timeout)

    @abstractmethod
    def put(self, local: Path, remote: Path, timeout: float = COMMAND_S) -> None:
        """Copy a file or a directory to the host."""

    @abstractmethod
    def get(self, remote: Path, local: Path, timeout: float = COMMAND_S) -> None:
        """Copy a file or a directory from the host."""

    def close(self) -> None:  # noqa: B027 - most kinds hold nothing open
        """Let go of the host; the next call reaches it again."""

    @property
    def is_here(self) -> bool:
        """Whether it is the machine that fab runs on."""
        return self.entry.connection == LOCAL

    @property
    def state(self) -> Path:
        return self.directory / "processes"

    def supervise(self, action: str, *arguments: str, timeout: float = COMMAND_S) -> Any:
        """One command of cluster/remote/supervise.py; returns its answer. Raises HostError where it has none."""
        completed = self.module("supervise", action, "--state", str(self.state), *arguments, timeout=timeout)
        try:
            return json.loads(completed.out)
        except ValueError:
            last = "\n".join(completed.err.strip().splitlines()[-5:])
            raise HostError(f"{self.entry.name}: supervise {action} ended with {completed.status}: {last}") from None

    def start(self, spawn: Spawn) -> Handle:
        answer = self.supervise(
            "start",
            *("--name", spawn.name, "--out", str(spawn.out), "--err", str(spawn.err)),
            *("--cpus", ",".join(map(str, spawn.cpus)), "--lease", str(spawn.lease_s)),
            *("--lifetime", str(spawn.lifetime_s), "--memory-floor", str(spawn.memory_floor_mb)),
            *("--grace", str(spawn.grace_s), "--ready", str(spawn.ready_s), "--", *spawn.argv),
            timeout=COMMAND_S + spawn.ready_s,
        )
        if "error" in answer:
            raise HostError(f"{self.entry.name}: {answer['error']}")
        return Handle(answer["name"], answer["pid"], answer["start_time"], answer["ready"])

    def stop(self, name: str, timeout: float = COMMAND_S) -> Ended:
        """End the process of that name and all of its session; harmless where it has ended already."""
        answer = self.supervise("stop", "--name", name, timeout=timeout)
        if "error" in answer:
            raise HostError(f"{self.entry.name}: {answer['error']}")
        return Ended(name, answer["ended"], answer["status"])

    def renew(self) -> dict[str, Ended | None]:
        """Renew the lease of every process here; returns those that are known: None while one runs."""
        return self._named(self.supervise("renew"))

    def listed(self) -> dict[str, Ended | None]:
        """Every process that is known here, without renewing: None while one runs."""
        return self._named(self.supervise("list"))

    @staticmethod
    def _named(answer: list[dict[str, Any]]) -> dict[str, Ended | None]:
        return {
            process["name"]: Ended(process["name"], process["ended"], process["status"]) if process["ended"] else None
            for process in answer
        }


def tried(hosts: Sequence[Host], do: Callable[[Host], Result]) -> dict[str, Result | HostError]:
    """Do the same on all hosts at the same time; by name, what came of it or why it could not be done."""

    def attempt(host: Host) -> Result | HostError:
        try:
            return do(host)
        except HostError as error:
            return error

    with ThreadPoolExecutor(max_workers=max(len(hosts), 1)) as pool:
        doing = {host.entry.name: pool.submit(attempt, host) for host in hosts}
    return {name: each.result() for name, each in doing.items()}


def at_once(hosts: Sequence[Host], do: Callable[[Host], Result]) -> dict[str, Result]:
    """Do the same on all hosts at the same time; results by name. Raises HostError with all hosts that failed."""
    came = tried(hosts, do)
    if failed := [str(result) for result in came.values() if isinstance(result, HostError)]:
        raise HostError("\n".join(failed))
    return {name: result for name, result in came.items() if not isinstance(result, HostError)}


class LocalHost(Host):
    """This machine under a host's name, with a directory of its own for each name."""

    def run(self, argv: Sequence[str], timeout: float = COMMAND_S) -> Completed:
        try:
            # A group of its own: Ctrl-C at the terminal is for fab, which then stops things in order.
            done = subprocess.run(
                argv, cwd=PROJECT, capture_output=True, text=True, timeout=timeout, check=False, process_group=0
            )
        except subprocess.TimeoutExpired:
            raise HostError(f"{self.entry.name}: {argv[0]} took more than {timeout:g} s") from None
        except OSError as error:
            raise HostError(f"{self.entry.name}: {argv[0]}: {error.strerror}") from None
        return Completed(done.returncode, done.stdout, done.stderr)

    def supervise(self, action: str, *arguments: str, timeout: float = COMMAND_S) -> Any:
        """Renewing goes on all the time, beside the load: here without a process for each."""
        if action not in ("renew", "list"):
            return super().supervise(action, *arguments, timeout=timeout)
        if action == "renew" and self.state.is_dir():
            (self.state / supervise.LEASE).touch()
        return [asdict(process) for process in supervise.listed(self.state)]

    def put(self, local: Path, remote: Path, timeout: float = COMMAND_S) -> None:
        self._copy(local, remote)

    def get(self, remote: Path, local: Path, timeout: float = COMMAND_S) -> None:
        self._copy(remote, local)

    def _copy(self, source: Path, destination: Path) -> None:
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, destination, dirs_exist_ok=True)
            else:
                shutil.copy2(source, destination)
        except OSError as error:
            raise HostError(f"{self.entry.name}: {source} can't be copied: {error.strerror}") from None
