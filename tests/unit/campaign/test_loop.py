"""How a campaign goes on when a host is lost on the way, on recording hosts that can fall silent and come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cluster.campaign import loop
from cluster.campaign import run as one_run
from cluster.campaign.loop import run_missing
from cluster.campaign.observer import StepOutcome
from cluster.campaign.prepare import Setup
from cluster.campaign.resume import open_campaign
from cluster.campaign.run import execute
from cluster.hosts.host import Completed, Ended, ProcessHandle, Spawn
from cluster.hosts.inventory import Inventory, this_machine
from cluster.remote import facts
from study.errors import HostError, StudyError, UnreachableError
from study.formats.facts_json import Facts
from study.formats.json_files import read_json, write_json
from study.formats.live_json import LiveFigures
from study.layout import CampaignFiles
from study.plan import parse_plan
from study.reading import parse_as
from tests.unit.campaign.test_run import TEXT, RecordingHost, Silent

FIRST, SECOND = (run.directory for run in parse_plan(TEXT, "order").runs())


class LosableHost(RecordingHost):
    """Silent once `dies_with` has been started on it, for the next `silences` calls."""

    dies_with = ""
    silences = 10**9
    boot = "first"
    dead = False

    def _ask(self) -> None:
        if self.dead and self.silences > 0:
            self.silences -= 1
            raise UnreachableError(f"{self.entry.name}: can't be reached")
        self.dead = False

    def run(self, argv: Sequence[str], timeout: float = 0.0) -> Completed:
        self._ask()
        return Completed(0, self.boot, "") if argv[0] == "cat" else super().run(argv, timeout)

    def start(self, spawn: Spawn, timeout: float = 0.0) -> ProcessHandle:
        self._ask()
        handle = super().start(spawn)
        if spawn.name == "master":
            run = Path(spawn.argv[spawn.argv.index("--study-run") + 1])
            write_json(
                run / "live.json", asdict(LiveFigures(time=0.0, step=2, running=0, rps=0.0, requests=0, failures=0))
            )
        if spawn.name == self.dies_with:
            self.dead = True
        return handle

    def stop_all(self, timeout: float = 0.0) -> dict[str, Ended | None]:
        self._ask()
        return super().stop_all(timeout)

    def listed(self) -> dict[str, Ended | None]:
        self._ask()
        return super().listed()


def losable(host: object) -> LosableHost:
    assert isinstance(host, LosableHost)
    return host


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setattr(one_run, "RENEW_S", 0.0)
    monkeypatch.setattr(loop, "ASK_S", 0.001)
    here = this_machine("here")
    load = (here.load[0], replace(here.load[0], name="load2"))
    inventory: Inventory = replace(here, load=load)
    hosts = [LosableHost(entry, tmp_path, []) for entry in (*inventory.hosts, inventory.control)]
    target, *loads, control = hosts
    enough = facts.collect_facts("127.0.0.1", (8070, 5557), tmp_path) | {
        "memory_available_mb": 64_000,
        "disk_free_mb": 50_000,
        "ports": {"8070": "", "5557": ""},
    }
    known = {host.entry.name: parse_as(Facts, enough, "facts") for host in hosts}
    plan = parse_plan(TEXT, "order")
    return Setup(plan, TEXT, inventory, control, target, tuple(loads), known, tmp_path / "results")


def completed(setup: Setup) -> tuple[CampaignFiles, list[str], Silent]:
    files, show = open_campaign(setup, Silent(), fresh=True), Silent()
    return files, run_missing(setup, files, show, lambda directory, name: []), show


def sealed(files: CampaignFiles, run: str) -> dict[str, object]:
    return read_json(files.run(run).state)


def test_a_run_that_lost_a_load_host_names_it_and_its_step(setup: Setup) -> None:
    losable(setup.load[0]).dies_with = "sampler"
    files = open_campaign(setup, Silent(), fresh=True)
    assert execute(setup, files, setup.plan.runs()[0], Silent()) == "failed"
    state = sealed(files, FIRST)
    assert state["lost"] == {"host": "load1", "step": 2}
    assert "load1" in str(state["reason"])
    assert not any(host.running for host in map(losable, setup.hosts) if host.entry.name != "load1")


@pytest.mark.parametrize("when", ["load1-2", "sampler"])  # before the load, and in it
def test_it_is_tried_again_once_with_the_load_hosts_that_are_left(setup: Setup, when: str) -> None:
    losable(setup.load[0]).dies_with = when
    files, failed, show = completed(setup)
    assert failed == []
    label = FIRST.removeprefix("1-")
    first, second = sealed(files, FIRST), sealed(files, SECOND)
    assert (first["state"], first["attempt"], first["load"], first["without"]) == ("done", 2, ["load2"], ["load1"])
    assert (second["state"], second["attempt"], second["load"]) == ("done", 1, ["load2"])
    assert show.messages[:3] == [
        *(f"{label} failed", "load1 can't be reached: on with load2"),
        f"block 1, {label} is tried again, with the load of load2",
    ]


@pytest.mark.parametrize("times", [1, 2])
def test_a_run_whose_port_was_taken_when_it_began_is_tried_again_once(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    start, left = losable(setup.target).start, [times]

    def start_or_refuse(spawn: Spawn, timeout: float = 0.0) -> ProcessHandle:
        if spawn.name == "server" and left[0]:
            left[0] -= 1
            raise HostError("target: server ended before it was ready: [Errno 98] Address already in use")
        return start(spawn, timeout)

    monkeypatch.setattr(setup.target, "start", start_or_refuse)
    files, failed, show = completed(setup)
    assert failed == ([] if times == 1 else [FIRST])
    assert sealed(files, FIRST)["attempt"] == 2
    assert any("its port was taken when it began" in message for message in show.messages)


def test_a_load_host_that_is_back_carries_the_next_run_again(setup: Setup) -> None:
    host = losable(setup.load[0])
    host.dies_with, host.silences = "sampler", 3  # renewing, collecting, and the question who is left
    files, failed, _ = completed(setup)
    assert failed == []
    assert sealed(files, FIRST)["load"] == ["load2"]
    assert (sealed(files, SECOND)["load"], sealed(files, SECOND)["attempt"]) == (["load1", "load2"], 1)


def test_without_any_load_host_the_campaign_stops_with_what_it_has(setup: Setup) -> None:
    for host in setup.load:
        losable(host).dies_with = f"{host.entry.name}-1"
    files = open_campaign(setup, Silent(), fresh=True)
    with pytest.raises(StudyError, match="no load host answers any more: bring load1, load2 back"):
        run_missing(setup, files, Silent(), lambda directory, name: [])
    assert sealed(files, FIRST)["state"] == "failed"
    assert not files.run(SECOND).state.exists()


def test_load_hosts_that_do_not_suffice_stop_the_campaign(setup: Setup) -> None:
    losable(setup.load[0]).dies_with = "load1-1"
    setup.facts["load2"] = replace(setup.facts["load2"], ephemeral_ports=(1, 5))
    files = open_campaign(setup, Silent(), fresh=True)
    with pytest.raises(StudyError, match=r"without load1, the plan can't be run here:\n +load2, local ports"):
        run_missing(setup, files, Silent(), lambda directory, name: [])


def test_a_target_that_comes_back_fails_its_run_and_the_next_model_goes_on(setup: Setup) -> None:
    target = losable(setup.target)
    target.dies_with, target.silences = "sampler", 6
    files = open_campaign(setup, Silent(), fresh=True)
    show = Silent()

    def judge(directory: Path, name: str) -> list[StepOutcome]:
        target.dies_with, target.boot = "", "second"  # from then on it stays, once it is back
        return []

    assert run_missing(setup, files, show, judge) == [FIRST]
    assert sealed(files, FIRST)["lost"] is None
    assert sealed(files, FIRST)["attempt"] == 1
    assert (sealed(files, SECOND)["state"], sealed(files, SECOND)["rebooted"]) == ("done", ["target"])
    assert any("is waited for" in message for message in show.messages)
    assert "target answers again" in show.messages


def test_a_target_that_stays_away_stops_the_campaign(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TARGET_S", 0.05)
    losable(setup.target).dies_with = "server"
    files = open_campaign(setup, Silent(), fresh=True)
    with pytest.raises(StudyError, match=r"target can't be reached since .* `fab run-campaign` goes on"):
        run_missing(setup, files, Silent(), lambda directory, name: [])
    assert sealed(files, FIRST)["state"] == "failed"


def test_a_boot_between_two_runs_of_a_block_is_noted_and_none_before_it(setup: Setup) -> None:
    files = open_campaign(setup, Silent(), fresh=True)
    first, second = setup.plan.runs()
    execute(setup, files, first, Silent())
    losable(setup.load[1]).boot = "second"
    execute(setup, files, second, Silent())
    assert (sealed(files, FIRST)["rebooted"], sealed(files, SECOND)["rebooted"]) == ([], ["load2"])
    write_json(files.run("2-any").state, {"boot_ids": {"target": "of another block"}})
    execute(setup, files, second, Silent())
    assert sealed(files, SECOND)["rebooted"] == ["load2"]
