"""Simulations of systems whose truth is known, as rows of counts: how often a claim is wrong, or a fault is found.

`benchmarks.truth` runs them. Each takes the numbers of its repetitions, which seed its random numbers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from analysis.judge.laws.strangers import judge_strangers
from analysis.rank.family import compare_family, order
from analysis.rank.medians import median_interval
from analysis.rank.over_time.day_effect import DayCall
from tests.unit import simulate, simulate_blocks
from tests.unit.simulate import CHECKED, SOUND

PLANNED_USERS = 2000
APART = (1.05**3, 1.05**2, 1.05, 1.0)
"""Four models that are 5 % apart."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a share of `runs` simulations, and the most it may be (None: a power, to be known)."""

    what: str
    hits: int
    runs: int
    most: float | None = None
    claimed: str = ""

    @property
    def share(self) -> float:
        """The share simulated."""
        return self.hits / self.runs if self.runs else 0.0

    @property
    def error(self) -> float:
        """Its standard error."""
        return math.sqrt(max(self.share * (1 - self.share), 1 / self.runs) / self.runs) if self.runs else 0.0

    @property
    def broken(self) -> bool:
        """More than claimed, by more than two standard errors of the claim itself."""
        return self.most is not None and self.share > self.most + 2 * math.sqrt(self.most / max(1, self.runs))


def family_errors(numbers: range) -> Iterator[Row]:
    """Campaigns of four models that are alike, with an A/A control: any false difference in a report."""
    for kind in simulate_blocks.NOISE:
        for blocks in (5, 6, 10):
            for cov in (0.01, 0.03, 0.08):
                draw = np.random.default_rng([blocks, round(1000 * cov), numbers.start])
                alike = (1.0, 1.0, 1.0, 1.0)
                hits = sum(
                    simulate_blocks.false_claims(simulate_blocks.block_figures(kind, blocks, cov, draw), alike)
                    for _ in numbers
                )
                yield Row(f"family, A/A: {kind}, {blocks} blocks, CoV {cov:.0%}", hits, len(numbers), 0.05)


def family_power(numbers: range) -> Iterator[Row]:
    """Four models so many per cent apart: neighbours found, anything false, the best named."""
    for blocks in (6, 10):
        for cov in (0.01, 0.02, 0.04, 0.08):
            for step in (0.02, 0.03, 0.05, 0.10):
                draw = np.random.default_rng([blocks, round(1000 * cov), round(100 * step), numbers.start])
                truth = tuple((1 + step) ** power for power in (3, 2, 1, 0))
                counted: Counter[str] = Counter()
                for _ in numbers:
                    figures = simulate_blocks.block_figures("normal", blocks, cov, draw, truth)
                    counted["false"] += simulate_blocks.false_claims(figures, truth)
                    family = compare_family(figures)
                    for pair in (("a", "b"), ("b", "c"), ("c", "d")):
                        counted["found"] += family.claim("rps", *pair) == "more"
                    counted["best"] += order(family, figures[0]).best == "a"
                about = f"{step:.0%} apart, {blocks} blocks, CoV {cov:.0%}"
                yield Row(f"family, any false word: {about}", counted["false"], len(numbers), 0.05)
                yield Row(f"family, neighbours found: {about}", counted["found"], 3 * len(numbers))
                yield Row(f"family, 'most' said: {about}", counted["best"], len(numbers))


def median_coverage(numbers: range) -> Iterator[Row]:
    """The order-statistic interval against the median of this campaign's day, and against that of all days."""
    for runs in range(2, 11):
        draw = np.random.default_rng([runs, numbers.start])
        held = long_run = 0
        coverage = 0.0
        for _ in numbers:
            values, day = draw.lognormal(0, 0.02, runs), float(np.exp(0.02 * draw.standard_normal()))
            interval = median_interval(values.tolist())
            held += interval.low <= 1 <= interval.high
            long_run += interval.low * day <= 1 <= interval.high * day
            coverage = interval.coverage
        yield Row(f"median of this campaign, {runs} blocks", held, len(numbers), None, f"{coverage:.1%}")
        yield Row(
            f"  the median over days that differ by 2 %, {runs} blocks", long_run, len(numbers), None, "not claimed"
        )


