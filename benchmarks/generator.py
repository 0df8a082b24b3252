"""Requests per second and generator core of lean, FastHttpUser, HttpUser and wrk, interleaved in one run.

`python -m benchmarks.generator`. nginx answers on the first core, the client has the last one; 50 users without think
time. The Locust clients are started by a campaign's own commands: a master and one worker, with deadline, body check,
histograms and Locust's statistics; their figures come from the ledger. Clients take turns in short rounds, so that
other load on the machine affects all alike; medians are printed.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.peers import BODY, CONNECTIONS, BenchmarkError, free_port, nginx, running, wait_until, wrk
from cluster.campaign import commands
from cluster.campaign.own.brought import read_brought
from cluster.hosts.inventory import HostEntry
from study.layout import FILES, RunFiles
from study.plan import load_plan

ROUNDS = 3
SETTLE_S = 1.0
MODES = ("close", "keep-alive")
LOADED = ("ladder", "measure")  # kind of step and phase of the record that counts
WRK = "wrk"
NAMES = {"lean": "lean", "fast": "FastHttpUser", "http": "HttpUser", WRK: "wrk, one thread"}

# mode, client with which the lean client is compared, least ratio of their rates
GOALS = (("close", WRK, 0.85), ("close", "fast", 3.0), ("keep-alive", "fast", 5.0))

Rates = dict[tuple[str, str], list[float]]  # requests/s of each round, by client and mode


def main() -> int:
    """Run the benchmark. Exit status 1 where a program is missing or fails, 130 if interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generator", description="Requests per second and generator core."
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each of the 24 measurements lasts (4)")
    seconds = parser.parse_args().seconds
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        peers.require("nginx", "wrk", "taskset")
        cores = peers.two_cores()
        with tempfile.TemporaryDirectory(prefix="generator-") as directory:
            rates = measure(Path(directory), cores, seconds, console)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; all started processes have been ended", file=sys.stderr)
        return 130
    medians = {key: statistics.median(values) for key, values in rates.items()}
    console.print(rates_table(rates, medians))
    console.print(goals_table(medians))
    return 0


def measure(directory: Path, cores: tuple[int, int], seconds: float, console: Console) -> Rates:
    """All clients in both modes, in turn."""
    rates: Rates = {(client, mode): [] for mode in MODES for client in NAMES}
    with nginx(directory, cores[0]) as port:
        for number in range(1, ROUNDS + 1):
            # Every second round in reverse order, so that drift of the machine favours no client.
            for client, mode in list(rates) if number % 2 else reversed(list(rates)):
                with console.status(f"round {number} of {ROUNDS}: {NAMES[client]}, {mode}"):
                    if client == WRK:
                        rate = wrk(port, mode, cores[1], seconds)
                    else:
                        rate = locust_rate(directory / f"{number}-{client}-{mode}", port, client, mode, cores, seconds)
                rates[client, mode].append(rate)
    return rates


def locust_rate(
    directory: Path, port: int, client: str, mode: str, cores: tuple[int, int], seconds: float, server: str = ""
) -> float:
    """Successes per second in the ledger's measure phase, with the commands of a campaign.

    `server` is a plan's [[servers]] table for a server called nginx, where it gets another request than `GET /`.
    """
    directory.mkdir()
    plan_file, ledger = directory / "plan.toml", RunFiles(directory).ledger
    plan_file.write_text(
        f"""
        name = "generator"
        models = ["nginx"]
        users = [{CONNECTIONS}]
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
        {server}
        """,
        encoding="utf-8",
    )
    plan = load_plan(plan_file).plan
    for name, content in read_brought(plan, directory, "plan").items():
        (directory / FILES).mkdir(exist_ok=True)
        (directory / FILES / name).write_bytes(content)
    arguments = (sys.executable, plan_file, plan, plan.server("nginx"), HostEntry("target"))
    master, worker = directory / "master.log", directory / "worker.log"
    with (
        running(*commands.master(*arguments, directory, ("only",)), core=cores[0], log=master) as process,
        running(*commands.worker(*arguments, "only"), core=cores[1], log=worker),
    ):
        wait_until(lambda: measured_record(ledger) is not None, process, master, "Locust", SETTLE_S + seconds)
    record = measured_record(ledger)
    assert record is not None
    if record["failures"]:
        raise BenchmarkError(f"{NAMES[client]}, {mode}: failures {record['failures']}")
    return float(record["successes"] / record["seconds"])


def measured_record(ledger: Path) -> dict[str, Any] | None:
    """The worker's record of the ladder's measure phase, or None while it isn't written yet."""
    lines = ledger.read_text(encoding="utf-8").splitlines(keepends=True) if ledger.exists() else []
    records: list[dict[str, Any]] = [json.loads(line) for line in lines if line.endswith("\n")]
    return next((record for record in records if (record.get("kind"), record.get("phase")) == LOADED), None)


def rates_table(rates: Rates, medians: dict[tuple[str, str], float]) -> Table:
    """Each client's median and range per mode, and its ratios to wrk and FastHttpUser."""
    table = Table(title=f"Requests/s per generator core ({CONNECTIONS} users, no think time, {ROUNDS} rounds)")
    table.add_column("connection")
    table.add_column("client")
    for heading in ("median", "least - most", "ratio to wrk", "ratio to fast"):
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
    """The goals of the lean client with the measured ratios."""
    table = Table("goal of the lean client", "ratio", "at least", "reached")
    for mode, other, least in GOALS:
        ratio = medians["lean", mode] / medians[other, mode]
        table.add_row(
            f"{mode}, against {NAMES[other]}", f"{ratio:.2f}", f"{least:.2f}", "yes" if ratio >= least else "no"
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
