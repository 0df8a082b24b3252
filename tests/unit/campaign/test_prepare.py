"""The campaign's plan and its text come from one read of the plan file."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.campaign import prepare
from cluster.campaign.prepare import Choice, exclusive, make_setup, refuse_beside_campaign
from cluster.campaign.resume import open_campaign
from cluster.hosts.host import Host
from study.errors import StudyError
from study.formats.facts_json import Facts
from study.plan import parse_plan
from tests.unit.campaign.test_run import TEXT, Silent


def test_a_plan_file_that_changes_meanwhile_does_not_change_the_campaign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan_file, inventory = tmp_path / "plan.toml", tmp_path / "hosts.ini"
    plan_file.write_text(TEXT, encoding="utf-8")
    inventory.write_text("[target]\nt\n[load]\nl\n[all:vars]\nansible_connection=local\n", encoding="utf-8")
    read_facts = prepare.read_facts

    def read_facts_and_edit(host: Host, port: int | None) -> Facts:
        plan_file.write_text(TEXT.replace("users = [10]", "users = [99]"), encoding="utf-8")
        return read_facts(host, port)

    monkeypatch.setattr(prepare, "read_facts", read_facts_and_edit)
    setup = make_setup(Choice(inventory, plan_file))
    assert "99" in plan_file.read_text(encoding="utf-8")
    assert (setup.plan_text, setup.plan) == (TEXT, parse_plan(TEXT, "plan"))
    files = open_campaign(setup, Silent(), fresh=True)
    assert parse_plan(files.plan.read_text(encoding="utf-8"), "stored") == setup.plan


def test_what_reads_results_is_refused_while_a_campaign_runs_from_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "STATE", tmp_path / "state")
    refuse_beside_campaign()
    with exclusive(), pytest.raises(StudyError, match="wait for its end"):
        refuse_beside_campaign()
    refuse_beside_campaign()