def ratio_coverage(numbers: range) -> Iterator[Row]:
    """The interval of each pair's ratio, of models that are 5 % apart: how often it misses the truth. Not corrected."""
    for kind in simulate_blocks.NOISE:
        for blocks in (2, 5, 6, 10):
            for cov in (0.01, 0.03, 0.08):
                draw = np.random.default_rng([blocks, round(1000 * cov), numbers.start])
                missed = pairs = 0
                for _ in numbers:
                    family = compare_family(simulate_blocks.block_figures(kind, blocks, cov, draw, APART))
                    for pair in family.pairs:
                        if pair.figure == "rps" and pair.low is not None and pair.high is not None:
                            true = dict(zip("abcd", APART, strict=True))
                            ratio = true[pair.first] / true[pair.second]
                            missed += not pair.low <= ratio <= pair.high
                            pairs += 1
                # A ratio has the error of two runs; an outlier of a quarter is not of that kind, and its cost is shown.
                claim = None if kind in ("outlier", "skewed") else 0.05
                yield Row(f"interval of a ratio misses: {kind}, {blocks} blocks, CoV {cov:.0%}", missed, pairs, claim)


def day_errors(numbers: range) -> Iterator[Row]:
    """Two campaigns that are alike, on two days, after so many days of history; and what a change must be."""
    for figures in (1, 12):
        for day in (0.0, 0.01, 0.02, 0.03):
            for days in (0, 2, 3, 4, 6, 10):
                draw = np.random.default_rng([figures, days, round(1000 * day), numbers.start])
                hits = sum(_called(simulate_blocks.two_days(day, days, 6, 0.015, figures, draw)) for _ in numbers)
                yield Row(
                    f"two days alike: day {day:.0%}, {days} days known, {figures} figures", hits, len(numbers), 0.05
                )
    for days in (3, 5, 10):
        for change in (0.05, 0.10, 0.20):
            draw = np.random.default_rng([days, round(100 * change), numbers.start])
            hits = sum(
                simulate_blocks.two_days(0.02, days, 6, 0.015, 1, draw, math.log(1 + change))["0"] == "more"
                for _ in numbers
            )
            yield Row(f"two days, {change:.0%} found: day 2%, {days} days known, 1 figure", hits, len(numbers))


def _called(calls: dict[str, DayCall]) -> bool:
    return any(call in ("more", "less") for call in calls.values())


def law_errors(numbers: range) -> Iterator[Row]:
    """Every step of every shipped plan with sound response times: checks 2, 3 and 5; then with users lost."""
    for kind, response in SOUND.items():
        total: Counter[str] = Counter()
        windows = 0
        for plan, users in simulate.shipped_steps():
            mine = numbers if users <= PLANNED_USERS else numbers[::20]
            runs = len(mine)
            counted: Counter[str] = Counter()
            for number in mine:
                window = simulate.planned_window(plan, users, response, np.random.default_rng([number, users]))
                misses = simulate.misses(window, users, plan.think_time)
                counted.update(name for name, miss in misses.items() if miss.fails)
                counted["any"] += any(misses[name].fails for name in CHECKED if name in misses)
                for share in (0.02, 0.03, 0.05):
                    fewer = simulate.misses(simulate.lost(window, share), users, plan.think_time)
                    counted[f"{share:.0%} lost"] += "balance" in fewer and fewer["balance"].fails
            about = f"{plan.name} {users} users, {kind}"
            yield Row(f"checks 2, 3, 5, sound: {about}", counted["any"], runs, 0.02)
            for less in ("2%", "3%", "5%"):
                yield Row(f"check 2, {less} of users lost: {about}", counted[f"{less} lost"], runs)
            total += counted
            windows += runs
        for name in (*CHECKED, "X (R + Z)"):
            yield Row(f"{name}, sound, all plans: {kind}", total[name], windows, 0.02 if name in CHECKED else None)


