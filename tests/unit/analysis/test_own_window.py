"""Checks of a window with a locustfile of one's own: by iteration, by its clients' requests, by its mix of names."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from analysis.draw.request_frames import REQUEST_COLUMNS, requests_frame
from analysis.judge.baseline import Baseline, baseline_of, of_the_mix
from analysis.judge.checks import checks_generator, checks_laws, checks_window
from analysis.judge.findings import Finding
from analysis.judge.own_window import NamedRequests, OwnWindow, own_part
from analysis.judge.verdicts import divided, shortfall
from analysis.judge.window import Window
from analysis.read.histograms import decode
from analysis.read.seconds import Second
from analysis.tell.csv_files import csv_text, requests_table
from analysis.tell.report.request_tables import own_tables
from analysis.tell.sentences import sentence
from study.formats.own_counts import ExceptionCount, OwnCounts
from study.plan import IDLE_STEP, Step
from tests.unit.synthetic import encode, plan

# 20 users, each with an iteration of 0.2 s with two requests of 50 ms, and a wait of 0.8 s after it.
USERS, SECONDS = 20, 30.0
ITERATIONS = round(USERS * SECONDS)
REQUESTS, RESPONSE = 2 * ITERATIONS, 0.05
OWN_PLAN = plan(locustfile="locustfile.py")


def named(name: str, requests: int, response_s: float, failures: dict[str, int] | None = None) -> NamedRequests:
    good = requests - sum((failures or {}).values())
    return NamedRequests(
        method="GET",
        name=name,
        outside=False,
        requests=requests,
        rate=requests / SECONDS,
        failures=failures or {},
        bytes=0,
        response_s=good * response_s,
        response=decode(encode([response_s] * good)),
    )


def own(**changes: Any) -> OwnWindow:
    sound = OwnWindow(
        iterations=ITERATIONS,
        iteration_s=0.2 * ITERATIONS,
        iterating=4.0,
        waiting=16.0,
        sent=REQUESTS,
        received=REQUESTS,
        received_s=REQUESTS * RESPONSE,
        names=(named("/a", ITERATIONS, 0.02), named("/b", ITERATIONS, 0.08)),
        exceptions=(),
    )
    return replace(sound, **changes)


def own_sound(part: OwnWindow | None = None, **changes: Any) -> Window:
    """A window in which every law holds."""
    rate = REQUESTS / SECONDS
    times = [0.02] * ITERATIONS + [0.08] * ITERATIONS
    sound = Window(
        step=Step(2, "ladder", USERS),
        workers=(),
        missing=(),
        seconds=SECONDS,
        attempts=REQUESTS,
        successes=REQUESTS,
        failures={},
        bytes=0,
        goodput=rate,
        throughput=rate,
        response=decode(encode(times)),
        response_s=sum(times),
        failed_s=0.0,
        in_flight=rate * RESPONSE,
        in_flight_end=2,
        ages=decode(encode([0.01, 0.01])),
        ages_start=decode(encode([0.01, 0.01])),
        draws=ITERATIONS,
        draws_s=0.8 * ITERATIONS,
        think_count=ITERATIONS,
        think_drawn_s=0.8 * ITERATIONS,
        think_passed_s=0.8 * ITERATIONS,
        ticks=tuple(Second(float(at), 1.0, rate, rate * RESPONSE, rate * RESPONSE) for at in range(30)),
        own=part or own(),
    )
    return replace(sound, **changes)


def idle(part: OwnWindow) -> Window:
    return own_sound(part, step=Step(IDLE_STEP, "idle", 1))


@pytest.mark.parametrize(("waiting", "outcome"), [(16.0, "pass"), (15.85, "pass"), (15.0, "fail"), (17.0, "fail")])
def test_every_user_is_in_an_iteration_or_waits(waiting: float, outcome: str) -> None:
    law = checks_laws.interactive_law(own_sound(own(waiting=waiting)), OWN_PLAN)
    assert (law.code, law.outcome) == ("law.iterations", outcome)
    assert f"{waiting:.1f} waiting" in sentence(law.finding)


def test_littles_law_is_about_all_requests_of_the_clients_reported_or_not() -> None:
    quarter_unreported = own_sound(
        attempts=round(0.75 * REQUESTS), successes=round(0.75 * REQUESTS), response_s=0.75 * REQUESTS * RESPONSE
    )
    assert checks_laws.little(quarter_unreported).outcome == "pass"
    assert checks_laws.requests_counted(quarter_unreported).outcome == "pass"
    assert checks_laws.little(own_sound(own(received_s=0.5 * REQUESTS * RESPONSE))).outcome == "fail"
    assert checks_laws.requests_counted(own_sound(own(received=REQUESTS - 10))).outcome == "fail"


@pytest.mark.parametrize(("iterations", "outcome"), [(4 * USERS, "pass"), (4 * USERS - 1, "fail")])
def test_each_user_has_four_iterations_however_many_requests_they_have(iterations: int, outcome: str) -> None:
    check = checks_window.enough(own_sound(own(iterations=iterations)), overloaded=False)
    assert (check.code, check.outcome) == ("samples.iterations", outcome)
    assert "iterations of 20 users" in sentence(check.finding)


def test_iterations_without_a_request_say_nothing_about_the_server() -> None:
    check = checks_window.enough(own_sound(attempts=0, successes=0), overloaded=False)
    assert check.outcome == "fail"
    assert sentence(check.finding) == "600 iterations of 20 users in 30 s, and no request that ended"


@pytest.mark.parametrize(("in_flight", "outcome"), [(0.0, "pass"), (15.0, "fail")])
def test_a_second_without_answers_is_silent_only_where_requests_were_in_flight(in_flight: float, outcome: str) -> None:
    """Users with `constant_pacing` may all wait at once."""
    ticks = list(own_sound().ticks)
    ticks[10] = Second(10.0, 1.0, 0, 0.0, in_flight)
    assert checks_window.silent(own_sound(ticks=tuple(ticks)), OWN_PLAN, None).outcome == outcome


def test_no_plan_says_how_long_users_wait() -> None:
    assert "generator.think" not in {check.code for check in checks_generator.generator(own_sound(), OWN_PLAN)}


def test_the_unloaded_response_time_is_that_of_the_windows_own_mix() -> None:
    first = idle(own(names=(named("/a", 50, 0.01),)))
    lowest = own_sound(own(names=(named("/a", 10, 0.012), named("/b", 10, 0.04))), step=Step(1, "ladder", 4))
    baseline = baseline_of((first, lowest), lambda window: True)
    assert baseline is not None
    assert baseline.by_name == {"/a": pytest.approx(0.01), "/b": pytest.approx(0.04)}
    mixed = of_the_mix(baseline, own_sound(own(names=(named("/a", 300, 0.02), named("/b", 100, 0.08)))))
    assert mixed is not None
    assert mixed.response_s == pytest.approx((300 * 0.01 + 100 * 0.04) / 400)


@pytest.mark.parametrize(("unloaded_s", "short"), [(0.05, False), (0.045, False), (0.005, True)])
def test_the_shortfall_is_what_slower_answers_take_from_the_users_cycle(unloaded_s: float, short: bool) -> None:
    """A cycle of 1 s with two requests: 45 ms more of each make it 9 % longer, 5 ms only 1 %."""
    baseline = Baseline(unloaded_s, 100, 1.0, IDLE_STEP, True)
    found = shortfall(own_sound(), OWN_PLAN, baseline)
    assert (found is not None) is short
    if found is not None:
        assert found["bound"] == pytest.approx(USERS * 2 / (1 - 2 * (RESPONSE - unloaded_s)))


def test_late_users_explain_their_part_of_a_shortfall() -> None:
    late = own_sound(think_drawn_s=0.75 * ITERATIONS)  # each wait ended 50 ms late
    shares = divided(late, OWN_PLAN, Baseline(0.005, 100, 1.0, IDLE_STEP, True))
    assert shares is not None
    assert shares.generator == pytest.approx(0.025 / (0.025 + 0.045), rel=0.01)


def by_name(*names: NamedRequests, failures: dict[str, int] | None = None, late: bool = False) -> pd.DataFrame:
    """The rows of one step whose window has these names."""
    window = own_sound(own(names=names), failures=failures or {})
    judgement: Any = SimpleNamespace(verdict="valid", upper_bounds=late)
    run: Any = SimpleNamespace(block=1, label="shop")
    step: Any = SimpleNamespace(run=run, step=window.step, window=window, judgement=judgement)
    result: Any = SimpleNamespace(steps=(step,))
    return requests_frame([result]).set_index("name")


def timed_out(name: str, requests: int, waited_s: float | None, count: int) -> NamedRequests:
    """Requests that are answered in 20 ms, but for `count` of them; an older ledger doesn't know for how long."""
    times = None if waited_s is None else decode(encode([waited_s] * count))
    return replace(named(name, requests, 0.02, {"TimeoutError": count}), timed_out=times)


