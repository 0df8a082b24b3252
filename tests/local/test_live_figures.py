"""What a person sees while a campaign runs, against the ledger of the same run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.one_run import Fault, Outcome, Shape, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(tmp_path_factory.mktemp("live") / "run", Shape(users=200, measure=8), Fault())


def records(outcome: Outcome, kind: str, phase: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in outcome.ledger.splitlines()]
    phases = [line for line in lines if line["record"] == "phase"]
    return [record for record in phases if (record["kind"], record["phase"]) == (kind, phase)]


def rates(record: dict[str, Any]) -> list[float]:
    """Requests per second of one worker in each second of a phase."""
    ticks = record["ticks"]
    counts = [good + bad for good, bad in zip(ticks["successes"], ticks["failures"], strict=True)]
    befores, starts = [0, *counts[:-1]], [0.0, *ticks["at"][:-1]]
    return [
        (count - before) / (end - start)
        for before, count, start, end in zip(befores, counts, starts, ticks["at"], strict=True)
    ]


def test_from_one_second_after_a_phase_began_the_rate_is_the_ledgers(outcome: Outcome) -> None:
    """Within 5 % of one of the last three seconds: live.json is written once a second, and read every two."""
    measured = records(outcome, "ladder", "measure")
    seconds = [sum(each) for each in zip(*(rates(record) for record in measured), strict=False)]
    began = max(record["started"] for record in measured)
    live = [each for each in outcome.live if (each.kind, each.phase) == ("ladder", "measure")]
    live = [each for each in live if each.time - began >= 1.1]
    assert len(live) >= 2
    for each in live:
        last = seconds[: int(each.time - began)][-3:]
        assert each.rps == pytest.approx(min(last, key=lambda rate: abs(rate - (each.rps or 0.0))), rel=0.05)


def test_requests_are_counted_up_to_the_last_second_and_ended_users_are_no_failures(outcome: Outcome) -> None:
    phases = [line for line in map(json.loads, outcome.ledger.splitlines()) if line["record"] == "phase"]
    attempts = sum(record["attempts"] - record["failures"].get("aborted", 0) for record in phases)
    rate = sum(sum(rates(record)[-2:]) / 2 for record in records(outcome, "ladder", "measure"))
    assert attempts - 5 * rate <= outcome.live[-1].requests <= attempts
    assert {each.failures for each in outcome.live} == {0}
