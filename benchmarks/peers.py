"""What the benchmarks run beside the project's own: nginx, uvicorn and wrk, one core each, gone with their block."""

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
START_S = 30.0  # for the slowest to be ready


class Trouble(Exception):
    """What a person can mend, in one line."""


def two_cores() -> tuple[int, int]:
    """The server's core and the client's."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Trouble("two cores are needed, one for the server and one for the client; this process may use one")
    return cores[0], cores[-1]


def require(*names: str) -> None:
    """Say what is missing, all at once."""
    if missing := [name for name in names if not program(name)]:
        raise Trouble(f"not found: {', '.join(missing)} (they come with the system's packages)")


def program(name: str) -> str | None:
    """nginx is often outside a user's path."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin")))


@contextlib.contextmanager
def ended(*arguments: str, core: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process on one core that doesn't outlive the block, nor does any child that it leaves."""
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
            os.killpg(process.pid, signal.SIGKILL)  # a twin that forked a pool doesn't end it


@contextlib.contextmanager
def serving(name: str, port: int, *arguments: str, core: int, log: Path) -> Iterator[int]:
    """A server, once its port accepts; yields the port."""
    with ended(*arguments, core=core, log=log) as process:
        wait_until(lambda: accepts(port), process, log, name)
        yield port


def nginx(directory: Path, core: int) -> contextlib.AbstractContextManager[int]:
    """One nginx process that answers everything with BODY; yields its port."""
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
            server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{BODY}"; }} }}
        }}""",
        encoding="utf-8",
    )
    command = (program("nginx") or "", "-e", "stderr", "-p", str(directory), "-c", str(configuration))
    return serving("nginx", port, *command, core=core, log=directory / "nginx.log")


def uvicorn(directory: Path, core: int) -> contextlib.AbstractContextManager[int]:
    """One uvicorn process with an application that does nothing but answer BODY; yields its port."""
    port = free_port()
    options = ("--port", str(port), "--log-level", "warning", "--no-access-log", "--backlog", "4096")
    command = (sys.executable, "-m", "uvicorn", "benchmarks.asgi:answer", *options)
    return serving("uvicorn", port, *command, core=core, log=directory / "uvicorn.log")


def wrk(port: int, mode: str, core: int, seconds: float) -> float:
    """wrk's own figure, requests a second; one that met errors is none."""
    header = ("-H", "Connection: close") if mode == "close" else ()
    lasts = max(1, round(seconds))
    command = ("taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{lasts}s", *header)
    done = subprocess.run((*command, f"http://127.0.0.1:{port}/"), capture_output=True, text=True, check=False)
    found = re.search(r"Requests/sec:\s*([0-9.]+)", done.stdout)
    if found is None:
        raise Trouble(f"wrk gave no figure: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    if wrong := re.search(r"(?:Socket errors|Non-2xx).*", done.stdout):
        raise Trouble(f"wrk met what must not be: {wrong[0]}")
    return float(found[1])


def wait_until(
    done: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, name: str, beyond: float = 0.0
) -> None:
    until = time.monotonic() + START_S + beyond
    while not done():
        if process.poll() is not None or time.monotonic() > until:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise Trouble(f"{name} {'ended' if process.poll() is not None else 'is not ready'}: {' '.join(said)}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
