"""A search with a locustfile of one's own: trials are judged by its iterations and requests, and find what a pool of
known size carries.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.running import fab, free_ports, listening, ours

THREADS, WAIT_MS, THINK_S, P99_MS = 4, 10, 0.04, 50
LOCUSTFILE = """
from locust import FastHttpUser, between, task


class Visitor(FastHttpUser):
    wait_time = between(0.02, 0.06)
    default_headers = {"Connection": "close"}

    @task(2)
    def one(self):
        self.client.get("/one")

    @task
    def other(self):
        self.client.get("/other")
"""
PLAN = f"""
name = "own-search"
models = ["pool"]
locustfile = "visitor.py"
spawn_rate = 400
settle = 0.5
measure = 2
timeout = 3
aa = false
port = {{port}}
master_port = {{master_port}}

[search]
from = 16
most = 128
resolution = 0.5

[slo]
p99_ms = {P99_MS}

[[servers]]
name = "pool"
model = "thread-pool"
options.threads = {THREADS}
work = {{{{ bytes = 100, wait_ms = {WAIT_MS} }}}}
"""

pytestmark = [pytest.mark.slow, pytest.mark.alone]


def test_a_search_finds_what_a_pool_carries(tmp_path: Path) -> None:
    (tmp_path / "visitor.py").write_text(LOCUSTFILE, encoding="utf-8")
    port, master_port = free_ports(2)
    plan = tmp_path / "short.toml"
    plan.write_text(PLAN.format(port=port, master_port=master_port), encoding="utf-8")
    done = fab(tmp_path, "run-campaign", "--plan", str(plan))
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert not ours(tmp_path)
    assert not listening(tmp_path)
    campaign = tmp_path / "results" / "latest"
    lines = (campaign / "runs" / "1-pool" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    trials = [record for record in records if record["record"] == "trial"]
    most = THREADS / WAIT_MS * 1000  # requests per second
    for trial in trials:
        response_s = trial["users"] / most - THINK_S  # at least, on the average
        if response_s > 1.2 * P99_MS / 1000:
            assert trial["outcome"] == "failed", trial
    (ending,) = (record for record in records if record["record"] == "search")
    assert ending["high"] is not None, trials
    assert 0 < (ending["low"] or 0) < ending["high"] <= 2 * most * (THINK_S + P99_MS / 1000)

    checks = pd.read_csv(campaign / "checks.csv")
    laws = checks[checks["code"].isin(["law.iterations", "law.counts"]) & (checks["step"] > 0)]
    assert sorted(set(laws["step"])) == [trial["step"] for trial in trials]
    assert (laws["outcome"] == "pass").all(), laws["detail"].to_list()
    requests = pd.read_csv(campaign / "requests.csv")
    assert {(row["step"], row["name"]) for row in requests.to_dict("records")} >= {
        (trial["step"], name) for trial in trials for name in ("/one", "/other")
    }
