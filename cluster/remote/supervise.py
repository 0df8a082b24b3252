"""Start a process so that it can be found, judged and ended later, whatever happens to whoever started it.

Runs on every host, with the standard library alone: `python -m cluster.remote.supervise start|stop|renew|list|keep`.
Each process that the study starts gets a monitor of its own. The process leads a session of its own, so that the
monitor can end all of its descendants and nothing else, and dies with its monitor. The monitor ends it when

- it is told to (`stop`),
- the lease is not renewed in time: the control machine is gone,
- the host's available memory falls below the floor: better a stopped run than a frozen computer,
- its lifetime is over.

What is known about a process is in STATE/NAME.json, written whole: PID and start time (a PID alone may name a
stranger's process a moment later) and, once it has ended, how.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

POLL_S = 0.25
KILL_WAIT_S = 5.0
LEASE = "lease"
ENDINGS = ("exited", "stopped", "lease", "memory", "lifetime", "vanished")
PR_SET_PDEATHSIG = 1
LAST_LINES = 5


@dataclass(frozen=True)
class Process:
    """One supervised process. `ended` is empty while it runs; else one of the words of ENDINGS."""

    name: str
    pid: int
    start_time: int  # clock ticks since boot, from /proc/PID/stat
    monitor: int
    monitor_start_time: int
    argv: list[str]
    out: str
    err: str
    started: float
    ended: str = ""
    status: int | None = None  # exit status, or minus the signal's number
    ready: str = ""  # first line on its standard output, where it was waited for


def start_time(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None where there is no such process (or only its zombie)."""
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


def _stat(pid: int) -> list[str] | None:
    """/proc/PID/stat from the state on: the name before it may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def end_session(session: int, grace: float) -> None:
    """SIGTERM to the process group, and after `grace` seconds SIGKILL to all that is left of the session."""
    _signal_group(session, signal.SIGTERM)
    until = time.monotonic() + grace
    while session_members(session) and time.monotonic() < until:
        _reap()
        time.sleep(0.05)
    until = time.monotonic() + KILL_WAIT_S
    while (left := session_members(session)) and time.monotonic() < until:
        for pid in left:
            _signal(pid, signal.SIGKILL)
        _reap()
        time.sleep(0.02)


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap() -> None:
    """The monitor's own child is a zombie until it is waited for; its status is kept for `_wait`."""
    global _child_status
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return
    if pid:
        _child_status = os.waitstatus_to_exitcode(status)


_child_status: int | None = None


# -- state ------------------------------------------------------------------------------------------------------------


def _path(state: Path, name: str) -> Path:
    return state / f"{name}.json"


