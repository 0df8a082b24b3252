"""The programs with which the benchmarks compare: nginx, uvicorn and wrk, each pinned to one core and ended with its
block.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
BODY = "x" * 64
CONNECTIONS = 50
STATUS = "/served"  # where nginx tells how many connections are open, and what it has served
START_S = 30.0  # seconds for the slowest program to get ready


class BenchmarkError(Exception):
    """An error that the person can correct, as a one-line message."""


def two_cores() -> tuple[int, int]:
    """The server's core and the client's. Raises BenchmarkError where this process may use only one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError(
            "two cores are needed, one for the server and one for the client; this process may use only one"
        )
    return cores[0], cores[-1]


def require(*names: str) -> None:
    """Raise BenchmarkError with the names of all missing programs."""
    if missing := [name for name in names if not program(name)]:
        raise BenchmarkError(f"not found: {', '.join(missing)} (they come with the system's packages)")


def program(name: str) -> str | None:
    """The path of a program, or None. Searches the sbin directories as well, where nginx often is."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin")))


@contextlib.contextmanager
def running(*arguments: str, core: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process pinned to one core; it and its children are ended with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=PROJECT, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a twin doesn't end the pool that it forked


@contextlib.contextmanager
def serving(name: str, port: int, *arguments: str, core: int, log: Path) -> Iterator[int]:
    """Start a server and wait until its port accepts connections; yields the port."""
    with running(*arguments, core=core, log=log) as process:
        wait_until(lambda: accepts(port), process, log, name)
        yield port


def nginx(directory: Path, core: int) -> contextlib.AbstractContextManager[int]:
    """One nginx process that answers every request with BODY; yields its port."""
    port = free_port()
    paths = "".join(
        f"{kind}_temp_path {directory / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = directory / "nginx.conf"
    configuration.write_text(
        f"""daemon off; master_process off; pid {directory / "nginx.pid"}; error_log stderr error;
        events {{ worker_connections 4096; }}
        http {{
            access_log off; keepalive_requests 1000000000; default_type text/plain; {paths}
            server {{ listen 127.0.0.1:{port} backlog=4096;
                location / {{ return 200 "{BODY}"; }} location = {STATUS} {{ stub_status; }} }}
        }}""",
        encoding="utf-8",
    )
    command = (program("nginx") or "", "-e", "stderr", "-p", str(directory), "-c", str(configuration))
    return serving("nginx", port, *command, core=core, log=directory / "nginx.log")


def uvicorn(directory: Path, core: int) -> contextlib.AbstractContextManager[int]:
    """One uvicorn process with an application that answers every request with BODY; yields its port."""
    port = free_port()
    options = ("--port", str(port), "--log-level", "warning", "--no-access-log", "--backlog", "4096")
    command = (sys.executable, "-m", "uvicorn", "benchmarks.uvicorn_app:answer", *options)
    return serving("uvicorn", port, *command, core=core, log=directory / "uvicorn.log")


def wrk(port: int, mode: str, core: int, seconds: float) -> float:
    """Requests per second as reported by wrk. Raises BenchmarkError where wrk reports errors."""
    header = ("-H", "Connection: close") if mode == "close" else ()
    whole_seconds = max(1, round(seconds))
    command = ("taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{whole_seconds}s", *header)
    done = subprocess.run((*command, f"http://127.0.0.1:{port}/"), capture_output=True, text=True, check=False)
    rate = re.search(r"Requests/sec:\s*([0-9.]+)", done.stdout)
    if rate is None:
        raise BenchmarkError(f"wrk reported no rate: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    if wrong := re.search(r"(?:Socket errors|Non-2xx).*", done.stdout):
        raise BenchmarkError(f"wrk reported: {wrong[0]}")
    return float(rate[1])


def wait_until(
    done: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, name: str, beyond: float = 0.0
) -> None:
    """Wait for a condition, for START_S + `beyond` seconds at the most. Raises BenchmarkError with the log's last line
    where the process ends or the time is over.
    """
    until = time.monotonic() + START_S + beyond
    while not done():
        if process.poll() is not None or time.monotonic() > until:
            last_line = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise BenchmarkError(
                f"{name} {'ended' if process.poll() is not None else 'is not ready'}: {' '.join(last_line)}"
            )
        time.sleep(0.05)


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Whether a connection to this port of 127.0.0.1 succeeds."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
