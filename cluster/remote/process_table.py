"""The processes of a machine: their sessions, children and start times, and how they are ended. Standard library only.

By /proc; elsewhere by ps(1), since control may be a Mac. Sent to hosts along with supervise.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

KILL_WAIT_S = 5.0


class ProcessEntry(NamedTuple):
    """What the system says of one process. `state` is its letter, `start` only distinguishes processes of one PID."""

    state: str
    parent: int
    session: int
    start: int


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None where there is no such process, or only a zombie."""
    entry = _stat(pid) if has_proc() else _listed_by_ps().get(pid)
    return entry.start if entry is not None and entry.state != "Z" else None


def session_members(session: int) -> list[int]:
    """PIDs of the living processes of a session."""
    return [pid for pid, entry in _living().items() if entry.session == session]


def descendants(root: int) -> list[int]:
    """PIDs of the living children of a process, their children, and so on."""
    children: dict[int, list[int]] = {}
    for pid, entry in _living().items():
        children.setdefault(entry.parent, []).append(pid)
    found: list[int] = []
    pending = [root]
    while pending:
        own = children.get(pending.pop(), [])
        found += own
        pending += own
    return found


def command_lines() -> dict[int, list[str]]:
    """The arguments of every process by its PID, as far as this user may read them."""
    if not has_proc():
        argv = ["ps", "-A", "-o", "pid=,args="]
        listed = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False).stdout
        return {int(line.split()[0]): line.split()[1:] for line in listed.splitlines()}
    lines: dict[int, list[str]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has ended, or is hidden
            text = Path(f"/proc/{name}/cmdline").read_text(encoding="utf-8", errors="replace")
            lines[int(name)] = text.rstrip("\0").split("\0")
    return lines


def with_variable(name: str, value: str) -> list[int]:
    """PIDs of this user's living processes that were started with this environment variable. None without /proc."""
    wanted = f"\0{name}={value}\0".encode("utf-8", "surrogateescape")
    found = []
    for pid in _living() if has_proc() else ():
        with contextlib.suppress(OSError):
            if wanted in b"\0" + Path(f"/proc/{pid}/environ").read_bytes() + b"\0":
                found.append(pid)
    return found


def _living() -> dict[int, ProcessEntry]:
    """All processes that are no zombies, by PID."""
    if not has_proc():
        return {pid: entry for pid, entry in _listed_by_ps().items() if entry.state != "Z"}
    entries = {int(name): _stat(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    return {pid: entry for pid, entry in entries.items() if entry is not None and entry.state not in "ZX"}


def _stat(pid: int) -> ProcessEntry | None:
    """By /proc/PID/stat, from its third field on: the second, the name, may contain blanks and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return ProcessEntry(fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


@cache
def has_proc() -> bool:
    """Whether the system has /proc: control may be a Mac."""
    try:
        return bool(os.listdir("/proc/self"))
    except OSError:
        return False


def _listed_by_ps() -> dict[int, ProcessEntry]:
    """By ps(1), for systems without /proc. There the process group stands for the session."""
    argv = ["ps", "-A", "-o", "pid=,ppid=,pgid=,stat=,lstart="]
    entries = {}
    listed = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False).stdout
    for line in listed.splitlines():
        pid, parent, group, state, *start = line.split()
        entries[int(pid)] = ProcessEntry(state[:1], int(parent), int(group), zlib.crc32(" ".join(start).encode()))
    return entries


def end_session(session: int, grace: float, reap: Callable[[], None] = lambda: None) -> None:
    """SIGTERM to the process group, and after `grace` seconds SIGKILL to all that is left of the session.

    `reap` is called while it waits: a caller's own child stays in the session as a zombie until it is waited for.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGTERM)
    _wait_and_kill(lambda: session_members(session), grace, reap)


def end_descendants(root: int, grace: float, reap: Callable[[], None] = lambda: None) -> None:
    """SIGTERM to all descendants of a process, whatever their session, and after `grace` seconds SIGKILL."""
    end_all(lambda: descendants(root), grace, reap)


def end_all(living: Callable[[], list[int]], grace: float, reap: Callable[[], None] = lambda: None) -> None:
    """SIGTERM to all that are living, and after `grace` seconds SIGKILL."""
    for pid in living():
        send_signal(pid, signal.SIGTERM)
    _wait_and_kill(living, grace, reap)


def _wait_and_kill(living: Callable[[], list[int]], grace: float, reap: Callable[[], None]) -> None:
    """Wait until none is left, after `grace` seconds with SIGKILL, for at most KILL_WAIT_S more.

    Those of another user (sudo) can't be ended from here, and aren't waited for.
    """

    def left() -> list[int]:
        return [pid for pid in living() if _takes_signals(pid)]

    until = time.monotonic() + grace
    while left() and time.monotonic() < until:
        reap()
        time.sleep(0.02)
    until = time.monotonic() + KILL_WAIT_S
    while (stubborn := left()) and time.monotonic() < until:
        for pid in stubborn:
            send_signal(pid, signal.SIGKILL)
        reap()
        time.sleep(0.02)


def _takes_signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True


def send_signal(pid: int, number: int) -> None:
    """A signal to a process that may have ended already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # one that sudo started isn't ours to end
        os.kill(pid, number)
