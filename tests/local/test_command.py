"""A server named by its command in a real campaign: one that answers, one not installed, and clients beside them."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def campaign(campaign_of_commands: Path) -> Path:
    """The campaign that this file's tests read."""
    return campaign_of_commands


def sealed(campaign: Path, label: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((campaign / "runs" / f"1-{label}" / "run.json").read_text(encoding="utf-8"))
    return found


def test_the_kernel_counts_for_a_server_that_keeps_no_count(campaign: Path) -> None:
    run = sealed(campaign, "mine")
    assert run["state"] == "done"
    assert run["server"]["counted_by"] == "kernel"
    lines = (campaign / "runs" / "1-mine" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    answered = sum(record.get("successes", 0) for record in map(json.loads, lines))
    assert run["server"]["accepted"] >= answered > 0
    with (campaign / "checks.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if (row["model"], row["step"]) == ("mine", "1")]
    (counts,) = [row for row in rows if row["name"] == "counts of the run"]
    assert counts["outcome"] in ("pass", "flag")  # a flag where other programs of this machine made connections
    assert "the kernel's counters stand in" in counts["detail"]


def test_its_process_is_sampled_and_the_clients_beside_the_load_are_seen(campaign: Path) -> None:
    with (campaign / "steps.csv").open(encoding="utf-8", newline="") as stream:
        (step,) = [row for row in csv.DictReader(stream) if (row["model"], row["step"]) == ("mine", "1")]
    assert step["verdict"] not in ("", "not-measured", "inconsistent", "faulty")
    assert float(step["server_cpu_cores"]) > 0
    assert float(step["slow_held"]) == 2
    assert "in the background, 2 of 2 slow clients were held" in step["reasons"]
    # The sentence goes on as the step's verdict says, and what else runs on the machine decides that here.
    assert "with 2 slow clients held" in (campaign / "summary.md").read_text(encoding="utf-8")


def test_what_is_not_installed_is_skipped_and_what_ends_at_once_has_failed(campaign: Path) -> None:
    assert sealed(campaign, "absent")["state"] == "skipped"
    assert "not installed on target: no-such-server" in sealed(campaign, "absent")["reason"]
    assert sealed(campaign, "broken")["state"] == "failed"
    assert "ended before it was ready (exited, status 7)" in sealed(campaign, "broken")["reason"]
    summary = (campaign / "summary.md").read_text(encoding="utf-8")
    assert "1-absent: skipped: not installed on target: no-such-server" in summary
