"""The limit of a model, as its samples show it: a made-up campaign for each kind, and the sentence with its figures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import analyze
from analysis.judge.codes import CODES
from analysis.judge.findings import Finding
from analysis.rank.limits import POOL, Declared, Limit, limit_of
from analysis.rank.steps import Steps
from analysis.tell.limit_sentence import limit_text
from study.plan import Run, Step
from tests.unit.synthetic import Load, plan, write_campaign

USERS = (100, 400, 800)
Z = 3.0


def over(rate: float, users: int, **target: Any) -> Load:
    """A server that gives no more than `rate` requests/s to these users."""
    return Load(**{"rate": rate, "response": users / rate - Z, "spread": 0.1, "seconds": 60.0, **target})


def steps(tmp_path: Path, upper: Mapping[int, Load], lower: Load | None = None) -> Steps:
    """The steps of a run in which the steps from `upper` on are as given, and those below are idle."""
    asked = plan(models=["single"], users=list(USERS), aa=False, return_step=False)

    def load_of(_run: Run, step: Step) -> Load:
        return upper.get(step.users, lower or Load())

    write_campaign(tmp_path, asked, load_of)
    return analyze(tmp_path, write=False).rows


def found(tmp_path: Path, upper: Mapping[int, Load], declared: Declared | None = None) -> Limit:
    return limit_of(steps(tmp_path, upper), "single", declared or Declared())


def holds(limit: Limit, *parts: str) -> None:
    sentence = limit_text(limit)
    missing = [part for part in parts if part not in sentence]
    assert not missing, sentence


def test_cpu_of_the_one_thread_that_serves(tmp_path: Path) -> None:
    full = {"server_cpu": 0.98, "kernel_share": 0.62, "ended_share": 0.0, "busiest_thread": 0.97, "server_cores": 4.0}
    limit = found(tmp_path, {400: over(90.0, 400, **full), 800: over(90.0, 800, **full, overflows=50)})
    assert (limit.kind, limit.users) == ("CPU", 400)
    holds(limit, "CPU, first at 400 users", "used 0.98 of 1 core;", "11 ms of CPU a request at 9")
    holds(limit, "62% of its cores' busy time was the kernel's")
    holds(limit, "connections were dropped at 800 users (the kernel counted 3,000 listen overflows")


def test_cpu_of_all_cores_that_it_was_given(tmp_path: Path) -> None:
    full = {"server_cpu": 3.9, "server_cores": 4.0, "processes": 5, "ended_share": 0.0}
    limit = found(tmp_path, {800: over(200.0, 800, **full)})
    assert (limit.kind, limit.users) == ("CPU", 800)
    holds(limit, "its process tree used 3.90 of 4 cores")
    cost = re.search(r"([\d.]+) ms of CPU a request at ([\d.]+) requests/s", limit_text(limit))
    assert cost, limit_text(limit)
    assert float(cost[1]) * float(cost[2]) == pytest.approx(3900, rel=0.05)  # U = X D


def test_one_busy_thread_among_idle_cores_is_its_limit(tmp_path: Path) -> None:
    full = {"server_cpu": 1.1, "server_cores": 4.0, "processes": 5, "busiest_thread": 0.96}
    limit = found(tmp_path, {800: over(200.0, 800, **full)})
    assert limit.kind == "CPU"
    holds(limit, "its busiest thread used 0.96 of a core")


def test_starting_a_process_for_each_client(tmp_path: Path) -> None:
    full = {"server_cpu": 1.0, "kernel_share": 0.81, "ended_share": 0.7, "starts": 90, "accept_queue": 60.0}
    limit = found(tmp_path, {400: over(90.0, 400, **full), 800: over(90.0, 800, **full)})
    assert (limit.kind, limit.users) == ("processes", 400)
    holds(limit, "used 1.00 of 1 core", "11 ms of CPU a request", "81% of its cores' busy time")
    holds(limit, "70% of its CPU time was that of children that had ended; its machine started 1.0 processes")


@pytest.mark.parametrize("code", list(POOL))
def test_all_of_a_pool_waiting_where_the_plan_says_how_long(tmp_path: Path, code: str) -> None:
    """What was full is what the checks report; the plan's wait gives how many requests wait at a time."""
    rows = steps(tmp_path, {800: over(50.0, 800, server_cpu=0.05)}).frame
    pool = Finding(code, **dict.fromkeys(CODES[code].figures, 4.0))
    full = rows["users"].map(lambda users: users == 800)
    why = pd.Series([(Finding("target.saturated", full=(pool,)),)] * len(rows), index=rows.index)
    taken = Steps(rows.assign(verdict="valid", saturated=full, reasons=why))
    limit = limit_of(taken, "single", Declared(wait_ms=80.0))
    assert (limit.kind, limit.users) == ("waiting", 800)
    holds(limit, "wait of 80 ms in each gives k = 4.0 requests waiting at a time", "0.05 of 1 core busy")


