"""Each check on plain values, passing and failing; each prints its value and its threshold."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.judge.baseline import Baseline
from analysis.judge.checks import checks_generator, checks_laws, checks_strangers, checks_target, checks_window
from analysis.judge.findings import Check
from analysis.judge.reconciliation import Reconciled
from analysis.judge.repeat import across_blocks, returned
from analysis.judge.verdicts import shortfall
from analysis.judge.watched import QueueLooks
from analysis.judge.window import Window, Worker
from analysis.rank.family import Pair
from analysis.rank.ranking import control_check
from analysis.read.background_rows import BackgroundWindow
from analysis.read.counter_span import CounterSpan
from analysis.read.histograms import EMPTY, decode
from analysis.read.sample_rows import SampleRows
from analysis.read.samples import CoreGroupSeconds, Generator, Target, generator_of
from analysis.read.seconds import Second
from analysis.tell.sentences import NAMES, sentence
from study.plan import Step
from study.workload import Work
from tests.unit.synthetic import encode, plan

PLAN = plan()  # think time 1-5 s, timeout 10 s
USERS, SECONDS, RESPONSE = 300, 60.0, 0.010
RATE = USERS / (3.0 + RESPONSE)
COUNT = round(RATE * SECONDS)


NO_THINK = plan(think_time=(0.0, 0.0))


def worker(**changes: Any) -> Worker:
    sound = Worker(
        name="load1-1",
        attempts=COUNT,
        users_wanted=USERS,
        users_right=1.0,
        users_min=USERS,
        users_mean=float(USERS),
        lag_p99_ms=1.0,
        loop_lag_p99_ms=0.3,
        cpu_p95=0.3,
        fds_used=300,
        fds_limit=65_536,
    )
    return replace(sound, **changes)


def seconds(rates: list[float], response_s: float = RESPONSE) -> tuple[Second, ...]:
    return tuple(Second(float(at), 1.0, rate, rate * response_s, rate * response_s) for at, rate in enumerate(rates))


def window(**changes: Any) -> Window:
    """A sound window of 300 users in which every law holds."""
    sound = Window(
        step=Step(2, "ladder", USERS),
        workers=(worker(),),
        missing=(),
        seconds=SECONDS,
        attempts=COUNT,
        successes=COUNT,
        failures={},
        bytes=0,
        goodput=COUNT / SECONDS,
        throughput=COUNT / SECONDS,
        response=decode(encode([RESPONSE] * COUNT)),
        response_s=COUNT * RESPONSE,
        failed_s=0.0,
        in_flight=RATE * RESPONSE,
        in_flight_end=1,
        ages=EMPTY,
        draws=COUNT,
        draws_s=3.0 * COUNT,
        think_count=COUNT,
        think_drawn_s=3.0 * COUNT,
        think_passed_s=3.0 * COUNT,
        ticks=seconds([RATE] * 60),
        target=Target(
            cpu_cores=0.4, cores=1.0, processes=1.0, fds=300.0, fd_limit=65_536.0, accept_queue=0.0, kernel={}
        ),
        generator=Generator(ports_share=0.1, cpu_share=0.3),
    )
    return replace(sound, **changes)


def kernel(**counts: float) -> dict[str, CounterSpan]:
    """Counters whose readings fall on the window's ends."""
    return {name: CounterSpan(count, count) for name, count in counts.items()}


def rising(low: float, high: float) -> tuple[Second, ...]:
    """Seconds in which R goes from one value to the other on a straight line."""
    means = [low + (high - low) * at / 59 for at in range(60)]
    return tuple(Second(float(at), 1.0, RATE, RATE * mean, RATE * mean) for at, mean in enumerate(means))


def warming() -> tuple[Second, ...]:
    """Seconds of which the first twelve have answers that take 20 ms, and the others 1 ms."""
    means = [0.020 if at < 12 else 0.001 for at in range(60)]
    return tuple(Second(float(at), 1.0, RATE, RATE * mean, RATE * mean) for at, mean in enumerate(means))


def watched(share: float) -> Window:
    """A sound window with others on the server's core."""
    return window(target=target(group=taken(share)), generator=Generator(0.1, 0.3, (QUIET,)))


def target(**changes: Any) -> Target:
    sound = window().target
    assert sound is not None
    return replace(sound, **changes)


