"""Clients beside the load, against real servers: what they hold, what they count, and what the analysis reads of it."""

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


class Crowd:
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


Start = Callable[..., Crowd]


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Start]:
    started: list[Crowd] = []

    def start(port: int, *options: str) -> Crowd:
        started.append(Crowd(port, tmp_path / "bystanders.csv", "--timeout", "2", "--keep-alive", "10", *options))
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


def test_idle_ones_are_answered_once_and_held_and_both_sides_count_the_same(
    crowd: Start, serve: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = serve("thread", "--connection", "keep-alive")
    beside = crowd(server.port, "--idle", "40")
    beside.until(lambda: beside.rows("idle") and beside.rows("idle")[-1]["held"] == "40")
    assert beside.stop() == "ready\n"
    found = read_background(tmp_path / "bystanders.csv")
    counts = server.stop()
    assert counts["answered"] == found.answered
    assert counts["accepted"] == found.opened == 40
    assert found.in_doubt == 0
    (window,) = found.window(0, 4e9)
    assert (window.kind, window.wanted, window.turned_away) == ("idle", 40, 0)


def test_slow_ones_come_back_when_the_server_has_had_enough_and_are_never_answered(
    crowd: Start, serve: Callable[..., ServerProcess]
) -> None:
    server = serve("thread", "--timeout", "1.5")
    beside = crowd(server.port, "--slow", "5")
    beside.until(lambda: beside.total("slow", "reset") >= 5 and beside.total("slow", "opened") >= 10)
    beside.stop()
    counts = server.stop()
    assert counts["answered"] == 0
    assert counts["timed_out"] >= 5
    assert beside.total("slow", "answered") == 0


def test_a_server_that_closes_after_each_answer_holds_none(crowd: Start, serve: Callable[..., ServerProcess]) -> None:
    server = serve("thread")
    beside = crowd(server.port, "--idle", "3")
    beside.until(lambda: beside.total("idle", "answered") == 3)
    beside.until(lambda: beside.rows("idle")[-1]["held"] == "0")
    beside.stop()


def test_nobody_there_is_a_refusal_and_no_error(crowd: Start) -> None:
    with socket.socket() as bound:  # taken, and nobody listens
        bound.bind(("127.0.0.1", 0))
        beside = crowd(bound.getsockname()[1], "--idle", "2", "--slow", "2")
        beside.until(lambda: beside.total("idle", "refused") == 2 and beside.total("slow", "refused") >= 2)
        assert beside.stop() == "ready\n"


def test_a_run_without_clients_beside_the_load_reads_as_none(tmp_path: Path) -> None:
    found = read_background(tmp_path / "bystanders.csv")
    assert (found.answered, found.opened, found.in_doubt, found.window(0, 4e9)) == (0, 0, 0, ())
