"""docs/examples.md, word for word: each command of the page, in a directory with the repository's examples."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.running import PROJECT, fab, free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

PAGE = (PROJECT / "docs" / "examples.md").read_text(encoding="utf-8")
SECTIONS = {section.partition("\n")[0]: section for section in PAGE.split("\n## ")[1:]}


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_commands_of_the_page(heading: str, tmp_path: Path) -> None:
    section = SECTIONS[heading]
    commands = [line.split() for block in blocks(section, "") for line in block.splitlines()]
    plan = PROJECT / commands[-1][-1]
    skip_where_it_cannot_run(plan.parent, tmp_path)
    shutil.copytree(PROJECT / "examples", tmp_path / "examples")
    on_free_ports(tmp_path / commands[-1][-1])
    for command in commands:
        done = fab(tmp_path, *command[1:], timeout=240)
        # 3: no step is valid, where something else keeps this machine busy. What was answered is looked at below.
        assert done.returncode in ((0, 3) if command[1] == "run-campaign" else (0,)), done.stdout + done.stderr
    (state,) = (tmp_path / "results" / "latest" / "runs").glob("*/run.json")
    assert json.loads(state.read_text(encoding="utf-8"))["state"] == "done"
    with (tmp_path / "results" / "latest" / "steps.csv").open(encoding="utf-8", newline="") as rows:
        steps = [row for row in csv.DictReader(rows) if row["kind"] == "ladder"]
    assert [row["failures"] for row in steps] == ["0", "0"]
    assert all(int(row["requests"]) > 100 and float(row["server_cpu_cores"]) > 0 for row in steps)


def on_free_ports(plan: Path) -> None:
    """The plan on ports of this test's own: others may run at the same time."""
    port, master_port = free_ports(2)
    text = plan.read_text(encoding="utf-8")
    plan.write_text(f"port = {port}\nmaster_port = {master_port}\n{text}", encoding="utf-8")


def skip_where_it_cannot_run(example: Path, directory: Path) -> None:
    requirements = example / "requirements.txt"
    if not requirements.exists():
        if shutil.which("node") is None:
            pytest.skip("node is not installed")
        return
    asked = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(directory / "wheels")]
    done = subprocess.run([*asked, "-r", str(requirements)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the package index doesn't give them: {done.stderr.strip().splitlines()[-1]}")


def test_what_the_page_shows_stands_in_the_plans() -> None:
    plans = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "examples").glob("*/plan.toml"))
    shown = [line for block in blocks(PAGE, "toml") for line in block.splitlines()]
    assert shown
    assert [line for line in shown if line not in plans.splitlines()] == []
    assert all(tomllib.loads(path.read_text(encoding="utf-8")) for path in (PROJECT / "examples").glob("*/plan.toml"))
