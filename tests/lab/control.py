"""The study on the lab's control machine: `fab` there, with an inventory and a short plan in a test's own directory."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.lab.machines import CONTROL, HOSTS, Lab
from tests.running import FAB, PROJECT, environment, until, write_plan

INVENTORY = "lab.ini"
RUN_S = 100.0

# No think time: nothing to calibrate for. The server's wait keeps the rate low.
PLAN = """
name = "short"
models = {models}
users = [8]
spawn_rate = 100
think_time = [0, 0]
settle = 1
measure = {measure}
timeout = 3
return_step = false
aa = false
[work]
wait_ms = 50
"""


# A pool of two that each wait 5 ms answers 400/s whatever the cores do, and needs few users for it.
SEARCH = """
name = "short"
models = ["pool"]
spawn_rate = 1000
think_time = [0.02, 0.06]
settle = 0.5
measure = 2
timeout = 3
aa = false
[search]
from = 5
most = 320
[slo]
p99_ms = 60
[[servers]]
name = "pool"
model = "thread-pool"
options.threads = 2
work.wait_ms = 5
"""


class Control:
    """Where a person sits."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self.inventory = directory / INVENTORY
        self.inventory.write_text(lab.inventory(), encoding="utf-8")
        self.plan = write_plan(directory)

    def fab(self, *arguments: str, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        """Run fab to its end."""
        return subprocess.run(
            self._argv(arguments), cwd=self.directory, env=self._environment(),
            capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start fab, as from a terminal of its own, and go on."""
        return subprocess.Popen(
            self._argv(arguments), cwd=self.directory, env=self._environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def ask(self, models: Sequence[str] = ("thread",), measure: int = 4) -> None:
        """Another plan: one step of so many seconds for each model."""
        self.plan.write_text(PLAN.format(models=json.dumps(list(models)), measure=measure), encoding="utf-8")

    @property
    def campaign(self) -> Path:
        return self.directory / "results" / "latest"

    def left(self) -> dict[str, list[str]]:
        return left(self.lab)

    def _argv(self, arguments: tuple[str, ...]) -> list[str]:
        return self.lab.command(CONTROL, [*FAB, *arguments])

    def _environment(self) -> dict[str, str]:
        return environment(STUDY_INVENTORY=str(self.inventory), STUDY_PLAN=str(self.plan))


def left(lab: Lab) -> dict[str, list[str]]:
    """What runs or listens on any host, by its name; empty where nothing does."""
    found = {host: [*lab.processes(host), *lab.listening(host)] for host in HOSTS}
    return {host: what for host, what in found.items() if what}


@contextmanager
def measuring(control: Control, sealed: int = 0) -> Iterator[subprocess.Popen[str]]:
    """fab run-campaign, in the measure window of a run that has so many before it; waited for, never left behind."""
    began = time.time()
    process = control.begin("run-campaign")

    def measures() -> bool:
        assert process.poll() is None, process.communicate()
        runs = control.campaign / "runs"
        return len(list(runs.glob("*/run.json"))) == sealed and any(map(in_window, runs.glob("*/live.json")))

    def in_window(live: Path) -> bool:
        """Whether a master wrote it now, and not one that was killed before."""
        try:
            figures = json.loads(live.read_text(encoding="utf-8"))
            is_loaded = figures.get("kind") in ("ladder", "trial") and figures.get("phase") == "measure"
            return live.stat().st_mtime > began and is_loaded
        except (OSError, ValueError):  # just being replaced
            return False

    try:
        until(measures, RUN_S, "the measure window")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def ended(process: subprocess.Popen[str], within_s: float = RUN_S) -> tuple[int, str]:
    """Wait for fab's end; returns its exit status and all that it said."""
    out, err = process.communicate(timeout=within_s)
    assert "Traceback" not in out + err, out + err
    return process.returncode, out + err


__all__ = ["INVENTORY", "PROJECT", "Control", "ended", "left", "measuring"]
