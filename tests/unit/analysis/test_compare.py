"""Two campaigns side by side: what is claimed, what is refused, and what is named as different."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import Comparison, compare
from analysis.rank.comparison import COLUMNS
from analysis.rank.ratios import corrected, welch_ratio
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


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    draw = np.random.default_rng(3)
    for true in (1.0, 1.1):
        held = 0
        for _ in range(1000):
            after, before = draw.normal(math.log(true), 0.05, 6), draw.normal(0, 0.02, 7)
            ratio = welch_ratio("B", "A", list(np.exp(after)), list(np.exp(before)))
            assert ratio is not None
            assert ratio.low is not None
            assert ratio.high is not None
            held += ratio.low <= true <= ratio.high
        assert held / 1000 == pytest.approx(0.95, abs=0.025)


def test_holm_counts_every_comparison_that_was_tested() -> None:
    made = [welch_ratio("B", "A", [1.0, 1.1, 1.2, 1.3, 1.4], [1.5 * value for value in (1.0, 1.1, 1.2, 1.3, 1.4)])] * 3
    alone = welch_ratio("B", "A", [1.0], [2.0])
    assert alone is not None
    ratios = corrected([*(ratio for ratio in made if ratio is not None), alone])
    assert ratios[0].p is not None
    assert ratios[0].p_holm == pytest.approx(3 * ratios[0].p)
    assert ratios[3].p_holm is None


def test_welch_of_little_or_nothing() -> None:
    assert welch_ratio("B", "A", [], [1.0]) is None
    alone = welch_ratio("B", "A", [2.0], [1.0, 1.0])
    assert alone is not None
    assert (alone.value, alone.low, alone.call) == (2.0, None, "undetermined")
    alike = welch_ratio("B", "A", [1.0] * 6, [1.0] * 6)
    assert alike is not None
    assert (alike.value, alike.low, alike.high, alike.p) == (1.0, 1.0, 1.0, 1.0)


def test_the_same_plan_twice_is_neither_better_nor_worse(base: CampaignFiles, tmp_path: Path) -> None:
    found = compared(base, campaign(tmp_path / "again", seed=2))
    assert set(verdicts(found).values()) <= {"tie", "undetermined"}
    assert verdicts(found)["single", None, "peak_rps"] == "tie"
    assert not found.worse
    assert "nothing that was recorded" in found.text


def test_a_slower_server_is_worse_past_its_knee_and_the_interval_holds_by_how_much(
    base: CampaignFiles, tmp_path: Path
) -> None:
    found = compared(base, campaign(tmp_path / "slower", limit=90.0, seed=2, work={"cpu_ms": 11.0}))
    said = verdicts(found)
    assert said["single", None, "peak_rps"] == said["single", 400, "rps"] == "worse"
    assert said["single", 100, "rps"] == "tie"
    assert found.worse
    peak = found.lines[0].ratio
    assert peak.low is not None
    assert peak.high is not None
    assert peak.low <= 0.9 <= peak.high
    assert "- work.cpu_ms: 0.0 against 11.0" in found.text
    back = compared(CampaignFiles(tmp_path / "slower"), base)
    assert verdicts(back)["single", None, "peak_rps"] == "better"
    assert not back.worse


def test_response_times_are_compared_where_both_are_valid_and_less_is_better(
    base: CampaignFiles, tmp_path: Path
) -> None:
    slower = write_campaign(
        tmp_path / "slower", ASKED, lambda run, step: Load(response=0.005 * (1 + run.block / 100), seconds=40.0)
    )
    found = compared(base, slower)
    said = verdicts(found)
    assert said["single", 100, "mean_ms"] == "worse"
    assert ("single", 400, "mean_ms") not in said  # overload in the first: a mean over the survivors
    assert said["single", 400, "rps"] == "better"
    assert ("single", None, "peak_rps") not in said  # the second never reached its limit


def test_fewer_than_five_runs_claim_nothing(tmp_path: Path) -> None:
    found = compared(campaign(tmp_path / "a", blocks=4), campaign(tmp_path / "b", limit=50.0, blocks=4))
    assert set(verdicts(found).values()) == {"undetermined"}
    assert "With fewer than 5 runs of each nothing is claimed." in found.text
    one = compared(campaign(tmp_path / "c", blocks=1), campaign(tmp_path / "d", limit=50.0, blocks=1))
    assert one.frame["low"].isna().all()
    assert not one.worse


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
    newer = {**host, "python": "3.13.1", "packages": {"gevent": "27.1.0"}, "load_1min": 0.9, "boot_id": "y"}
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
    assert json.loads(found.frame.to_json(orient="records"))[0]["verdict"] == "tie"