def test_requests_by_name_have_a_row_each_and_no_quantile_beyond_their_number() -> None:
    assert list(requests_frame([]).columns) == list(REQUEST_COLUMNS)
    rows = by_name(named("/many", 2000, 0.02), named("/few", 100, 0.02))
    assert rows.loc["/many", "p99_ms"] == pytest.approx(20, rel=0.01)
    assert pd.isna(rows["p95_ms"]["/few"])


def test_a_percentile_by_name_counts_requests_that_timed_out_as_at_least_so_long() -> None:
    """Of 1,000 requests 80 timed out after 2 s: they are the slowest, as in the percentiles of the whole step."""
    rows = by_name(timed_out("/a", 1000, 2.0, 80), named("/b", 1000, 0.02), failures={"timed-out": 80})
    row = rows.loc["/a"]
    assert row["p90_ms"] == pytest.approx(20, rel=0.01)
    assert (row["p95_ms"], row["p99_ms"]) == (pytest.approx(2000, rel=0.01), pytest.approx(2000, rel=0.01))
    assert row["at_least"] == {"p95_ms", "p99_ms"}
    assert (row["mean_ms"], row["max_ms"]) == (pytest.approx(20, rel=0.01), pytest.approx(20, rel=0.01))
    assert rows.loc["/b", "at_least"] == frozenset()
    text = csv_text(requests_table(rows.reset_index()))
    assert "p95_ms p99_ms" in text
    table, _ = own_tables(rows.reset_index(), pd.DataFrame({"model": []}), "shop")
    cells = dict(zip(table.heads, table.rows[0], strict=True))
    assert (cells["p95 ms"].text, cells["mean ms of successes"].text) == ("\u2265 2,001", "20")
    late = own_tables(by_name(named("/b", 1000, 0.02), late=True).reset_index(), pd.DataFrame({"model": []}), "shop")
    assert late[0].rows[0][8].text == "\u2264 20"


