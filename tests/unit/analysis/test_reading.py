"""Directories that are whole, cut, incomplete, of another version, or no campaign at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from analysis import analyze, load, verdicts_of
from analysis.read.ledger import read_ledger
from analysis.read.samples import read_samples
from analysis.tell.sentences import joined
from study.errors import FormatError, StudyError
from study.formats.json_files import read_json, write_json
from study.layout import CampaignFiles
from tests.unit.synthetic import Load, plan, write_campaign

SMALL = plan(users=[100, 200], models=["single", "thread"], aa=False, return_step=False)


@pytest.fixture
def campaign(tmp_path: Path) -> CampaignFiles:
    return write_campaign(tmp_path / "small", SMALL)


def test_tidy_frames_and_histograms(campaign: CampaignFiles) -> None:
    loaded = load(campaign.directory)
    phases = loaded.phases()
    assert len(phases) == 2 * 3 * 3 * 2  # runs, steps with the idle one, phases, workers
    assert set(phases["phase"]) == {"ramp", "settle", "measure"}
    assert (phases["attempts"] == phases["successes"] + phases["failures"]).all()
    ticks = loaded.ticks()
    measured = ticks[(ticks["phase"] == "measure") & (ticks["worker"] == "load1-1")]
    assert len(measured) == 2 * (2 + 2 * 30)
    assert set(loaded.samples()["role"]) == {"server", "worker", "host"}
    histograms = loaded.histograms()
    assert set(histograms) == {(1, model, step) for model in ("single", "thread") for step in (0, 1, 2)}
    counted = phases[(phases["phase"] == "measure") & (phases["model"] == "single") & (phases["step"] == 2)]
    assert histograms[1, "single", 2].total == counted["successes"].sum()


def test_a_copy_elsewhere_gives_the_same_tables(campaign: CampaignFiles, tmp_path: Path) -> None:
    copied = shutil.copytree(campaign.directory, tmp_path / "far" / "away")
    here, there = analyze(campaign.directory, figures=False), analyze(copied, figures=False)
    assert here.steps.equals(there.steps)
    assert CampaignFiles(copied).steps.read_text() == campaign.steps.read_text()


def test_a_cut_last_line_is_skipped_and_named(campaign: CampaignFiles) -> None:
    ledger = campaign.run("1-single").ledger
    ledger.write_bytes(ledger.read_bytes()[:-200])
    read = read_ledger(ledger)
    assert len(read.records) == 17
    assert read.gaps == ("1-single/ledger.jsonl: line 19 is cut, skipped",)
    analysis = analyze(campaign.directory, figures=False)
    assert "line 19 is cut" in analysis.text
    last = analysis.steps[(analysis.steps["model"] == "single") & (analysis.steps["step"] == 2)].iloc[0]
    assert last["verdict"] == "worker-lost"
    assert "no record came from load1-2" in joined(last["reasons"])


def test_a_damaged_line_costs_that_line_alone(campaign: CampaignFiles) -> None:
    ledger = campaign.run("1-single").ledger
    lines = ledger.read_text().splitlines()
    record = json.loads(lines[2])
    del record["attempts"]
    ledger.write_text("\n".join([*lines[:2], json.dumps(record), '{"record": "pha', *lines[4:]]) + "\n")
    read = read_ledger(ledger)
    assert len(read.records) == 16
    assert "attempts: Field required" in read.gaps[0]
    assert "line 4 is damaged" in read.gaps[1]


def test_a_cut_samples_file_is_read_up_to_its_last_whole_line(campaign: CampaignFiles) -> None:
    path = campaign.run("1-single").samples("target")
    before = len(read_samples(path.parent).frame)
    path.write_bytes(path.read_bytes()[:-7])
    after = read_samples(path.parent)
    assert len(after.frame) == before - 1
    assert after.gaps == ("1-single/samples-target.csv: the last line is cut, skipped",)


def test_an_empty_samples_file_is_no_obstacle(campaign: CampaignFiles) -> None:
    for path in campaign.run("1-single").directory.glob("samples-*"):
        path.write_text("")
    assert read_samples(campaign.run("1-single").directory).frame.empty
    assert analyze(campaign.directory, figures=False).steps["verdict"].eq("valid").all()


@pytest.mark.parametrize("name", ["run.json", "ledger.jsonl"])
def test_another_version_is_refused_with_the_program_that_made_it(campaign: CampaignFiles, name: str) -> None:
    path = campaign.run("1-single").directory / name
    text = path.read_text().replace('"format": 1', '"format": 9', 1).replace("load-study 0.1.0", "load-study 7.0", 1)
    path.write_text(text)
    with pytest.raises(FormatError, match=r"format 9, made by load-study 7\.0; this program reads format 1"):
        analyze(campaign.directory, figures=False)


def test_what_is_no_campaign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"not a campaign: it holds no plan\.toml"):
        load(tmp_path)
    (tmp_path / "plan.toml").write_text("users = 3")
    with pytest.raises(FormatError, match="not a campaign that can be read"):
        load(tmp_path)


def test_every_step_that_was_asked_of_every_run_has_a_row(tmp_path: Path) -> None:
    asked = plan(models=["single", "thread", "select"], users=[100, 200], blocks=2)
    files = write_campaign(
        tmp_path / "gaps", asked, skip=["1-thread", "2-select"], failed={"2-thread": "memory fell below 512 MiB"}
    )
    analysis = analyze(files.directory, figures=False)
    steps = analysis.steps
    ladder = steps[steps["kind"] != "idle"]
    assert len(ladder) == 2 * 4 * 3  # blocks, labels with the A/A control, steps with the return step
    assert len(steps) - len(ladder) == 2 * 4 - 2  # the idle step of each run that is there
    absent = steps[(steps["block"] == 1) & (steps["model"] == "thread")]
    assert absent["verdict"].eq("not-measured").all()
    assert absent["rps"].isna().all()
    assert absent["users"].tolist() == [100, 200, 100]
    assert absent["kind"].tolist() == ["ladder", "ladder", "return"]
    failed = steps[(steps["block"] == 2) & (steps["model"] == "thread")]
    assert failed["rps"].notna().tolist() == [True, True, False, False]
    assert joined(failed["reasons"].iloc[3]) == "the run failed: memory fell below 512 MiB"
    for named in ("1-thread: not there", "2-select: not there", "2-thread: failed: memory fell below 512 MiB"):
        assert named in analysis.text


@pytest.mark.slow
def test_nothing_on_disk_but_the_plan_is_a_campaign_of_empty_rows(tmp_path: Path) -> None:
    files = write_campaign(tmp_path / "fresh", SMALL, skip=["1-single", "1-thread"])
    analysis = analyze(files.directory)
    assert analysis.steps["verdict"].eq("not-measured").all()
    assert not analysis.any_valid
    assert "No ranking, and no order is claimed: no block was measured" in analysis.text
    assert files.summary_csv.read_text().count("\n") == 3


def test_judging_one_run_before_its_state_is_written(campaign: CampaignFiles) -> None:
    campaign.run("1-single").state.unlink()
    verdicts = verdicts_of(campaign.directory, "1-single")
    assert [(v.step, v.users, v.verdict) for v in verdicts] == [(0, 1, "valid"), (1, 100, "valid"), (2, 200, "valid")]
    assert verdicts[1].rps == pytest.approx(100 / 3, rel=0.1)
    assert any("check 7 (counts of the run) not available" in reason for reason in verdicts[0].reasons)
    steps = analyze(campaign.directory, write=False).steps
    assert steps.query("model == 'single'")["verdict"].eq("not-measured").all()


def test_judging_a_run_that_the_plan_does_not_have(campaign: CampaignFiles) -> None:
    with pytest.raises(StudyError, match="its plan has no run '3-select'"):
        verdicts_of(campaign.directory, "3-select")


def test_the_step_that_a_load_host_was_lost_in_and_what_sets_a_run_apart(tmp_path: Path) -> None:
    asked = plan(users=[100, 200])
    files = write_campaign(tmp_path / "lost", asked, failed={"1-thread": "load1 was lost: no answer"})
    state = read_json(files.run("1-thread").state)
    apart = {"load": ["load2"], "without": ["load1"], "rebooted": ["target"]}
    write_json(files.run("1-thread").state, {**state, **apart, "lost": {"host": "load1", "step": 2}})
    analysis = analyze(files.directory, write=False)
    found = analysis.steps[analysis.steps["model"] == "thread"]
    assert found["verdict"].tolist()[2:] == ["worker-lost", "not-measured"]
    assert found["rps"].notna().tolist() == [True, True, False, False]
    assert "1-thread: carried by load2 alone, without load1" in analysis.text
    assert "1-thread: target was started anew since an earlier run of block 1" in analysis.text


def test_all_records_of_a_step_lost(tmp_path: Path) -> None:
    files = write_campaign(
        tmp_path / "lost",
        SMALL,
        lambda run, step: Load(lost=("load1-1", "load1-2") if step.number == 2 and run.model == "single" else ()),
    )
    verdicts = verdicts_of(files.directory, "1-single")
    assert [v.verdict for v in verdicts] == ["valid", "valid", "worker-lost"]
    assert "no record came from load1-1, load1-2" in verdicts[2].reasons[0]
