"""The order of a run, on a host that records its calls and does nothing: a stand-in for real hosts."""

import io
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from cluster.campaign import cleanup, launch, manifest, resume
from cluster.campaign import run as one_run
from cluster.campaign.loop import run_missing
from cluster.campaign.observer import StepOutcome
from cluster.campaign.placement import sampler_cpus, server_cpus
from cluster.campaign.prepare import Setup
from cluster.campaign.resume import missing_runs, open_campaign
from cluster.campaign.run import execute
from cluster.hosts.host import Completed, Ended, Host, ProcessHandle, Spawn
from cluster.hosts.inventory import HostEntry, this_machine
from cluster.hosts.local import LocalHost
from cluster.show.tables import show_processes
from study.errors import HostError, StoppedError, UnreachableError
from study.formats.facts_json import Facts
from study.formats.json_files import read_json
from study.formats.live_json import LiveFigures
from study.layout import CampaignFiles
from study.plan import Plan, Run, parse_plan

TEXT = 'name = "order"\nmodels = ["single", "thread"]\nusers = [10]\nsettle = 1\nmeasure = 1\naa = false\n'
WHOLE_LEDGER = '{"record":"end"}\n'


class RecordingHost(LocalHost):
    """Appends each call to `calls`, which all hosts of a setup share; `fails` makes a call raise."""

    def __init__(self, entry: HostEntry, directory: Path, calls: list[str]) -> None:
        super().__init__(entry, directory)
        self.calls = calls
        self.running: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.ends: dict[str, Ended] = {}

    def note(self, call: str) -> None:
        self.calls.append(call)
        if call in self.fails:
            raise self.fails[call]

    def run(self, argv: Sequence[str], timeout: float = 0.0) -> Completed:
        if "cluster.remote.probe" in argv:
            self.note("verify")
        return Completed(1 if argv[0] == "test" else 0, "", "")

    def start(self, spawn: Spawn, timeout: float = 0.0) -> ProcessHandle:
        self.note(f"start {spawn.name} on {self.entry.name}")
        self.running.append(spawn.name)
        if spawn.name == "master":
            run = Path(spawn.argv[spawn.argv.index("--study-run") + 1])
            (run / "ledger.jsonl").write_text(WHOLE_LEDGER, encoding="utf-8")
        return ProcessHandle(spawn.name, 1, 1)

    def stop(self, name: str, timeout: float = 0.0) -> Ended:
        self.note(f"stop {name} on {self.entry.name}")
        return Ended(name, "stopped", 0)

    def stop_all(self, timeout: float = 0.0) -> dict[str, Ended | None]:
        if self.running:
            self.note(f"stop {self.entry.name}")
        names, self.running = self.running, []
        return {name: Ended(name, "stopped", 0) for name in names}

    def renew(self) -> dict[str, Ended | None]:
        known = self.listed()
        if "master" in known:
            known["master"] = Ended("master", "exited", 0)
            self.note("load")
        return {**known, **{name: end for name, end in self.ends.items() if name in known}}

    def listed(self) -> dict[str, Ended | None]:
        return dict.fromkeys(self.running)

    def put(self, local: Path, remote: Path, timeout: float = 0.0) -> None:
        raise AssertionError("nothing is to be put")

    def get(self, remote: Path, local: Path, timeout: float = 0.0) -> None:
        raise AssertionError("nothing is to be got")


