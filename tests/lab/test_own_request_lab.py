"""A request of one's own over several hosts: body, paths and certificates are brought to the load hosts, files to the
target.
"""

from __future__ import annotations

import csv
import json

import pytest

from cluster.lab.machines import TARGET
from tests.certificates import Authority
from tests.lab.control import Control
from tests.running import PROJECT

PLAN = """
name = "short"
models = ["mine"]
users = [8]
think_time = [0, 0]
settle = 1
measure = 3
timeout = 3
return_step = false
aa = false

[[servers]]
name = "mine"
files = ["server.py", "good.pem", "good.key", "start.sh"]
setup = "cp good.pem copied.pem"
command = "sh start.sh {python} {host} {port}"
environment = { CERTIFICATE = "copied.pem" }
https = true
ca = "ca.pem"

[servers.request]
method = "POST"
paths = "paths.txt"
body_file = "body.bin"
expect = { status = 201, contains = "end" }
"""


@pytest.mark.timeout(300)
def test_post_over_tls_from_two_load_hosts_to_a_third(deployed: Control) -> None:
    control, place = deployed, deployed.directory
    Authority(place).certificate("good", control.lab.network.address(TARGET))
    server = (PROJECT / "tests" / "local" / "tls_server.py").read_text(encoding="utf-8")
    (place / "server.py").write_text(server.replace('("127.0.0.1", port)', '("", port)'), encoding="utf-8")
    (place / "start.sh").write_text('exec "$1" server.py "$CERTIFICATE" good.key --port "$3"\n', encoding="utf-8")
    (place / "body.bin").write_bytes(b"\xff" * 997 + b"end")
    (place / "paths.txt").write_text("".join(f"/orders/{number}\n" for number in range(20)), encoding="ascii")
    control.plan.write_text(PLAN, encoding="utf-8")
    done = control.fab("run-campaign")
    assert done.returncode in (0, 3), done.stdout + done.stderr
    (state,) = control.campaign.glob("runs/*/run.json")
    assert json.loads(state.read_text(encoding="utf-8"))["state"] == "done"
    with (control.campaign / "steps.csv").open(encoding="utf-8", newline="") as rows:
        step = next(row for row in csv.DictReader(rows) if row["kind"] == "ladder")
    assert int(step["requests"]) > 50
    assert step["failures"] == "0"
    assert int(step["bytes"]) == 1000 * int(step["requests"])
    assert float(step["connect_ms"]) > 0
    assert control.left() == {}
