"""`fab run-campaign` up to the measure window of its second run, for tests that then end it in one way or another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.running import begin, fab, listening, measures, ours, until, write_plan


@dataclass(frozen=True)
class Stopped:
    """A campaign that a signal ended, and what was seen right afterwards."""

    directory: Path
    """Where fab ran."""
    status: int
    """fab's exit status."""
    output: str
    """What fab printed, on both streams."""
    left: list[str]
    """Command lines of the campaign's processes that still ran."""
    ports: list[int]
    """Ports of the plan that something still listened on."""
    finished: list[str]
    """Labels of the runs that were done."""
    steps: list[str]
    """Lines of steps.csv."""


@dataclass(frozen=True)
class Abandoned:
    """A campaign whose fab was killed, and nobody did anything about it."""

    directory: Path
    """Where fab ran."""
    finished: list[str]
    """Labels of the runs that were done."""


@dataclass(frozen=True)
class Resumed:
    """A campaign whose fab was killed, whose processes `fab stop` then ended, and which the next fab finished."""

    campaign: Path
    status: str
    """What `fab status` printed after the kill."""
    stopped: str
    """What `fab stop` printed."""
    left: list[str]
    """Command lines of the campaign's processes that ran after `fab stop`."""
    ports: list[int]
    """Ports of the plan that something listened on after `fab stop`."""
    sealed: dict[Path, bytes]
    """Content of every run.json after `fab stop`."""
    last: subprocess.CompletedProcess[str]
    """The `fab run-campaign` that finished the campaign."""


@contextmanager
def second_run_measured(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """fab, in the measure window of the campaign's second run. It is ended afterwards, with all that it started.

    The plan is written where there is none; where the campaign has a finished run, the next one is its second.
    """
    plan = directory / "short.toml"
    if not plan.exists():
        write_plan(directory, client="http", users=[20], drawn=True)
    campaign = directory / "results" / "latest"
    for earlier in campaign.glob("runs/*/live.json"):  # of a run that was ended: it would be taken for the new one's
        earlier.unlink()
    process = begin(directory, "run-campaign", "--plan", str(plan))

    def second_measures() -> bool:
        assert process.poll() is None, process.communicate()
        sealed = {path.parent.name for path in campaign.glob("runs/*/run.json")}
        return any(
            measures(campaign, path.parent.name)
            for path in campaign.glob("runs/*/live.json")
            if sealed and path.parent.name not in sealed
        )

    try:
        until(second_measures, 100, "the second run's measure window")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)
        fab(directory, "stop")


LEASE_AND_GRACE_S = 40.0  # the documentation promises a minute


def after_signal(directory: Path, number: signal.Signals = signal.SIGINT) -> Stopped:
    """Send fab a signal in the measure window of the second run, and wait for its end."""
    with second_run_measured(directory) as process:
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=80)
        left, ports = ours(directory), listening(directory)
    campaign = directory / "results" / "latest"
    steps = (campaign / "steps.csv").read_text(encoding="utf-8").splitlines()
    return Stopped(directory, process.returncode, out + err, left, ports, finished(campaign), steps)


def after_nothing(directory: Path) -> Abandoned:
    """Kill fab in the measure window of the second run. Fails where what it left doesn't end by itself."""
    with second_run_measured(directory) as process:
        process.kill()
        process.wait(timeout=10)
        until(lambda: not ours(directory) and not listening(directory), LEASE_AND_GRACE_S, "the end of every process")
    return Abandoned(directory, finished(directory / "results" / "latest"))


def after_kill(directory: Path) -> Resumed:
    """Kill fab in the measure window of the second run, end what it left by `fab stop`, and finish the campaign."""
    with second_run_measured(directory) as process:
        process.kill()
        process.wait(timeout=10)
        status = fab(directory, "status").stdout
        stopped = fab(directory, "stop").stdout
        left, ports = ours(directory), listening(directory)
        campaign = directory / "results" / "latest"
        sealed = {path: path.read_bytes() for path in campaign.glob("runs/*/run.json")}
        last = fab(directory, "run-campaign", "--plan", str(directory / "short.toml"))
    return Resumed(campaign, status, stopped, left, ports, sealed, last)


def finished(campaign: Path) -> list[str]:
    """Labels of the runs that have a run.json; fails where one of them is not done."""
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in campaign.glob("runs/*/run.json")]
    assert all(run["state"] == "done" for run in runs)
    return [run["label"] for run in runs]
