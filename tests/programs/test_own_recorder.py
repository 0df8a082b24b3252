"""The recorder of a locustfile of one's own: its sums are identities, whatever users do and wherever a phase ends."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from analysis.read.histograms import decode
from tests.running import PROJECT, environment

USERS = 5


@pytest.fixture(scope="module", params=[1, 2])
def phases(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """The records of one run, and what was counted beside them."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.programs.own_recorder_run", str(request.param)],
        cwd=PROJECT, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_user_is_in_an_iteration_or_waits_all_the_time(phases: list[dict[str, Any]]) -> None:
    for phase in phases:
        own, seconds = phase["record"]["own"], phase["record"]["seconds"]
        assert own["iterating_s"] + own["waiting_s"] == pytest.approx(USERS * seconds)
        assert own["iterations"] > 0


def test_requests_are_counted_by_the_clients_and_by_what_was_reported(phases: list[dict[str, Any]]) -> None:
    for phase in phases:
        record, own, counted = phase["record"], phase["record"]["own"], phase["counted"]
        assert (own["sent"], own["received"], own["exchanges"]) == (
            counted["sent"],
            counted["received"],
            counted["sent"],
        )
        assert record["attempts"] == counted["reported"] <= counted["received"]
        failures = {kind: counted[kind] for kind in ("rejected", "timed-out") if counted[kind]}
        assert record["failures"] == failures
        assert own["sent"] + counted["open_before"] == own["received"] + counted["open_after"]
        assert record["in_flight_end"] == counted["open_after"]


def test_littles_law_is_an_identity_of_what_the_clients_received(phases: list[dict[str, Any]]) -> None:
    ages = [decode(phase["record"]["in_flight_age_us"]).sum_s for phase in phases]
    for before, after, phase in zip(ages, ages[1:], phases[1:], strict=False):
        record = phase["record"]
        assert record["in_flight_s"] == pytest.approx(record["own"]["received_s"] + after - before, rel=0.01)


def test_names_are_counted_in_measure_windows_alone(phases: list[dict[str, Any]]) -> None:
    for phase in phases:
        record = phase["record"]
        names = record["own"]["names"]
        assert bool(names) is (record["phase"] == "measure")
        if names:
            assert sum(each["requests"] for each in names) == record["attempts"]
            failed = sum(count for each in names for count in each["failures"].values())
            assert failed == phase["counted"]["rejected"] + phase["counted"]["timed-out"]


def test_by_name_it_is_recorded_how_long_those_that_timed_out_were_waited_for(phases: list[dict[str, Any]]) -> None:
    (measured,) = (phase for phase in phases if phase["record"]["phase"] == "measure")
    waits = [decode(each["timed_out_us"]) for each in measured["record"]["own"]["names"]]
    assert sum(each.total for each in waits) == measured["counted"]["timed-out"] > 0
    assert all(each.max_ms == pytest.approx(2000, rel=0.001) for each in waits if each.total)