def test_an_older_ledger_gives_no_percentile_of_a_name_of_which_requests_may_have_timed_out() -> None:
    old = timed_out("/a", 1000, None, 80)
    assert by_name(old, failures={"timed-out": 80})["p90_ms"].isna().all()
    assert by_name(old, failures={"reset": 80}).loc["/a", "p90_ms"] == pytest.approx(20, rel=0.01)
    assert by_name(replace(old, outside=True))["p90_ms"].isna().all()


def test_what_on_start_raised_in_the_ramp_is_told_with_the_window() -> None:
    counts = OwnCounts(
        iterations=0, iteration_s=0.0, iteration_us=encode([]), iterating_s=0.0, waiting_s=0.0, sent=0, received=0,
        received_s=0.0, exchanges=0, names=(), exceptions=(),
    )  # fmt: skip
    raised = (ExceptionCount(text="KeyError: 'token'", traceback="", count=5),)
    ramp: Any = SimpleNamespace(own=replace(counts, exceptions=raised), seconds=2.0)
    measured: Any = SimpleNamespace(own=counts, seconds=SECONDS)
    part = own_part([measured], [ramp])
    assert part is not None
    assert part.exceptions == (("KeyError: 'token'", "", 5),)
    told = Finding("tasks.raised", count=part.raised, iterations=part.iterations, most=part.exceptions[0][0])
    assert sentence(told) == "user classes raised 5 exceptions in 0 iterations, most often KeyError: 'token'"