def queue_errors(numbers: range) -> Iterator[Row]:
    """A FIFO server's accept queue below and at its limit."""
    shapes: tuple[tuple[str, Callable[[float], simulate.Draw]], ...] = (
        ("constant", simulate.constant),
        ("exponential", simulate.exponential),
    )
    places = (
        (60, (0.1, 0.3), 4.0, 4),
        (400, (0.1, 0.3), 4.0, 10),
        (100, (1.0, 5.0), 20.0, 4),
        (60, (0.1, 0.3), 60.0, 10),
    )
    for users, think, seconds, rate in places:
        each = sum(think) / 2 / users
        about = f"{users} users, {seconds:g} s, {rate}/s"
        for load in (0.3, 0.5, 0.6, 0.7, 0.8, 0.85):
            for shape, service in shapes:
                hits = _full(users, think, service(load * each), seconds, rate, 1.0, numbers)
                yield Row(f"queue called full at {load:.0%}, {shape}: {about}", hits, len(numbers), 0.02)
        for load in (0.95, 1.1, 1.3):
            for cpu in (0.3, 0.6, 0.8):
                hits = _full(users, think, simulate.constant(load * each), seconds, rate, cpu, numbers)
                yield Row(f"queue found full at {load:.0%}, {cpu:.0%} of it CPU: {about}", hits, len(numbers))


def _full(
    users: int,
    think: tuple[float, float],
    service: simulate.Draw,
    seconds: float,
    rate: float,
    cpu: float,
    numbers: range,
) -> int:
    return sum(
        simulate.sampled_queue(
            users, think, service, seconds, rate, np.random.default_rng([number, users]), cpu_share=cpu
        )[0].full
        for number in numbers
    )


def drift_found(numbers: range) -> Iterator[Row]:
    """Servers that warm up in the window, and queues that only wander."""
    for until in (10.0, 20.0):
        for users, think, start, seconds in (
            (60, (0.1, 0.3), 0.0, 20.0), (100, (1.0, 5.0), 0.0, 20.0), (50, (0.1, 0.3), 2.0, 12.0),
            (200, (0.5, 1.5), 0.0, 45.0), (60, (0.1, 0.3), 2.0, 4.0), (400, (0.1, 0.3), 2.0, 4.0),
        ):  # fmt: skip
            hits = 0
            for number in numbers:
                draw = np.random.default_rng([number, users])
                response = simulate.warming(0.020, 0.001, until)
                requests = simulate.delay_system(users, think, response, start + seconds, draw)
                deviations = simulate.misses(simulate.observe(requests, start, seconds), users, think)
                hits += any(deviations[name].fails for name in CHECKED if name in deviations)
            what = f"R from 20 to 1 ms in {until:g} s found: window {start:g}-{start + seconds:g} s, {users} users"
            yield Row(what, hits, len(numbers))
    for load in (0.7, 0.85, 0.95, 1.1):
        for users, think, seconds in ((60, (0.1, 0.3), 4.0), (100, (0.1, 0.3), 20.0), (200, (0.5, 1.5), 45.0)):
            hits = 0
            for number in numbers:
                draw = np.random.default_rng([number, users])
                service = simulate.exponential(load * sum(think) / 2 / users)
                requests = simulate.queue_system(users, think, service, 20 + seconds, draw)
                deviations = simulate.misses(simulate.observe(requests, 20.0, seconds), users, think)
                hits += any(deviations[name].fails for name in CHECKED if name in deviations)
            what = f"checks 2, 3, 5, queue at {load:.0%}: {users} users, {seconds:g} s"
            yield Row(what, hits, len(numbers), 0.02 if load < 0.9 else None)


def strangers_found(numbers: range) -> Iterator[Row]:
    """Others on one core whose busy time is sampled at 100 or 250 ticks a second."""
    for ticks in (100, 250):
        for own in (0.1, 0.5, 0.9):
            for taken in (0.0, 0.005, 0.05, 0.1, 0.2, 0.5):
                if own + taken > 1:
                    continue
                for seconds in (4, 45):
                    draw = np.random.default_rng([ticks, seconds, numbers.start])
                    failed = 0
                    for _ in numbers:
                        busy = draw.binomial(ticks, own + taken, seconds) / ticks
                        judged = judge_strangers(busy.tolist(), [own] * seconds, [0.0] * seconds, [1.0] * seconds, 1.0)
                        failed += judged is not None and judged.outcome == "fail"
                    what = f"{taken:.1%} of a core taken, {own:.0%} its own, {seconds} s, {ticks} ticks/s"
                    yield Row(f"check 11 fails: {what}", failed, len(numbers), 0.02 if taken <= 0.005 else None)