class Silent:
    """An Observer that keeps the messages."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def run_started(self, plan: Plan, run: Run, number: int, total: int) -> None: ...

    def progress(self, figures: LiveFigures) -> None: ...

    def run_ended(self, run: Run, state: str, outcomes: Sequence[StepOutcome]) -> None:
        self.messages.append(f"{run.label} {state}")


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.setattr(one_run, "RENEW_S", 0.0)
    calls: list[str] = []
    inventory = this_machine("here")

    def host(entry: HostEntry) -> RecordingHost:
        return RecordingHost(entry, tmp_path, calls)

    return Setup(
        plan=parse_plan(TEXT, "order"),
        plan_text=TEXT,
        inventory=inventory,
        control=host(HostEntry("control")),
        target=host(inventory.target),
        load=tuple(host(entry) for entry in inventory.load),
        facts={name: Facts(cores=tuple(sorted(os.sched_getaffinity(0)))) for name in ("target", "load1", "control")},
        results=tmp_path / "results",
    )


def recording(host: Host) -> RecordingHost:
    assert isinstance(host, RecordingHost)
    return host


def begin(setup: Setup) -> tuple[CampaignFiles, Run]:
    files = open_campaign(setup, Silent(), fresh=True)
    return files, setup.plan.runs()[0]


def test_a_server_is_replaced_between_its_samplers(setup: Setup) -> None:
    files, run = begin(setup)
    attempt = one_run._begin(setup, files, run)
    assert not launch.replace_server(attempt, {})  # the run has no server of its own
    recording(setup.target).running.append("server")
    assert launch.replace_server(attempt, {})
    calls = recording(setup.target).calls
    assert set(calls[:2]) == {"stop sampler on target", "stop sampler on load1"}
    assert calls[2:5] == ["stop server on target", "start server on target", "verify"]
    assert set(calls[5:]) == {"start sampler on target", "start sampler on load1"}
    assert attempt.replaced == ["server-1.out"]


def test_a_run_starts_verifies_loads_stops_and_is_sealed_in_this_order(setup: Setup) -> None:
    files, run = begin(setup)
    assert execute(setup, files, run, Silent()) == "done"
    calls = recording(setup.target).calls
    assert calls[:5] == [
        *("start server on target", "verify", "start master on control", "start load1-1 on load1"),
        "start load1-2 on load1",
    ]
    assert set(calls[5:7]) == {"start sampler on target", "start sampler on load1"}
    assert calls[7] == "load"
    assert set(calls[8:10]) == {"stop load1", "stop control"}
    assert calls[10:] == ["stop target"]
    assert read_json(files.run(run.directory).state)["state"] == "done"


@pytest.mark.parametrize(
    ("who", "call"),
    [
        *(("load", "verify"), ("control", "start master on control"), ("load", "start load1-2 on load1")),
        ("target", "start sampler on target"),
    ],
)
def test_everything_is_stopped_when_a_step_fails_and_the_run_says_why(setup: Setup, who: str, call: str) -> None:
    files, run = begin(setup)
    host = setup.load[0] if who == "load" else getattr(setup, who)
    recording(host).fails[call] = HostError("the host said no")
    assert execute(setup, files, run, Silent()) == "failed"
    sealed = read_json(files.run(run.directory).state)
    assert (sealed["state"], sealed["reason"]) == ("failed", "the host said no")
    assert not any(recording(each).running for each in setup.hosts)


def test_ctrl_c_stops_everything_and_seals_nothing(setup: Setup) -> None:
    files, run = begin(setup)
    recording(setup.control).fails["load"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        execute(setup, files, run, Silent())
    assert not files.run(run.directory).state.exists()
    assert not any(recording(each).running for each in setup.hosts)


@pytest.mark.parametrize(
    ("name", "how", "part"),
    [
        ("server", "exited", "ended during the run"),
        ("server", "memory", "less than 512 MiB"),
        ("sampler", "memory", "512"),
    ],
)
def test_a_run_whose_server_or_memory_is_gone_has_failed(setup: Setup, name: str, how: str, part: str) -> None:
    files, run = begin(setup)
    recording(setup.target).ends[name] = Ended(name, how, -9)
    assert execute(setup, files, run, Silent()) == "failed"
    assert part in read_json(files.run(run.directory).state)["reason"]


def test_a_master_that_hangs_is_named_and_not_the_server(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after SIGSTOP: it lives, and live.json is never written again."""
    files, run = begin(setup)
    now = iter(range(0, 100_000, 5))
    monkeypatch.setattr("time.monotonic", lambda: float(next(now)))
    monkeypatch.setattr(recording(setup.control), "renew", lambda: dict.fromkeys(recording(setup.control).running))
    assert execute(setup, files, run, Silent()) == "failed"
    reason = read_json(files.run(run.directory).state)["reason"]
    assert "Locust's master on this machine has written nothing for" in reason
    assert next(now) < 300  # long before the run's whole time


@pytest.mark.parametrize(
    "printed", [b"7", b"null", b'"x"', b"[]", b"caf\xe9", b"[" * 100_000, b"9" * 5000, b'{"accepted": "x"}', b"\0", b""]
)
def test_whatever_a_server_prints_last_ends_no_campaign(tmp_path: Path, printed: bytes) -> None:
    (tmp_path / "server.out").write_bytes(printed)
    assert one_run._server_counts(tmp_path, ["server.out"]) is None
    assert one_run._slots(tmp_path / "server.out") is None


