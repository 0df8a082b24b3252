"""Requests a second for each core of load generator: lean, FastHttpUser, HttpUser and wrk, side by side in one run.

`python -m benchmarks.generator`. nginx answers on the first core, the client has the last one; 50 users think no time.
The Locust clients run by a campaign's own commands: a master and one worker, with deadline, body check, histograms and
Locust's statistics; their figures come from the ledger. All take turns in short rounds, so that what disturbs the
machine disturbs them alike, and the medians are shown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cluster import commands
from cluster.inventory import HostEntry
from cluster.layout import RunFiles
from cluster.plan import load_plan

USERS = 50
ROUNDS = 3
BODY = "x" * 64
SETTLE_S = 1.0
START_S = 30.0  # for a master and a worker to import Locust, meet and start the users
MODES = ("close", "keep-alive")
WRK = "wrk"
NAMES = {"lean": "lean", "fast": "FastHttpUser", "http": "HttpUser", WRK: "wrk, one thread"}

# mode, whose rate the lean user's is held against, the least ratio
GOALS = (("close", WRK, 0.85), ("close", "fast", 3.0), ("keep-alive", "fast", 5.0))

PROJECT = Path(__file__).resolve().parent.parent

Rates = dict[tuple[str, str], list[float]]  # requests a second of each round, by client and mode


class Trouble(Exception):
    """What a person can mend, in one line."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generator", description="Requests a second for each core of load generator."
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each of the 24 measurements lasts (4)")
    seconds = parser.parse_args().seconds
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        cores = needed()
        with tempfile.TemporaryDirectory(prefix="generator-") as directory:
            rates = measure(Path(directory), cores, seconds, console)
    except Trouble as trouble:
        print(trouble, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything that was started is ended", file=sys.stderr)
        return 130
    medians = {key: statistics.median(values) for key, values in rates.items()}
    console.print(rates_table(rates, medians))
    console.print(goals_table(medians))
    return 0


def needed() -> tuple[int, int]:
    """The server's core and the client's."""
    missing = [name for name in ("nginx", "wrk", "taskset") if not program(name)]
    if missing:
        raise Trouble(f"not found: {', '.join(missing)} (they come with the system's packages)")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Trouble("two cores are needed, one for the server and one for the client; this process may use one")
    return cores[0], cores[-1]


def program(name: str) -> str | None:
    """nginx is often outside a user's path."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin")))


def measure(directory: Path, cores: tuple[int, int], seconds: float, console: Console) -> Rates:
    """All clients in both modes, in turns."""
    rates: Rates = {(client, mode): [] for mode in MODES for client in NAMES}
    with nginx(directory, cores[0]) as port:
        for number in range(1, ROUNDS + 1):
            # Every second round backwards: what drifts doesn't favour one.
            for client, mode in list(rates) if number % 2 else reversed(list(rates)):
                with console.status(f"round {number} of {ROUNDS}: {NAMES[client]}, {mode}"):
                    if client == WRK:
                        rate = wrk(port, mode, cores[1], seconds)
                    else:
                        rate = locust(directory / f"{number}-{client}-{mode}", port, client, mode, cores, seconds)
                rates[client, mode].append(rate)
    return rates


@contextlib.contextmanager
def ended(*arguments: str, core: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process on one core that doesn't outlive the block."""
    with log.open("wb") as output:
        command = ["taskset", "-c", str(core), *arguments]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=PROJECT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def nginx(directory: Path, core: int) -> Iterator[int]:
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
            server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 "{BODY}"; }} }}
        }}""",
        encoding="utf-8",
    )
    log = directory / "nginx.log"
    command = (program("nginx") or "", "-e", "stderr", "-p", str(directory), "-c", str(configuration))
    with ended(*command, core=core, log=log) as process:
        wait_until(lambda: accepts(port), process, log, "nginx")
        yield port


def wrk(port: int, mode: str, core: int, seconds: float) -> float:
    """wrk's own figure."""
    header = ("-H", "Connection: close") if mode == "close" else ()
    lasts = max(1, round(seconds))
    command = ("taskset", "-c", str(core), "wrk", "-t1", f"-c{USERS}", f"-d{lasts}s", *header)
    done = subprocess.run((*command, f"http://127.0.0.1:{port}/"), capture_output=True, text=True, check=False)
    found = re.search(r"Requests/sec:\s*([0-9.]+)", done.stdout)
    if found is None:
        raise Trouble(f"wrk gave no figure: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return float(found[1])


def locust(directory: Path, port: int, client: str, mode: str, cores: tuple[int, int], seconds: float) -> float:
    """Successes a second in the ledger's measure phase, by the commands of a campaign."""
    directory.mkdir()
    plan_file, ledger = directory / "plan.toml", RunFiles(directory).ledger
    plan_file.write_text(
        f"""
        name = "generator"
        models = ["nginx"]
        users = [{USERS}]
        spawn_rate = 1000
        think_time = [0, 0]
        client = "{client}"
        connection = "{mode}"
        settle = {SETTLE_S}
        measure = {seconds}
        return_step = false
        port = {port}
        master_port = {free_port()}
        work.bytes = {len(BODY)}
        """,
        encoding="utf-8",
    )
    plan = load_plan(plan_file)
    asked = (sys.executable, plan_file, plan, plan.server("nginx"), HostEntry("target"))
    master, worker = directory / "master.log", directory / "worker.log"
    with (
        ended(*commands.master(*asked, directory, ("only",)), core=cores[0], log=master) as process,
        ended(*commands.worker(*asked, "only"), core=cores[1], log=worker),
    ):
        wait_until(lambda: measured(ledger) is not None, process, master, "Locust", SETTLE_S + seconds)
    record = measured(ledger)
    assert record is not None
    if record["failures"]:
        raise Trouble(f"{NAMES[client]}, {mode}: failures {record['failures']}")
    return float(record["successes"] / record["seconds"])


def measured(ledger: Path) -> dict[str, Any] | None:
    """The worker's record of the measure phase, once it is there."""
    lines = ledger.read_text(encoding="utf-8").splitlines(keepends=True) if ledger.exists() else []
    records: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith("\n")]
    return next((record for record in records if record.get("phase") == "measure"), None)


def wait_until(
    done: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, name: str, beyond: float = 0.0
) -> None:
    until = time.monotonic() + START_S + beyond
    while not done():
        if process.poll() is not None or time.monotonic() > until:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise Trouble(f"{name} {'ended' if process.poll() is not None else 'is not ready'}: {' '.join(said)}")
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def rates_table(rates: Rates, medians: dict[tuple[str, str], float]) -> Table:
    table = Table(title=f"Requests a second for each generator core ({USERS} users, no think time, {ROUNDS} rounds)")
    table.add_column("connection")
    table.add_column("client")
    for heading in ("median", "least - most", "of wrk", "of fast"):
        table.add_column(heading, justify="right")
    for (client, mode), each in rates.items():
        rate = medians[client, mode]
        shares = (f"{rate / medians[other, mode]:.2f}" for other in (WRK, "fast"))
        last = client == WRK
        table.add_row(
            mode, NAMES[client], f"{rate:,.0f}", f"{min(each):,.0f} - {max(each):,.0f}", *shares, end_section=last
        )
    return table


def goals_table(medians: dict[tuple[str, str], float]) -> Table:
    table = Table("goal of the lean user", "ratio", "at least", "reached")
    for mode, other, least in GOALS:
        ratio = medians["lean", mode] / medians[other, mode]
        table.add_row(
            f"{mode}, against {NAMES[other]}", f"{ratio:.2f}", f"{least:.2f}", "yes" if ratio >= least else "no"
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
