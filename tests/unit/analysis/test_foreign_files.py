"""Result files from elsewhere: whatever they hold is a named gap or one message, within bounds of time and memory."""

from __future__ import annotations

import base64
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis import analyze
from analysis.read import histograms
from study.errors import FormatError
from study.formats.bounded import read_bounded
from study.formats.json_files import FORMAT, read_json
from study.layout import CampaignFiles
from tests.bounds import Bounds
from tests.unit.synthetic import plan, write_campaign

BOUNDS = Bounds()
RUN = "1-single"
DEEP = "[" * 100_000


@pytest.fixture(scope="module", autouse=True)
def reported() -> Iterator[None]:
    yield
    print(f"\n{__name__}: {BOUNDS}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> CampaignFiles:
    asked = plan(models=["single"], users=[100], blocks=1, aa=False, return_step=False)
    files = write_campaign(tmp_path_factory.mktemp("whole"), asked)
    analyze(files.directory, write=False)  # imports and caches are no part of what is measured
    return files


@pytest.fixture
def copied(whole: CampaignFiles, tmp_path: Path) -> CampaignFiles:
    shutil.copytree(whole.directory, tmp_path / "copy")
    return CampaignFiles(tmp_path / "copy")


def bounded_analysis(files: CampaignFiles) -> str:
    """Every gap, or the one message; within the bounds."""
    with BOUNDS.kept():
        try:
            return " ".join(analyze(files.directory, write=False).gaps)
        except FormatError as error:
            return str(error)


def replaced_by_fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def linked(to: str) -> Callable[[Path], None]:
    def link(path: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(to)

    return link


def filled(text: str) -> Callable[[Path], None]:
    def fill(path: Path) -> None:
        path.write_text(text, encoding="utf-8")

    return fill


NO_SAMPLES = ("a number", "numbers", "long number", "deep", "deep object", "nul")  # CSV all the same, of no use
FILES = ("ledger.jsonl", "run.json", "samples-target.csv", "bystanders.csv")
HARMS: dict[str, Callable[[Path], None]] = {
    "fifo": replaced_by_fifo,
    "zero": linked("/dev/zero"),
    "outside": linked("/etc/passwd"),
    "deep": filled(DEEP),
    "deep object": filled('{"format": ' + '{"a": ' * 100_000),
    "a number": filled("7"),
    "numbers": filled('{"format": 1, "state": 7, "load": 3, "server": [], "workers": 7}\n' * 3),
    "columns": filled(",".join(f"c{number}" for number in range(200_000)) + "\n" + "1," * 200_000 + "\n"),
    "nul": filled("\0\0\0\n\0"),
    "long number": filled("9" * 5000 + "\n"),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_a_gap_or_one_message(copied: CampaignFiles, name: str, harm: str) -> None:
    HARMS[harm](copied.run(RUN).directory / name)
    said = bounded_analysis(copied)
    has_no_gaps = name == "bystanders.csv" or (name == "samples-target.csv" and harm in NO_SAMPLES)
    assert said or has_no_gaps


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["manifest.json", "plan.toml"])
def test_a_hostile_file_of_the_campaign_is_too(copied: CampaignFiles, name: str, harm: str) -> None:
    HARMS[harm](copied.directory / name)
    assert bounded_analysis(copied)


def test_a_run_that_is_a_link_is_not_followed(copied: CampaignFiles, tmp_path: Path) -> None:
    place = copied.run(RUN).directory
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert "a link, not followed" in bounded_analysis(copied)


def bomb(size: int) -> str:
    """A histogram of few bytes that unpacks to `size`."""
    packed = zlib.compress(b"\x00" * size, 9)
    cookie = (0x1C849304 | 0x10).to_bytes(4, "big") + len(packed).to_bytes(4, "big")
    return base64.b64encode(cookie + packed).decode()


def test_a_histogram_that_unpacks_to_a_quarter_of_a_gigabyte_is_refused_at_once() -> None:
    text = bomb(2**28)
    assert len(text) < 2_000_000
    with BOUNDS.kept(), pytest.raises(histograms.HistogramError, match="unpacks to more"):
        histograms.decode(text)


def test_a_regular_file_within_bounds_is_read_and_a_link_inside_too(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").symlink_to("a")
    assert read_bounded(tmp_path / "a", 3) == read_bounded(tmp_path / "b", 3) == b"abc"
    with pytest.raises(OSError, match="larger than 2 bytes"):
        read_bounded(tmp_path / "a", 2)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["run.json", "ledger.jsonl", "manifest.json"]), st.data())
def test_any_values_of_the_right_keys_are_a_gap_or_one_message(
    whole: CampaignFiles, tmp_path: Path, name: str, data: st.DataObject
) -> None:
    copy = CampaignFiles(tmp_path / "fuzzed")
    shutil.rmtree(copy.directory, ignore_errors=True)
    shutil.copytree(whole.directory, copy.directory)
    path = (copy.directory if name == "manifest.json" else copy.run(RUN).directory) / name
    if name == "ledger.jsonl":
        lines: list[Any] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at][data.draw(st.sampled_from(sorted(lines[at])))] = data.draw(_json)
        lines[at].setdefault("format", FORMAT)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    else:
        value = read_json(path) if path.exists() else {"format": FORMAT, "hosts": {}, "models": {}}
        value[data.draw(st.sampled_from(sorted(value)))] = data.draw(_json)
        path.write_text(json.dumps(value), encoding="utf-8")
    bounded_analysis(copy)