def run(**changes: Any) -> Reconciled:
    return replace(Reconciled(10_000, 10_000, 10_000, {"timed-out": 0, "in-flight": 0}), **changes)


R1 = Baseline(RESPONSE, requests=100, cv=0.3, step=0, idle=True)
QUIET = CoreGroupSeconds("target", 1.0, (1.0,) * 60, (0.4,) * 60, (0.4,) * 60, (0.0,) * 60, 0.01)


def control_pair(ratio: float, low: float, high: float) -> Pair:
    return Pair("rps", "a-aa", "a", ratio, low, high, 0.01, 0.01, 6, "undetermined")


def limit(of: Window, baseline: Baseline | None) -> Check:
    """Check 8, with what on the target was full in this window."""
    return checks_target.who_was_the_limit(of, baseline, checks_target.full(of))


def short(of: Window) -> Check:
    """Check 8's second part, at a target where nothing is full."""
    (found,) = checks_target.short_of_the_line(of, PLAN, R1, ())
    return found


def steady(of: Window, code: str = "steady.drift") -> Check:
    """One part of check 5."""
    return next(check for check in checks_window.stationary(of, PLAN) if check.code == code)


def looks(mean: float, number: int = 600, most: float | None = None) -> QueueLooks:
    return QueueLooks(mean, number, mean if most is None else most)


def taken(share: float, seconds_: int = 60) -> CoreGroupSeconds:
    """A core of which others take this share."""
    return replace(
        QUIET, seconds=(1.0,) * seconds_, busy=(0.4 + share,) * seconds_, own=(0.4,) * seconds_, steal=(0.0,) * seconds_
    )


def detail(check: Check) -> str:
    return sentence(check.finding)


FAILING: list[tuple[str, Check, str]] = [
    (
        "users short",
        checks_laws.population(window(workers=(worker(users_right=0.93, users_min=280),))),
        "280 of 300 users",
    ),
    (
        "users too many",
        checks_laws.population(window(workers=(worker(users_right=0.83, users_mean=353.0),))),
        "load1-1 had users of another load still, 353.0 on average and not 300, and the right number in 83.0%",
    ),
    ("record missing", checks_laws.population(window(missing=("load1-2",))), "no record came from load1-2"),
    (
        "wrong share",
        checks_laws.population(window(workers=(worker(users_wanted=200),))),
        "run 200 users together, not 300",
    ),
    ("users unaccounted for", checks_laws.interactive_law(window(think_passed_s=2.9 * COUNT), PLAN), "of 300 users"),
    ("L above X R", checks_laws.little(window(in_flight=20.0)), "L = 20.00 in flight, X R = 1.00"),
    (
        "older than the timeout",
        checks_laws.oldest(window(ages=decode(encode([25.0])), in_flight_end=1), PLAN),
        "25.00 s old, timeout 10 s",
    ),
    (
        "late users",
        checks_generator.lag(window(workers=(worker(), worker(name="b", lag_p99_ms=40.0)))),
        "users of b woke",
    ),
    ("busy worker", checks_generator.cpu(window(workers=(worker(cpu_p95=0.9),))), "0.90 of a core"),
    ("descriptors", checks_generator.descriptors(window(workers=(worker(fds_used=900, fds_limit=1024),))), "88%"),
    ("ports", checks_generator.ports(window(generator=Generator(ports_share=0.95))), "95%"),
    (
        "think time",
        checks_generator.think(window(draws_s=2.0 * COUNT), PLAN),
        "mean of 2.000 s, the plan's is 3.000",
    ),
    ("drift", steady(window(ticks=seconds([80.0 + at for at in range(60)]))), "goodput drifted by +"),
    ("drift of R", steady(window(ticks=rising(0.010, 0.020)), "steady.drift-response"), "successes drifted by +6"),
    ("warm-up", steady(window(ticks=warming()), "steady.warm-up"), "took 1900.0% longer"),
    ("clocks", checks_laws.clocks(window(workers=(worker(seconds=60.6, wall_s=60.0),))), "load1-1 ran 1.0% fast"),
    ("counted twice", checks_laws.requests_counted(window(ages_start=EMPTY, think_count=COUNT - 40)), "begun"),
    ("gap", checks_generator.turnaround(window(turnarounds=100, turnaround_s=2.0), NO_THINK)[0], "20.000 ms after"),
    ("short", short(window(throughput=RATE * 0.8, response_s=COUNT * 0.75)), "19.8% under"),
    ("strangers", checks_strangers.strangers(watched(0.2))[0], "others took 20.0% of the server's cores on target"),
    ("worst second", checks_strangers.strangers(watched(0.5))[1], "others took up to 50.0%"),
    (
        "silence",
        checks_window.silent(window(ticks=seconds([*[100.0] * 20, 0, 0, *[110.0] * 38])), PLAN, R1),
        "seconds 20-22",
    ),
    ("few cycles", checks_window.enough(window(attempts=900), overloaded=False), "900 requests of 300 users"),
    ("failures", checks_window.errors(window(successes=COUNT - 100, failures={"reset": 100})), "100 reset"),
    ("server counts less", checks_window.counts(run(answered_server=9_000)), "the server counts 9000 answered"),
    ("server counts more", checks_window.counts(run(answered_server=10_500)), "10000 attempts"),
    ("slow, target idle", limit(window(response_s=COUNT * 0.5), R1), "CPU 0.40 of 1 core"),
    ("blocks apart", across_blocks([100.0, 120.0]), "100.0 to 120.0"),
    (
        "A/A apart",
        control_check("repeat.control-rps", control_pair(1.1, 1.05, 1.15)),
        "a-aa = 1.10 x a",
    ),
]