def test_a_queue_in_front_of_an_idle_server_names_no_thread_that_a_sampler_counted(tmp_path: Path) -> None:
    queued = {users: over(50.0, users, server_cpu=0.05, accept_queue=90.0, threads=1) for users in (400, 800)}
    limit = found(tmp_path, queued)
    assert (limit.kind, limit.users) == ("accept queue", 400)
    assert "thread" not in limit_text(limit)


def test_an_accept_queue_that_overflows_while_the_server_idles(tmp_path: Path) -> None:
    bursts = Load(failures={"reset": 300}, overflows=20, socket_drops=20, server_cpu=0.2, backlog=5)
    limit = found(tmp_path, {800: bursts})
    assert (limit.kind, limit.users) == ("accept queue", 800)
    holds(limit, "its listening socket dropped 600 connections", "0.20 of 1 core busy")


def test_descriptors_that_the_process_may_open(tmp_path: Path) -> None:
    limit = found(tmp_path, {800: over(200.0, 800, server_cpu=0.3, server_fds=(1020, 1024), accept_queue=90.0)})
    assert (limit.kind, limit.users) == ("descriptors", 800)
    holds(limit, "it had 1020 of 1024 descriptors open", "90.0 connections waited", "0.30 of 1 core busy")


def test_descriptors_that_the_design_can_watch(tmp_path: Path) -> None:
    load = over(200.0, 800, server_cpu=0.3, server_fds=(1019, 65_536), accept_queue=90.0)
    limit = found(tmp_path, {800: load}, Declared(descriptors=1024))
    assert limit.kind == "descriptors"
    holds(limit, "1,019 descriptors open, and its design can't watch one from 1,024 on")


def test_the_generator(tmp_path: Path) -> None:
    limit = found(tmp_path, {800: Load(lag_ms=60.0, late=0.03, cpu=0.95, server_cpu=0.31)})
    assert (limit.kind, limit.users) == ("generator", 800)
    holds(limit, "The generator and not the server, first at 800 users", "used 0.95 of a core")
    holds(limit, "meanwhile on the target 0.31 of 1 core busy")


def test_a_limit_below_the_steps_that_the_generator_spoilt_stands(tmp_path: Path) -> None:
    limit = found(tmp_path / "below", {400: over(90.0, 400, server_cpu=0.98), 800: Load(lag_ms=60.0, late=0.03)})
    assert (limit.kind, limit.users) == ("CPU", 400)
    limit = found(tmp_path / "above", {400: Load(lag_ms=60.0, late=0.03), 800: over(90.0, 800, server_cpu=0.98)})
    assert (limit.kind, limit.users) == ("CPU", 800)


def test_none_reached(tmp_path: Path) -> None:
    limit = found(tmp_path, {})
    assert (limit.kind, limit.users) == ("none reached", None)
    holds(limit, "None reached up to 800 users: 0.40 of 1 core busy, 1.5 ms of CPU a request")
    holds(limit, "0 in the accept queue; 50 of 65,536 descriptors open")


