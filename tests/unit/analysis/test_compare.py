"""Two campaigns side by side: what is claimed, what is refused, and what is named as different."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from analysis import Comparison, compare
from analysis.rank.over_time.comparison import COLUMNS
from study.errors import FormatError, UsageError
from study.formats.json_files import write_json
from study.layout import CampaignFiles
from study.plan import Run, Step
from tests.unit.synthetic import Load, plan, write_campaign

ASKED = plan(models=["single"], users=[100, 400], aa=False, return_step=False, blocks=6)
FREE_S = 0.004


def full_at(limit: float, run: Run, step: Step, swing: float = 0.01) -> Load:
    """A server that is full at `limit` requests/s, a little more or less from block to block."""
    here = limit * (1 + swing * ((5 * run.block) % 7 - 3) / 3)
    rate = min(step.users / (3 + FREE_S), here)
    response = max(FREE_S, step.users / rate - 3)
    return Load(rate=rate, response=response, spread=0.05, server_cpu=min(1.0, rate / here), seconds=40.0)


def campaign(
    directory: Path, limit: float = 100.0, seed: int = 1, of: Sequence[str] = ("single",), **changes: object
) -> CampaignFiles:
    asked = plan(**{**ASKED.model_dump(), "models": list(of), **changes})
    return write_campaign(directory, asked, lambda run, step: full_at(limit, run, step), seed=seed)


def compared(first: CampaignFiles, second: CampaignFiles) -> Comparison:
    return compare(first.directory, second.directory)


def verdicts(found: Comparison) -> dict[tuple[str, int | None, str], str]:
    return {(line.model, line.users, line.figure): line.verdict for line in found.lines}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> CampaignFiles:
    return campaign(tmp_path_factory.mktemp("base") / "before")


IDENTITY = {"the plan": "p" * 64, "servers/": "s" * 64, "the host target": "t" * 64}


def dated(files: CampaignFiles, day: int, **identity: str) -> CampaignFiles:
    """The campaign as one that began on this day of January."""
    whole = {**IDENTITY, **{name.replace("_", " "): digest for name, digest in identity.items()}}
    write_json(files.manifest, {"created": f"2027-01-{day:02d}T08:00:00+00:00", "identity": whole, "hosts": {}})
    return files


def history(directory: Path, days: Sequence[int], **identity: str) -> None:
    """Campaigns of one version on these days, which lie 1 to 2 % apart."""
    for day in days:
        files = campaign(directory / f"day-{day}", limit=100.0 * (1 + 0.01 * (day % 3 - 1)), seed=day)
        dated(files, day, **identity)


def test_without_a_history_of_days_nothing_is_better_or_worse(base: CampaignFiles, tmp_path: Path) -> None:
    half = compared(base, campaign(tmp_path / "half", limit=50.0, seed=2))
    assert set(verdicts(half).values()) == {"undetermined"}
    assert not half.worse
    assert "undetermined: nothing shows how large a day is here" in half.unjudged
    assert "on 3 more days" in half.unjudged
    assert half.unjudged in half.text
    assert half.lines[0].ratio.ratio == pytest.approx(0.5, rel=0.02)
    assert "nothing that was recorded" in half.text


@pytest.mark.slow
def test_worse_is_more_than_the_days_of_one_version_differ_by(tmp_path: Path) -> None:
    history(tmp_path, (2, 3, 4, 5))
    first = dated(campaign(tmp_path / "first", seed=21), 10)
    slower = compared(first, dated(campaign(tmp_path / "slower", limit=70.0, seed=22), 11))
    assert slower.days == 4
    assert slower.unjudged == ""
    said = verdicts(slower)
    assert said["single", None, "peak_rps"] == said["single", 400, "rps"] == "worse"
    assert said["single", 100, "rps"] == "undetermined"
    assert slower.worse
    back = compared(CampaignFiles(tmp_path / "slower"), first)
    assert back.days == 4
    assert verdicts(back)["single", None, "peak_rps"] == "better"
    assert not back.worse
    alike = compared(first, dated(campaign(tmp_path / "alike", limit=101.0, seed=23), 12))
    assert set(verdicts(alike).values()) == {"undetermined"}


@pytest.mark.slow
def test_a_history_is_of_the_same_plan_code_and_hosts_on_other_days(tmp_path: Path) -> None:
    history(tmp_path, (2, 3))
    history(tmp_path, (4,), the_plan="another")
    first = dated(campaign(tmp_path / "first", seed=21), 10)
    dated(campaign(tmp_path / "same-day", seed=24), 10)
    (tmp_path / "latest").symlink_to("day-2")
    other = dated(campaign(tmp_path / "slower", limit=70.0, seed=22), 11)
    found = compared(first, other)
    assert found.days == 2
    assert "on 1 more day" in found.unjudged
    assert not found.worse
    moved = compared(first, dated(other, 11, the_host_target="another"))
    assert "different hosts" in moved.unjudged
    assert not moved.worse


def test_response_times_are_compared_where_both_are_valid(base: CampaignFiles, tmp_path: Path) -> None:
    slower = write_campaign(
        tmp_path / "slower", ASKED, lambda run, step: Load(response=0.005 * (1 + run.block / 100), seconds=40.0)
    )
    found = compared(base, slower)
    said = verdicts(found)
    assert ("single", 100, "mean_ms") in said
    assert ("single", 400, "mean_ms") not in said  # overload in the first: a mean over the survivors
    assert ("single", 400, "rps") in said
    assert ("single", None, "peak_rps") not in said  # the second never reached its limit


@pytest.mark.slow
def test_fewer_than_five_runs_claim_nothing_whatever_the_history(tmp_path: Path) -> None:
    history(tmp_path, (2, 3, 4))
    few = [
        dated(campaign(tmp_path / name, limit, blocks=4), day) for name, limit, day in (("a", 100.0, 8), ("b", 50.0, 9))
    ]
    found = compared(*few)
    assert found.days == 3
    assert set(verdicts(found).values()) == {"undetermined"}
    assert "no figure has 5 runs" in found.unjudged


def test_a_step_that_does_not_count_is_not_compared_and_said(base: CampaignFiles, tmp_path: Path) -> None:
    late = write_campaign(tmp_path / "late", ASKED, lambda _run, step: Load(lag_ms=80.0 if step.users == 400 else 1.0))
    found = compared(base, late)
    assert {users for _, users, _ in verdicts(found)} == {100}
    assert "- single at 400 users: generator-limited in B" in found.text


def test_nothing_that_counts_is_said_and_no_error(base: CampaignFiles, tmp_path: Path) -> None:
    late = write_campaign(tmp_path / "late", ASKED, lambda _run, _step: Load(lag_ms=80.0))
    found = compared(base, late)
    assert not found.lines
    assert "nothing is compared" in found.text
    assert found.frame.empty


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"think_time": (0.0, 1.0)}, "think_time: [1.0, 5.0] against [0.0, 1.0]"),
        ({"connection": "keep-alive"}, "connection: close against keep-alive"),
        ({"client": "http"}, "client: lean against http"),
        ({"of": ("thread",)}, "no model in common"),
    ],
)
def test_campaigns_that_ask_different_questions_are_refused(
    base: CampaignFiles, tmp_path: Path, changes: dict[str, object], part: str
) -> None:
    other = campaign(tmp_path / "other", blocks=1, **changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as refused:
        compared(base, other)
    assert part in str(refused.value)


def test_a_campaign_is_not_compared_with_itself_nor_with_what_is_none(base: CampaignFiles, tmp_path: Path) -> None:
    link = tmp_path / "latest"
    link.symlink_to(base.directory)
    with pytest.raises(UsageError, match="the same campaign"):
        compare(base.directory, link)
    with pytest.raises(FormatError, match="not a campaign"):
        compare(base.directory, tmp_path)


def test_what_differs_between_the_machines_is_named_once(base: CampaignFiles, tmp_path: Path) -> None:
    other = campaign(tmp_path / "other", of=("single", "thread"), blocks=1, users=[100, 200])
    before = CampaignFiles(tmp_path / "before")
    write_campaign(before.directory, ASKED, seed=3, skip=[f"{block}-single" for block in range(2, 7)])
    host = {"kernel": "6.1", "python": "3.11.7", "packages": {"gevent": "26.9.0"}, "load_1min": 0.3, "boot_id": "x"}
    host["directory"] = "/somewhere"
    newer = {**host, "python": "3.13.1", "packages": {"gevent": "27.1.0"}, "load_1min": 0.9, "boot_id": "y"}
    newer["directory"] = "/somewhere/else"
    digests = {"servers/": "a" * 64, "cluster/": "c" * 64}
    write_json(before.manifest, {"identity": digests, "hosts": {"target": host, "load1": host}})
    digests["servers/"] = "b" * 64
    write_json(other.manifest, {"identity": digests, "hosts": {"target": newer, "load1": newer}})
    text = compared(before, other).text
    assert f"- servers/: {'a' * 12} against {'b' * 12}" in text
    assert "cluster/" not in text
    assert text.count("python: 3.11.7 against 3.13.1") == 1
    assert "- target, load1, packages.gevent: 26.9.0 against 27.1.0" in text
    assert "load_1min" not in text
    assert "boot_id" not in text
    assert "/somewhere" not in text
    assert "- users: [100, 400] against [100, 200]" in text
    assert "- thread is in one of the two campaigns only" in text
    other.manifest.unlink()
    assert "- manifest.json: there against nothing" in compared(before, other).text


def test_the_comparison_as_a_file(base: CampaignFiles, tmp_path: Path) -> None:
    found = compared(base, campaign(tmp_path / "again", seed=2))
    found.write(tmp_path / "compare.csv")
    assert tuple(pd.read_csv(tmp_path / "compare.csv").columns) == COLUMNS
    found.write(tmp_path / "compare.md")
    assert (tmp_path / "compare.md").read_text() == found.text
    assert json.loads(found.frame.to_json(orient="records"))[0]["verdict"] == "undetermined"
