"""Simulated runs through the whole judge, as rows of counts: sound ones, and ones with a known fault."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from analysis.judge.verdicts import Judgement
from benchmarks.simulations import Row
from tests.unit import simulate, simulated_run, synthetic
from tests.unit.simulate import SOUND


def judged_runs(numbers: range) -> Iterator[Row]:
    """Ledgers of simulated runs through the whole judge: sound steps of every shipped plan, and known faults."""
    steps = simulate.shipped_steps(most_users=400)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.jsonl"

        def verdicts(
            kind: str, users_least: int = 1, lost: float = 0.0, bend: simulated_run.Bend | None = None
        ) -> list[str]:
            """Verdicts of every shipped step, so often each."""
            return [
                simulated_run.planned(
                    path,
                    plan,
                    users,
                    simulated_run.answers(kind, plan),
                    np.random.default_rng([number, users]),
                    running=users - round(lost * users),
                    bends={} if bend is None else {1: bend},
                ).verdict
                for plan, users in steps
                if users >= users_least
                for number in numbers
            ]

        for kind in SOUND:
            given = verdicts(kind)
            yield Row(f"judge, sound steps not valid: {kind}", len(given) - given.count("valid"), len(given), 0.02)
        faults: tuple[tuple[str, float, simulated_run.Bend | None], ...] = (
            ("2 % of users lost", 0.02, None),
            ("3 % of users lost", 0.03, None),
            ("5 % of users lost", 0.05, None),
            ("a worker's clock 1 % fast", 0.0, simulated_run.fast(0.01)),
            ("a worker's clock 20 % fast", 0.0, simulated_run.fast(0.20)),
            ("0.6 % of a worker's answers counted twice", 0.0, simulated_run.twice(0.006)),
        )
        for what, lost, bend in faults:
            given = verdicts("1 ms", 50, lost, bend)
            yield Row(f"judge, found: {what}, steps of 50 users and more", given.count("inconsistent"), len(given))
        for load in (0.3, 0.6, 0.75, 0.85):
            wrong = runs = 0
            for number in range(10 * numbers.start, 10 * numbers.stop):
                users, think, seconds = ((60, (0.1, 0.3), 4.0), (200, (0.1, 0.3), 4.0), (100, (0.5, 1.5), 20.0))[
                    number % 3
                ]
                service = (simulate.constant, simulate.exponential)[number // 3 % 2](load * sum(think) / 2 / users)
                asked = steps[0][0].model_copy(update={"think_time": think, "users": (users,)})
                draw = np.random.default_rng([number, users])
                judgement, used = simulated_run.queued(path, asked, users, service, seconds, draw)
                if used < 0.85:
                    runs += 1
                    wrong += judgement.verdict != "valid" or judgement.saturated
            yield Row(f"judge, a queue at {load:.0%} saturated or not valid", wrong, runs, 0.02)


def faults_found(numbers: range) -> Iterator[Row]:
    """Known faults through the whole judge, each beside its control, and how often the finding that names it comes."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.jsonl"
        for users, think, measure in ((60, (0.1, 0.3), 20.0), (200, (0.5, 1.5), 45.0)):
            asked = synthetic.plan(think_time=think, users=[users], settle=1.0, measure=measure, spawn_rate=1000)
            start = users / asked.spawn_rate + 1.0
            for cold in (0.020, 0.001):
                response = simulate.warming(cold, 0.001, start + 10.0)
                given = [simulated_run.planned(path, asked, users, response, _drawn(number)) for number in numbers]
                what = f"R from {1000 * cold:g} to 1 ms in the first 10 s is unsteady: window of {measure:g} s"
                yield _found(what, given, "unsteady", sound=cold <= 0.001)
        asked = synthetic.plan(think_time=(0.1, 0.3), users=[60])
        for taken in (0.0, 0.2, 0.5):
            service = simulate.constant(0.9 * 0.2 / 60 / (1 - taken) if taken else 0.5 * 0.2 / 60)
            given = [
                simulated_run.queued(path, asked, 60, service, 4.0, _drawn(number), busy=1 - taken, taken=taken)[0]
                for number in numbers
            ]
            yield _found(f"{taken:.0%} of the server's core taken by others: disturbed", given, "disturbed", taken == 0)
        for late_s in (0.0, 0.020):
            flagged = 0
            for number in numbers:
                bends = dict.fromkeys((0, 1), simulated_run.late_loop(late_s or 0.0002))
                response = simulate.constant(0.001 + late_s)
                judged = simulated_run.planned(path, asked, 60, response, _drawn(number), bends=bends, stamps=False)
                flagged += judged.upper_bounds
            what = f"answers read {1000 * late_s:g} ms late, no kernel stamps: upper bounds"
            yield Row(what, flagged, len(numbers), None if late_s else 0.02)


def _drawn(number: int) -> np.random.Generator:
    return np.random.default_rng(number)


def _found(what: str, given: list[Judgement], verdict: str, sound: bool) -> Row:
    hits = sum(judgement.verdict == verdict for judgement in given)
    return Row(what, hits, len(given), 0.02 if sound else None)