@pytest.mark.parametrize(("check", "said"), [row[1:] for row in FAILING], ids=[row[0] for row in FAILING])
def test_failing(check: Check, said: str) -> None:
    assert check.outcome == "fail"
    assert said in detail(check)
    assert check.value is not None
    assert check.threshold is not None


PASSING = [
    checks_laws.population(window()),
    checks_laws.interactive_law(window(), PLAN),
    checks_laws.little(window()),
    checks_laws.oldest(window(), PLAN),
    *checks_generator.generator(window(), PLAN),
    *checks_window.stationary(window(), PLAN),
    *checks_strangers.strangers(watched(0.0)),
    checks_laws.clocks(window(workers=(worker(seconds=60.0, wall_s=60.001),))),
    checks_laws.requests_counted(window(ages_start=EMPTY)),
    *checks_laws.wall_clock(window(workers=(worker(clock_step_s=0.0001),), kernel_stamps=True)),
    *checks_generator.turnaround(window(turnarounds=100, turnaround_s=0.002), NO_THINK),
    short(window()),
    checks_window.silent(window(), PLAN, R1),
    checks_window.enough(window(), overloaded=False),
    checks_window.errors(window()),
    checks_window.counts(run()),
    limit(window(), R1),
    checks_target.kernel(window(target=target(kernel=kernel(listen_overflows=0.0)))),
    across_blocks([100.0, 101.0, 99.0]),
    control_check("repeat.control-rps", control_pair(1.0, 0.96, 1.04)),
    control_check("repeat.control-mean", control_pair(1.06, 1.02, 1.1)),
]


@pytest.mark.parametrize("check", PASSING, ids=[NAMES[check.code] for check in PASSING])
def test_passing(check: Check) -> None:
    assert check.outcome == "pass"
    assert detail(check)


UNKNOWN = [
    checks_generator.ports(window(generator=Generator())),
    checks_generator.lag(window(workers=(worker(lag_p99_ms=None),))),
    checks_generator.think(window(draws=0), PLAN),
    steady(window(ticks=())),
    steady(window(ticks=()), "steady.drift-response"),
    *checks_strangers.strangers(window()),
    checks_laws.clocks(window()),
    checks_laws.requests_counted(window()),
    limit(window(), Baseline(RESPONSE, 100, 0.3, step=2, idle=False)),
    checks_window.silent(window(ticks=()), PLAN, R1),
    checks_window.counts(run(answered_server=None)),
    checks_window.counts(run(missing=("load1-2 step 2 measure",))),
    limit(window(target=None), R1),
    limit(window(), None),
    checks_target.kernel(window(target=None)),
    across_blocks([100.0]),
]


@pytest.mark.parametrize("check", UNKNOWN, ids=[f"{NAMES[check.code]}-{at}" for at, check in enumerate(UNKNOWN)])
def test_what_was_not_recorded_does_not_pass_silently(check: Check) -> None:
    assert check.outcome == "not available"
    assert detail(check)


