"""What a person sees while a campaign runs, against the ledger of the same run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.local.one_run import Fault, Outcome, Shape, run_steps

USERS = (50, 100, 150, 200)
pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live") / "run"


@pytest.fixture(scope="module")
def outcome(directory: Path) -> Outcome:
    return run_steps(directory, Shape(users=USERS, measure=6), Fault())[-1]


@pytest.fixture(scope="module")
def shown(outcome: Outcome, directory: Path) -> list[dict[str, str]]:
    """What the live page draws: seconds.csv."""
    (path,) = directory.glob("results/lab-*/runs/*/seconds.csv")
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def records(outcome: Outcome, step: int, phase: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in outcome.ledger.splitlines()]
    phases = [line for line in lines if line["record"] == "phase"]
    return [record for record in phases if (record["step"], record["phase"]) == (step, phase)]


def rates(record: dict[str, Any]) -> list[float]:
    """Requests per second of one worker in each second of a phase."""
    ticks = record["ticks"]
    counts = [good + bad for good, bad in zip(ticks["successes"], ticks["failures"], strict=True)]
    befores, starts = [0, *counts[:-1]], [0.0, *ticks["at"][:-1]]
    return [
        (count - before) / (end - start)
        for before, count, start, end in zip(befores, counts, starts, ticks["at"], strict=True)
    ]


def seconds_of(measured: list[dict[str, Any]]) -> list[float]:
    """Requests per second of all workers together, second by second."""
    return [sum(each) for each in zip(*(rates(record) for record in measured), strict=False)]


def nearest(shown: float, seconds: list[float]) -> float:
    return min(seconds, key=lambda rate: abs(rate - shown))


@pytest.mark.parametrize("step", range(1, len(USERS) + 1))
def test_from_one_second_after_a_phase_began_the_rate_is_the_ledgers(
    outcome: Outcome, shown: list[dict[str, str]], step: int
) -> None:
    """Within 5 % of one of the last three seconds: a row is written once a second, when the next is half over."""
    measured = records(outcome, step, "measure")
    began = max(record["started"] for record in measured)
    rows = [row for row in shown if (row["step"], row["phase"]) == (str(step), "measure")]
    rows = [row for row in rows if float(row["time"]) - began >= 1.1]
    assert len(rows) >= 2
    for row in rows:
        last = seconds_of(measured)[: int(float(row["time"]) - began)][-3:]
        assert float(row["rps"]) == pytest.approx(nearest(float(row["rps"]), last), rel=0.05)
        assert 0 < float(row["p50_ms"]) <= float(row["p99_ms"])
    assert max(int(row["failures"]) for row in shown) == 0


def test_the_terminal_has_the_same_figures_as_the_page(outcome: Outcome, shown: list[dict[str, str]]) -> None:
    """live.json, which the terminal shows every two seconds, is a row of seconds.csv."""
    rows = {row["time"]: row for row in shown}
    for each in outcome.live:
        row = rows[f"{each.time:.3f}"]
        assert (row["requests"], row["failures"], row["running"]) == (
            str(each.requests), str(each.failures), str(each.running),
        )  # fmt: skip
        assert row["rps"] == ("" if each.rps is None else format(each.rps, ".4g"))


def test_requests_are_counted_up_to_the_last_second_and_ended_users_are_no_failures(outcome: Outcome) -> None:
    phases = [line for line in map(json.loads, outcome.ledger.splitlines()) if line["record"] == "phase"]
    attempts = sum(record["attempts"] - record["failures"].get("aborted", 0) for record in phases)
    rate = sum(sum(rates(record)[-2:]) / 2 for record in records(outcome, len(USERS), "measure"))
    assert attempts - 5 * rate <= outcome.live[-1].requests <= attempts
    assert {each.failures for each in outcome.live} == {0}