def test_processes_that_somebody_else_stopped_end_the_campaign(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    files, run = begin(setup)
    monkeypatch.setattr(setup.target, "renew", dict)  # as after `fab stop`: nothing is known there any more
    with pytest.raises(StoppedError, match="fab stop"):
        execute(setup, files, run, Silent())
    assert not files.run(run.directory).state.exists()


def test_a_host_that_can_not_be_stopped_fails_the_run_and_the_others_are_stopped(setup: Setup) -> None:
    files, run = begin(setup)
    recording(setup.load[0]).fails["stop load1"] = HostError("load1 said no")
    assert execute(setup, files, run, Silent()) == "failed"
    assert "load1 said no" in read_json(files.run(run.directory).state)["reason"]
    assert recording(setup.load[0]).running == ["load1-1", "load1-2", "sampler"]
    assert not recording(setup.target).running


def test_a_ledger_without_an_end_is_no_whole_run(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.WHOLE_LEDGER", '{"record":"phase"}\n{"record":"ph')
    files, run = begin(setup)
    assert execute(setup, files, run, Silent()) == "failed"
    assert "master ended early" in read_json(files.run(run.directory).state)["reason"]


def test_the_campaign_goes_on_after_a_failed_run_and_repeats_no_finished_one(setup: Setup) -> None:
    files, first = begin(setup)
    host = recording(setup.target)
    host.fails["start server on target"] = HostError("busy")
    assert len(run_missing(setup, files, Silent(), lambda directory, name: [])) == 2
    del host.fails["start server on target"]
    assert execute(setup, files, first, Silent()) == "done"
    assert read_json(files.run(first.directory).state)["attempt"] == 2
    assert [run.label for run in missing_runs(setup.plan, files)] == [setup.plan.runs()[1].label]
    host.calls.clear()
    assert run_missing(setup, files, Silent(), lambda directory, name: []) == []
    assert host.calls.count("start server on target") == 1


def test_an_unfinished_campaign_is_taken_up_unless_something_changed(setup: Setup) -> None:
    files, first = begin(setup)
    execute(setup, files, first, Silent())
    show = Silent()
    assert open_campaign(setup, show, fresh=False).directory == files.directory
    assert "going on with" in show.messages[0]
    changed = json.loads(files.manifest.read_text(encoding="utf-8"))
    changed["identity"]["servers/"] = "another"
    files.manifest.write_text(json.dumps(changed), encoding="utf-8")
    asked = manifest.identity(setup.plan_text, setup.inventory, setup.facts)
    assert manifest.changed(changed["identity"], asked) == "servers/"


def test_a_host_that_has_other_cores_makes_another_campaign_and_is_named(setup: Setup) -> None:
    inventory = replace(setup.inventory, load=(replace(setup.inventory.load[0], cpus=(), workers=0),))
    before = manifest.identity(TEXT, inventory, {**setup.facts, "load1": Facts(cores=(0, 1))})
    assert manifest.changed(before, before) == ""
    more = {**setup.facts, "load1": Facts(cores=(0, 1, 2))}
    assert manifest.changed(before, manifest.identity(TEXT, inventory, more)) == "the host load1"
    renamed = replace(inventory, load=(replace(inventory.load[0], name="other"),))
    facts = {**setup.facts, "other": Facts(cores=(0, 1))}
    assert manifest.changed(before, manifest.identity(TEXT, renamed, facts)) == "the host other and the host load1"
    reached = replace(inventory, load=(replace(inventory.load[0], port=2222, user="me", key="~/key"),))
    assert (
        manifest.changed(before, manifest.identity(TEXT, reached, {**setup.facts, "load1": Facts(cores=(0, 1))})) == ""
    )


def test_the_sampler_of_a_target_over_ssh_keeps_off_the_server_where_there_is_another_core() -> None:
    entry = HostEntry("target", connection="ssh")
    for cpus, cores, server, sampler in (
        ((), (0, 1, 2, 3), (0, 1, 2), (3,)),
        ((), (5,), (5,), (5,)),
        ((0, 1), (0, 1, 2, 3), (0, 1), (2, 3)),
        ((0, 1), (0, 1), (0, 1), (0, 1)),
    ):
        given = replace(entry, cpus=cpus)
        assert (server_cpus(given, Facts(cores=cores)), sampler_cpus(given, Facts(cores=cores))) == (server, sampler)


def test_status_shows_every_host_that_answers_and_names_the_one_that_does_not(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_answer() -> dict[str, Ended | None]:
        raise UnreachableError("load1: can't be reached")

    recording(setup.target).running.append("server")
    monkeypatch.setattr(setup.load[0], "listed", no_answer)
    shown = io.StringIO()
    with pytest.raises(HostError, match="load1: can't be reached"):
        show_processes(Console(file=shown, width=100), setup.hosts)
    rows = [re.findall(r"[\w',: -]*\w", line) for line in shown.getvalue().splitlines()]
    cells = [[cell.strip() for cell in row] for row in rows]
    assert ["target", "server", "running"] in cells
    assert ["load1", "not known: can't be asked"] in cells


def test_leftovers_are_ended_on_all_hosts_that_answer(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer() -> dict[str, Ended | None]:
        raise UnreachableError("target: can't be reached")

    recording(setup.load[0]).running.append("load1-1")
    monkeypatch.setattr(setup.target, "listed", no_answer)
    with pytest.raises(HostError, match="target: can't be reached"):
        cleanup.end_leftovers(setup.hosts)
    assert recording(setup.load[0]).running == []


def test_the_manifest_carries_what_the_models_say_of_themselves(setup: Setup) -> None:
    files, _ = begin(setup)
    about = read_json(files.manifest)["models"]
    assert list(about) == list(setup.plan.models)
    for name in setup.plan.models:
        assert about[name]["model"] == setup.plan.server(name).model
        assert "Waits:" in about[name]["docstring"]


def test_a_finished_campaign_is_not_taken_up_again(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    files, _ = begin(setup)
    run_missing(setup, files, Silent(), lambda directory, name: [])
    monkeypatch.setattr(resume, "directory_name", lambda plan: "order-99991231-000000")
    assert open_campaign(setup, Silent(), fresh=False).directory != files.directory


def test_workers_are_as_many_as_the_inventory_says_or_one_for_each_core(setup: Setup) -> None:
    assert [name for _, name in setup.workers()] == ["load1-1", "load1-2"]
    entry = replace(setup.inventory.load[0], workers=0, cpus=(1, 2, 3))
    assert len(replace(setup, inventory=replace(setup.inventory, load=(entry,))).workers()) == 3
