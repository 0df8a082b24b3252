"""A server named by its command in a real campaign: one that answers, one not installed, and clients beside them."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.local.running import fab, listening, ours, write_plan

APP = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"well" if self.path == "/health" else b"hello"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 100

Server((sys.argv[1], int(sys.argv[2])), Hello).serve_forever()
"""

SERVERS = """
slow_clients = 2

[[servers]]
name = "mine"
command = "{{python}} {app} {{host}} {{port}}"
ready = "/health"
path = "/hello"
expect = "hello"
requires = ["http.server"]

[[servers]]
name = "absent"
command = "no-such-server {{port}}"
requires = ["no-such-server"]

[[servers]]
name = "broken"
command = "{{python}} -c 'import sys; sys.exit(7)' {{port}}"
"""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("command")
    plan = write_plan(directory, models=["mine", "absent", "broken"], users=[10], measure=5)
    app = directory / "app.py"
    app.write_text(APP, encoding="utf-8")
    with plan.open("a", encoding="utf-8") as stream:
        stream.write(SERVERS.format(app=app))
    done = fab(directory, "deploy", "run-campaign", "--plan", str(plan))
    assert done.returncode == 1, done.stdout + done.stderr  # one server is broken, which is said
    assert "Traceback" not in done.stdout + done.stderr
    assert "failed: 1-broken" in done.stderr
    assert not ours(directory)
    assert not listening(directory)
    return directory / "results" / "latest"


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
        (counts,) = [row for row in csv.DictReader(stream) if row["name"] == "counts of the run"]
    assert counts["outcome"] in ("pass", "flag")  # a flag where other programs of this machine made connections
    assert "the kernel's counters stand in" in counts["detail"]


def test_its_process_is_sampled_and_the_clients_beside_the_load_are_seen(campaign: Path) -> None:
    with (campaign / "steps.csv").open(encoding="utf-8", newline="") as stream:
        step = {row["model"]: row for row in csv.DictReader(stream)}["mine"]
    assert step["verdict"] not in ("", "not-measured", "inconsistent", "faulty")
    assert float(step["server_cpu_cores"]) > 0
    assert float(step["slow_held"]) == 2
    assert "in the background, 2 of 2 slow clients were held" in step["reasons"]
    assert "answering the others" in (campaign / "summary.md").read_text(encoding="utf-8")


def test_what_is_not_installed_is_skipped_and_what_ends_at_once_has_failed(campaign: Path) -> None:
    assert sealed(campaign, "absent")["state"] == "skipped"
    assert "not installed on target: no-such-server" in sealed(campaign, "absent")["reason"]
    assert sealed(campaign, "broken")["state"] == "failed"
    assert "ended before it was ready (exited, status 7)" in sealed(campaign, "broken")["reason"]
    summary = (campaign / "summary.md").read_text(encoding="utf-8")
    assert "1-absent: skipped: not installed on target: no-such-server" in summary
