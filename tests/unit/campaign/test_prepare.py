"""The campaign's plan and its text come from one read of the plan file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.campaign import prepare
from cluster.campaign.prepare import Choice, campaigns_here, exclusive, make_setup, refuse_beside_campaign
from cluster.campaign.resume import open_campaign
from cluster.hosts.host import Host
from cluster.remote.process_table import command_lines
from cluster.remote.supervise import hold
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
    monkeypatch.setattr(prepare, "campaigns_here", lambda: iter(()))
    refuse_beside_campaign()
    with (
        exclusive(),
        pytest.raises(
            StudyError, match="runs from this checkout, and this would disturb its measurement: wait for its end"
        ),
    ):
        refuse_beside_campaign()
    refuse_beside_campaign()


def test_it_is_refused_while_another_checkout_measures_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process with a monitor's arguments, beside whose state is the name of who holds the host; and another's fab."""
    monkeypatch.setattr(prepare, "STATE", tmp_path / "state")

    def ours() -> list[str]:
        return [each for each in campaigns_here() if str(tmp_path) in each or pid in each]

    state = tmp_path / "host" / "processes"
    waits = [sys.executable, "-c", "input()"]
    with waiting([*waits, "-m", "cluster.remote.monitor", "--state", str(state), "--"]) as monitor:
        pid = str(monitor.pid)
        assert ours() == []
        assert hold(state, f"me@here:{tmp_path}/checkout") == ""
        assert ours() == [f"me@here:{tmp_path}/checkout"]
        with pytest.raises(StudyError, match="would disturb its measurement: wait for its end, or copy the results"):
            refuse_beside_campaign()
    assert ours() == []
    for task, seen in (("run-campaign", True), ("calibrate", True), ("analyze", False)):
        with waiting([*waits, "/elsewhere/.venv/bin/fab", "deploy", task]) as fab:
            pid = f"PID {fab.pid})"
            assert bool(ours()) is seen


@contextmanager
def waiting(argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has begun, and ends with its input."""
    process = subprocess.Popen(argv, stdin=subprocess.PIPE)
    while argv[-1] not in command_lines().get(process.pid, []):
        assert process.poll() is None
    yield process
    process.communicate()
