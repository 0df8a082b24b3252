"""Control on a system without Linux's own calls, as a Mac: no task stops at one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import environment, fab, write_plan

# Loaded by every Python that fab starts: what only Linux has is gone, as on a Mac.
WITHOUT_LINUX = """
import ctypes, os, platform, select, sys

platform.system = lambda: "Darwin"

for module, names in ((os, ("sched_getaffinity", "sched_setaffinity", "pidfd_open")), (select, ("epoll",))):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)

def deny(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith(("/proc", "/sys")):
        raise FileNotFoundError(2, "No such file or directory", str(arguments[0]))
    if event == "ctypes.dlsym" and arguments[1] == "prctl":
        raise AttributeError("prctl")

sys.addaudithook(deny)
"""

# What control does in a run: start a process under supervision, list, renew, copy its files, end it.
CONTROLS_PART = """
import os, sys
from pathlib import Path
from cluster.campaign.placement import on_cores
from cluster.hosts.host import Spawn
from cluster.hosts.inventory import HostEntry
from cluster.hosts.local import LocalHost

assert not hasattr(os, "sched_setaffinity")
here = LocalHost(HostEntry("control"), Path(sys.argv[1]))
logs = here.directory / "logs"
program = "import time; print('ready', flush=True); time.sleep(60)"
with on_cores((0,)):
    handle = here.start(Spawn("master", (sys.executable, "-c", program), logs, cpus=(0,), lease_s=20, ready_s=10))
assert handle.ready == "ready", handle
assert here.listed() == {"master": None} == here.renew()
here.get(logs, Path(sys.argv[1]) / "brought")
assert (Path(sys.argv[1]) / "brought" / "master.out").read_text() == "ready\\n"
ended = here.stop("master")
assert ended.how == "stopped", ended
assert here.listed() == {}
here.close()
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """The environment of a control machine that isn't Linux."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WITHOUT_LINUX, encoding="utf-8")
    return {"PYTHONPATH": f"{site}:{environment()['PYTHONPATH']}"}


def test_no_task_needs_a_call_that_only_linux_has(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    done = fab(
        tmp_path, "plan", "status", "stop", "check", "--plan", str(write_plan(tmp_path)),
        PYTHONPATH=elsewhere["PYTHONPATH"],
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert "AttributeError" not in done.stdout + done.stderr
    assert "2 runs," in done.stdout
    assert done.stdout.count("nothing of the study runs") == 2  # by status and by stop
    assert "free disk" in done.stdout


@pytest.mark.slow
def test_what_control_does_in_a_run_needs_none(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONTROLS_PART, str(tmp_path)],
        env={**environment(), **elsewhere}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
