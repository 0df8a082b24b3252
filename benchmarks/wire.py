"""Response times of the ledger compared with those on the wire: `python -m benchmarks.wire`, as root, with tcpdump.

tcpdump records a run's packets on loopback. On the wire a response time lasts from a connection's SYN to the last
packet with data from the server; in the ledger it begins when the user woke. For each client, model and number of users
the table shows the ratio of the ledger's mean and quantiles to the wire's.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from analysis.read.histograms import Histogram, decode
from benchmarks import peers
from benchmarks.generator import measured_record
from benchmarks.peers import BenchmarkError, free_port, running, serving, wait_until
from cluster.campaign import commands
from cluster.hosts.inventory import HostEntry
from study.layout import RunFiles
from study.plan import load_plan

CLIENTS, MODELS, USERS = ("lean", "fast", "http"), ("epoll-loop", "thread"), (60, 400)
THINK_S = (0.1, 0.3)
SETTLE_S = 2.0
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
HEAD_BYTES = 96  # of each packet: Ethernet, IPv4 and TCP headers with their options
PCAP_HEADER, PACKET_HEADER = 24, 16
NANOSECONDS = 0xA1B23C4D
ETHERNET, IPV4 = 14, 0x0800
FIN, SYN, ACK = 0x01, 0x02, 0x10


class Packet(NamedTuple):
    """One TCP packet. `at` is Unix time in s, `data` its bytes of payload."""

    at: float
    source: int
    destination: int
    flags: int
    data: int


def packets(capture: bytes) -> Iterator[Packet]:
    """The TCP packets of a pcap file with nanosecond timestamps (`tcpdump --time-stamp-precision=nano`). Raises
    BenchmarkError for any other format.
    """
    if struct.unpack_from("<I", capture)[0] != NANOSECONDS:
        raise BenchmarkError("tcpdump didn't write pcap with nanosecond timestamps")
    at = PCAP_HEADER
    while at + PACKET_HEADER <= len(capture):
        seconds, nanoseconds, kept, _ = struct.unpack_from("<IIII", capture, at)
        frame = at + PACKET_HEADER
        at = frame + kept
        if struct.unpack_from(">H", capture, frame + ETHERNET - 2)[0] != IPV4:
            continue
        ip = frame + ETHERNET
        ip_bytes = (capture[ip] & 15) * 4
        tcp = ip + ip_bytes
        source, destination = struct.unpack_from(">HH", capture, tcp)
        tcp_bytes = (capture[tcp + 12] >> 4) * 4
        data = struct.unpack_from(">H", capture, ip + 2)[0] - ip_bytes - tcp_bytes
        yield Packet(seconds + nanoseconds / 1e9, source, destination, capture[tcp + 13], data)


def response_times(capture: bytes, port: int, start: float, end: float) -> list[float]:
    """Seconds from SYN to the server's last data, for connections whose answer arrived between `start` and `end` (Unix
    time).
    """
    began: dict[int, float] = {}
    answered: dict[int, float] = {}
    times: list[float] = []

    def close(client: int) -> None:
        if client in answered and start <= answered[client] <= end:
            times.append(answered[client] - began[client])
        answered.pop(client, None)

    for packet in packets(capture):
        if packet.destination == port and packet.flags & SYN:
            if packet.source not in began or packet.source in answered:  # else a retransmitted SYN
                close(packet.source)
                began[packet.source] = packet.at
        elif packet.source == port and packet.data and packet.destination in began:
            answered[packet.destination] = packet.at
    for client in list(answered):
        close(client)
    return times


@contextlib.contextmanager
def captured(port: int, file: Path) -> Iterator[None]:
    """Record the port's packets on loopback into a file, which is complete after the block."""
    argv = ["tcpdump", "-i", "lo", "-U", "-n", "-s", str(HEAD_BYTES), "-B", "65536", "--time-stamp-precision=nano"]
    with file.with_suffix(".log").open("w") as log:
        dump = subprocess.Popen([*argv, "-w", str(file), f"tcp port {port}"], stderr=log, start_new_session=True)
    until = time.monotonic() + 10
    while not file.exists() or file.stat().st_size < PCAP_HEADER:
        if dump.poll() is not None or time.monotonic() > until:
            raise BenchmarkError(f"tcpdump captures nothing: {file.with_suffix('.log').read_text()}")
        time.sleep(0.05)
    try:
        yield
    finally:
        time.sleep(0.5)
        dump.send_signal(signal.SIGINT)
        dump.wait(timeout=10)


