"""A server that stays slow once it was overloaded is replaced by a fresh one, so that it fails no later trial."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis import analyze
from tests.local.faulty import CLOG_MOST
from tests.local.one_run import MODEL, Fault, Shape, campaign_of

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(400)]

THINK = (0.1, 0.3)
WAIT_MS = 10  # so that the one user of the idle step, who does not think, asks less often than clogs it
SEARCH = f"\n[work]\nwait_ms = {WAIT_MS}\n[search]\nfrom = 10\nmost = 80\nresolution = 0.2\n[slo]\np99_ms = 100\n"
CLOGGED = Shape(think=THINK, settle=0.5, measure=3, search=SEARCH)


def test_a_server_that_clogs_is_replaced_and_its_capacity_found(tmp_path: Path) -> None:
    files, _ = campaign_of(tmp_path / "run", CLOGGED, Fault(server="clogs"))
    run = files.run(f"1-{MODEL}")
    records = [json.loads(line) for line in run.ledger.read_text(encoding="utf-8").splitlines()]
    trials = [record for record in records if record["record"] == "trial"]
    recoveries = [record for record in records if record["record"] == "recovery"]
    assert recoveries
    assert all(record["fresh_server"] and record["recovered"] for record in recoveries), recoveries
    most = CLOG_MOST * (sum(THINK) / 2 + WAIT_MS / 1000)  # users that ask for so many requests a second
    for trial in trials:  # a second's requests vary by chance: near the edge either outcome is right
        if not 0.75 * most < trial["users"] < 1.1 * most:
            assert trial["outcome"] == ("passed" if trial["users"] < most else "failed"), trial
    assert any(trial["outcome"] == "passed" for trial in trials[trials.index(first_failed(trials)) :])

    state = json.loads(run.state.read_text(encoding="utf-8"))
    assert state["probes"] == 1 + len(recoveries)
    assert not list(run.directory.glob("fresh-servers.json"))
    found = analyze(files.directory, figures=False)
    counts = found.checks[found.checks["code"] == "errors.counts"]
    assert len(counts)
    assert set(counts["outcome"]) == {"pass"}, counts.to_dict("records")
    servers = found.steps["server_cpu_cores"].notna()
    assert servers.all(), found.steps[["users", "server_cpu_cores"]]
    assert "response time in 10 s; a fresh one was started" in found.text


def first_failed(trials: list[dict[str, object]]) -> dict[str, object]:
    return next(trial for trial in trials if trial["outcome"] == "failed")
