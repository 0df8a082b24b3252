"""Faults put in on purpose, each beside a control run of the same shape that is `valid`.

Real campaigns under a small load, which any machine holds. A machine that is busy with something else makes a run
`generator-limited`, and rightly: such a run says nothing about the fault, so it is repeated, twice at the most.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.local.faulty import LEFT_HANGING, SLOW_MS
from tests.local.one_run import WORKERS, Fault, Outcome, Running, Shape, run, starve

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(300)]

TRIES = 3
SHORT = Shape()
FAST = Shape(client="fast")
# Short think times, hence many of them. A standstill of a worker delays one of each user, less than 1 % of all: the
# 99th percentile of the users' lag doesn't show it, only that of the event loop's does.
BRISK = Shape(users=20, think=(0.01, 0.03))
# Long enough for ten answers beyond p99.9; settled for longer than the slowest answer takes.
LONG = Shape(users=300, think=(0.1, 0.3), settle=6, measure=14, timeout=8)

Control = Callable[[Shape], Outcome]
Trial = Callable[..., Outcome]
Measured = Callable[[Shape, Fault, tuple[str, ...]], Outcome]
SOUND = {LONG: Fault(server="slow")}
"""What controls have that is no fault, by shape: a rare slow answer."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A run, repeated where this machine decided its verdict."""

    def runs(shape: Shape, fault: Fault, wanted: tuple[str, ...]) -> Outcome:
        for _ in range(TRIES):
            outcome = run(tmp_path_factory.mktemp("lab") / "run", shape, fault)
            if outcome.verdict in wanted or outcome.verdict != "generator-limited":
                break
        print(f"{shape.client}, {fault}: {outcome}")
        return outcome

    return runs


@pytest.fixture(scope="module")
def control(measured: Measured) -> Control:
    """The run of a shape without a fault, which is valid: once for all faults of that shape."""
    controls: dict[Shape, Outcome] = {}

    def sound(shape: Shape) -> Outcome:
        if shape not in controls:
            controls[shape] = measured(shape, SOUND.get(shape, Fault()), ("valid",))
        assert controls[shape].verdict == "valid", str(controls[shape])
        return controls[shape]

    return sound


@pytest.fixture(scope="module")
def trial(measured: Measured, control: Control) -> Trial:
    """A run with a fault, after the control of its shape."""

    def faulted(shape: Shape, fault: Fault, *wanted: str) -> Outcome:
        control(shape)
        outcome = measured(shape, fault, wanted)
        assert outcome.verdict in wanted, str(outcome)
        return outcome

    return faulted


# -- the generator ------------------------------------------------------------------------------------------------


def test_a_killed_worker_is_lost(trial: Trial) -> None:
    def kill(running: Running) -> None:
        os.kill(running.pid(WORKERS[0]), signal.SIGKILL)

    outcome = trial(SHORT, Fault(measuring=kill), "worker-lost")
    assert f"no record came from {WORKERS[0]}" in outcome.reasons


def test_a_worker_that_stood_still_is_named(trial: Trial) -> None:
    def stop(running: Running) -> None:
        pid = running.pid(WORKERS[0])
        os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        os.kill(pid, signal.SIGCONT)

    outcome = trial(BRISK, Fault(measuring=stop), "worker-lost", "generator-limited")
    assert WORKERS[0] in outcome.reasons
    assert outcome.step["loop_lag_p99_ms"] > 1000


def test_a_worker_whose_cpu_other_programs_take_is_disturbed(trial: Trial) -> None:
    outcome = trial(SHORT, Fault(measuring=lambda r: starve(r.pid(WORKERS[0]), 3)), "disturbed")
    assert WORKERS[0] in outcome.reasons
    assert re.search(r"woke [\d.]+ ms late", outcome.reasons)


def test_a_think_time_other_than_the_plans_is_told(trial: Trial) -> None:
    outcome = trial(SHORT, Fault(worker_think=(0.1, 0.3)), "generator-limited", "inconsistent")
    assert "the plan's is 0.100 s" in outcome.reasons


# -- the server ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [SHORT, FAST], ids=["lean", "fast"])
def test_a_server_that_fails_without_being_full_is_faulty(trial: Trial, shape: Shape) -> None:
    outcome = trial(shape, Fault(server="fails"), "faulty")
    # Every failure is seen, none is hidden by a retry: one in six of each kind.
    kinds = outcome.step["failure_kinds"]
    assert set(kinds) == {"reset", "short-body"}
    for count in kinds.values():
        assert count / outcome.step["requests"] == pytest.approx(1 / 6, rel=0.05)
    assert sum(kinds.values()) == outcome.step["failures"]


@pytest.mark.parametrize(("shape", "after"), [(SHORT, 0.0), (LONG, 8.0)], ids=["timed-out", "in-flight"])
def test_requests_left_hanging_are_all_accounted_for(trial: Trial, tmp_path: Path, shape: Shape, after: float) -> None:
    """They are few enough to be under 1 % of the requests. In the long window they outlast it, in the short one not."""
    trigger = tmp_path / "trigger"

    def hang(_: Running) -> None:
        time.sleep(after)
        trigger.touch()

    outcome = trial(shape, Fault(server=f"hangs={trigger}", measuring=hang), "faulty", "inconsistent")
    timed_out = int(outcome.step["failures"])
    assert timed_out < 0.01 * outcome.step["requests"]
    if after:
        assert timed_out == 0
        assert outcome.step["in_flight_end"] >= LEFT_HANGING
    else:
        assert outcome.step["failure_kinds"] == {"timed-out": LEFT_HANGING}
    ended = [json.loads(line).get("failures", {}) for line in outcome.ledger.splitlines()]
    assert sum(failures.get("timed-out", 0) for failures in ended) == LEFT_HANGING


def test_a_rare_slow_answer_is_measured_and_no_fault(control: Control) -> None:
    outcome = control(LONG)
    assert outcome.step["p999_ms"] >= SLOW_MS
    assert outcome.step["p50_ms"] < 100


def test_a_server_that_stalls_is_unsteady_in_those_seconds(trial: Trial) -> None:
    outcome = trial(LONG, Fault(server="stalls"), "unsteady")
    silent = re.search(r"hardly any answers in seconds (\d+)-(\d+) of the window", outcome.reasons)
    assert silent is not None, outcome.reasons
    # The stall begins 14 s after the first user, and the window at least 7 s after: users start, and settle for 6 s.
    assert 2 <= int(silent[1]) < int(silent[2]) <= 10
