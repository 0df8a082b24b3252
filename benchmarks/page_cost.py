"""What the live page costs: `python -m benchmarks.page_cost` measures runs with and without it, in pairs.

With it, a client is connected to its events, as a browser is. Reported are the CPU time of the page's threads over the
run, and the ratio of the client's rate with the page to that without it.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from cluster.show.page.live_page import NICENESS
from tests.running import begin, write_plan

TICKS_PER_S = 100.0  # USER_HZ of Linux
LOOK_S = 0.2


@dataclass(frozen=True)
class Measured:
    """One run. `rate` is of its measure window, per second; `page_cores` None without the page."""

    rate: float
    page_cores: float | None
    events: int
    """Events that the client was sent."""


def page_cpu_s(pid: int) -> float:
    """CPU time (s) of the page's threads so far: those of fab with its niceness."""
    total = 0.0
    for thread in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            fields = thread.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[16]) >= NICENESS:
            total += (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return total


def watch(address: str, events: list[str]) -> None:
    """Read the page's events until it ends."""
    name = urllib.request.urlopen(address, timeout=10).geturl()
    try:
        with urllib.request.urlopen(f"{name}events", timeout=30) as stream:
            events += (line.decode() for line in stream if line.startswith(b"event:"))
    except OSError:
        return


def measured(directory: Path, seconds: float, page: bool) -> Measured:
    """One campaign of one run."""
    directory.mkdir()
    plan = write_plan(directory, models=["thread"], users=[20], think=(0, 0), measure=seconds)
    fab = begin(directory, "run-campaign", "--plan", str(plan), *(() if page else ("--no-page",)))
    assert fab.stdout is not None
    events: list[str] = []
    began, cpu, cpu_at, until = time.monotonic(), 0.0, 0.0, 0.0
    threads = [threading.Thread(target=_drain, args=(fab, events, page), daemon=True)]
    threads[0].start()
    while fab.poll() is None:
        if page and not list(directory.glob("results/*/summary.json")):
            cpu, until = page_cpu_s(fab.pid), time.monotonic()
            cpu_at = cpu_at or (until if cpu else 0.0)
        time.sleep(LOOK_S)
    threads[0].join()
    (ledger,) = directory.glob("results/short-*/runs/*/ledger.jsonl")
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    windows = [line for line in lines if (line.get("kind"), line.get("phase")) == ("ladder", "measure")]
    rate = sum(line["successes"] / line["seconds"] for line in windows)
    return Measured(rate, cpu / max(until - (cpu_at or began), 1e-9) if page else None, len(events))


def _drain(fab: subprocess.Popen[str], events: list[str], page: bool) -> None:
    assert fab.stdout is not None
    for line in fab.stdout:
        if page and (found := re.search(r"live page: (\S+)", line)):
            threading.Thread(target=watch, args=(found[1], events), daemon=True).start()


def main() -> None:
    """Measure the pairs, each in the other order than the one before, and print them with their medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page_cost", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each measure window")
    options = parser.parse_args()
    ratios, cores = [], []
    with tempfile.TemporaryDirectory(prefix="live-page-") as directory:
        for pair in range(options.pairs):
            both: dict[bool, Measured] = {}
            for page in (pair % 2 == 0, pair % 2 == 1):
                both[page] = measured(Path(directory) / f"{pair}-{page}", options.seconds, page)
            ratios.append(both[True].rate / both[False].rate)
            cores.append(both[True].page_cores or 0.0)
            print(
                f"pair {pair + 1}: {both[False].rate:,.0f}/s without, {both[True].rate:,.0f}/s with the page "
                f"({both[True].events} events): ratio {ratios[-1]:.3f}; its threads took {cores[-1]:.2%} of a core",
                flush=True,
            )
    print(f"median ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}); ", end="")
    print(f"median CPU {statistics.median(cores):.2%} of a core, at most {max(cores):.2%}")


if __name__ == "__main__":
    main()
