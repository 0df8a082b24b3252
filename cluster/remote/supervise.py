"""List, renew and end the supervised processes of a host: `python -m cluster.remote.supervise ACTION`.

Piped to a host with each call, so that processes can be ended on a host whose code is missing or damaged: standard
library only. monitor.py starts processes and gives each one a monitor.

A process's descendants are known by their session, as descendants of their monitor, and, where that was killed, by an
environment variable. No cgroup is used: systemd delegates none in the scope of an SSH session, so that a user who isn't
root could make none, and root would write into a hierarchy that systemd alone may change.

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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cluster.remote.process_table import (
    descendants,
    end_all,
    has_proc,
    send_signal,
    session_members,
    start_time,
    with_variable,
)

MONITOR_S = 20.0  # within which a monitor that was told to stop has ended, unless it can't run
LEASE = "lease"
HOLDER = "holder"
VARIABLE = "LOAD_STUDY_PROCESS"  # in the environment of each supervised process and its descendants: see `variable`
HELD_S = 60.0  # without a renewal for so long, another checkout may take the host
MARK = ".load-study"
UNMARKED = {"code", "env", "processes", "work", "wheels", "code.tar", "plan.toml", "logs"}  # before there was a mark
ENDINGS = ("exited", "stopped", "lease", "memory", "lifetime", "vanished", "damaged")


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
    left: int = 0  # processes outside its session, or left by its own exit, that had to be ended
    others: list[list[int]] = field(default_factory=list)  # [PID, start time] of another user's, that can't be ended


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
    """What is known of the process of that name; `vanished` where neither it nor its monitor is left.

    It runs as long as one of its processes does, though its monitor has ended: sudo's can't be ended by this user.

    `damaged` where its file can't be read: by `monitors` it is found all the same.
    """
    try:
        process = _checked(json.loads(_path(state, name).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError):
        lives = monitors(state, name) or with_variable(VARIABLE, variable(state, name))
        return Process(name, 0, 0, 0, 0, [], "", "", 0.0, ended="" if lives else "damaged")
    watched = start_time(process.monitor) == process.monitor_start_time
    if not process.ended and not watched:
        return replace(process, ended="" if _left(state, process) else "vanished")
    return replace(process, ended="") if _others(process) else process


def _checked(value: Any) -> Process:
    """The process of a state file. Raises TypeError where a key is missing, unknown or of another type."""
    process = Process(**value)
    numbers = (process.pid, process.start_time, process.monitor, process.monitor_start_time)
    texts = (process.name, process.ended, process.ready)
    if not all(isinstance(number, int) for number in numbers) or not all(isinstance(text, str) for text in texts):
        raise TypeError
    if not all(isinstance(number, int) for pid, start in process.others for number in (pid, start)):
        raise TypeError
    return process


def monitors(state: Path, name: str) -> list[int]:
    """PIDs of the monitors of that name, by their command lines: also where its state file is damaged."""
    asked = [["--state", str(state)], ["--name", name]]
    found = []
    for entry in os.listdir("/proc") if has_proc() else []:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{entry}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
            own = words[: words.index("--")] if "--" in words else []
            pairs = [own[at : at + 2] for at in range(len(own) - 1)]
            if "cluster.remote.monitor" in own and all(pair in pairs for pair in asked):
                found.append(int(entry))
    return [pid for pid in found if start_time(pid) is not None]


def _left(state: Path, process: Process) -> list[int]:
    """Living members of the process's session, and those that left it, where its monitor can't tell any more.

    The kernel reuses a session's number only after the last one's end.
    """
    leader = start_time(process.pid)
    members = session_members(process.pid) if process.pid and leader in (None, process.start_time) else []
    return members + [pid for pid in with_variable(VARIABLE, variable(state, process.name)) if pid not in members]


def variable(state: Path, name: str) -> str:
    """The value of VARIABLE for the process of that name."""
    return str(state / name)


def _others(process: Process) -> list[int]:
    return [pid for pid, start in process.others if start_time(pid) == start]


def listed(state: Path) -> list[Process]:
    """All processes that have a file in the directory, in the order of their names."""
    names = sorted(path.stem for path in state.glob("*.json"))
    return [process for name in names if (process := read(state, name)) is not None]


def stop(state: Path, name: str) -> dict[str, Any]:
    """End the process with all of its session and remove its file; returns its Process as a dict, or {"error": ...}."""
    process = read(state, name)
    if process is None:
        return {"error": f"nothing is known of {name}"}
    if not process.pid:  # its file is damaged
        _end_monitors({pid: start_time(pid) for pid in monitors(state, name)})
        process = replace(process, ended="damaged")
    elif not process.ended:
        _end_monitors({process.monitor: process.monitor_start_time})
        process = read(state, name) or process
    known = process
    if not known.others and _left(state, known):  # its monitor was killed
        end_all(lambda: _left(state, known), grace=1.0)
        process = replace(known, ended=known.ended or "vanished")
    if others := _others(process):
        pids = " ".join(map(str, others))
        return {"error": f"{name} goes on as another user (sudo?), who alone can end it: there, sudo kill {pids}"}
    _path(state, name).unlink(missing_ok=True)
    return asdict(process)


def stop_all(state: Path) -> list[dict[str, Any]] | dict[str, Any]:
    """`stop` for every process of the directory. All of them are told before the first is waited for.

    Returns one {"error": ...} where any of them couldn't be stopped, after all others were.
    """
    processes = listed(state)
    for process in processes:
        if not process.ended and start_time(process.monitor) == process.monitor_start_time:
            send_signal(process.monitor, signal.SIGTERM)
    answers = [stop(state, process.name) for process in processes]
    wrong = [str(answer["error"]) for answer in answers if "error" in answer]
    return {"error": "; ".join(wrong)} if wrong else answers


def _end_monitors(started: dict[int, int | None]) -> None:
    """Tell monitors, by PID and start time, to end what they watch, and wait for them.

    A stopped one (SIGSTOP) is continued; one that still doesn't end is killed with all of its descendants.
    """

    def left() -> list[int]:
        return [pid for pid, start in started.items() if start and start_time(pid) == start]

    for pid in left():
        send_signal(pid, signal.SIGTERM)
        send_signal(pid, signal.SIGCONT)
    until = time.monotonic() + MONITOR_S
    while left() and time.monotonic() < until:
        time.sleep(0.02)
    for pid in left():
        for each in (pid, *descendants(pid)):
            send_signal(each, signal.SIGKILL)


def touch(state: Path) -> None:
    """Renew the lease. Its file's time is the monotonic clock's, so that a step of the wall clock ends nothing."""
    path = state / LEASE
    if not path.exists():
        path.touch()
    now = time.monotonic_ns()
    os.utime(path, ns=(now, now))


def lease_age(state: Path) -> float:
    """Seconds since the lease was renewed; inf where it never was, or before the host's last boot."""
    try:
        age = (time.monotonic_ns() - (state / LEASE).stat().st_mtime_ns) / 1e9
    except FileNotFoundError:
        return float("inf")
    return age if age >= 0 else float("inf")


def renew(state: Path) -> list[dict[str, Any]]:
    """Renew the lease of every process; returns what is known of each."""
    touch(state)
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
    if current not in ("", holder) and lease_age(state) < HELD_S:
        return f"{current} measures on this host: wait until it has ended"
    state.mkdir(parents=True, exist_ok=True)
    (state / HOLDER).write_text(holder, encoding="utf-8")
    touch(state)
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