def _write(state: Path, process: Process) -> None:
    temporary = state / f".{process.name}.{os.getpid()}"
    with temporary.open("w", encoding="utf-8") as stream:
        json.dump(asdict(process), stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(_path(state, process.name))


def read(state: Path, name: str) -> Process | None:
    """What is known of the process of that name; one whose monitor died without a word is `vanished`."""
    try:
        process = Process(**json.loads(_path(state, name).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    watched = start_time(process.monitor) == process.monitor_start_time
    if not process.ended and not watched:
        return replace(process, ended="" if _left(process) else "vanished")
    return process


def _left(process: Process) -> list[int]:
    """Living members of the process's session. A session's number is free again only when the last of them is gone."""
    leader = start_time(process.pid)
    return [] if leader not in (None, process.start_time) else session_members(process.pid)


def listed(state: Path) -> list[Process]:
    """All processes that the directory knows of, by name."""
    names = sorted(path.stem for path in state.glob("*.json"))
    return [process for name in names if (process := read(state, name)) is not None]


# -- the monitor ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """What a process may use, and when its monitor ends it. Zero switches a limit off."""

    cpus: tuple[int, ...]
    lease_s: float
    lifetime_s: float
    memory_floor_mb: int
    grace_s: float


def start(
    state: Path, name: str, argv: list[str], out: Path, err: Path, limits: Limits, ready_s: float
) -> dict[str, Any]:
    """Start a supervised process; returns its Process as a dict, or {"error": what went wrong}."""
    before = read(state, name)
    if before is not None and not before.ended:
        return {"error": f"{name} runs already, PID {before.pid}; `fab stop` ends what an earlier campaign left"}
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        _detach()
        _monitor(state, name, argv, out, err, limits, writing)
    os.close(writing)
    os.wait()
    with os.fdopen(reading) as pipe:
        answer: dict[str, Any] = json.loads(pipe.read() or '{"error": "the monitor died at its start"}')
    if "error" in answer or not ready_s:
        return answer
    return _await_ready(state, name, out, err, ready_s)


def _detach() -> None:
    """A session of the monitor's own, away from the terminal; its parent doesn't wait for it."""
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def _monitor(state: Path, name: str, argv: list[str], out: Path, err: Path, limits: Limits, answer: int) -> None:
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        child = _spawn(argv, out, err, limits)
        process = Process(
            name=name,
            pid=child,
            start_time=start_time(child) or 0,
            monitor=os.getpid(),
            monitor_start_time=start_time(os.getpid()) or 0,
            argv=argv,
            out=str(out),
            err=str(err),
            started=time.time(),
        )
        _write(state, process)
        os.write(answer, json.dumps(asdict(process)).encode())
    except OSError as error:
        os.write(answer, json.dumps({"error": f"{argv[0]}: {error.strerror or error}"}).encode())
        os._exit(1)
    os.close(answer)
    try:
        why = _watch(state, limits, stopping)
        end_session(child, 0.0 if why == "memory" else limits.grace_s)
        _write(state, replace(process, ended=why, status=_child_status))
    finally:
        os._exit(0)


def _spawn(argv: list[str], out: Path, err: Path, limits: Limits) -> int:
    """Fork and exec in a new session. Raises OSError where the program can't be run."""
    failed_r, failed_w = os.pipe()  # closed by a successful exec, else carries the errno
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            if limits.cpus:
                os.sched_setaffinity(0, limits.cpus)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)
            os.dup2(os.open(err, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
            os.execvp(argv[0], argv)
        except OSError as error:
            os.write(failed_w, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(failed_w)
    with os.fdopen(failed_r) as pipe:
        errno = pipe.read()
    if errno:
        raise OSError(int(errno), os.strerror(int(errno)))
    return child


def _watch(state: Path, limits: Limits, stopping: list[int]) -> str:
    """Until there is a reason to end: returns it."""
    lease = state / LEASE
    began = time.monotonic()
    while True:
        _reap()
        if _child_status is not None:
            return "exited"
        if stopping:
            return "stopped"
        if limits.lease_s and _age(lease) > limits.lease_s:
            return "lease"
        if limits.lifetime_s and time.monotonic() - began > limits.lifetime_s:
            return "lifetime"
        if limits.memory_floor_mb and available_memory_mb() < limits.memory_floor_mb:
            return "memory"
        select.select([], [], [], POLL_S)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def available_memory_mb() -> float:
    """MemAvailable of /proc/meminfo in MiB: what can be had without swapping."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    return float("inf")


def _await_ready(state: Path, name: str, out: Path, err: Path, seconds: float) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        process = read(state, name)
        line, newline, _ = out.read_text(encoding="utf-8").partition("\n")
        if process is not None and newline:
            return asdict(replace(process, ready=line))
        if process is None or process.ended:
            return {"error": f"{name} ended before it was ready: {last_lines(err) or 'it said nothing'}"}
        time.sleep(0.02)
    stop(state, name)
    return {"error": f"{name} was not ready within {seconds:g} s: {last_lines(err) or 'it said nothing'}"}


def last_lines(path: Path) -> str:
    """The end of a log, for a message."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-LAST_LINES:])


def stop(state: Path, name: str) -> dict[str, Any]:
    """End the process with all of its session and forget it; returns what became of it."""
    process = read(state, name)
    if process is None:
        return {"error": f"nothing is known of {name}"}
    if not process.ended and start_time(process.monitor) == process.monitor_start_time:
        _signal(process.monitor, signal.SIGTERM)
        while start_time(process.monitor) == process.monitor_start_time:  # bounded: the monitor's own waits are
            time.sleep(0.02)
        process = read(state, name) or process
    if _left(process):  # its monitor was killed
        end_session(process.pid, grace=1.0)
        process = replace(process, ended="vanished")
    _path(state, name).unlink(missing_ok=True)
    return asdict(process)


def renew(state: Path) -> list[dict[str, Any]]:
    """Renew the lease of every process; returns what is known of each."""
    (state / LEASE).touch()
    return [asdict(process) for process in listed(state)]


def keep(state: Path, lease_s: float) -> None:
    """Renew at each line read, and answer with a line: one process for a whole run, and none for each renewal.

    Ends with its input, and where no line renews the lease in time, like what it keeps: whoever asked is gone, and the
    connection may not know it. Zero switches that off.
    """
    signal.setitimer(signal.ITIMER_REAL, lease_s)
    for _ in sys.stdin:
        signal.setitimer(signal.ITIMER_REAL, lease_s)
        print(json.dumps(renew(state)), flush=True)


# -- command line -----------------------------------------------------------------------------------------------------


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Like str.partition at the first `--`: argparse would look for options of its own behind it."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cluster.remote.supervise", description="Start, list and end processes."
    )
    parser.add_argument("action", choices=("start", "stop", "renew", "list", "keep"))
    parser.add_argument("--state", type=Path, required=True, help="directory of the state files and of the lease")
    parser.add_argument("--name", default="")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--err", type=Path)
    parser.add_argument("--cpus", default="", help="CPU numbers with commas")
    parser.add_argument("--lease", type=float, default=0.0, help="seconds without `renew` after which it is ended")
    parser.add_argument("--lifetime", type=float, default=0.0, help="seconds")
    parser.add_argument("--memory-floor", type=int, default=0, help="MiB of available memory")
    parser.add_argument("--grace", type=float, default=8.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--ready", type=float, default=0.0, help="wait so many seconds for a first line on its output")
    parser.epilog = "What stands after -- is the program to start, with its arguments."
    asked, argv = _split(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(asked)
    options.state.mkdir(parents=True, exist_ok=True)
    answer: Any
    if options.action == "start":
        (options.state / LEASE).touch()
        limits = Limits(
            cpus=tuple(int(cpu) for cpu in options.cpus.split(",") if cpu),
            lease_s=options.lease,
            lifetime_s=options.lifetime,
            memory_floor_mb=options.memory_floor,
            grace_s=options.grace,
        )
        for log in (options.out, options.err):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.touch()
        answer = start(options.state, options.name, argv, options.out, options.err, limits, options.ready)
    elif options.action == "stop":
        answer = stop(options.state, options.name)
    elif options.action == "keep":
        keep(options.state, options.lease)
        return 0
    elif options.action == "renew":
        answer = renew(options.state)
    else:
        answer = [asdict(process) for process in listed(options.state)]
    print(json.dumps(answer))
    return 1 if isinstance(answer, dict) and "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