def test_below_a_step_that_is_not_valid_none_was_reached_and_no_more_is_known(tmp_path: Path) -> None:
    limit = found(tmp_path, {800: Load(drift=0.8)})
    assert (limit.kind, limit.users) == ("not known", None)
    holds(limit, "none was reached at 400 users, the largest valid step, and nothing is known of 800")
    holds(limit, "At 800 users unsteady")


def test_a_limit_that_a_larger_valid_step_contradicts_is_withdrawn(tmp_path: Path) -> None:
    """Saturated at 400 users by a queue that was there for a moment; twice the rate, valid and idle, at 800."""
    limit = found(tmp_path, {400: Load(server_cpu=0.4, accept_queue=40.0)})
    assert (limit.kind, limit.users) == ("none reached", None)
    more = found(tmp_path / "more", {400: Load(server_cpu=0.95), 800: Load(server_cpu=0.97)})
    assert (more.kind, more.users) == ("CPU", 800)  # twice the rate: at 400 users it was not used up
    late = found(tmp_path / "late", {400: Load(lag_ms=60.0, late=0.03)})
    assert late.kind == "none reached"


def test_without_samples_nothing_is_claimed(tmp_path: Path) -> None:
    limit = found(tmp_path, {users: Load(samples=False) for users in USERS})
    assert (limit.kind, limit_text(limit)) == ("not known", "Not known: the target was not watched at 800 users.")


def test_a_figure_that_was_not_recorded_is_left_out(tmp_path: Path) -> None:
    limit = found(tmp_path, {400: over(90.0, 400, server_cpu=0.98)})
    assert "kernel" not in limit_text(limit)
    assert "nan" not in limit_text(limit)


def test_no_sentence_without_figures_and_none_of_what_was_not_measured(tmp_path: Path) -> None:
    rows = steps(tmp_path, {})
    assert limit_text(limit_of(rows, "thread", Declared())) == "Not known: no step was measured."
    why = Finding("errors.failures", value=0.075, threshold=0.01, failed=600, requests=8000, kinds={"reset": 600})
    faulty = Steps(rows.frame.assign(verdict="faulty", reasons=pd.Series([(why,)] * len(rows.frame))))
    said = limit_of(faulty, "single", Declared())
    assert said.kind == "not known"
    holds(said, "no step is valid. At 100 users faulty: 600 of 8000 failed (7.50%): 600 reset")


def test_figures_of_some_blocks_say_of_how_many(tmp_path: Path) -> None:
    asked = plan(models=["single"], users=[100, 400], aa=False, return_step=False, blocks=3)

    def load_of(run: Run, step: Step) -> Load:
        if step.users < 400:
            return Load()
        return over(90.0, 400, server_cpu=0.98 if run.block < 3 else 0.7, accept_queue=40.0)

    write_campaign(tmp_path, asked, load_of)
    limit = limit_of(analyze(tmp_path, write=False).rows, "single", Declared())
    holds(limit, "CPU, first at 400 users: its process tree used 0.98 of 1 core", "so in 2 of 3 blocks at this load")


def test_none_was_reached_is_not_said_where_others_took_the_rest_of_the_core(tmp_path: Path) -> None:
    crowded = {users: Load(server_cpu=0.4, strangers=0.55) for users in USERS}
    limit = found(tmp_path / "crowded", crowded)
    assert (limit.kind, limit.users) == ("not known", None)
    holds(limit, "others used the rest of the server's cores at 800 users, the largest valid step")
    holds(limit, "0.40 of 1 core busy with 0.55 more taken by others")
    some = found(tmp_path / "some", {users: Load(server_cpu=0.4, strangers=0.1) for users in USERS})
    assert some.kind == "none reached"
    holds(some, "0.40 of 1 core busy with 0.10 more taken by others")
