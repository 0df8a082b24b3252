"""docs/python-api.md: every example runs, and the members that its tables name exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import analysis
from analysis import analyze, load
from tests.unit.synthetic import plan, write_campaign

PROJECT = Path(__file__).resolve().parents[3]
PAGE = (PROJECT / "docs" / "python-api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the campaigns that the examples name."""
    directory = tmp_path_factory.mktemp("api")
    for name in ("latest", "BEFORE", "AFTER"):
        write_campaign(directory / "results" / name, plan(users=[100], models=["single"], aa=False))
    return directory


def documented(title: str) -> list[str]:
    """The names in the first column of a section's table."""
    section = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in rows for name in re.findall(r"`(\w+)", cell)]


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_example_runs(code: str, results: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=results,
        env={"PYTHONPATH": str(PROJECT), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_documented_functions_are_public() -> None:
    names = documented("Functions")
    assert len(names) >= 5
    assert set(names) <= set(analysis.__all__)


def test_the_documented_members_exist(results: Path) -> None:
    directory = results / "results" / "latest"
    for title, value in (("Campaign", load(directory)), ("Analysis", analyze(directory, write=False))):
        assert [name for name in documented(title) if not hasattr(value, name)] == [], title
