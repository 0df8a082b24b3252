"""docs/results.md against the code: every name and unit of every table, and its example, run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from itertools import dropwhile, takewhile
from pathlib import Path

import pytest

from analysis import compare
from analysis.rank import model_summary, steps
from analysis.rank.over_time.campaign_history import COLUMNS as HISTORY_COLUMNS
from analysis.rank.over_time.comparison import COLUMNS as COMPARED
from analysis.tell import csv_files, locust_summary
from study.formats.background_csv import BackgroundRow
from study.formats.facts_json import Facts
from study.formats.ledger_jsonl import (
    EndRecord,
    LedgerHeader,
    LostRecord,
    PhaseRecord,
    RecoveryRecord,
    SearchRecord,
    Ticks,
    TrialRecord,
)
from study.formats.live_json import LiveFigures, SecondRow
from study.formats.manifest_json import KEYS, Manifest, ModelDescription
from study.formats.own_counts import ExceptionCount, NamedCounts, OwnCounts, RequestRow
from study.formats.pack.pack_json import PackFile, ProgramFacts
from study.formats.registry import ANY
from study.formats.run_json import RunState, ServerCounts
from study.formats.samples_csv import SampleRow
from study.formats.summary_json import (
    CapacityBlock,
    CapacityEntry,
    CarriedEntry,
    ComparisonEntry,
    LimitEntry,
    SummaryFile,
)
from study.formats.units import units_of
from tests.unit.synthetic import plan, write_campaign

PROJECT = Path(__file__).resolve().parents[3]
RESULTS = (PROJECT / "docs" / "results.md").read_text(encoding="utf-8")
TYPES: dict[str, type] = {
    "run.json": RunState,
    "server": ServerCounts,
    "manifest.json": Manifest,
    "models": ModelDescription,
    "hosts": Facts,
    "live.json": LiveFigures,
    "seconds.csv": SecondRow,
    "Header": LedgerHeader,
    "Phase record": PhaseRecord,
    "own": OwnCounts,
    "names": NamedCounts,
    "exceptions": ExceptionCount,
    "ticks": Ticks,
    "Lost record": LostRecord,
    "Trial record": TrialRecord,
    "Recovery record": RecoveryRecord,
    "Search record": SearchRecord,
    "End": EndRecord,
    "samples-<host>.csv": SampleRow,
    "bystanders.csv": BackgroundRow,
    "requests.csv": RequestRow,
    "summary.json": SummaryFile,
    "capacities": CapacityEntry,
    "blocks": CapacityBlock,
    "comparisons": ComparisonEntry,
    "limits": LimitEntry,
    "carried": CarriedEntry,
    "pack.json": PackFile,
    "program": ProgramFacts,
}
"""The type of each table of keys or columns, by the table's heading."""
COLUMNS = {
    "steps.csv": steps.COLUMNS,
    "checks.csv": csv_files.CHECK_COLUMNS,
    "summary.csv": model_summary.COLUMNS,
    "Two campaigns: `fab compare`": COMPARED,
    "Over time: `fab history`": HISTORY_COLUMNS,
    "Other Locust runs": locust_summary.COLUMNS,
}
"""The columns of the tables that analysis writes; a column's name carries its unit."""
UNITS = {
    "us": "µs", "ms": "ms", "s": "s", "seconds": "s", "mb": "MiB", "bytes": "B", "cores": "cores", "share": "0-1",
    "rps": "1/s",
}  # fmt: skip
"""Parts of a name, and the unit that they stand for."""


def section(title: str) -> str:
    """The text below a heading of any level, up to the next heading."""
    after = re.split(rf"^##+ {re.escape(title)}\n", RESULTS, maxsplit=1, flags=re.MULTILINE)[1]
    return re.split(r"^##+ ", after, maxsplit=1, flags=re.MULTILINE)[0]


def rows(title: str) -> list[dict[str, str]]:
    """The first table below a heading, its cells by the names of its columns."""
    below = dropwhile(lambda line: not line.startswith("|"), section(title).splitlines())
    lines = takewhile(lambda line: line.startswith("|"), below)
    head, _, *body = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [dict(zip(head, cells, strict=True)) for cells in body]


def documented(title: str) -> dict[str, str]:
    """Each name in a table's first column, with its row's units."""
    table = rows(title)
    return {name: row.get("unit", "") for row in table for name in re.findall(r"`(\w+)`", row[next(iter(row))])}


def unit_of_name(name: str) -> str:
    """The unit that a column's name carries; a rank has none, and generator_cpu_max is in cores."""
    if name == "generator_cpu_max":
        return "cores"
    parts = [] if name.startswith("rank_") else name.split("_")
    return next((UNITS[part] for part in reversed(parts) if part in UNITS), "")


def check_units(title: str, expected: Mapping[str, str]) -> None:
    """Each row has the units of its names, each once and in their order."""
    for row in rows(title):
        names = re.findall(r"`(\w+)`", row[next(iter(row))])
        units = [unit for unit in dict.fromkeys(expected[name] for name in names) if unit]
        assert row.get("unit", "") == ", ".join(units), names


@pytest.mark.parametrize("title", COLUMNS)
def test_the_documented_columns_are_the_written_ones(title: str) -> None:
    names = documented(title)
    assert sorted(names) == sorted(COLUMNS[title])
    check_units(title, {name: unit_of_name(name) for name in names})


@pytest.mark.parametrize("title", TYPES)
def test_the_documented_keys_are_those_of_the_type_with_their_units(title: str) -> None:
    expected = units_of(TYPES[title])
    assert sorted(documented(title)) == sorted(expected)
    check_units(title, expected)


@pytest.mark.parametrize(
    ("title", "prefix"), [("manifest.json", ()), ("models", ("models", ANY)), ("hosts", ("hosts", ANY))]
)
def test_the_documented_keys_of_the_manifest_are_compared_as_the_registry_has_it(
    title: str, prefix: tuple[str, ...]
) -> None:
    for row in rows(title):
        for name in re.findall(r"`(\w+)`", row["key"]):
            path = (*prefix, name)
            below = {key.unlisted for key in KEYS.values() if key.path[: len(path)] == path}
            listed = "yes" if None in below else next(each.name.lower() for each in below if each)
            assert row["compared"] == listed, name


def test_a_type_is_documented_for_each_file() -> None:
    modules = {kind.__module__ for kind in TYPES.values()}
    files = (PROJECT / "study" / "formats").rglob("*_*.py")
    formats = {".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in files if path.stem != "__init__"}
    assert modules == formats - {f"study.formats.{name}" for name in ("csv_rows", "json_files", "pack.zip_archive")}


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
