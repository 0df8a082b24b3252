"""Each check on plain values, passing and failing; each prints its value and its threshold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from analysis.judge import checks, checks_generator, checks_target
from analysis.judge.findings import Check
from analysis.judge.reconciliation import Reconciled
from analysis.judge.repeat import across_blocks, returned
from analysis.judge.window import Second, Window, Worker
from analysis.rank.family import Pair
from analysis.rank.ranking import control_check
from analysis.read.histograms import EMPTY, decode
from analysis.read.samples import Generator, Target
from analysis.tell.sentences import NAMES, sentence
from study.plan import Step
from study.workload import Work
from tests.unit.synthetic import encode, plan

PLAN = plan()  # think time 1-5 s, timeout 10 s
USERS, SECONDS, RESPONSE = 300, 60.0, 0.010
RATE = USERS / (3.0 + RESPONSE)
COUNT = round(RATE * SECONDS)


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


def target(**changes: Any) -> Target:
    sound = window().target
    assert sound is not None
    return replace(sound, **changes)


def run(**changes: Any) -> Reconciled:
    return replace(Reconciled(10_000, 10_000, 10_000, {"timed-out": 0, "in-flight": 0}), **changes)


R1 = RESPONSE


def control_pair(ratio: float, low: float, high: float) -> Pair:
    return Pair("rps", "a-aa", "a", ratio, low, high, 0.01, 0.01, 6, "undetermined")


def limit(of: Window, unloaded_s: float | None) -> Check:
    """Check 8, with what on the target was full in this window."""
    return checks_target.who_was_the_limit(of, unloaded_s, checks_target.full(of.target, of.in_flight, of.waited_for))


def detail(check: Check) -> str:
    return sentence(check.finding)


FAILING: list[tuple[str, Check, str]] = [
    ("users short", checks.population(window(workers=(worker(users_right=0.93, users_min=280),))), "280 of 300 users"),
    ("record missing", checks.population(window(missing=("load1-2",))), "no record came from load1-2"),
    ("wrong share", checks.population(window(workers=(worker(users_wanted=200),))), "run 200 users together, not 300"),
    ("users unaccounted for", checks.interactive_law(window(throughput=60.0), PLAN), "of 300 users"),
    ("L above X R", checks.little(window(in_flight=20.0)), "L = 20.00 in flight, X R = 1.00"),
    (
        "older than the timeout",
        checks.oldest(window(ages=decode(encode([25.0])), in_flight_end=1), PLAN),
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
    ("drift", checks.stationary(window(ticks=seconds([80.0 + at for at in range(60)]))), "drifted by +60"),
    ("silence", checks.silent(window(ticks=seconds([*[100.0] * 20, 0, 0, *[110.0] * 38])), PLAN, R1), "seconds 20-22"),
    ("few cycles", checks.enough(window(attempts=900)), "900 requests of 300 users"),
    ("failures", checks.errors(window(successes=COUNT - 100, failures={"reset": 100})), "100 reset"),
    ("server counts less", checks.counts(run(answered_server=9_000)), "the server counts 9000 answered"),
    ("server counts more", checks.counts(run(answered_server=10_500)), "10000 attempts"),
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
    checks.population(window()),
    checks.interactive_law(window(), PLAN),
    checks.little(window()),
    checks.oldest(window(), PLAN),
    *checks_generator.generator(window(), PLAN),
    checks.stationary(window()),
    checks.silent(window(), PLAN, R1),
    checks.enough(window()),
    checks.errors(window()),
    checks.counts(run()),
    limit(window(), R1),
    checks_target.kernel(window(target=target(kernel={"listen_overflows": 0.0}))),
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
    checks.stationary(window(ticks=())),
    checks.silent(window(ticks=()), PLAN, R1),
    checks.counts(run(answered_server=None)),
    checks.counts(run(missing=("load1-2 step 2 measure",))),
    limit(window(target=None), R1),
    limit(window(), None),
    checks_target.kernel(window(target=None)),
    across_blocks([100.0]),
]


@pytest.mark.parametrize("check", UNKNOWN, ids=[f"{NAMES[check.code]}-{at}" for at, check in enumerate(UNKNOWN)])
def test_what_was_not_recorded_does_not_pass_silently(check: Check) -> None:
    assert check.outcome == "not available"
    assert detail(check)


def test_the_law_allows_for_chance_in_few_requests() -> None:
    few = window(attempts=200, throughput=RATE * 0.93)
    assert checks.interactive_law(few, PLAN).outcome == "pass"
    assert checks.interactive_law(replace(few, attempts=20_000), PLAN).outcome == "fail"


def test_the_balance_holds_where_requests_outlast_the_window() -> None:
    """Of 300 users 297 wait in the server: R of the few that ended says little, L says it all."""
    stuck = window(throughput=1.0, attempts=60, successes=60, response_s=60 * 50.0, in_flight=297.0)
    check = checks.interactive_law(stuck, PLAN)
    assert check.outcome == "pass"
    assert "L + X Z" in detail(check)


def test_hanging_requests_do_not_hide_in_the_balance() -> None:
    """Twenty of 300 hang for ever while the others go on: neither law accounts for them."""
    hanging = window(throughput=280 / 3.01, in_flight=20.9)
    assert checks.interactive_law(hanging, PLAN).outcome == "fail"
    assert checks.little(hanging).outcome == "fail"


def test_event_loop_lag_marks_the_times_and_fails_nothing() -> None:
    check = checks_generator.loop_lag(window(workers=(worker(loop_lag_p99_ms=5.0),)))
    assert check.outcome == "flag"
    assert "upper bounds" in detail(check)
    slow = window(response=decode(encode([0.1] * 1000)), workers=(worker(loop_lag_p99_ms=5.0),))
    assert checks_generator.loop_lag(slow).outcome == "pass"


def test_a_constant_think_time_of_nothing() -> None:
    none = plan(think_time=(0.0, 0.0))
    assert checks_generator.think(window(draws_s=0.0), none).outcome == "pass"
    assert checks_generator.think(window(), none).outcome == "fail"


@pytest.mark.parametrize(
    ("failed", "outcome"), [(0, "pass"), (5, "pass"), (30, "flag"), (59, "flag"), (61, "fail"), (600, "fail")]
)
def test_failures_pass_are_flagged_or_fail(failed: int, outcome: str) -> None:
    assert (
        checks.errors(window(attempts=6_000, successes=6_000 - failed, failures={"reset": failed})).outcome == outcome
    )


def test_the_campaigns_own_probes_are_no_difference() -> None:
    few = run(attempts=300, answered_client=300, answered_server=320)
    assert checks.counts(few).outcome == "fail"
    probed = checks.counts(replace(few, probes=20))
    assert probed.outcome == "pass"
    assert "20 of them the campaign's own probes" in detail(probed)


def test_uncertain_requests_count_on_either_side() -> None:
    uncertain = {"timed-out": 300, "in-flight": 20}
    assert checks.counts(run(answered_client=9_680, answered_server=10_000, uncertain=uncertain)).outcome == "pass"
    assert checks.counts(run(answered_client=9_680, answered_server=9_680, uncertain=uncertain)).outcome == "pass"
    assert checks.counts(run(answered_client=9_680, answered_server=10_100, uncertain=uncertain)).outcome == "fail"


FULL = [
    ({"cpu_cores": 0.95}, "used 0.95 of 1 core"),
    ({"cpu_cores": 1.9, "cores": 2.0, "processes": 40.0}, "used 1.90 of 2 cores"),
    ({"cpu_cores": 0.97, "cores": 4.0, "processes": 1.0}, "used 0.97 of 1 core"),
    ({"cpu_cores": 1.2, "cores": 4.0, "processes": 30.0, "busiest_thread_cores": 0.98}, "busiest thread used 0.98"),
    ({"accept_queue": 40.0, "backlog": 128.0}, "40 connections waited in its accept queue (backlog 128)"),
    ({"fds": 1010.0, "fd_limit": 1024.0}, "1010 of 1024 descriptors"),
]


@pytest.mark.parametrize(("changes", "said"), FULL)
def test_evidence_on_the_target(changes: dict[str, float], said: str) -> None:
    check = limit(window(response_s=COUNT * 0.5, target=target(**changes)), R1)
    assert check.outcome == "flag"
    assert said in detail(check)


@pytest.mark.parametrize(
    "changes",
    [
        {"cpu_cores": 0.97, "cores": 4.0, "processes": 4.0},
        {"cpu_cores": 0.5, "busiest_thread_cores": 0.5},
        {"accept_queue": 0.0},
        {"fds": 1010.0, "fd_limit": 65_536.0},
    ],
)
def test_no_evidence_on_the_target(changes: dict[str, float]) -> None:
    assert checks_target.full(target(**changes), in_flight=50.0) == ()


def test_a_short_accept_queue_with_many_in_flight_is_no_evidence() -> None:
    assert checks_target.full(target(accept_queue=3.0), in_flight=200.0) == ()
    assert checks_target.full(target(accept_queue=3.0), in_flight=6.0) != ()


def test_the_kernels_counters_are_evidence_and_no_fault() -> None:
    drops = checks_target.kernel(window(target=target(kernel={"listen_overflows": 500.0, "retransmits": 700.0})))
    assert drops.outcome == "flag"
    assert detail(drops) == "500 listen overflows, 700 retransmits"
    stray = checks_target.kernel(window(target=target(kernel={"listen_overflows": 0.0, "retransmits": 2.0})))
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
    assert checks.spans(quiet) == ((12.0, 14.0), (32.0, 33.0))


def test_users_that_the_timeout_keeps_in_step_are_no_contradiction() -> None:
    """Waves of 50 users, each 2 s in flight and 0.2 s in thought: five and not 5.4 of them end within 12 s."""
    asked = plan(timeout=2.0, think_time=(0.1, 0.3), users=(50,))
    waves = window(
        step=Step(1, "ladder", 50), seconds=12.0, attempts=250, successes=0, failures={"timed-out": 250},
        throughput=250 / 12, goodput=0.0, response=EMPTY, response_s=0.0, failed_s=250 * 2.02, in_flight=45.87,
        think_count=250, think_drawn_s=50.0, think_passed_s=50.0, ticks=(),
    )  # fmt: skip
    assert checks.in_step(waves)
    assert checks.interactive_law(waves, asked).outcome == "pass"
    assert checks.little(waves).outcome == "pass"
    independent = replace(waves, failures={"refused": 250})
    assert checks.interactive_law(independent, asked).outcome == "fail"
    assert checks.little(replace(waves, in_flight=30.0)).outcome == "fail"


@pytest.mark.parametrize(
    ("changes", "waited_for", "in_flight", "evidence"),
    [
        ({"processes": 1.0, "threads": 1.0}, 0.98, 20.0, True),  # one at a time
        ({"processes": 1.0, "threads": 9.0}, 7.9, 20.0, True),  # a pool of eight and the thread that leads it
        ({"processes": 5.0, "threads": 5.0}, 4.0, 20.0, True),
        ({"processes": 1.0, "threads": 21.0}, 19.4, 20.0, False),  # nobody wants a worker who has none
        ({"processes": 1.0, "threads": 1.0}, 19.6, 20.0, False),  # a loop waits for all at once
        ({"processes": 1.0, "threads": 9.0}, 3.0, 20.0, False),  # some workers have nothing to do
        ({"processes": 1.0, "threads": 1.0}, 0.0, 20.0, False),  # the plan asks for no wait
    ],
)
def test_workers_that_all_wait_are_a_limit_of_the_target(
    changes: dict[str, float], waited_for: float, in_flight: float, evidence: bool
) -> None:
    found = checks_target.full(target(**changes), in_flight, waited_for)
    assert bool(found) == evidence
    assert all(finding.code == "full.workers" for finding in found)


def test_work_that_was_not_done_is_a_contradiction() -> None:
    cpu = Work(cpu_ms=1000 * 0.4 / (COUNT / SECONDS))  # all that the sound window's server used
    (made,) = checks.work_done(window(), cpu)
    assert made.outcome == "pass"
    assert made.value == pytest.approx(1.0)
    (made,) = checks.work_done(window(), Work(cpu_ms=2 * cpu.cpu_ms))
    assert made.outcome == "fail"
    assert [made.outcome for made in checks.work_done(window(), Work(wait_ms=10))] == ["pass"]
    assert [made.outcome for made in checks.work_done(window(), Work(wait_ms=20))] == ["fail"]
    assert checks.work_done(window(), Work()) == ()


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
    assert checks.counts(run).outcome == "pass"
    assert checks.counts(replace(run, answered_server=1200)).outcome == "flag"
    assert checks.counts(replace(run, answered_server=900)).outcome == "fail"
    kept = checks.counts(replace(run, answered_server=None))
    assert kept.outcome == "not available"
    assert "the server keeps no count" in detail(kept)
