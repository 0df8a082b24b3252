"""Start a process under a monitor of its own: `python -m cluster.remote.monitor`, on every host.

The process leads a session of its own, and is killed by the kernel if its monitor dies. Descendants that leave the
session (setsid, a daemon) become the monitor's children when their parents end, since it is a subreaper: so all of them
are ended, and nothing else. The monitor has a guard, its parent and a subreaper as well: if the monitor is killed, the
guard ends what is left. The monitor ends the process when

- it is told to (`supervise stop`),
- the lease is not renewed in time, which means that the control machine is gone,
- the host's available memory falls below the floor, since a host that swaps may freeze,
- its lifetime is over.

Standard library only.
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
import socket
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cluster.remote.process_table import descendants, end_descendants, end_session, session_members, start_time
from cluster.remote.supervise import (
    VARIABLE,
    Process,
    claim,
    lease_age,
    read,
    stop,
    touch,
    variable,
    write,
)

POLL_S = 0.25
SIGNALS = 4096  # bytes read at a time, one for each signal
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LAST_LINES = 5
GUARD_GRACE_S = 1.0

_child = 0
_child_status: int | None = None


@dataclass(frozen=True)
class Limits:
    """What a process may use, and when its monitor ends it. Zero, or no CPU, switches a limit off."""

    cpus: tuple[int, ...]
    lease_s: float
    lifetime_s: float
    memory_floor_mb: int
    grace_s: float


def start(
    state: Path, name: str, argv: list[str], out: Path, err: Path, limits: Limits, ready_s: float
) -> dict[str, Any]:
    """Start a supervised process; returns its Process as a dict, or {"error": ...}.

    With `ready_s` it waits so many seconds for the first line on the process's standard output.
    """
    before = read(state, name)
    if before is not None and not before.ended:
        return {"error": f"{name} runs already, PID {before.pid}; `fab stop` ends what an earlier campaign left"}
    for log in (out, err):
        log.write_bytes(b"")  # what a process of that name wrote before is not this one's readiness
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        _detach()
        _adopt_orphans()
        monitor = os.fork()
        if monitor == 0:
            _monitor(state, name, argv, out, err, limits, writing)
        os.close(writing)
        _guard(state, name, monitor)
    os.close(writing)
    os.wait()
    with os.fdopen(reading) as pipe:
        answer: dict[str, Any] = json.loads(pipe.read() or '{"error": "the monitor died at its start"}')
    if "error" in answer or not ready_s:
        return answer
    return _await_ready(state, name, out, err, ready_s)


def _detach() -> None:
    """Become a daemon: a session of its own, no terminal, no parent that waits for it."""
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def _monitor(state: Path, name: str, argv: list[str], out: Path, err: Path, limits: Limits, answer: int) -> None:
    """Start the process, write its PID or an error to the descriptor `answer`, watch and end it. Doesn't return."""
    stopping: list[int] = []
    woken, waking = socket.socketpair()
    for each in (woken, waking):
        each.setblocking(False)
    signal.set_wakeup_fd(waking.fileno())  # a signal ends the wait in _watch at once
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _adopt_orphans()
    global _child
    try:
        child = _child = _spawn(argv, out, err, limits, {VARIABLE: variable(state, name)})
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
        write(state, process)
        os.write(answer, json.dumps(asdict(process)).encode())
    except OSError as error:
        os.write(answer, json.dumps({"error": f"{argv[0]}: {error.strerror or error}"}).encode())
        os._exit(1)
    os.close(answer)
    try:
        why = _watch(state, limits, stopping, woken)
        grace_s = 0.0 if why == "memory" else limits.grace_s
        left = descendants(os.getpid()) if why == "exited" else []  # a daemon may not have left the session yet
        end_session(child, grace_s, _reap)
        left += [pid for pid in descendants(os.getpid()) if pid not in left]
        end_descendants(os.getpid(), grace_s, _reap)
        others = _living(child)
        write(state, replace(process, ended=why, status=_child_status, left=len(left), others=others))
    finally:
        os._exit(0)


def _living(session: int) -> list[list[int]]:
    """[PID, start time] of the session's members and of this process's descendants."""
    pids = sorted({*session_members(session), *descendants(os.getpid())})
    return [[pid, start] for pid in pids if (start := start_time(pid)) is not None]


