"""The faults of test_faults.py with a locustfile of one's own that logs in and posts, beside a control that is `valid`.

Its plan has no think time to differ from: a locustfile whose users wait otherwise on one worker is no fault, and the
ninth is a user class that ends its users.
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
DISTURBED = ("generator-limited", "disturbed", "unexplained")
"""What other programs on this machine make of a run, a busy client of Python's requests included: it is tried again."""
SHOP = Shape(user_class="Shopper", users=30)
BRISK = Shape(user_class="BriskShopper", users=6)
LONG = Shape(user_class="ManyShopper", users=120, settle=6, measure=14, timeout=8)

OwnControl = Callable[[Shape], Outcome]
OwnTrial = Callable[..., Outcome]
OwnMeasured = Callable[[Shape, Fault, tuple[str, ...]], Outcome]
SOUND = {LONG: Fault(server="slow")}
"""What controls have that is no fault, by shape: a rare slow answer."""


@pytest.fixture(scope="module")
def own_measured(tmp_path_factory: pytest.TempPathFactory) -> OwnMeasured:
    """A run, repeated where this machine decided its verdict."""

    def runs(shape: Shape, fault: Fault, wanted: tuple[str, ...]) -> Outcome:
        for _ in range(TRIES):
            outcome = run(tmp_path_factory.mktemp("own") / "run", shape, fault)
            if outcome.verdict in wanted or outcome.verdict not in DISTURBED:
                break
        print(f"{shape.user_class}, {fault}: {outcome}")
        return outcome

    return runs


@pytest.fixture(scope="module")
def own_control(own_measured: OwnMeasured) -> OwnControl:
    """The run of a shape without a fault, which is valid: once for all faults of that shape."""
    controls: dict[Shape, Outcome] = {}

    def sound(shape: Shape) -> Outcome:
        if shape not in controls:
            controls[shape] = own_measured(shape, SOUND.get(shape, Fault()), ("valid",))
        assert controls[shape].verdict == "valid", str(controls[shape])
        return controls[shape]

    return sound


@pytest.fixture(scope="module")
def own_trial(own_measured: OwnMeasured, own_control: OwnControl) -> OwnTrial:
    """A run with a fault, after the control of its shape or of another."""

    def faulted(shape: Shape, fault: Fault, *wanted: str, control: Shape | None = None) -> Outcome:
        own_control(control or shape)
        outcome = own_measured(shape, fault, wanted)
        assert outcome.verdict in wanted, str(outcome)
        return outcome

    return faulted


def test_with_a_locustfile_a_killed_worker_is_lost(own_trial: OwnTrial) -> None:
    outcome = own_trial(SHOP, Fault(measuring=lambda r: os.kill(r.pid(WORKERS[0]), signal.SIGKILL)), "worker-lost")
    assert f"no record came from {WORKERS[0]}" in outcome.reasons


def test_with_a_locustfile_a_worker_that_stood_still_is_named(own_trial: OwnTrial) -> None:
    def stop(running: Running) -> None:
        pid = running.pid(WORKERS[0])
        os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        os.kill(pid, signal.SIGCONT)

    outcome = own_trial(BRISK, Fault(measuring=stop), "worker-lost", "generator-limited")
    assert WORKERS[0] in outcome.reasons


def test_with_a_locustfile_a_starved_worker_is_disturbed(own_trial: OwnTrial) -> None:
    outcome = own_trial(SHOP, Fault(measuring=lambda r: starve(r.pid(WORKERS[0]), 3)), "disturbed")
    assert re.search(r"woke [\d.]+ ms late", outcome.reasons)


def test_with_a_locustfile_a_server_that_fails_is_faulty(own_trial: OwnTrial) -> None:
    outcome = own_trial(SHOP, Fault(server="fails"), "faulty")
    kinds = outcome.step["failure_kinds"]
    assert set(kinds) == {"reset", "short-body"}
    for count in kinds.values():
        assert count / outcome.step["requests"] == pytest.approx(1 / 6, rel=0.1)
    assert sum(kinds.values()) == outcome.step["failures"]


@pytest.mark.parametrize(("shape", "after"), [(SHOP, 0.0), (LONG, 8.0)], ids=["timed-out", "in-flight"])
def test_with_a_locustfile_requests_left_hanging_are_all_accounted_for(
    own_trial: OwnTrial, tmp_path: Path, shape: Shape, after: float
) -> None:
    trigger = tmp_path / "trigger"

    def hang(_: Running) -> None:
        time.sleep(after)
        trigger.touch()

    outcome = own_trial(shape, Fault(server=f"hangs={trigger}", measuring=hang), "faulty", "inconsistent")
    timed_out = int(outcome.step["failures"])
    if after:
        assert timed_out == 0
        assert outcome.step["in_flight_end"] >= LEFT_HANGING
    else:
        assert outcome.step["failure_kinds"] == {"timed-out": LEFT_HANGING}
    ended = [json.loads(line).get("failures", {}) for line in outcome.ledger.splitlines()]
    assert sum(failures.get("timed-out", 0) for failures in ended) == LEFT_HANGING


def test_with_a_locustfile_a_rare_slow_answer_is_no_fault(own_control: OwnControl) -> None:
    outcome = own_control(LONG)
    assert outcome.step["max_ms"] >= SLOW_MS
    assert outcome.step["p50_ms"] < 100


def test_with_a_locustfile_a_server_that_stalls_is_unsteady(own_trial: OwnTrial) -> None:
    outcome = own_trial(LONG, Fault(server="stalls"), "unsteady")
    assert re.search(r"hardly any answers in seconds \d+-\d+ of the window", outcome.reasons), outcome.reasons


def test_with_a_locustfile_users_that_end_themselves_are_told(own_trial: OwnTrial) -> None:
    leaving = Shape(user_class="LeavingShopper", users=30)
    outcome = own_trial(leaving, Fault(), "worker-lost", control=SHOP)
    assert "of 15 users, all of them in" in outcome.reasons