def test_the_law_allows_for_what_the_ends_of_a_short_window_cut_off() -> None:
    short_one = window(seconds=5.0, think_passed_s=300 * 5 * 0.97, think_count=500, in_flight=0.0)
    assert checks_laws.interactive_law(short_one, PLAN).outcome == "pass"
    long_one = window(seconds=60.0, think_passed_s=300 * 60 * 0.97, think_count=6000, in_flight=0.0)
    assert checks_laws.interactive_law(long_one, PLAN).outcome == "fail"


def test_the_balance_holds_where_requests_outlast_the_window() -> None:
    """Of 300 users 297 wait in the server: R of the few that ended says little, L says it all."""
    stuck = window(
        throughput=1.0, attempts=60, successes=60, response_s=60 * 50.0, in_flight=297.0,
        think_count=60, think_passed_s=180.0,
    )  # fmt: skip
    assert checks_laws.interactive_law(stuck, PLAN).outcome == "pass"
    assert checks_laws.interactive_law(replace(stuck, in_flight=280.0), PLAN).outcome == "fail"


def test_requests_that_vanish_are_found_by_littles_law_and_by_the_counts() -> None:
    """Twenty of 300 users' requests are in flight for ever; or their answers were counted and their time lost."""
    hanging = window(
        throughput=280 / 3.01, attempts=5580, in_flight=20.93, think_count=5600, think_passed_s=280 / 3.01 * 180,
        response_s=5580 * RESPONSE, ages=decode(encode([60.0] * 20)), ages_start=EMPTY, in_flight_end=20,
    )  # fmt: skip
    assert checks_laws.interactive_law(hanging, PLAN).outcome == "pass"
    assert checks_laws.little(hanging).outcome == "pass"
    assert checks_laws.requests_counted(hanging).outcome == "pass"
    assert checks_laws.oldest(hanging, PLAN).outcome == "fail"
    assert checks_window.unanswered(hanging, PLAN).outcome == "fail"
    lost = replace(hanging, ages=EMPTY, in_flight_end=0)
    assert checks_laws.little(lost).outcome == "fail"
    assert checks_laws.requests_counted(lost).outcome == "fail"


def test_a_wall_clock_that_was_set_is_a_flag_and_no_fast_clock() -> None:
    stepped = window(workers=(worker(seconds=60.0, wall_s=63.0, clock_step_s=3.0),), kernel_stamps=True)
    assert [check.outcome for check in checks_laws.wall_clock(stepped)] == ["flag"]
    assert checks_laws.clocks(stepped).outcome == "not available"
    assert checks_laws.wall_clock(replace(stepped, kernel_stamps=False)) == ()


def test_event_loop_lag_marks_the_times_and_fails_nothing() -> None:
    (check,) = checks_generator.loop_lag(window(workers=(worker(loop_lag_p99_ms=5.0),)))
    assert check.outcome == "flag"
    assert "upper bounds" in detail(check)
    slow = window(response=decode(encode([0.1] * 1000)), workers=(worker(loop_lag_p99_ms=5.0),))
    assert [check.outcome for check in checks_generator.loop_lag(slow)] == ["pass"]


def test_event_loop_lag_is_not_asked_where_the_kernel_stamps_the_answers() -> None:
    stamped = window(workers=(worker(loop_lag_p99_ms=5.0),), kernel_stamps=True)
    assert checks_generator.loop_lag(stamped) == ()
    stood = window(workers=(worker(loop_lag_p99_ms=500.0),), kernel_stamps=True)
    assert [check.outcome for check in checks_generator.loop_lag(stood)] == ["fail"]


def test_a_constant_think_time_of_nothing() -> None:
    none = plan(think_time=(0.0, 0.0))
    assert checks_generator.think(window(draws_s=0.0), none).outcome == "pass"
    assert checks_generator.think(window(), none).outcome == "fail"


@pytest.mark.parametrize(
    ("failed", "outcome"), [(0, "pass"), (5, "pass"), (30, "flag"), (59, "flag"), (61, "fail"), (600, "fail")]
)
def test_failures_pass_are_flagged_or_fail(failed: int, outcome: str) -> None:
    assert (
        checks_window.errors(window(attempts=6_000, successes=6_000 - failed, failures={"reset": failed})).outcome
        == outcome
    )