def _guard(state: Path, name: str, monitor: int) -> None:
    """Wait for the monitor; where it was killed, end what it watched and write how it ended. Doesn't return."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        if os.WIFSIGNALED(os.waitpid(monitor, 0)[1]):
            process = read(state, name)
            if process is not None and process.monitor == monitor:
                end_session(process.pid, GUARD_GRACE_S, _reap)
            end_descendants(os.getpid(), GUARD_GRACE_S, _reap)
            process = read(state, name)  # `supervise stop` may have removed it
            if process is not None and process.monitor == monitor:
                write(state, replace(process, ended="vanished", others=_living(process.pid)))
    finally:
        os._exit(0)


def _prctl(option: int, value: int) -> None:
    """prctl(2); nothing where the system has none (control may be a Mac)."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(option, value)


def _adopt_orphans() -> None:
    """Become the parent of descendants whose own parents have ended."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _spawn(argv: list[str], out: Path, err: Path, limits: Limits, environment: dict[str, str]) -> int:
    """Fork and exec in a new session, with more in its environment. Raises OSError where the program can't be run."""
    failed_r, failed_w = os.pipe()  # closed by a successful exec, else it has the errno
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            if limits.cpus and hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(0, limits.cpus)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 1)
            os.dup2(os.open(err, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
            os.execvpe(argv[0], argv, {**os.environ, **environment})
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


def _watch(state: Path, limits: Limits, stopping: list[int], woken: socket.socket) -> str:
    """Wait for a reason to end the process; returns one of supervise.ENDINGS. `woken` has a byte for each signal."""
    began = time.monotonic()
    while True:
        _reap()
        if _child_status is not None:
            return "exited"
        if stopping:
            return "stopped"
        if limits.lease_s and lease_age(state) > limits.lease_s:
            return "lease"
        if limits.lifetime_s and time.monotonic() - began > limits.lifetime_s:
            return "lifetime"
        if limits.memory_floor_mb and available_memory_mb() < limits.memory_floor_mb:
            return "memory"
        if select.select([woken], [], [], POLL_S)[0]:
            woken.recv(SIGNALS)


def available_memory_mb() -> float:
    """MemAvailable of /proc/meminfo in MiB: what can be allocated without swapping; inf where there is no such file."""
    with contextlib.suppress(FileNotFoundError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 1024
    return float("inf")


def _await_ready(state: Path, name: str, out: Path, err: Path, seconds: float) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        process = read(state, name)
        line, newline, _ = out.read_text(encoding="utf-8", errors="replace").partition("\n")
        if process is not None and newline:
            return asdict(replace(process, ready=line))
        if process is None or process.ended:
            return {"error": f"{name} ended before it was ready: {last_lines(err) or 'it printed no error'}"}
        time.sleep(0.02)
    stop(state, name)
    return {"error": f"{name} was not ready within {seconds:g} s: {last_lines(err) or 'it printed no error'}"}


def last_lines(path: Path) -> str:
    """The last lines of a log, for a message."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-LAST_LINES:])


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The arguments before and after the first `--`: argparse would take those of the program for its own."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def _reap() -> None:
    """Wait for the children that have ended, without blocking; the process's exit status goes to _child_status."""
    global _child_status
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            if pid == _child:
                _child_status = os.waitstatus_to_exitcode(status)
    except ChildProcessError:
        return


def main(arguments: list[str] | None = None) -> int:
    """Start the program after `--` and print its Process, or an error, as JSON; returns 1 for an error."""
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.monitor", description="Start a supervised process.")
    parser.add_argument("--state", type=Path, required=True, help="directory of the state files and of the lease")
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", type=Path, required=True, help="log of its standard output")
    parser.add_argument("--err", type=Path, required=True, help="log of its standard error")
    parser.add_argument("--cpus", default="", help="CPU numbers with commas")
    parser.add_argument("--lease", type=float, default=0.0, help="seconds without a renewal after which it is ended")
    parser.add_argument("--lifetime", type=float, default=0.0, help="seconds")
    parser.add_argument("--memory-floor", type=int, default=0, help="MiB of available memory")
    parser.add_argument("--grace", type=float, default=8.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--ready", type=float, default=0.0, help="seconds to wait for a first line on its output")
    parser.epilog = "After -- follows the program to start, with its arguments."
    own, argv = _split(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(own)
    if wrong := claim(options.state.parent):
        print(json.dumps({"error": wrong}))
        return 1
    options.state.mkdir(parents=True, exist_ok=True)
    touch(options.state)
    limits = Limits(
        cpus=tuple(int(cpu) for cpu in options.cpus.split(",") if cpu),
        lease_s=options.lease,
        lifetime_s=options.lifetime,
        memory_floor_mb=options.memory_floor,
        grace_s=options.grace,
    )
    for log in (options.out, options.err):
        log.parent.mkdir(parents=True, exist_ok=True)
    answer = start(options.state, options.name, argv, options.out, options.err, limits, options.ready)
    print(json.dumps(answer))
    return 1 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
