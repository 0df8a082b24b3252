"""What `fab plan` says of a search's time, before there is a campaign of it on disk and after."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from cluster.campaign.prepare import Choice, Setup, make_setup
from cluster.campaign.resume import earlier_runs, open_campaign
from cluster.show.tables import show_plan
from study.duration import CAMPAIGN_S, JUDGE_S, whole_seconds
from study.formats.json_files import write_json
from tests.unit.campaign.test_progress import SEARCH
from tests.unit.campaign.test_run import Silent

INVENTORY = "[target]\nt\n[load]\nl\n[all:vars]\nansible_connection=local\n"


def ready(directory: Path, text: str = SEARCH) -> Setup:
    plan, inventory = directory / "plan.toml", directory / "hosts.ini"
    plan.write_text(text, encoding="utf-8")
    inventory.write_text(INVENTORY, encoding="utf-8")
    return make_setup(Choice(inventory, plan))


def shown(setup: Setup) -> str:
    text = io.StringIO()
    show_plan(Console(file=text, width=300), setup, lambda *_: "")
    return text.getvalue()


def test_an_earlier_campaign_of_the_plan_says_how_long_its_runs_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    setup = ready(tmp_path)
    assert earlier_runs(setup) is None
    assert "takes as long as" not in shown(setup)
    files = open_campaign(setup, Silent(), fresh=True)
    (run,) = setup.plan.runs()
    state = {"state": "failed", "started": "2027-01-15T08:00:00+00:00", "ended": "2027-01-15T08:01:23.5+00:00"}
    write_json(files.run(run.directory).state, state)
    assert earlier_runs(setup) is None  # it says nothing of a whole run
    write_json(files.run(run.directory).state, {**state, "state": "done"})
    known = earlier_runs(setup)
    assert known is not None
    assert known.campaign == files.directory.name
    assert known.seconds == pytest.approx(83.5 + JUDGE_S)
    assert whole_seconds(setup.plan, known.seconds) > known.seconds + CAMPAIGN_S
    assert f"1 min 31 s where each run takes as long as in {files.directory.name}" in shown(setup)
    assert earlier_runs(ready(tmp_path, SEARCH.replace("6400", "3200"))) is None