def test_the_campaigns_own_probes_are_no_difference() -> None:
    few = run(attempts=300, answered_client=300, answered_server=320)
    assert checks_window.counts(few).outcome == "fail"
    probed = checks_window.counts(replace(few, probes=20))
    assert probed.outcome == "pass"
    assert "20 of them the campaign's own probes" in detail(probed)


def test_uncertain_requests_count_on_either_side() -> None:
    uncertain = {"timed-out": 300, "in-flight": 20}
    assert (
        checks_window.counts(run(answered_client=9_680, answered_server=10_000, uncertain=uncertain)).outcome == "pass"
    )
    assert (
        checks_window.counts(run(answered_client=9_680, answered_server=9_680, uncertain=uncertain)).outcome == "pass"
    )
    assert (
        checks_window.counts(run(answered_client=9_680, answered_server=10_100, uncertain=uncertain)).outcome == "fail"
    )


FULL: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"cpu_cores": 0.95}, {}, "used 0.95 of 1 core"),
    ({"cpu_cores": 1.9, "cores": 2.0, "processes": 40.0}, {}, "used 1.90 of 2 cores"),
    ({"cpu_cores": 0.97, "cores": 4.0, "processes": 1.0}, {}, "used 0.97 of 1 core"),
    (
        {"cpu_cores": 1.2, "cores": 4.0, "processes": 30.0, "busiest_thread_cores": 0.98},
        {},
        "busiest thread used 0.98",
    ),
    ({"backlog": 128.0}, {"queue": looks(40.0)}, "40.0 connections waited in its accept queue on average (random"),
    ({"fds": 1010.0, "fd_limit": 1024.0}, {}, "1010 of 1024 descriptors"),
    (
        {"cpu_cores": 0.01},
        {
            "slots": 1,
            "queue": looks(224.5),
            "background": (BackgroundWindow("slow", 20, 18.33, CounterSpan(20.0, 20.0)),),
        },
        "its one place was held by background clients, 18.3 of which were connected on average",
    ),
    ({"listen_socket_drops": CounterSpan(90.0, 120.0)}, {}, "its listening socket dropped 90 to 120 connections"),
    ({}, {"slots": 4, "wait_s": 0.037}, "its pool of 4 was busy: X x time held = 99.7 requests/s x 41.01 ms = 4.1"),
]


@pytest.mark.parametrize(("changes", "others", "said"), FULL)
def test_evidence_on_the_target(changes: dict[str, Any], others: dict[str, Any], said: str) -> None:
    check = limit(window(response_s=COUNT * 0.5, target=target(**changes), **others), R1)
    assert check.outcome == "flag"
    assert said in detail(check)


@pytest.mark.parametrize(
    ("changes", "others"),
    [
        ({"cpu_cores": 0.97, "cores": 4.0, "processes": 4.0}, {}),
        ({"cpu_cores": 0.5, "busiest_thread_cores": 0.5}, {}),
        ({}, {"queue": looks(0.0)}),
        ({}, {"queue": looks(0.9)}),  # one connection seen in a queue is not evidence
        ({"cpu_cores": 0.5}, {"queue": looks(1.5, number=4, most=4.0), "seconds": 4.0}),
        ({"cpu_cores": 0.8}, {"queue": looks(4.0)}),  # what random arrivals give
        ({"cpu_cores": 0.34}, {"queue": looks(9.0), "step": Step(1, "ladder", 1000)}),  # 0.9 % of the users, of a burst
        ({"fds": 1010.0, "fd_limit": 65_536.0}, {}),
        ({"threads": 1.0}, {"wait_s": 0.0098}),  # a thread that a sampler counted is no pool of known size
        ({}, {"slots": 4, "wait_s": 0.020}),
        ({"listen_socket_drops": CounterSpan(0.0, 0.0), "kernel": kernel(listen_overflows=500.0)}, {}),
        ({"listen_socket_drops": CounterSpan(0.0, 500.0)}, {}),  # of the ramp beside the window, as far as is known
    ],
)
def test_no_evidence_on_the_target(changes: dict[str, Any], others: dict[str, Any]) -> None:
    assert checks_target.full(window(target=target(**changes), **others)) == ()


