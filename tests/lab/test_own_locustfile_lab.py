"""A locustfile of one's own over two load hosts: with a file beside it and a library that `fab deploy` installs."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pandas as pd
import pytest

from cluster.deploy.wheels import Platform, download
from cluster.lab.machines import LOAD
from tests.lab.control import PROJECT, Control, left

LIBRARY = "iniconfig"  # a small one that the study's environment on hosts doesn't have
LOCUSTFILE = f"""
import json
from pathlib import Path

import {LIBRARY}
from locust import FastHttpUser, HttpUser, between, constant_pacing, task

PATHS = json.loads(Path("data/paths.json").read_text())


class Slow(HttpUser):
    wait_time = between(0.1, 0.3)

    @task
    def ask(self):
        self.client.get(PATHS[0], name="slow")


class Paced(FastHttpUser):
    wait_time = constant_pacing(0.2)

    @task
    def ask(self):
        assert {LIBRARY}.IniConfig
        self.client.get(PATHS[1], name="paced")
"""
PLAN = """
name = "own"
models = ["thread"]
users = [8, 16]
spawn_rate = 100
locustfile = "mine.py"
files = ["data"]
requirements = "requirements.txt"
settle = 1
measure = 4
timeout = 3
return_step = false
aa = false
"""


pytestmark = pytest.mark.timeout(400)  # a deploy of all hosts, and a run


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """The library with its hashes, and its wheel fetched while there is a way out."""
    locked = (PROJECT / "requirements.lock").read_text(encoding="utf-8")
    found = re.search(rf"^{LIBRARY}==.*?(?=^\S)", locked, re.MULTILINE | re.DOTALL)
    assert found is not None
    file = tmp_path / "requirements.txt"
    file.write_text(re.sub(r"^ *#.*\n", "", found[0], flags=re.MULTILINE), encoding="utf-8")
    download(Platform.of(platform.machine(), platform.libc_ver(), platform.python_version()), file)
    return file


def test_a_locustfile_runs_on_two_load_hosts(control: Control, wheels: None, requirements: Path) -> None:
    directory = control.directory
    (directory / "data").mkdir()
    (directory / "data" / "paths.json").write_text('["/one", "/two"]', encoding="utf-8")
    (directory / "mine.py").write_text(LOCUSTFILE, encoding="utf-8")
    plan = directory / "own.toml"
    plan.write_text(PLAN, encoding="utf-8")
    options = ("--inventory", str(control.inventory), "--plan", str(plan))
    early = control.fab("run-campaign", *options)
    assert early.returncode == 1, early.stdout + early.stderr
    assert "`fab deploy` first" in early.stderr
    deployed = control.fab("deploy", "--offline", *options, timeout=250)
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    done = control.fab("run-campaign", *options)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    campaign = directory / "results" / "latest"
    requests = pd.read_csv(campaign / "requests.csv")
    loaded = requests[requests["step"] > 0]
    assert sorted(zip(loaded["step"], loaded["name"], strict=True)) == [
        (1, "paced"), (1, "slow"), (2, "paced"), (2, "slow"),
    ]  # fmt: skip
    assert (loaded["failures"] == 0).all()
    checks = pd.read_csv(campaign / "checks.csv")
    for code in ("load.population", "law.iterations", "law.little", "law.counts", "errors.counts"):
        rows = checks[(checks["code"] == code) & (checks["step"] > 0)]
        assert list(rows["outcome"]) == ["pass", "pass"], rows["detail"].to_list()
    ledger = (campaign / "runs" / "1-thread" / "ledger.jsonl").read_text(encoding="utf-8")
    assert all(f'"worker":"{host}-' in ledger for host in LOAD)
    assert not left(control.lab)
