"""The background clients, against real servers: what they hold, what they count, and what the analysis reads of it."""

import csv
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analysis.read.background_rows import read_background
from tests.models.serving import ROOT, ServerProcess

PATIENCE_S = 20.0


class ClientsProcess:
    """The real process, with what it has written so far."""

    def __init__(self, port: int, out: Path, *options: str) -> None:
        self.out = out
        argv = [sys.executable, "-m", "cluster.remote.background", "--host", "127.0.0.1", "--port", str(port)]
        self.process = subprocess.Popen(
            [*argv, "--out", str(out), *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def rows(self, kind: str) -> list[dict[str, str]]:
        with self.out.open(encoding="utf-8", newline="") as stream:
            return [row for row in csv.DictReader(stream) if row["kind"] == kind]

    def total(self, kind: str, column: str) -> int:
        return sum(int(row[column]) for row in self.rows(kind))

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not (self.out.exists() and condition()):
            assert time.monotonic() < end, self.out.read_text(encoding="utf-8") if self.out.exists() else "no file"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, err
        return out


Start = Callable[..., ClientsProcess]


@pytest.fixture
def run_clients(tmp_path: Path) -> Iterator[Start]:
    started: list[ClientsProcess] = []

    def start(port: int, *options: str) -> ClientsProcess:
        started.append(
            ClientsProcess(port, tmp_path / "bystanders.csv", "--timeout", "2", "--keep-alive", "10", *options)
        )
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


@pytest.fixture
def serve() -> Iterator[Callable[..., ServerProcess]]:
    started: list[ServerProcess] = []

    def start(model: str, *options: str) -> ServerProcess:
        started.append(ServerProcess(model, *options))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def test_idle_clients_are_answered_once_and_held_and_both_sides_count_the_same(
    run_clients: Start, serve: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = serve("thread", "--connection", "keep-alive")
    clients = run_clients(server.port, "--idle", "40")
    clients.until(lambda: clients.rows("idle") and clients.rows("idle")[-1]["held"] == "40")
    assert clients.stop() == "ready\n"
    found = read_background(tmp_path / "bystanders.csv")
    counts = server.stop()
    assert counts["answered"] == found.answered
    assert counts["accepted"] == found.opened == 40
    assert found.in_doubt == 0
    (window,) = found.window(0, 4e9)
    assert (window.kind, window.wanted, window.turned_away.least) == ("idle", 40, 0)


def test_slow_clients_connect_again_after_the_servers_timeout_and_are_never_answered(
    run_clients: Start, serve: Callable[..., ServerProcess]
) -> None:
    server = serve("thread", "--timeout", "1.5")
    clients = run_clients(server.port, "--slow", "5")
    clients.until(lambda: clients.total("slow", "reset") >= 5 and clients.total("slow", "opened") >= 10)
    clients.stop()
    counts = server.stop()
    assert counts["answered"] == 0
    assert counts["timed_out"] >= 5
    assert clients.total("slow", "answered") == 0


def test_a_server_that_closes_after_each_answer_holds_none(
    run_clients: Start, serve: Callable[..., ServerProcess]
) -> None:
    server = serve("thread")
    clients = run_clients(server.port, "--idle", "3")
    clients.until(lambda: clients.total("idle", "answered") == 3)
    clients.until(lambda: clients.rows("idle")[-1]["held"] == "0")
    clients.stop()


def test_a_port_that_nobody_listens_on_is_a_refusal_and_no_error(run_clients: Start) -> None:
    with socket.socket() as bound:  # taken, and nobody listens
        bound.bind(("127.0.0.1", 0))
        clients = run_clients(bound.getsockname()[1], "--idle", "2", "--slow", "2")
        clients.until(lambda: clients.total("idle", "refused") == 2 and clients.total("slow", "refused") >= 2)
        assert clients.stop() == "ready\n"


def test_a_run_without_background_clients_has_no_counts(tmp_path: Path) -> None:
    found = read_background(tmp_path / "bystanders.csv")
    assert (found.answered, found.opened, found.in_doubt, found.window(0, 4e9)) == (0, 0, 0, ())