def test_the_hosts_counters_are_evidence_only_as_far_as_the_socket_shows_them() -> None:
    drops: dict[str, Any] = {"kernel": kernel(listen_overflows=500.0), "backlog": 128.0}
    of_others = window(target=target(**drops, listen_socket_drops=CounterSpan(0.0, 0.0)), queue=looks(0.1, most=127.0))
    assert checks_target.evidence(of_others, (), 0) == ()
    assert checks_target.kernel(of_others).outcome == "flag"
    older = window(target=target(**drops), queue=looks(0.1, most=3.0))
    assert checks_target.evidence(older, (), 0) == ()
    near = replace(older, queue=looks(60.0, most=127.0))
    assert [finding.code for finding in checks_target.evidence(near, (), 0)] == ["evidence.kernel"]


def test_a_queue_of_random_arrivals_is_no_slowness_without_evidence() -> None:
    """Four fifths busy, R is five times R1 in M/M/1."""
    waiting = window(response_s=COUNT * RESPONSE * 5, target=target(cpu_cores=0.8))
    assert limit(waiting, R1).outcome == "pass"
    assert limit(replace(waiting, target=target(cpu_cores=0.1)), R1).outcome == "fail"


def test_a_queue_of_bursts_explains_slow_answers_and_is_no_limit() -> None:
    slow = window(
        response_s=COUNT * RESPONSE * 5, target=target(cpu_cores=0.1), queue=looks(9.0), step=Step(1, "ladder", 1000)
    )
    assert limit(slow, R1).outcome == "pass"
    assert limit(replace(slow, queue=looks(11.0)), R1).outcome == "flag"


def test_slowness_must_be_more_than_the_chance_of_a_few_idle_requests() -> None:
    spread = decode(encode([0.005] * 900 + [0.5] * 100))
    slow = window(response=spread, response_s=COUNT * 0.0545)
    assert limit(slow, Baseline(0.005, 5, 0.0, 0, idle=True)).outcome == "pass"
    assert limit(slow, Baseline(0.005, 500, 0.0, 0, idle=True)).outcome == "fail"


def test_one_user_whose_request_takes_three_seconds_is_no_silence_of_the_server() -> None:
    one = window(
        step=Step(1, "ladder", 1), goodput=40.0, ticks=seconds([100.0, 0.0, 0.0, 60.0, 40.0], 0.002), seconds=5.0,
        response=decode(encode([0.002] * 200 + [2.5])), think_count=0, think_passed_s=0.0,
    )  # fmt: skip
    assert checks_window.silent(one, NO_THINK, R1).outcome == "pass"
    stopped = replace(one, response=decode(encode([0.002] * 200)))
    assert checks_window.silent(stopped, NO_THINK, R1).outcome == "fail"
    many = replace(one, step=Step(1, "ladder", 50), response=decode(encode([0.002] * 200 + [2.5] * 50)))
    assert checks_window.silent(many, NO_THINK, R1).outcome == "fail"


def test_past_the_knee_few_cycles_are_enough_where_the_rate_is_known() -> None:
    few = window(attempts=1100, ticks=seconds([18.3] * 60), goodput=18.3)
    assert checks_window.enough(few, overloaded=False).outcome == "fail"
    assert checks_window.enough(few, overloaded=True).outcome == "fail"
    known = window(attempts=1150, ticks=seconds([19.2] * 60), goodput=19.2)
    assert checks_window.enough(known, overloaded=True).outcome == "pass"
    bursts = replace(known, ticks=seconds([0.0, 38.4] * 10 + [19.2] * 20 + [10.0, 28.4] * 10))
    assert (
        checks_window.enough(replace(bursts, ticks=seconds([38.4] * 30 + [0.0] * 30)), overloaded=True).outcome
        == "fail"
    )


def test_the_kernels_counters_are_evidence_and_no_fault() -> None:
    drops = checks_target.kernel(window(target=target(kernel=kernel(listen_overflows=500.0, retransmits=700.0))))
    assert drops.outcome == "flag"
    assert detail(drops) == "500 listen overflows, 700 retransmits"
    stray = checks_target.kernel(window(target=target(kernel=kernel(listen_overflows=0.0, retransmits=2.0))))
    assert stray.outcome == "pass"


def test_the_return_step_is_compared_with_the_ladder() -> None:
    first = window()
    again = replace(first, step=Step(4, "return", USERS))
    assert [check.outcome for check in returned([first, again])] == ["pass", "pass"]
    slower = replace(again, goodput=first.goodput * 0.9, response_s=first.response_s * 1.5)
    goodput, response = returned([first, slower])
    assert (goodput.outcome, response.outcome) == ("fail", "fail")
    assert "10 ms on the way up, 15 ms at the return" in detail(response)
    assert returned([first]) == ()


