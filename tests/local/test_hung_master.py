"""A master that hangs (SIGSTOP): the run costs seconds, and its reason names the master and not the server."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from cluster.hosts.host import STATE
from tests.running import begin, fab, listening, measures, ours, until, write_plan

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(300)]

MOST_S = 75.0  # 30 s of silence, the plan's timeout of 5 s, and the end of everything


def test_a_stopped_master_is_named_within_seconds(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, models=("thread",), users=(20,), think=(0, 0), measure=60)
    campaign = tmp_path / "results" / "latest"
    process = begin(tmp_path, "run-campaign", "--plan", str(plan))
    try:
        until(lambda: measures(campaign, "1-thread"), 60, "the measure window")
        state = json.loads((STATE / "control" / "processes" / "master.json").read_text(encoding="utf-8"))
        os.kill(state["pid"], signal.SIGSTOP)
        began = time.monotonic()
        out, err = process.communicate(timeout=MOST_S)
        print(f"{time.monotonic() - began:.0f} s after the master was stopped")
        assert process.returncode == 1, out + err
        assert "Traceback" not in out + err
        reason = json.loads((campaign / "runs" / "1-thread" / "run.json").read_text(encoding="utf-8"))["reason"]
        assert reason.startswith("Locust's master on this machine has written nothing for")
        assert "says nothing about the server" in reason
        assert "server thread ended" not in out + err + reason
        assert ours(tmp_path) == []
        assert listening(tmp_path) == []
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=10)
        fab(tmp_path, "stop")


def test_a_stopped_monitor_blocks_no_stop(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, models=("thread",), users=(20,), think=(0, 0), measure=60)
    campaign = tmp_path / "results" / "latest"
    process = begin(tmp_path, "run-campaign", "--plan", str(plan))
    try:
        until(lambda: measures(campaign, "1-thread"), 60, "the measure window")
        for host, name in (("control", "master"), ("target", "server"), ("load1", "sampler")):
            state = json.loads((STATE / host / "processes" / f"{name}.json").read_text(encoding="utf-8"))
            os.kill(state["monitor"], signal.SIGSTOP)
        began = time.monotonic()
        stopped = fab(tmp_path, "stop", timeout=60)
        print(f"fab stop took {time.monotonic() - began:.0f} s")
        assert stopped.returncode == 0, stopped.stderr
        assert "target: server" in stopped.stdout
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in out + err
        assert ours(tmp_path) == []
        assert listening(tmp_path) == []
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=10)
        fab(tmp_path, "stop")
