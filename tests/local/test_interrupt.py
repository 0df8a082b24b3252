"""fab interrupted or killed while the second model is measured: finished work stays, no process does."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.running import begin, fab, listening, live, ours, until, write_plan

NO_THINK = (0, 0)
LEASE_AND_GRACE_S = 40.0  # the promise is a minute


@pytest.fixture
def measuring(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """fab, in the measure window of its second run, and its campaign's directory."""
    plan = write_plan(tmp_path, users=[20], think=NO_THINK)
    process = begin(tmp_path, "run-campaign", "--plan", str(plan))
    campaign = tmp_path / "results" / "latest"

    def second_measures() -> bool:
        assert process.poll() is None, process.communicate()
        sealed = {path.parent.name for path in campaign.glob("runs/*/run.json")}
        return any(
            live(campaign, path.parent.name).get("phase") == "measure"
            for path in campaign.glob("runs/*/live.json")
            if sealed and path.parent.name not in sealed
        )

    until(second_measures, 60, "the second run's measure window")
    yield process, campaign
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=10)
    fab(tmp_path, "stop")


def finished(campaign: Path) -> list[str]:
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in campaign.glob("runs/*/run.json")]
    assert all(run["state"] == "done" for run in runs)
    return [run["label"] for run in runs]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_leaves_nothing_running_and_the_first_run_analysed(
    measuring: tuple[subprocess.Popen[str], Path], number: signal.Signals, tmp_path: Path
) -> None:
    process, campaign = measuring
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=40)
    assert process.returncode == 130, out + err
    assert "Traceback" not in out + err
    assert not ours(tmp_path)
    assert not listening(tmp_path)
    (label,) = finished(campaign)
    steps = (campaign / "steps.csv").read_text(encoding="utf-8").splitlines()
    (measured,) = [line for line in steps if f",{label}," in line]
    assert "not-measured" not in measured


def test_after_a_kill_fab_stop_ends_what_is_left_and_the_next_fab_goes_on(
    measuring: tuple[subprocess.Popen[str], Path], tmp_path: Path
) -> None:
    process, campaign = measuring
    process.kill()
    process.wait(timeout=10)
    assert "running" in fab(tmp_path, "status").stdout
    stopped = fab(tmp_path, "stop")
    assert "server" in stopped.stdout
    assert not ours(tmp_path)
    assert not listening(tmp_path)
    before = {path: path.read_bytes() for path in campaign.glob("runs/*/run.json")}
    assert len(before) == 1
    done = fab(tmp_path, "run-campaign", "--plan", str(tmp_path / "short.toml"))
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert "going on with" in done.stdout
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(finished(campaign)) == 2


@pytest.mark.slow
def test_after_a_kill_everything_ends_by_itself(measuring: tuple[subprocess.Popen[str], Path], tmp_path: Path) -> None:
    process, campaign = measuring
    process.kill()
    process.wait(timeout=10)
    until(lambda: not ours(tmp_path) and not listening(tmp_path), LEASE_AND_GRACE_S, "the end of every process")
    assert len(finished(campaign)) == 1