def test_spans_name_the_seconds() -> None:
    quiet = [Second(float(at), 1.0, 0.0, 0.0, 0.0) for at in (12, 13, 32)]
    assert checks_window.spans(quiet) == ((12.0, 14.0), (32.0, 33.0))


def test_users_that_the_timeout_keeps_in_step_are_no_contradiction() -> None:
    """Waves of 50 users, each 2 s in flight and 0.2 s in thought: five and not 5.4 of them end within 12 s."""
    asked = plan(timeout=2.0, think_time=(0.1, 0.3), users=(50,))
    waves = window(
        step=Step(1, "ladder", 50), seconds=12.0, attempts=250, successes=0, failures={"timed-out": 250},
        throughput=250 / 12, goodput=0.0, response=EMPTY, response_s=0.0, failed_s=250 * 2.02, in_flight=45.87,
        think_count=250, think_drawn_s=50.0, think_passed_s=50.0, ticks=(),
    )  # fmt: skip
    assert checks_laws.in_step(waves)
    assert checks_laws.interactive_law(waves, asked).outcome == "pass"
    assert checks_laws.little(waves).outcome == "pass"
    cut = replace(waves, in_flight=46.7)  # a part of a wave more is in flight than the window's thoughts account for
    assert checks_laws.interactive_law(cut, asked).outcome == "pass"
    independent = replace(cut, failures={"refused": 250})
    assert checks_laws.interactive_law(independent, asked).outcome == "fail"
    assert checks_laws.little(replace(waves, in_flight=30.0)).outcome == "fail"


def test_work_that_was_not_done_is_a_contradiction() -> None:
    cpu = Work(cpu_ms=1000 * 0.4 / (COUNT / SECONDS))  # all that the sound window's server used
    (made,) = checks_laws.work_done(window(), cpu)
    assert made.outcome == "pass"
    assert made.value == pytest.approx(1.0)
    (made,) = checks_laws.work_done(window(), Work(cpu_ms=2 * cpu.cpu_ms))
    assert made.outcome == "fail"
    assert [made.outcome for made in checks_laws.work_done(window(), Work(wait_ms=10))] == ["pass"]
    assert [made.outcome for made in checks_laws.work_done(window(), Work(wait_ms=20))] == ["fail"]
    assert checks_laws.work_done(window(), Work()) == ()


def test_answers_to_background_clients_and_refusals_are_accounted_for() -> None:
    run = Reconciled(attempts=100, answered_client=100, answered_server=341, uncertain={}, probes=1, background=240)
    assert run.apart == 0
    assert replace(run, background=0).apart == 240
    refusing = Reconciled(
        attempts=100, answered_client=100, answered_server=1, uncertain={}, probes=1, refused_server=100
    )
    assert refusing.apart == 0
    assert replace(refusing, refused_server=30).apart == 70


def test_where_the_kernel_counts_too_many_are_a_flag_and_too_few_a_contradiction() -> None:
    run = Reconciled(attempts=1000, answered_client=1000, answered_server=1000, uncertain={}, by_kernel=True)
    assert checks_window.counts(run).outcome == "pass"
    assert checks_window.counts(replace(run, answered_server=1200)).outcome == "flag"
    assert checks_window.counts(replace(run, answered_server=900)).outcome == "fail"
    kept = checks_window.counts(replace(run, answered_server=None))
    assert kept.outcome == "not available"
    assert "the server keeps no count" in detail(kept)


def test_workers_that_share_cores_are_judged_by_their_sum() -> None:
    """Two on one core can't use more than half of it each."""
    alone = window(workers=(worker(cpu_p95=0.5), worker(name="load1-2", cpu_p95=0.5)))
    assert checks_generator.cpu(alone).outcome == "pass"
    assert checks_generator.shared_cpu(alone) == ()
    for used, outcome in ((0.89, "pass"), (0.99, "fail")):
        (made,) = checks_generator.shared_cpu(replace(alone, generator=Generator(0.1, used, shared_cpu_p95=used)))
        assert (made.number, made.outcome, made.value, made.threshold) == (4, outcome, used, 0.9)
        assert f"used {used:.0%} of these cores together" in detail(made)