def run(directory: Path, client: str, model: str, users: int, cores: tuple[int, int], seconds: float) -> list[float]:
    """One run; returns the ratios of ledger to wire: mean, then QUANTILES."""
    port = free_port()
    plan_file, ledger = directory / "plan.toml", RunFiles(directory).ledger
    plan_file.write_text(
        f"""
        name = "wire"
        models = ["{model}"]
        users = [{users}]
        spawn_rate = 400
        think_time = [{THINK_S[0]}, {THINK_S[1]}]
        client = "{client}"
        settle = {SETTLE_S}
        measure = {seconds}
        return_step = false
        port = {port}
        master_port = {free_port()}
        """,
        encoding="utf-8",
    )
    plan = load_plan(plan_file).plan
    arguments = (sys.executable, plan_file, plan, plan.server(model), HostEntry("target"))
    master, worker = directory / "master.log", directory / "worker.log"
    argv = (sys.executable, "-m", "servers", model, "--host", "127.0.0.1", "--port", str(port))
    capture = directory / "wire.pcap"
    with (
        serving(model, port, *argv, core=cores[0], log=directory / "server.log"),
        captured(port, capture),
        running(*commands.master(*arguments, directory, ("only",)), core=cores[1], log=master) as process,
        running(*commands.worker(*arguments, "only"), core=cores[1], log=worker),
    ):
        wait_until(
            lambda: measured_record(ledger) is not None, process, master, "Locust", SETTLE_S + seconds + users / 400
        )
    record = measured_record(ledger)
    assert record is not None
    wire = response_times(capture.read_bytes(), port, record["started"], record["started"] + record["seconds"])
    if abs(len(wire) - record["successes"]) > 0.02 * record["successes"] + 2:
        raise BenchmarkError(
            f"{client}, {model}, {users}: {len(wire)} answers on the wire, {record['successes']} counted"
        )
    return ratios(decode(record["response_us"]), record, wire)


def ratios(counted: Histogram, record: dict[str, Any], wire: Sequence[float]) -> list[float]:
    """The ratios of ledger to wire: mean, then QUANTILES."""
    ordered = sorted(wire)
    compared = [counted.sum_s / counted.total / statistics.fmean(wire)]
    for q in QUANTILES.values():
        ms = counted.quantile_ms(q)
        assert ms is not None
        compared.append(ms / 1000 / ordered[min(len(ordered) - 1, int(q * len(ordered)))])
    return compared


def main() -> int:
    """Run the benchmark and print its table. Exit status 1 where a program is missing or fails."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.wire", description="Compare the ledger's response times with those on the wire."
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each measurement (6)")
    parser.add_argument(
        "--client", choices=CLIENTS, action="append", help="measure this client only (default: all three)"
    )
    given = parser.parse_args()
    console = Console()
    table = Table("client", "model", "users", *(f"{name}" for name in ("mean", *QUANTILES)))
    try:
        peers.require("tcpdump", "taskset")
        cores = peers.two_cores()
        for client in given.client or CLIENTS:
            for model in MODELS:
                for users in USERS:
                    with (
                        tempfile.TemporaryDirectory(prefix="wire-") as directory,
                        console.status(f"{client}, {model}, {users} users"),
                    ):
                        compared = run(Path(directory), client, model, users, cores, given.seconds)
                    table.add_row(client, model, str(users), *(f"{ratio:.2f}" for ratio in compared))
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
