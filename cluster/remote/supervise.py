"""List, renew and end the supervised processes of a host: `python -m cluster.remote.supervise ACTION`.

Piped to a host with each call, so that processes can be ended on a host whose code is missing or damaged: standard
library only. monitor.py starts processes and gives each one a monitor.

STATE/NAME.json has what is known about a process, written whole: its PID and start time (a PID alone may belong to
another process later) and, once it has ended, how. A process leads a session of its own, so that all of its descendants
can be ended, and nothing else; those that left the session are children of its monitor. The directory above STATE is
the study's own, and carries a mark by which `fab clean` knows it. While a checkout measures, STATE/holder names it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

KILL_WAIT_S = 5.0
LEASE = "lease"
HOLDER = "holder"
HELD_S = 60.0  # without a renewal for so long, another checkout may take the host
MARK = ".load-study"
UNMARKED = {"code", "env", "processes", "work", "wheels", "code.tar", "plan.toml", "logs"}  # before there was a mark
ENDINGS = ("exited", "stopped", "lease", "memory", "lifetime", "vanished")


@dataclass(frozen=True)
class Process:
    """One supervised process. `ended` is empty while it runs, else one of ENDINGS."""

    name: str
    pid: int
    start_time: int  # clock ticks since boot, from /proc/PID/stat
    monitor: int
    monitor_start_time: int
    argv: list[str]
    out: str
    err: str
    started: float  # Unix time, s
    ended: str = ""
    status: int | None = None  # exit status, or minus the signal's number
    ready: str = ""  # first line on its standard output, where it was waited for
    left: int = 0  # processes outside its session that had to be ended with it


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None where there is no such process, or only a zombie."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None


def session_members(session: int) -> list[int]:
    """PIDs of the living processes of a session."""
    members = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat(int(entry))
            if fields and int(fields[3]) == session and fields[0] not in "ZX":
                members.append(int(entry))
    return members


def descendants(root: int) -> list[int]:
    """PIDs of the living children of a process, their children, and so on."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = _stat(int(entry))
            if fields and fields[0] not in "ZX":
                children.setdefault(int(fields[1]), []).append(int(entry))
    found: list[int] = []
    pending = [root]
    while pending:
        own = children.get(pending.pop(), [])
        found += own
        pending += own
    return found


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third, the state, on: the second, the name, may contain blanks and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def end_session(session: int, grace: float, reap: Callable[[], None] = lambda: None) -> None:
    """SIGTERM to the process group, and after `grace` seconds SIGKILL to all that is left of the session.

    `reap` is called while it waits: a caller's own child stays in the session as a zombie until it is waited for.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGTERM)
    _end_all(lambda: session_members(session), grace, reap)


def end_descendants(root: int, grace: float, reap: Callable[[], None] = lambda: None) -> None:
    """SIGTERM to all descendants of a process, whatever their session, and after `grace` seconds SIGKILL."""
    for pid in descendants(root):
        _signal(pid, signal.SIGTERM)
    _end_all(lambda: descendants(root), grace, reap)


def _end_all(living: Callable[[], list[int]], grace: float, reap: Callable[[], None]) -> None:
    """Wait until none is left, after `grace` seconds with SIGKILL, for at most KILL_WAIT_S more."""
    until = time.monotonic() + grace
    while living() and time.monotonic() < until:
        reap()
        time.sleep(0.02)
    until = time.monotonic() + KILL_WAIT_S
    while (left := living()) and time.monotonic() < until:
        for pid in left:
            _signal(pid, signal.SIGKILL)
        reap()
        time.sleep(0.02)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # one that sudo started isn't ours to end
        os.kill(pid, number)


# -- state ------------------------------------------------------------------------------------------------------------


def _path(state: Path, name: str) -> Path:
    return state / f"{name}.json"


def write(state: Path, process: Process) -> None:
    """Replace the process's file by rename."""
    temporary = state / f".{process.name}.{os.getpid()}"
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(asdict(process), stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(_path(state, process.name))


def read(state: Path, name: str) -> Process | None:
    """What is known of the process of that name; `vanished` where neither it nor its monitor is left."""
    try:
        process = Process(**json.loads(_path(state, name).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    watched = start_time(process.monitor) == process.monitor_start_time
    if not process.ended and not watched:
        return replace(process, ended="" if _left(process) else "vanished")
    return process


def _left(process: Process) -> list[int]:
    """Living members of the process's session. The kernel reuses a session's number only after the last one's end."""
    leader = start_time(process.pid)
    return [] if leader not in (None, process.start_time) else session_members(process.pid)


def listed(state: Path) -> list[Process]:
    """All processes that have a file in the directory, in the order of their names."""
    names = sorted(path.stem for path in state.glob("*.json"))
    return [process for name in names if (process := read(state, name)) is not None]


def stop(state: Path, name: str) -> dict[str, Any]:
    """End the process with all of its session and remove its file; returns its Process as a dict, or {"error": ...}."""
    process = read(state, name)
    if process is None:
        return {"error": f"nothing is known of {name}"}
    if not process.ended and start_time(process.monitor) == process.monitor_start_time:
        _signal(process.monitor, signal.SIGTERM)
        while (
            start_time(process.monitor) == process.monitor_start_time
        ):  # ends, since the monitor's own waits are bounded
            time.sleep(0.02)
        process = read(state, name) or process
    if _left(process):  # its monitor was killed
        end_session(process.pid, grace=1.0)
        process = replace(process, ended="vanished")
    _path(state, name).unlink(missing_ok=True)
    return asdict(process)


def stop_all(state: Path) -> list[dict[str, Any]]:
    """`stop` for every process of the directory. All of them are told before the first is waited for."""
    processes = listed(state)
    for process in processes:
        if not process.ended and start_time(process.monitor) == process.monitor_start_time:
            _signal(process.monitor, signal.SIGTERM)
    return [stop(state, process.name) for process in processes]


def renew(state: Path) -> list[dict[str, Any]]:
    """Renew the lease of every process; returns what is known of each."""
    (state / LEASE).touch()
    return [asdict(process) for process in listed(state)]


def keep(state: Path, lease_s: float) -> None:
    """Renew at each line read, and print the answer as a line: one process serves all renewals of a run.

    Exit on EOF, or on SIGALRM after `lease_s` without a line: a half-open connection never sends EOF. Zero switches the
    timer off.
    """
    signal.setitimer(signal.ITIMER_REAL, lease_s)
    for _ in sys.stdin:
        signal.setitimer(signal.ITIMER_REAL, lease_s)
        print(json.dumps(renew(state)), flush=True)


# -- whose the directory and the host are ------------------------------------------------------------------------------


def claim(directory: Path) -> str:
    """Make and mark the study's directory on a host; returns why it can't be the study's, empty where it is."""
    if (directory / MARK).is_file():
        return ""
    names = set(os.listdir(directory)) if directory.is_dir() else set()
    if names and not (names <= UNMARKED and names & {"env", "processes"}):
        return f"{directory} holds files that aren't the study's (it has no {MARK}): set remote_dir= elsewhere"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MARK).touch()
    return ""


def hold(state: Path, holder: str) -> str:
    """Take the host for a checkout; returns why it can't be, empty where it was free, abandoned or the checkout's."""
    if wrong := claim(state.parent):
        return wrong
    current = _holder(state)
    if current not in ("", holder):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - (state / LEASE).stat().st_mtime < HELD_S:
                return f"{current} measures on this host: wait until it has ended"
    state.mkdir(parents=True, exist_ok=True)
    (state / HOLDER).write_text(holder, encoding="utf-8")
    (state / LEASE).touch()
    return ""


def release(state: Path, holder: str) -> None:
    """Leave the host to others, where the checkout holds it."""
    if _holder(state) == holder:
        (state / HOLDER).unlink(missing_ok=True)


def _holder(state: Path) -> str:
    try:
        return (state / HOLDER).read_text(encoding="utf-8", errors="replace").strip()[:300]
    except OSError:
        return ""


# -- command line -----------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says and print the answer as JSON; returns 1 where that is an error."""
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.supervise", description="List and end processes.")
    parser.add_argument("action", choices=("stop", "stop-all", "renew", "list", "keep", "claim", "hold", "release"))
    parser.add_argument("--state", type=Path, required=True, help="directory of the state files and of the lease")
    parser.add_argument("--name", default="", help="which process `stop` ends")
    parser.add_argument("--lease", type=float, default=0.0, help="seconds without a line after which `keep` exits")
    parser.add_argument("--holder", default="", help="the checkout that `hold` and `release` are about")
    options = parser.parse_args(arguments)
    if options.action in ("keep", "renew"):
        options.state.mkdir(parents=True, exist_ok=True)
    if options.action == "keep":
        keep(options.state, options.lease)
        return 0
    answer: Any
    if options.action == "stop":
        answer = stop(options.state, options.name)
    elif options.action == "stop-all":
        answer = stop_all(options.state)
    elif options.action == "renew":
        answer = renew(options.state)
    elif options.action in ("claim", "hold"):
        own = options.state.parent
        wrong = claim(own) if options.action == "claim" else hold(options.state, options.holder)
        answer = {"error": wrong} if wrong else {}
    elif options.action == "release":
        release(options.state, options.holder)
        answer = {}
    else:
        answer = [asdict(process) for process in listed(options.state)]
    print(json.dumps(answer))
    return 1 if isinstance(answer, dict) and "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
