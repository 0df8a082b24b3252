"""What the recorder of a locustfile of one's own costs: requests per second beside plain Locust on the same file.

`python -m benchmarks.own_locustfile`. nginx answers on the first core, one worker has the last one; 50 users without
think time. Both ways have a master and a worker and take turns in short rounds; nginx counts the requests. Ratios are
those of the requests per second of the worker's CPU time, which other load on the machine changes least; medians are
printed. The goal is a ratio of at least 0.95. HttpUser looks for no proxy in either way: by the study it never does.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from benchmarks import peers
from benchmarks.peers import CONNECTIONS, BenchmarkError, free_port, nginx, running, wait_until
from cluster.campaign import commands
from cluster.hosts.inventory import HostEntry
from study.plan import load_plan

TURNS = 8
SETTLED_S = 1.0
LEAST_RATIO = 0.95
CLASSES = {"Fast": "FastHttpUser", "Usual": "HttpUser"}
LOCUSTFILE = """
from locust import FastHttpUser, HttpUser, constant, task


class Fast(FastHttpUser):
    wait_time = constant(0)

    @task
    def ask(self):
        self.client.get("/")


class Usual(HttpUser):
    wait_time = constant(0)

    def on_start(self):
        self.client.trust_env = False

    @task
    def ask(self):
        self.client.get("/")
"""

Turns = dict[tuple[str, str], list[tuple[float, float]]]
"""Requests/s of each turn, and requests per second of the worker's CPU time, by class and way (`plain`, `study`)."""


def main() -> int:
    """Run the benchmark. Exit status 1 where a program is missing or fails, or the goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.own_locustfile", description="The recorder's cost.")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each of the 32 measurements lasts (3)")
    seconds = parser.parse_args().seconds
    try:
        peers.require("nginx", "taskset")
        with tempfile.TemporaryDirectory(prefix="own-") as directory:
            turns = take_turns(Path(directory), peers.two_cores(), seconds)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    reached = True
    print("client         plain Locust   by the study   requests per second of CPU, ratio of each turn, median")
    for name, shown in CLASSES.items():
        plain, study = turns[name, "plain"], turns[name, "study"]
        ratios = [one / other for (_, one), (_, other) in zip(study, plain, strict=True)]
        ratio = statistics.median(ratios)
        reached = reached and ratio >= LEAST_RATIO
        each = " ".join(f"{one:.3f}" for one in ratios)
        usual = [statistics.median(rate for rate, _ in way) for way in (plain, study)]
        print(f"{shown:<14} {usual[0]:>12,.0f} {usual[1]:>14,.0f}   {each}: {ratio:.3f}")
    return 0 if reached else 1


def take_turns(directory: Path, cores: tuple[int, int], seconds: float) -> Turns:
    """Both classes both ways; every second round in reverse order, so that drift favours neither way."""
    (directory / "own").mkdir()
    (directory / "own" / "locustfile.py").write_text(LOCUSTFILE, encoding="utf-8")
    turns: Turns = {(name, way): [] for name in CLASSES for way in ("plain", "study")}
    with nginx(directory, cores[0]) as port:
        for number in range(TURNS):
            for name, way in list(turns) if number % 2 else reversed(list(turns)):
                place = directory / f"{number}-{name}-{way}"
                place.mkdir()
                command = plain_locust if way == "plain" else by_the_study
                pair = command(directory / "own", place, port, name, seconds)
                turns[name, way].append(rate_of(pair, place, port, cores, seconds))
    return turns


def plain_locust(own: Path, place: Path, port: int, name: str, seconds: float) -> tuple[tuple[str, ...], ...]:
    """Master and worker as a person starts them."""
    master_port, file = str(free_port()), str(own / "locustfile.py")
    locust = (sys.executable, "-m", "locust", "-f", file, name, "--host", f"http://127.0.0.1:{port}")
    started = ("--headless", "-u", str(CONNECTIONS), "-r", "1000", "--expect-workers", "1", "--only-summary")
    master = (*locust, *started, "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", master_port)
    return master, (*locust, "--worker", "--master-host", "127.0.0.1", "--master-port", master_port)


def by_the_study(own: Path, place: Path, port: int, name: str, seconds: float) -> tuple[tuple[str, ...], ...]:
    """Master and worker with a campaign's commands."""
    plan_file = place / "plan.toml"
    plan_file.write_text(
        f"""
        name = "own"
        models = ["nginx"]
        locustfile = "locustfile.py"
        users = [{CONNECTIONS}]
        spawn_rate = 1000
        settle = {SETTLED_S}
        measure = {seconds + 10}
        return_step = false
        port = {port}
        master_port = {free_port()}
        work.bytes = 64
        """,
        encoding="utf-8",
    )
    plan = load_plan(plan_file).plan
    arguments = (sys.executable, plan_file, plan, plan.server("nginx"), HostEntry("target"))
    where = commands.OwnPlace(own, "locustfile.py", (name,), None)
    return commands.master(*arguments, place, ("only",), own=where), commands.worker(*arguments, "only", own=where)


def rate_of(
    pair: tuple[tuple[str, ...], ...], place: Path, port: int, cores: tuple[int, int], seconds: float
) -> tuple[float, float]:
    """Requests/s that nginx counts while all users run, and requests per second of the worker's CPU time."""
    master, worker = pair
    log = place / "master.log"
    with (
        running(*master, core=cores[0], log=log) as process,
        running(*worker, core=cores[1], log=place / "worker.log") as working,
    ):
        wait_until(lambda: counts(port)[0] > CONNECTIONS, process, log, "Locust")
        time.sleep(SETTLED_S + 1)  # the study's window begins after that
        began, spent, (_, before) = time.monotonic(), cpu_s(working.pid), counts(port)
        time.sleep(seconds)
        took, used, (_, after) = time.monotonic() - began, cpu_s(working.pid) - spent, counts(port)
    return (after - before - 1) / took, (after - before - 1) / used


def cpu_s(pid: int) -> float:
    """CPU time of a process in s."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def counts(port: int) -> tuple[int, int]:
    """Open connections, this one's included, and requests so far, as nginx counts them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{peers.STATUS}", timeout=10) as answer:
        numbers = [int(each) for each in re.findall(r"\d+", answer.read().decode("ascii"))]
    return numbers[0], numbers[3]


if __name__ == "__main__":
    sys.exit(main())
