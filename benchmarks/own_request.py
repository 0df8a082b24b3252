"""Requests per second of lean and wrk with a request of one's own: POST of 1 kB, and HTTPS, interleaved in one run.

`python -m benchmarks.own_request`. nginx answers on the first core, the client has the last one; 50 users without think
time. Over TLS every connection has a whole handshake: nginx resumes no session. lean and the bare loop check the
certificate, wrk doesn't. The bare loop (benchmarks/bare_client.py) is what CPython itself leaves for a client; with a
greenlet for each connection, as Locust's users are, it is what gevent leaves. The rest of lean's time is that of
Locust, and of the checks and records of each request.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import peers
from benchmarks.generator import ROUNDS, locust_rate
from benchmarks.peers import BODY, BenchmarkError, SignedCertificate, nginx, wrk

CLIENTS = ("lean", "greenlets", "bare", "wrk")
GOAL = 0.8  # least ratio of lean's rate to wrk's
SENT = 1000  # bytes of body
SCRIPT = f'wrk.method = "POST"; wrk.body = string.rep("x", {SENT})'


@dataclass(frozen=True)
class Case:
    """One kind of request and of connection."""

    name: str
    mode: str
    post: bool
    tls: bool


CASES = (
    Case("POST of 1 kB", "close", post=True, tls=False),
    Case("POST of 1 kB", "keep-alive", post=True, tls=False),
    Case("GET over TLS", "close", post=False, tls=True),
    Case("GET over TLS", "keep-alive", post=False, tls=True),
)


def main() -> int:
    """Run the benchmark. Exit status 1 where a program is missing or fails, 130 if interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.own_request", description="lean, a bare loop and wrk: requests/s."
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each of the 39 measurements lasts (3)")
    seconds = parser.parse_args().seconds
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        peers.require("nginx", "wrk", "taskset", "openssl")
        cores = peers.two_cores()
        with tempfile.TemporaryDirectory(prefix="own-request-") as directory:
            rates = measure(Path(directory), cores, seconds)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; all started processes have been ended", file=sys.stderr)
        return 130
    console.print(table(rates))
    return 0


def measure(directory: Path, cores: tuple[int, int], seconds: float) -> dict[tuple[Case, str], list[float]]:
    """Rates of each round, by case and client; the clients take turns."""
    rates: dict[tuple[Case, str], list[float]] = {(case, client): [] for case in CASES for client in clients_of(case)}
    script = directory / "post.lua"
    script.write_text(SCRIPT, encoding="utf-8")
    certificate = SignedCertificate.made(directory)
    with ExitStack() as opened:
        places = {False: directory / "plain", True: directory / "tls"}
        ports = {}
        for tls, place in places.items():
            place.mkdir()
            ports[tls] = opened.enter_context(nginx(place, cores[0], certificate if tls else None))
        for number in range(ROUNDS):
            for case, client in list(rates) if number % 2 else reversed(list(rates)):
                port, scheme = ports[case.tls], "https" if case.tls else "http"
                if client == "wrk":
                    rate = wrk(port, case.mode, cores[1], seconds, script if case.post else None, scheme)
                elif client != "lean":
                    rate = bare(case, port, cores[1], seconds, certificate, client == "greenlets")
                else:
                    place = directory / f"{number}-{CASES.index(case)}"
                    rate = locust_rate(place, port, "lean", case.mode, cores, seconds, server(case, port, certificate))
                rates[case, client].append(rate)
    return rates


def clients_of(case: Case) -> tuple[str, ...]:
    """Greenlets cost little beside a connection or a handshake."""
    return CLIENTS if case.mode == "keep-alive" and not case.tls else ("lean", "bare", "wrk")


def bare(
    case: Case, port: int, core: int, seconds: float, certificate: SignedCertificate, greenlets: bool = False
) -> float:
    """Requests per second of the bare loop. Raises BenchmarkError where it fails."""
    options = (*(("--sent", str(SENT)) if case.post else ()), *(("--ca", str(certificate.file)) if case.tls else ()))
    options += ("--greenlets",) if greenlets else ()
    command = ("taskset", "-c", str(core), sys.executable, "-m", "benchmarks.bare_client")
    done = subprocess.run(
        (*command, str(port), case.mode, str(seconds), *options),
        capture_output=True, text=True, check=False, cwd=peers.PROJECT,
    )  # fmt: skip
    if done.returncode:
        raise BenchmarkError(f"the bare loop: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout)


def server(case: Case, port: int, certificate: SignedCertificate) -> str:
    """The plan's table of nginx."""
    scheme = "https" if case.tls else "http"
    ca = f'ca = "{certificate.file}"' if case.tls else ""
    asked = f'method = "POST"\nbody = "{"x" * SENT}"' if case.post else ""
    url = f'[[servers]]\nname = "nginx"\nurl = "{scheme}://127.0.0.1:{port}"'
    return f'{url}\n{ca}\n[servers.request]\n{asked}\nexpect = "{BODY}"'


def table(rates: dict[tuple[Case, str], list[float]]) -> Table:
    """The median of each client with its range, and lean's ratios to the others, that to wrk against the goal."""
    shown = Table("request", "connection", "lean", "bare with greenlets", "bare loop", "wrk, one thread")
    for heading in ("lean / bare", "lean / wrk", "at least", "reached"):
        shown.add_column(heading, justify="right")
    for case in CASES:
        lean, loop, other = (statistics.median(rates[case, client]) for client in ("lean", "bare", "wrk"))
        cells = [
            f"{statistics.median(each):,.0f} ({min(each):,.0f}-{max(each):,.0f})" if each else ""
            for each in (rates.get((case, client), []) for client in CLIENTS)
        ]
        ratios = (f"{lean / loop:.2f}", f"{lean / other:.2f}", f"{GOAL:.2f}", "yes" if lean / other >= GOAL else "no")
        shown.add_row(case.name, case.mode, *cells, *ratios)
    return shown


if __name__ == "__main__":
    sys.exit(main())
