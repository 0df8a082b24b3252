"""The whole study on this machine: real servers, real Locust over ZeroMQ, real files. Nothing depends on speed."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.local.interrupted import Resumed
from tests.running import PROJECT, environment, fab

RUN_FILES = (
    "run.json", "ledger.jsonl", "samples-target.csv", "samples-load1.csv", "locust_stats.csv",
    "locust_stats_history.csv", "locust_failures.csv", "locust_exceptions.csv",
)  # fmt: skip
CAMPAIGN_FILES = ("plan.toml", "manifest.json", "steps.csv", "checks.csv", "summary.csv", "summary.md", "report.html")


def records(campaign: Path, label: str) -> list[dict[str, Any]]:
    lines = (campaign / "runs" / f"1-{label}" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    return [record for record in map(json.loads, lines) if record["record"] == "phase"]


def agree(campaign: Path, label: str) -> None:
    """Three counts of the same requests: the workers', the server's own, and Locust's CSV file."""
    attempts = sum(record["attempts"] for record in records(campaign, label))
    run = json.loads((campaign / "runs" / f"1-{label}" / "run.json").read_text(encoding="utf-8"))
    with (campaign / "runs" / f"1-{label}" / "locust_stats.csv").open(encoding="utf-8", newline="") as stream:
        total = {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(stream)}
    assert attempts > 0
    assert attempts == pytest.approx(run["server"]["answered"] - run["probes"], rel=0.005)
    assert total["Aggregated"] == attempts


def test_every_file_of_the_layout_is_there(campaign: Path) -> None:
    for name in CAMPAIGN_FILES:
        assert (campaign / name).stat().st_size > 0, name
    for label in ("single", "thread"):
        for name in RUN_FILES:
            assert (campaign / "runs" / f"1-{label}" / name).exists(), name
    assert len(list((campaign / "figures").glob("*.png"))) >= 3
    assert len(list((campaign / "figures").glob("*.svg"))) >= 3


def test_steps_csv_has_a_row_for_every_model_and_step(campaign: Path) -> None:
    with (campaign / "steps.csv").open(encoding="utf-8", newline="") as stream:
        every = list(csv.DictReader(stream))
    rows = [row for row in every if row["kind"] == "ladder"]
    assert [(row["step"], row["users"]) for row in every if row["kind"] == "idle"] == [("0", "1")] * 2
    assert {(row["model"], row["users"]) for row in rows} == {
        (model, users) for model in ("single", "thread") for users in ("20", "40")
    }
    for row in rows:
        assert int(row["requests"]) > 0
        assert row["verdict"] not in ("", "not-measured")
        # No closed system can do more than N / Z, here N / 0.1 s; 15 % for short windows.
        assert float(row["rps"]) <= 1.15 * int(row["users"]) / 0.1


@pytest.mark.parametrize(("client", "kind"), [("lean", "idle"), ("fast", "idle"), ("fast", "ladder")])
def test_without_think_time_response_times_and_turnarounds_account_for_the_users(
    client: str, kind: str, request: pytest.FixtureRequest
) -> None:
    """N = X (R + G), where G is the client's own time between an answer and the next request."""
    directory = request.getfixturevalue("campaign" if client == "lean" else "campaign_of_commands")
    measured = [r for r in records(directory, "thread") if (r["kind"], r["phase"]) == (kind, "measure")]
    assert sum(r["turnarounds"] for r in measured) > 0
    assert sum(r["think_count"] for r in measured) == 0
    accounted = sum((r["ticks"]["response_s"][-1] + r["turnaround_s"]) / r["seconds"] for r in measured)
    assert accounted == pytest.approx(measured[0]["users"], rel=0.03)


def test_the_samples_have_the_cores_groups_the_queues_mean_and_the_trees_memory(campaign: Path) -> None:
    for host, role in (("target", "server"), ("load1", "host")):
        with (campaign / "runs" / "1-thread" / f"samples-{host}.csv").open(encoding="utf-8", newline="") as stream:
            every = list(csv.DictReader(stream))
        rows = [row for row in every if row["role"] == role]
        assert {row["role"] for row in every if row["group_busy_s"]} == {role}
        own = sum(float(row["group_own_s"]) for row in rows)
        cpu = sum(float(row["cpu_cores"]) * float(row["seconds"]) for row in every if row["role"] == "server")
        cpu += sum(float(row["cpu_cores"]) * float(row["seconds"]) for row in every if row["role"] == "worker")
        assert own >= 0.9 * cpu - 0.1 * len(rows)  # the workers', and Locust's master's and fab's
        if role == "server":
            assert sum(int(row["accept_queue_looks"]) for row in rows) >= 4 * len(rows)
            assert all(float(row["accept_queue_mean"]) >= 0 for row in rows)
            assert any(float(row["memory_mb"] or 0) > 1 for row in rows)
            assert {row["listen_socket_drops"] for row in rows} <= {"0", ""}


@pytest.mark.parametrize("label", ["single", "thread"])
def test_workers_server_and_locust_count_the_same_requests(campaign: Path, label: str) -> None:
    agree(campaign, label)


def test_fast_http_user_is_counted_the_same_way(campaign_of_commands: Path) -> None:
    agree(campaign_of_commands, "thread")


@pytest.mark.slow
def test_http_user_is_counted_the_same_way(resumed: Resumed) -> None:
    agree(resumed.campaign, "thread")


def test_a_ci_server_gets_a_case_for_each_model(campaign: Path) -> None:
    suite = ElementTree.parse(campaign.parents[1] / "junit.xml").getroot()
    assert [case.get("classname") for case in suite] == ["short.single", "short.thread"]


@pytest.mark.slow
def test_a_pack_of_it_is_verified_and_a_changed_one_is_not(resumed: Resumed, tmp_path: Path) -> None:
    made = fab(tmp_path, "report", str(resumed.campaign), "--pack", "--out", "c.zip")
    assert made.returncode == 0, made.stdout + made.stderr
    assert f"pack: {tmp_path / 'c.zip'}" in made.stdout
    done = fab(tmp_path, "verify", "c.zip")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# c.zip: the same" in done.stdout
    content = bytearray((tmp_path / "c.zip").read_bytes())
    content[content.index(b"runs/1-single/ledger.jsonl") + 500] ^= 1
    (tmp_path / "c.zip").write_bytes(content)
    done = fab(tmp_path, "verify", "c.zip")
    assert done.returncode == 7, done.stdout + done.stderr
    assert "runs/1-single/ledger.jsonl: changed" in done.stdout


def test_phases_are_kept_apart_and_hold_the_users_that_the_plan_wants(campaign: Path) -> None:
    phases = records(campaign, "thread")
    assert {(record["step"], record["phase"]) for record in phases} == {
        *((step, phase) for step in (0, 1, 2) for phase in ("ramp", "settle", "measure")),
        (2, "drain"),
    }
    for record in phases:
        if record["phase"] == "measure" and record["kind"] == "ladder":
            assert record["seconds"] == pytest.approx(3, abs=1)
            assert record["users_wanted"] == record["users"] // 2


@pytest.mark.slow
def test_the_analysis_alone_makes_the_same_tables_again(resumed: Resumed) -> None:
    campaign = resumed.campaign
    before = (campaign / "steps.csv").read_bytes()
    (campaign / "steps.csv").unlink()
    argv = [sys.executable, "-m", "analysis", str(campaign)]
    done = subprocess.run(argv, cwd=PROJECT, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert (campaign / "steps.csv").read_bytes() == before
