"""What hosts and workers record beside the counts, as analysis reads it; and campaigns of versions that didn't."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import analyze
from analysis.judge.judging import judge_all
from analysis.judge.laws.strangers import judge_strangers
from analysis.judge.window import Window
from analysis.read.counter_span import CounterSpan
from analysis.read.results import load
from analysis.read.samples import CoreGroupSeconds, Target, read_samples, target_of
from study.plan import Run, Step
from tests.unit.synthetic import Load, idle_load, plan, write_campaign

ASKED = plan(models=["single"], users=[100, 400], aa=False, return_step=False)


def windows(directory: Path, load_at_top: Load, old: bool = False) -> dict[int, Window]:
    """The windows by step number; `load_at_top` is that of 400 users."""
    files = write_campaign(
        directory, ASKED, lambda _run, step: replace(load_at_top if step.users == 400 else Load(), old=old)
    )
    (run,) = judge_all(load(files.directory))
    return {step.step.number: step.window for step in run.steps if step.window is not None}


def target(window: Window) -> Target:
    assert window.target is not None
    return window.target


def outcome(group: CoreGroupSeconds | None) -> str:
    assert group is not None
    judged = judge_strangers(group.busy, group.own, group.steal, group.seconds, group.cores)
    assert judged is not None
    return judged.outcome


def test_strangers_on_the_servers_and_on_the_workers_cores_are_told_apart(tmp_path: Path) -> None:
    read = windows(tmp_path, Load(strangers=0.2, steal=0.05, pressure=0.4))
    quiet, disturbed = read[1], read[2]
    group = target(disturbed).group
    assert group is not None
    assert (group.host, group.cores, len(group.seconds)) == ("target", 1.0, 30)
    assert group.busy == pytest.approx([0.6] * 30)
    assert group.own == pytest.approx([0.4] * 30)
    assert group.steal == pytest.approx([0.05] * 30)
    assert group.pressure == pytest.approx(0.4)
    (workers,) = disturbed.generator.groups
    assert (workers.host, workers.cores) == ("load1", 2.0)
    assert workers.own == pytest.approx([0.6] * 30)
    assert [outcome(each) for each in (target(quiet).group, group, workers)] == ["pass", "fail", "pass"]
    (workers,) = windows(tmp_path / "load", Load(load_strangers=0.2))[2].generator.groups
    assert outcome(workers) == "fail"


def test_a_rate_is_over_the_seconds_of_its_own_sample(tmp_path: Path) -> None:
    files = write_campaign(tmp_path, ASKED)
    path = files.run("1-single").samples("target")
    path.write_text(path.read_text().replace(",single,1.0,", ",single,2.0,"))
    (run,) = judge_all(load(files.directory))
    window = run.steps[-1].window
    assert window is not None
    group = target(window).group
    assert group is not None
    assert set(group.seconds) == {2.0}
    assert group.own == pytest.approx([0.2] * len(group.own))


def test_a_row_that_the_next_ramp_shares_is_not_of_the_window(tmp_path: Path) -> None:
    """New users connect all at once: what waits for them in that second is no queue of the step before."""
    path = tmp_path / "samples-target.csv"
    head = "time,role,name,seconds,accept_queue,accept_queue_mean,accept_queue_looks,listen_socket_drops"
    rows = [f"{at},server,thread,1.0,0,{mean},9,{drops}" for at, mean, drops in ((10.4, 0, 0), (11.4, 60, 500))]
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    samples = read_samples(tmp_path)
    read = target_of(samples, 9.0, 11.0)
    assert read is not None
    assert (read.accept_queue_mean, read.listen_socket_drops) == (0.0, CounterSpan(0.0, None))
    short = target_of(samples, 10.45, 11.25)  # shorter than a row and its edges: what there is
    assert short is not None
    assert short.accept_queue_mean == 60.0


def test_the_queue_is_a_mean_over_all_looks_and_the_drops_are_the_listening_sockets(tmp_path: Path) -> None:
    top = windows(tmp_path, Load(accept_queue=4, queue_mean=0.25, queue_looks=8, socket_drops=3, memory_mb=12.5))[2]
    read = target(top)
    assert (read.accept_queue, read.accept_queue_mean, read.accept_queue_looks) == (4.0, 0.25, 240)
    assert read.listen_socket_drops == CounterSpan(90.0, 90.0)
    assert read.pss_mb == 12.5  # the tree's memory, not the proportional set size of 30.5


def test_turnarounds_clocks_and_the_ages_at_the_windows_start(tmp_path: Path) -> None:
    files = write_campaign(tmp_path, ASKED, idle_of=lambda _run, _step: Load(seconds=2.0, late=0.0003))
    (run,) = judge_all(load(files.directory))
    idle, top = run.steps[0].window, run.steps[-1].window
    assert idle is not None
    assert top is not None
    assert idle.turnarounds == idle.attempts > 0
    assert idle.mean_turnaround_s == idle.think_s == pytest.approx(0.0003)
    assert idle.throughput * ((idle.cycle_response_s or 0.0) + 0.0003) == pytest.approx(1, rel=0.01)
    assert (top.turnarounds, top.mean_turnaround_s) == (0, None)
    assert top.ages_start is not None
    assert top.ages_start.total == 0
    assert [(worker.seconds, worker.wall_s, worker.clock_step_s) for worker in top.workers] == [(30.0, 30.0, 0.0)] * 2


def r1_ms(directory: Path, load_of_idle: Load | None, old: bool = False) -> float:
    """R1 as check 8 took it at the top step, where the lowest step answers in 20 ms."""
    files = write_campaign(
        directory,
        ASKED,
        lambda _run, _step: Load(response=0.020, spread=0.0, old=old),
        idle_of=None if load_of_idle is None else lambda _run, _step: load_of_idle,
    )
    checks = analyze(files.directory, write=False).checks
    (finding,) = checks[(checks["code"] == "target.slow") & (checks["step"] == 2)]["finding"]
    return float(finding["unloaded_ms"])


def test_r1_is_that_of_the_idle_step_and_else_of_the_lowest(tmp_path: Path) -> None:
    idle = Load(response=0.002, spread=0.0, seconds=2.0)
    assert r1_ms(tmp_path / "idle", idle) == pytest.approx(2.0, rel=0.01)
    silent = replace(idle, failures={"timed-out": 1}, rate=0.5, failed_after=2.0)
    assert r1_ms(tmp_path / "silent", silent) == pytest.approx(20.0, rel=0.01)
    assert r1_ms(tmp_path / "old", None, old=True) == pytest.approx(20.0, rel=0.01)


def test_an_older_campaign_is_read_without_what_it_did_not_record(tmp_path: Path) -> None:
    read = windows(tmp_path, Load(), old=True)
    assert set(read) == {1, 2}
    top = read[2]
    assert (top.turnarounds, top.mean_turnaround_s) == (0, None)
    assert {worker.wall_s for worker in top.workers} == {worker.clock_step_s for worker in top.workers} == {None}
    old = target(top)
    assert (old.group, old.accept_queue_mean, old.accept_queue_looks, old.listen_socket_drops) == (None,) * 4
    assert old.pss_mb == 30.5
    assert top.generator.groups == ()
    analysis = analyze(tmp_path, figures=False)
    assert analysis.steps["kind"].tolist() == ["ladder", "ladder"]
    assert analysis.steps["verdict"].tolist() == ["valid", "valid"]


def test_an_idle_step_alone_is_no_measurement(tmp_path: Path) -> None:
    def late(_run: Run, _step: Step) -> Load:
        return Load(lag_ms=100.0)

    files = write_campaign(tmp_path, ASKED, late, idle_of=lambda _run, _step: idle_load(Load()))
    analysis = analyze(files.directory, write=False)
    assert analysis.steps["verdict"].tolist() == ["valid", "generator-limited", "generator-limited"]
    assert not analysis.any_valid


def test_a_server_that_is_busy_for_its_one_user_is_not_saturated(tmp_path: Path) -> None:
    """Without a think time one user keeps a server's thread busy; nobody waits for another."""
    busy = Load(response=0.002, seconds=2.0, server_cpu=0.98)
    write_campaign(tmp_path, ASKED, load_of=lambda _run, _step: Load(server_cpu=0.98), idle_of=lambda _run, _step: busy)
    steps = analyze(tmp_path, write=False).steps
    assert steps.loc[steps["kind"] == "ladder", "saturated"].any()
    assert not steps.loc[steps["kind"] == "idle", "saturated"].any()


def test_answers_that_were_read_in_a_later_phase_than_they_came_in_are_in_flight_in_none(tmp_path: Path) -> None:
    before = windows(tmp_path, Load())[1]
    ledger = tmp_path / "runs" / "1-single" / "ledger.jsonl"
    lines, follows = [], set()
    for line in map(json.loads, ledger.read_text(encoding="utf-8").splitlines()):
        worker = line.get("worker")
        if (line.get("step"), line.get("phase")) == (1, "measure"):
            line["read_late_s"] = 3.0
            follows.add(worker)
        elif worker in follows:
            line["read_late_s"] = 1.0
            follows.remove(worker)
        lines.append(json.dumps(line))
    ledger.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (run,) = judge_all(load(tmp_path))
    after = next(step.window for step in run.steps if step.step.number == 1)
    assert after is not None
    assert after.read_late_s == pytest.approx((3.0 * len(after.workers), 1.0 * len(after.workers)))
    assert after.in_flight - before.in_flight == pytest.approx(2.0 * len(after.workers) / after.seconds)
