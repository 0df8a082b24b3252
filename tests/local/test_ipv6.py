"""A campaign over IPv6: server, probe, load, background clients, sampler and Locust's master, all on ::1."""

import csv
import socket
from pathlib import Path

import pytest

from tests.forked import forked_fab
from tests.running import fab, write_plan

NO_VALID_STEP = 3
INVENTORY = """
[target]
web address=::1
[load]
load1 workers=2
[all:vars]
ansible_connection=local
transport=direct
control_address=::1
"""


@pytest.mark.slow
def test_a_campaign_over_ipv6_counts_every_request_and_samples_the_server(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, models=["thread"], users=[20], think=(0, 0), settle=1, measure=2)
    with plan.open("a", encoding="utf-8") as file:
        file.write("idle_connections = 3\n")
    (tmp_path / "six.ini").write_text(INVENTORY, encoding="utf-8")
    done = fab(tmp_path, "run-campaign", "--inventory", "six.ini", "--plan", str(plan))
    assert done.returncode in (0, NO_VALID_STEP), done.stdout + done.stderr  # other work here may make users late
    results = tmp_path / "results" / "latest"
    with (results / "steps.csv").open(encoding="utf-8") as file:
        idle, step = csv.DictReader(file)
    assert idle["kind"] == "idle"
    assert step["failures"] == "0"
    assert float(step["requests"]) > 100
    with (results / "checks.csv").open(encoding="utf-8") as file:
        counts = [row for row in csv.DictReader(file) if row["name"] == "counts of the run"]
    assert [row["outcome"] for row in counts] == ["pass", "pass"]  # of the idle step and of the ladder
    with next((results / "runs").glob("*/samples-web.csv")).open(encoding="utf-8") as file:
        samples = list(csv.DictReader(file))
    assert any(row["accept_queue"] for row in samples)


def test_a_port_in_use_over_ipv6_is_found_by_the_check(tmp_path: Path) -> None:
    plan = write_plan(tmp_path)
    line = next(line for line in plan.read_text(encoding="utf-8").splitlines() if line.startswith("port "))
    port = int(line.split()[-1])
    (tmp_path / "six.ini").write_text(INVENTORY, encoding="utf-8")
    with socket.create_server(("::1", port), family=socket.AF_INET6):
        done = forked_fab(tmp_path, "check", "--inventory", "six.ini", "--plan", str(plan))
    assert f"[::1]:{port}: Address already in use" in done.stdout + done.stderr
