"""The types of the files, against their writers and readers, and the registry of the manifest's keys."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from analysis.rank.differences import manifest_differences
from servers.core.counts import Counts
from study.errors import FormatError
from study.formats.background_csv import EVENTS, BackgroundRow
from study.formats.csv_rows import RowWriter, columns, number_columns, text_columns
from study.formats.facts_json import Facts
from study.formats.json_files import read_json, write_json
from study.formats.manifest_json import KEYS, Manifest, ModelDescription, write_manifest
from study.formats.registry import ANY, Key
from study.formats.run_json import RunState, ServerCounts
from study.formats.samples_csv import KERNEL_COUNTERS, SampleRow
from study.formats.units import units_of
from study.reading import parse_as, read_as

PROJECT = Path(__file__).resolve().parents[3]
TYPES = (RunState, Manifest, Facts, SampleRow, BackgroundRow)
SUFFIXES = {"_us": "µs", "_s": "s", "_mb": "MiB", "_cores": "cores", "_share": "0-1"}


def facts(*options: str) -> dict[str, Any]:
    """What the program prints that is piped to hosts."""
    argv = [sys.executable, "-m", "cluster.remote.facts", *options]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=True)
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def test_the_program_that_is_piped_to_hosts_prints_the_keys_of_facts() -> None:
    printed = facts("--port", "1")
    assert list(printed) == [name for name in columns(Facts) if name != "clock_s"]  # which the control machine adds
    assert json.loads(json.dumps(asdict(parse_as(Facts, printed, "facts")))) == {**printed, "clock_s": [0.0, 0.0]}


def test_a_server_prints_the_keys_of_its_counts() -> None:
    assert [*Counts().report(), "counted_by"] == list(columns(ServerCounts))


def test_a_name_with_a_units_suffix_has_that_unit() -> None:
    for kind in TYPES:
        for name, unit in units_of(kind).items():
            assert unit == next((each for suffix, each in SUFFIXES.items() if name.endswith(suffix)), unit), name


def test_a_row_is_written_in_the_formats_of_its_units() -> None:
    stream = io.StringIO(newline="")
    RowWriter(stream, SampleRow).write(
        SampleRow(time=1.23456, role="host", name="a", seconds=1.0, cpu_cores=0.123456, cores=2, pss_mb=None)
    )
    (row,) = csv.DictReader(io.StringIO(stream.getvalue(), newline=""))
    assert {name: cell for name, cell in row.items() if cell} == {
        "time": "1.235", "role": "host", "name": "a", "seconds": "1.0000", "cpu_cores": "0.1235", "cores": "2",
    }  # fmt: skip


def test_the_columns_are_split_into_text_and_numbers() -> None:
    assert text_columns(SampleRow) == ("role", "name")
    assert text_columns(BackgroundRow) == ("kind",)
    assert set(number_columns(SampleRow)) | {"role", "name"} == set(columns(SampleRow))
    assert set(KERNEL_COUNTERS) <= set(number_columns(SampleRow))
    assert set(EVENTS) <= set(number_columns(BackgroundRow))


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = RunState(state="done", label="thread", boot_ids={"target": "x"}, server=ServerCounts(accepted=3), probes=1)
    write_json(tmp_path / "run.json", asdict(state))
    assert read_as(RunState, tmp_path / "run.json") == state


def test_a_wrong_value_is_named_with_its_file(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"state": "nearly"})
    with pytest.raises(FormatError, match=r"run\.json: state: Input should be"):
        read_as(RunState, tmp_path / "run.json")


# The registry of the manifest's keys.


MANIFEST = Manifest(
    made_by="load-study 0.1.0",
    identity={"servers/": "a" * 64},
    models={"thread": ModelDescription(model="thread")},
    hosts={name: Facts(cores=(0, 1), packages={"locust": "2.0"}, ports={"80": ""}) for name in ("target", "load1")},
)
NAMES = {"hosts": "target", "models": "thread", "packages": "locust", "ports": "80", "identity": "the plan"}
"""A name for each mapping, in place of ANY."""


def example(key: Key) -> Any:
    """A value of the key's type that is neither its default nor the one in MANIFEST."""
    kind = next((each for each in get_args(key.type) if each is not type(None)), key.type)
    if getattr(key.type, "__origin__", None) is tuple or getattr(kind, "__origin__", None) is tuple:
        return [7, 9]
    return {int: 7, float: 7.5, str: "another", bool: not MANIFEST.hosts["target"].writable}.get(kind, 7)


def changed(key: Key) -> Manifest:
    """MANIFEST with another value for one key, on the host `target` where the key is a host's."""
    value = json.loads(json.dumps(asdict(MANIFEST)))
    path = [NAMES[key.path[at - 1]] if name == ANY else name for at, name in enumerate(key.path)]
    *parents, last = path
    place = value
    for name in parents:
        place = place[name]
    before = place.get(last)
    place[last] = not before if isinstance(before, bool) else example(key)
    assert place[last] != before
    return parse_as(Manifest, value, "changed")


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: ".".join(key.path))
def test_a_key_is_a_difference_unless_it_is_volatile_or_implied(key: Key) -> None:
    found = manifest_differences(MANIFEST, changed(key))
    if key.unlisted is not None:
        assert found == ()
    else:
        assert len(found) == 1
        assert found[0].what.endswith(key.path[-1] if key.path[-1] != ANY else NAMES[key.path[-2]])


def test_what_changes_by_itself_is_volatile() -> None:
    volatile = {key.path[-1] if key.path[-1] != ANY else key.path[-2] for key in KEYS.values() if key.volatile}
    assert volatile >= {"clock", "clock_s", "load_1min", "memory_available_mb", "disk_free_mb", "boot_id", "created"}


def test_a_key_that_is_not_in_the_registry_is_refused_when_the_manifest_is_written(tmp_path: Path) -> None:
    strange: Any = {**asdict(Facts()), "colour": "blue"}
    with pytest.raises(ValueError, match=r"no key hosts\.target\.colour"):
        write_manifest(tmp_path / "manifest.json", replace(MANIFEST, hosts={"target": strange}))
    assert not (tmp_path / "manifest.json").exists()


def test_a_manifest_with_keys_of_another_version_is_read(tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.json", MANIFEST)
    value = read_json(tmp_path / "manifest.json")
    value["weather"] = "fine"
    value["hosts"]["target"]["colour"] = "blue"
    del value["hosts"]["target"]["somaxconn"]
    write_json(tmp_path / "manifest.json", value)
    assert read_as(Manifest, tmp_path / "manifest.json") == MANIFEST
