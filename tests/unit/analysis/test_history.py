"""`fab history`: the campaigns of one plan and its hosts in their order, as a table and a figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import history
from analysis.draw.history_figure import over_time
from analysis.rank.over_time import campaign_history
from analysis.rank.over_time.campaign_history import COLUMNS
from study.errors import UsageError
from study.formats.json_files import write_json
from study.plan import Run, Step
from tests.unit.synthetic import Load, plan, write_campaign

ASKED = plan(models=["single"], users=[100, 400], aa=False, return_step=False)


def load_of(_run: Run, step: Step) -> Load:
    full = Load(seconds=40.0, server_cpu=1.0, response=0.7, spread=0.05)
    return full if step.users == 400 else Load(seconds=40.0)


def at(
    results: Path, name: str, day: int, commit: str = "c" * 40, full: bool = True, plan_digest: str = "p" * 64
) -> None:
    """A campaign that began on this day of January; at 400 users its server is full, or it isn't."""
    files = write_campaign(results / name, ASKED, load_of if full else None, seed=day)
    whole = {"the plan": plan_digest, "servers/": commit, "the host target": "t" * 64}
    created = f"2027-01-{day:02d}T08:00:00+00:00"
    write_json(
        files.manifest,
        {"plan": "made-up", "created": created, "commit": commit, "identity": whole,
         "hosts": {"target": {"cpu": "Xeon", "cores": [0, 1]}}},
    )  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("history") / "results"
    at(directory, "made-up-2", 12, "d" * 40)
    at(directory, "made-up-1", 11)
    at(directory, "made-up-3", 13, full=False)
    at(directory, "another", 14, plan_digest="q" * 64)
    (directory / "latest").symlink_to("made-up-3")
    (directory / "notes").mkdir()
    return directory


def test_campaigns_of_one_plan_and_hosts_are_one_history(results: Path) -> None:
    found = history(results)
    assert [each.campaigns for each in found.plans] == [1, 3]
    frame = found.plans[1].frame
    assert tuple(frame.columns) == COLUMNS
    assert list(frame["campaign"]) == ["made-up-1", "made-up-2", "made-up-3"]
    assert list(frame["commit"].str[0]) == ["c", "d", "c"]
    assert list(frame["capacity_low"]) == [100, 100, 400]
    assert "capacity_users" in frame["at_least"].iloc[2]
    table, *figures = found.paths
    assert table == results / "history" / "history.csv"
    assert len(pd.read_csv(table)) == 4
    assert sorted(path.suffix for path in figures) == [".png", ".svg"]
    assert all(path.stat().st_size > 1000 for path in figures)
    assert "3 campaigns on target (Xeon, 2 cores)." in found.text
    assert ">= 400" in found.text
    assert "| 2027-01-11 08:00 | cccccccccccc | single | 1 |" in found.text
    assert "No figure: fewer than two campaigns have any." in found.text
    assert history(results).text == found.text  # its own directory is no campaign


def test_bounds_are_arrows_from_their_points(results: Path) -> None:
    frame = campaign_history.histories(results)[1].frame
    figure = over_time(frame)
    assert figure is not None
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["single", "at least"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["users carried", "peak requests per second"]
    points, arrows = figure.axes[0].collections[0], figure.axes[0].collections[-1]
    assert list(np.asarray(points.get_offsets())[:, 1]) == [100, 100, 400]
    assert list(np.asarray(arrows.get_offsets())[:, 1]) == [400]


def test_what_can_not_be_read_or_is_too_old_is_named(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_history, "MOST_CAMPAIGNS", 2)
    found = campaign_history.histories(results)[1]
    assert found.left_out == ("made-up-1",)
    assert list(found.frame["campaign"]) == ["made-up-2", "made-up-3"]


def test_without_campaigns_it_is_one_message(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError, match="no campaign is there"):
            history(place)
    assert list(tmp_path.iterdir()) == []