@pytest.mark.parametrize(("cores", "shared"), [(1.0, 0.98), (2.0, None)])
def test_the_workers_of_a_host_are_added_up_second_by_second(cores: float, shared: float | None) -> None:
    rows = pd.DataFrame(
        [
            {"role": "worker", "host": "load1", "name": name, "time": second + late, "cpu_cores": 0.49, "cores": cores}
            for second in range(20)
            for name, late in (("load1-1", 0.0), ("load1-2", 0.003))
        ]
        + [{"role": "host", "host": "load1", "name": "load1", "time": 1.0, "ports_used": 1.0, "ports_limit": 9.0}]
    ).assign(group_cores=float("nan"), cpu_pressure=float("nan"))
    assert generator_of(SampleRows.of(rows)).shared_cpu_p95 == (None if shared is None else pytest.approx(shared))


@pytest.mark.parametrize(("used", "taken", "said"), [
    (0.45, 0.5, "others used the rest of the server's cores: CPU 0.45 of 1 core with 0.50 more taken by others"),
    (0.45, 0.2, "nothing that was watched on the target was full: CPU 0.45 of 1 core with 0.20 more taken by others"),
    (0.45, 0.0, "nothing that was watched on the target was full: CPU 0.45 of 1 core, "),
])  # fmt: skip
def test_what_others_took_of_the_servers_core_stands_with_what_it_had_left(
    used: float, taken: float, said: str
) -> None:
    each = (1.0,) * 60
    group = CoreGroupSeconds("target", 1.0, each, (used + taken,) * 60, (used,) * 60, (0.0,) * 60, None)
    check = limit(window(response_s=COUNT * 0.5, target=target(cpu_cores=used, group=group)), R1)
    assert check.outcome == "fail"
    assert said in detail(check)


@pytest.mark.parametrize("idle", [True, False])
def test_where_r1_is_a_bound_so_is_what_follows_from_it(idle: bool) -> None:
    slow = window(response_s=COUNT * 0.5, goodput=0.5 * RATE, throughput=0.5 * RATE)
    r1 = replace(R1, idle=idle, step=7)
    said = detail(limit(slow, r1))
    assert ("is at least 50.0 times R1, which is at most 10.0 ms" in said) is not idle
    assert ("is 50.0 times R1 = 10.0 ms" in said) is idle
    (under,) = checks_target.short_of_the_line(slow, PLAN, r1, ())
    assert ("at least 49." in detail(under)) is not idle
    assert ("N / (R1 / (1 - U) + Z), which is at least " in detail(under)) is not idle
    (on,) = checks_target.short_of_the_line(window(throughput=1.01 * RATE), PLAN, r1, ())
    assert ("are on the line N / (R1 / (1 - U) + Z) = " in detail(on)) is idle
    short_ = shortfall(slow, PLAN, r1)
    assert short_ is not None
    assert ("at least 50.0% under N / (R1 + Z) >= " in sentence(short_)) is not idle


KINDS = ("refused", "bad-status", "timed-out", "reset", "short-body")


def test_the_counts_of_a_run_that_are_printed_add_up_to_its_attempts() -> None:
    for seed in range(20):
        draw = np.random.default_rng(seed)
        failed = {kind: int(draw.integers(0, 3) * 10) for kind in KINDS}
        answers = int(draw.integers(0, 1000)) + failed["bad-status"]
        doubt = {kind: failed[kind] for kind in KINDS[2:]}
        attempts = answers + failed["refused"] + sum(doubt.values())
        made = Reconciled(
            attempts, answers + 7, answers + 3, {**doubt, "in-flight": 5, "background": 2}, refused_server=40, probes=3,
            never_sent=failed["refused"], beyond=7,
        )  # fmt: skip
        text = detail(checks_window.counts(made))
        ended, beyond, besides, server = text.split("; ")
        total, *parts = (int(each) for each in re.findall(r"\d+", ended))
        assert total == sum(parts) == attempts, text
        assert (beyond, besides) == ("7 answers beyond the attempts", "besides 5 in flight at the end, 2 uncertain"
                                     " requests of the background clients")  # fmt: skip
        assert (
            server
            == f"the server counts {answers + 3} answered, 3 of them the campaign's own probes, and 40 refused besides"
        )
