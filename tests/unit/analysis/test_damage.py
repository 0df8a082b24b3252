"""Every kind of file cut at many places, or gone: what is whole is analysed, what isn't is named."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis import analyze
from analysis.__main__ import main
from study.layout import CampaignFiles
from tests.unit.synthetic import Load, plan, write_campaign

SMALL = plan(users=[100, 200], models=["single"], aa=False, return_step=False)
KINDS = (
    "manifest.json", "runs/1-single/run.json", "runs/1-single/ledger.jsonl", "runs/1-single/samples-target.csv",
    "runs/1-single/samples-load1.csv",
)  # fmt: skip
CUTS = 8
FIGURES_OF_A_STEP = ["requests", "rps", "mean_ms", "p50_ms", "in_flight"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> CampaignFiles:
    directory = tmp_path_factory.mktemp("whole") / "small"
    return write_campaign(directory, SMALL, lambda _run, _step: Load(seconds=40.0))


@pytest.fixture(scope="module")
def before(whole: CampaignFiles) -> pd.DataFrame:
    """The whole campaign's steps."""
    steps = analyze(whole.directory, write=False).steps
    assert steps["verdict"].eq("valid").all()
    return steps


@pytest.fixture
def copied(whole: CampaignFiles, tmp_path: Path) -> CampaignFiles:
    return CampaignFiles(Path(shutil.copytree(whole.directory, tmp_path / "copied")))


def places(size: int, seed: str) -> list[int]:
    """Nothing, one byte, all but the last sign and its line's end, and some between that the file's name draws."""
    drawn = random.Random(seed)
    return sorted({0, 1, size - 2, *(drawn.randrange(2, size - 2) for _ in range(CUTS - 3))})


def the_rest_is_as_it_was(steps: pd.DataFrame, before: pd.DataFrame) -> None:
    """A step that still counts has the figures that it had."""
    now, then = (frame.set_index(["block", "model", "step"]) for frame in (steps, before))
    for at in now.index[now["verdict"] == "valid"]:
        assert now.loc[at, FIGURES_OF_A_STEP].equals(then.loc[at, FIGURES_OF_A_STEP])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_named_and_the_rest_analysed(
    kind: str, before: pd.DataFrame, copied: CampaignFiles
) -> None:
    path = copied.directory / kind
    content = path.read_bytes()
    for place in places(len(content), kind):
        path.write_bytes(content[:place])
        found = analyze(copied.directory, write=False)
        if kind.endswith((".json", ".jsonl")):  # a run without any record has no row of an idle step either
            assert set(before["step"]) - set(found.steps["step"]) <= {0}
        else:
            assert len(found.steps) == len(before)
        the_rest_is_as_it_was(found.steps, before)
        assert found.gaps, f"cut at {place}"
        assert all(gap in found.text for gap in found.gaps)


@pytest.mark.parametrize("kind", ["runs/1-single/ledger.jsonl", "runs/1-single/samples-target.csv"])
def test_a_cut_between_two_lines_is_named_too(kind: str, copied: CampaignFiles) -> None:
    path = copied.directory / kind
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in (1, len(lines) // 3, len(lines) // 2):
        path.write_bytes(b"".join(lines[:kept]))
        found = analyze(copied.directory, write=False)
        assert any(gap.startswith("1-single") for gap in found.gaps), f"{kept} lines kept"


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_gone_is_named(kind: str, before: pd.DataFrame, copied: CampaignFiles) -> None:
    (copied.directory / kind).unlink()
    found = analyze(copied.directory, write=False)
    the_rest_is_as_it_was(found.steps, before)
    assert "## What is missing" in found.text
    assert found.gaps or "1-single: not there" in found.text


def test_a_cut_plan_is_refused_in_words(copied: CampaignFiles, capsys: pytest.CaptureFixture[str]) -> None:
    content = copied.plan.read_bytes()
    for place in places(len(content), "plan"):
        copied.plan.write_bytes(content[:place])
        status = main([str(copied.directory), "--no-figures"])
        said = capsys.readouterr().err
        # Cut between two keys that have defaults it is a plan like any other.
        assert status == 0 or (status == 2 and "not a campaign" in said)


def damaged_histogram(record: dict[str, object]) -> None:
    record["response_us"] = str(record["response_us"])[:40]


def no_length(record: dict[str, object]) -> None:
    record["seconds"] = 0.0


@pytest.mark.parametrize(
    ("damage", "said"), [(damaged_histogram, "not a histogram"), (no_length, "a phase without length")]
)
def test_a_damaged_record_costs_its_step(
    damage: Callable[[dict[str, object]], None], said: str, copied: CampaignFiles, before: pd.DataFrame
) -> None:
    path = copied.run("1-single").ledger
    records = [json.loads(line) for line in path.read_text().splitlines()]
    damage(next(record for record in records if record.get("phase") == "measure" and record["step"] == 1))
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    found = analyze(copied.directory, write=False)
    idle, first, second = found.steps["verdict"]
    assert (idle, second) == ("valid", "valid")
    assert first in ("not-measured", "worker-lost")
    assert said in found.text
    the_rest_is_as_it_was(found.steps, before)


def test_lines_of_samples_that_are_no_samples_are_counted(copied: CampaignFiles) -> None:
    path = copied.run("1-single").samples("target")
    lines = path.read_text().splitlines()
    lines[10] = "x," * 60
    path.write_text("\n".join(lines) + "\n")
    found = analyze(copied.directory, write=False)
    assert "1-single/samples-target.csv: 1 damaged lines, skipped" in found.gaps


def test_the_command_line_names_the_gaps(copied: CampaignFiles, capsys: pytest.CaptureFixture[str]) -> None:
    copied.run("1-single").ledger.write_bytes(copied.run("1-single").ledger.read_bytes()[:-300])
    assert main([str(copied.directory), "--no-figures"]) == 0
    assert "analysis: 1-single/ledger.jsonl: line" in capsys.readouterr().err
    copied.run("1-single").state.unlink()
    assert main([str(copied.directory), "--no-figures"]) == 0
    assert "1 of 1 runs are not done" in capsys.readouterr().err
