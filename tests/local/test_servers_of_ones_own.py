"""Servers that a person brings, in a real campaign: what they leave behind, what they print, how long they take."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from tests.running import PROJECT, fab, write_plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ODD = f"{sys.executable} {PROJECT}/tests/cases/odd.py"
SERVERS = {
    "daemon": f"{ODD} daemon {{host}} {{port}}",
    "own-session": f"{ODD} setsid {{host}} {{port}}",
    "crash": f"{ODD} crash {{host}} {{port}}",
    "late": f"env SLOW=16 {ODD} slowstart {{host}} {{port}}",
    "too-late": f"env SLOW=60 {ODD} slowstart {{host}} {{port}}",
    "after-them": f"{ODD} plain {{host}} {{port}}",
    "big-head": f"{ODD} hugehead {{host}} {{port}}",
    "early-hints": f"{ODD} early103 {{host}} {{port}}",
}
READY_S = {"late": 40, "too-late": 2}


def test_each_runs_or_says_why_and_none_outlives_its_run(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, models=tuple(SERVERS), users=(10,), think=(0, 0), settle=1, measure=2)
    tables = [
        f"[[servers]]\nname = {json.dumps(name)}\ncommand = {json.dumps(command)}\n"
        + (f"ready_s = {READY_S[name]}\n" if name in READY_S else "")
        for name, command in SERVERS.items()
    ]
    plan.write_text(plan.read_text(encoding="utf-8") + "\n".join(tables), encoding="utf-8")
    fab(tmp_path, "run-campaign", "--plan", str(plan))
    runs = tmp_path / "results" / "latest" / "runs"
    states = {
        path.parent.name.partition("-")[2]: json.loads(path.read_text(encoding="utf-8"))
        for path in runs.glob("*/run.json")
    }
    reasons = {name: state["reason"] for name, state in states.items() if state["state"] != "done"}
    assert set(reasons) == {"daemon", "crash", "too-late", "big-head"}, reasons
    assert (
        "process(es) in the background, which were ended: its command must stay in the foreground" in reasons["daemon"]
    )
    assert "Traceback: no module named foo" in reasons["crash"]
    assert "was not ready within 2 s" in reasons["too-late"]
    assert "A larger ready_s" in reasons["too-late"]
    assert "the head is longer than 65536 bytes" in reasons["big-head"]
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"odd.py" in read(path)]
    assert left == []
    (samples,) = runs.glob("*-own-session/samples-target.csv")
    with samples.open(encoding="utf-8", newline="") as rows:
        servers = [row for row in csv.DictReader(rows) if row["role"] == "server"]
    assert {int(row["processes"]) for row in servers} == {2}
    assert sum(float(row["cpu_cores"] or 0) for row in servers) > 0


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
