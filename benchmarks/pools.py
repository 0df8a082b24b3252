"""Servers whose capacity is known, measured: pools of k threads that each wait 20 ms for a request.

`python -m benchmarks.pools` searches each pool's capacity and compares it with that of the simulated closed system
(tests/unit/simulated_search.py), and the requests per second of its largest trial with k / wait. Prints a table, and
ends with status 1 where one is further off than it may be. The SLO's p99 is five times the wait: one that few requests
meet by chance would make the capacity a matter of the trial's few answers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from tests.running import fab, free_ports
from tests.unit.simulated_search import closed_capacity

POOLS = (2, 4, 8)
WAIT_S, THINK_S, P99_S = 0.02, (0.1, 0.3), 0.1
OFF_USERS, OFF_RATE = 0.05, 0.03
"""What a capacity and a rate may be off, as shares; a capacity one user more, since users are whole."""
CAMPAIGN_S = 1500.0

PLAN = """
name = "pools"
models = {models}
spawn_rate = 2000
think_time = {think}
settle = 0.5
measure = 4
timeout = 5
blocks = {blocks}
return_step = false
aa = false
port = {port}
master_port = {master_port}
[search]
from = 10
most = 400
resolution = 0.03
[slo]
p99_ms = {p99_ms:g}
"""
SERVER = '[[servers]]\nname = "pool-{k}"\nmodel = "thread-pool"\noptions.threads = {k}\nwork.wait_ms = {wait_ms:g}\n'


@dataclass(frozen=True)
class PoolFigures:
    """One pool, what it is and what was measured of it."""

    threads: int
    users: float
    """Of the simulated closed system."""
    brackets: tuple[tuple[int | None, int | None], ...]
    """What each block's search came to, in users."""
    rates: tuple[float, ...]
    """Requests per second of each block's largest trial, where the pool was full."""

    @property
    def low(self) -> float:
        """Median over blocks of the most users that passed."""
        return statistics.median(low or 0 for low, _ in self.brackets)

    @property
    def high(self) -> float:
        """Median over blocks of the fewest users that failed; infinite where none did."""
        return statistics.median(high or float("inf") for _, high in self.brackets)

    @property
    def rate(self) -> float:
        """Median over blocks."""
        return statistics.median(self.rates)

    def users_agree(self, share: float = OFF_USERS) -> bool:
        """Whether the bracket reaches the simulated capacity, give or take `share` of it and one user."""
        return self.low <= self.users * (1 + share) + 1 and self.high >= self.users * (1 - share) - 1

    def rate_agrees(self, share: float = OFF_RATE) -> bool:
        """Whether the rate is k / wait within `share`."""
        return abs(self.rate * WAIT_S / self.threads - 1) <= share


def measured(directory: Path, blocks: int = 1, pools: Sequence[int] = POOLS) -> list[PoolFigures]:
    """Run the campaign of these numbers of threads in a directory of its own.

    Raises RuntimeError with what fab said where it fails.
    """
    campaign = _campaign(directory, blocks, pools)
    steps = pd.read_csv(campaign / "steps.csv")
    return [
        PoolFigures(
            k,
            statistics.median(closed_capacity(k, WAIT_S, THINK_S, P99_S, seed) for seed in range(3)),
            tuple(_bracket(campaign / "runs" / f"{block}-pool-{k}" / "ledger.jsonl") for block in range(1, blocks + 1)),
            tuple(
                float(runs.sort_values("users")["rps"].iloc[-1])
                for _, runs in steps[steps["model"] == f"pool-{k}"].groupby("block")
            ),
        )
        for k in pools
    ]


def _campaign(directory: Path, blocks: int, pools: Sequence[int]) -> Path:
    """Run it; returns its directory."""
    port, master_port = free_ports(2)
    text = PLAN.format(
        models=json.dumps([f"pool-{k}" for k in pools]), think=list(THINK_S), blocks=blocks, port=port,
        master_port=master_port, p99_ms=1000 * P99_S,
    )  # fmt: skip
    plan = directory / "pools.toml"
    plan.write_text(text + "".join(SERVER.format(k=k, wait_ms=1000 * WAIT_S) for k in pools), encoding="utf-8")
    done = fab(directory, "run-campaign", "--plan", str(plan), "--fresh", timeout=CAMPAIGN_S)
    if done.returncode not in (0, 3):  # 3: no step was valid, as where other programs took the cores
        raise RuntimeError(done.stdout + done.stderr)
    return (directory / "results" / "latest").resolve()


def _bracket(ledger: Path) -> tuple[int | None, int | None]:
    """How the run's search ended, in users."""
    records = map(json.loads, ledger.read_text(encoding="utf-8").splitlines())
    (ended,) = (record for record in records if record["record"] == "search")
    return ended["low"], ended["high"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 where a capacity or a rate is further off than it may be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pools", description="Measure pools of known capacity.")
    parser.add_argument("--blocks", type=int, default=1, help="runs of each pool (default: 1)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pools-") as directory:
        found = measured(Path(directory), options.blocks)
    table = Table("threads", "users, simulated", "measured", "of each block", "requests/s, k / wait", "measured", "")
    for pool in found:
        table.add_row(
            str(pool.threads), f"{pool.users:g}", f"{pool.low:g} to {pool.high:g}",
            " ".join(f"{low}-{high}" for low, high in pool.brackets), f"{pool.threads / WAIT_S:g}", f"{pool.rate:.1f}",
            "" if pool.users_agree() and pool.rate_agrees() else "off",
        )  # fmt: skip
    Console(width=150).print(table)
    return 0 if all(pool.users_agree() and pool.rate_agrees() for pool in found) else 1


if __name__ == "__main__":
    sys.exit(main())
