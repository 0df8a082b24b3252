"""docs/results.md against what is written: every column of every table, and its example, run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from analysis import compare
from analysis.rank import model_summary, steps
from analysis.rank.comparison import COLUMNS as COMPARED
from analysis.tell import csv_files, locust_summary
from tests.unit.synthetic import plan, write_campaign

PROJECT = Path(__file__).resolve().parents[3]
RESULTS = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
TABLES = {
    "steps.csv": steps.COLUMNS,
    "checks.csv": csv_files.CHECK_COLUMNS,
    "summary.csv": model_summary.COLUMNS,
    "Two campaigns: `fab compare`": COMPARED,
    "Other Locust runs": locust_summary.COLUMNS,
}


def section(title: str) -> str:
    """The text below a heading, up to the next of its kind."""
    return RESULTS.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def documented(title: str) -> list[str]:
    """The names in the first column of a section's table."""
    rows = [line for line in section(title).splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]


@pytest.mark.parametrize("title", TABLES)
def test_the_documented_columns_are_the_written_ones(title: str) -> None:
    names = documented(title)
    assert sorted(names) == sorted(TABLES[title])


def test_the_example_with_frames_runs(tmp_path: Path) -> None:
    write_campaign(tmp_path / "results" / "latest", plan(users=[100], models=["single"], aa=False))
    (code,) = re.findall(r"```python\n(.*?)```", section("Frames"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "measure" in done.stdout
    assert re.search(r"single\s+100\s", done.stdout)
    assert callable(compare)
