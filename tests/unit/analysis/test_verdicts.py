"""Each verdict from a run on disk in which one thing was made to go wrong, beside a control that is valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis import StepVerdict, analyze, verdicts_of
from analysis.tell.csv_files import checks_table
from study.plan import Run, Step
from tests.unit.synthetic import Load, LoadOf, plan, write_campaign

ASKED = plan(models=["single"], users=[100, 400], aa=False, return_step=False)
X_FREE = 400 / 3.004


def judged(tmp_path: Path, **top: Any) -> StepVerdict:
    """The verdict at 400 users, with these changes; at 100 users everything is sound."""
    write_campaign(tmp_path, ASKED, top_step(Load(**top)))
    idle, bottom, upper = verdicts_of(tmp_path, "1-single")
    assert (idle.verdict, bottom.verdict) == ("valid", "valid")
    return upper


def top_step(load: Load) -> LoadOf:
    def load_of(_run: Run, step: Step) -> Load:
        return load if step.users == 400 else Load()

    return load_of


OVER: dict[str, Any] = {"rate": 90.0, "response": 400 / 90 - 3, "server_cpu": 0.99, "spread": 0.1}
"""A server that is full at 90 requests/s."""

ONE_BLOCK = plan(models=["single"], users=[100, 400], aa=False, return_step=False)

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("worker-lost", {"lost": ("load1-2",)}, "no record came from load1-2"),
    ("worker-lost", {"users_right": 0.9}, "199 of 200 users"),
    ("generator-limited", {"lag_ms": 60.0, "late": 0.03}, "woke 59"),
    ("generator-limited", {"loop_lag_ms": 2000.0}, "it stood still"),
    ("generator-limited", {"cpu": 0.95}, "used 0.95 of a core (p95)"),
    ("generator-limited", {"ports": (27_000, 28_000)}, "96% of a load host's local ports"),
    ("generator-limited", {"think_factor": 0.5}, "the plan's is 3.000 s"),
    ("generator-limited", {**OVER, "server_cpu": 0.3, "cpu": 0.6}, "CPU 0.30 of 1 core"),
    ("inconsistent", {"rate": 100.0, "seconds": 60.0}, "of 400 users"),
    ("inconsistent", {"in_flight": 30.0}, "L = 30.00 in flight"),
    ("inconsistent", {"ages": (30.0,)}, "30.02 s old, timeout 10 s"),
    ("faulty", {"failures": {"reset": 600}}, "600 reset"),
    ("faulty", {"failures": {"short-body": 4000}}, "with no sign of a limit on the target"),
    ("faulty", {"failures": {"timed-out": 20}, "failed_after": 10.0}, "20 requests timed out and 0 were left hanging"),
    ("faulty", {"ages": (5.0,) * 20}, "0 requests timed out and 20 were left hanging at the window's end: 0.50%"),
    ("too-few-samples", {"seconds": 9.0}, "of 400 users in 9 s"),
    ("overload", OVER, "its process tree used 0.99 of 1 core"),
    ("overload", {"failures": {"timed-out": 200}, "failed_after": 0.1, "accept_queue": 60.0}, "200 timed-out"),
    ("overload", {"failures": {"reset": 200}, "socket_drops": 20}, "its listening socket dropped 600 connections"),
    (
        "faulty",
        {"failures": {"reset": 200}, "overflows": 20},
        "with no sign of a limit on the target",
    ),  # somebody else's
    ("overload", {**OVER, "seconds": 30.0}, "used 0.99 of 1 core"),  # fewer than four cycles: it can't help that
    ("overload", {**OVER, "drift": 0.8}, "used 0.99 of 1 core"),  # nor that its rate changes
    ("disturbed", {**OVER, "server_cpu": 0.5, "strangers": 0.5}, "others took 50.0% of the server's cores on target"),
    ("disturbed", {"load_strangers": 0.4, "lag_ms": 60.0}, "others took 40.0% of the workers' cores on load1"),
    (
        "disturbed",
        {"steal": 0.1, "failures": {"reset": 600}},
        "(steal, as the kernel counts it: 10.0%)",
    ),
    ("inconsistent", {"wall_factor": (1.0, 1 / 1.2)}, "the clock of load1-2 ran 20.0% fast"),
    ("unexplained", {**OVER, "server_cpu": 0.2, "cpu": 0.1}, "nothing that was watched on the target was full"),
    ("unsteady", {"drift": 0.8}, "drifted by +79"),
    ("unsteady", {"silent": ((7, 9), (20, 22)), "seconds": 40.0}, "hardly any answers in seconds 7-9 and 20-22"),
]


@pytest.mark.parametrize(("verdict", "top", "said"), CASES)
def test_verdicts(tmp_path: Path, verdict: str, top: dict[str, Any], said: str) -> None:
    got = judged(tmp_path, **top)
    assert got.verdict == verdict
    assert said in "; ".join(got.reasons)


def test_a_verdict_prints_as_one_line(tmp_path: Path) -> None:
    sound = judged(tmp_path / "a")
    assert str(sound).startswith("single at 400 users: valid, 13")
    assert str(sound).endswith(" ms")
    late = judged(tmp_path / "b", lag_ms=60.0)
    assert "generator-limited" in str(late)
    assert "ms late (p99)" in str(late)
    assert "\n" not in str(late)


def test_where_others_took_the_rest_of_the_core_nothing_is_called_not_full(tmp_path: Path) -> None:
    got = judged(tmp_path, rate=X_FREE * 0.9, response=0.3, server_cpu=0.45, strangers=0.5)
    text = "; ".join(got.reasons)
    assert got.verdict == "disturbed"
    assert "others used the rest of the server's cores: CPU 0.45 of 1 core with 0.50 more taken by others" in text
    assert "nothing that was watched" not in text


def test_valid_has_no_complaint(tmp_path: Path) -> None:
    got = judged(tmp_path)
    assert (got.verdict, got.reasons, got.saturated) == ("valid", (), False)


def test_full_but_not_short_is_valid_and_saturated(tmp_path: Path) -> None:
    got = judged(tmp_path, server_cpu=0.96)
    assert (got.verdict, got.saturated) == ("valid", True)
    assert "saturated: its process tree used 0.96 of 1 core" in got.reasons


def test_few_failures_are_valid_with_a_flag(tmp_path: Path) -> None:
    got = judged(tmp_path, failures={"reset": 20})
    assert got.verdict == "valid"
    assert "20 reset" in got.reasons[0]
    assert "flag" in got.reasons[0]


def test_a_stray_timeout_and_a_request_in_flight_for_long_are_no_fault(tmp_path: Path) -> None:
    got = judged(tmp_path, failures={"timed-out": 2}, failed_after=10.0, ages=(0.9,) * 20)
    assert got.verdict == "valid"


def test_requests_left_hanging_by_a_full_server_are_no_fault_of_it(tmp_path: Path) -> None:
    got = judged(tmp_path, failures={"timed-out": 20}, failed_after=10.0, server_cpu=0.99)
    assert got.verdict == "valid"
    assert got.saturated


def test_slow_without_evidence_and_an_idle_generator_is_unexplained(tmp_path: Path) -> None:
    got = judged(tmp_path, rate=X_FREE * 0.985, response=0.05, cpu=0.1)
    assert got.verdict == "unexplained"
    assert "and nothing that was watched on the target was full" in got.reasons[0]
    assert "is suspected" in got.reasons[1]


@pytest.mark.parametrize(("client", "bound"), [("lean", False), ("http", True)])
def test_times_that_hold_the_clients_delay_are_upper_bounds(tmp_path: Path, client: str, bound: bool) -> None:
    """The lean client's end at the kernel's receive stamps."""
    asked = plan(models=["single"], users=[100, 400], aa=False, return_step=False, client=client)
    write_campaign(tmp_path, asked, top_step(Load(loop_lag_ms=8.0)))
    steps = analyze(tmp_path, write=False).steps
    ladder = steps[steps["kind"] == "ladder"]
    assert ladder["verdict"].tolist() == ["valid", "valid"]
    assert ladder["times_bound"].tolist() == [False, bound]


@pytest.mark.parametrize(
    ("late", "verdict", "said"),
    [
        (0.021, "overload", "on average, explain 3% of it, the server 97%"),
        (0.400, "generator-limited", "on average, explain 61% of it, the server 39%"),
    ],
)
def test_where_users_are_late_and_the_target_is_full_the_larger_part_names_the_verdict(
    tmp_path: Path, late: float, verdict: str, said: str
) -> None:
    """A cycle of 3.66 s instead of 3.004 s: 18 % fewer requests."""
    cycle = 3.66
    full: dict[str, Any] = {"server_cpu": 0.93, "accept_queue": 168.0, "lag_ms": 60.0, "spread": 0.1}
    got = judged(tmp_path, rate=400 / cycle, response=cycle - 3 - late, late=late, seconds=40.0, **full)
    assert got.verdict == verdict
    assert said in "; ".join(got.reasons)
    assert "0.93 of 1 core" in "; ".join(got.reasons)


@pytest.mark.parametrize(("client", "verdict"), [("lean", "overload"), ("http", "generator-limited")])
def test_what_a_busy_worker_costs_is_how_late_its_users_are(tmp_path: Path, client: str, verdict: str) -> None:
    """Of a full server at 82 % of the line; only the lean client's times don't hold what its worker's CPU delays."""
    asked = plan(models=["single"], users=[100, 400], aa=False, return_step=False, client=client)
    busy: dict[str, Any] = {**OVER, "cpu": 0.8, "server_cpu": 0.99, "late": 0.002}
    write_campaign(tmp_path, asked, top_step(Load(**busy)))
    assert verdicts_of(tmp_path, "1-single")[-1].verdict == verdict
    valid = tmp_path / "valid"
    write_campaign(valid, asked, top_step(Load(cpu=0.8)))
    assert verdicts_of(valid, "1-single")[-1].verdict == "generator-limited"


def test_a_disturbed_step_that_gave_what_it_should_is_valid_and_says_so(tmp_path: Path) -> None:
    got = judged(tmp_path, strangers=0.1)
    assert got.verdict == "valid"
    assert "others took 10.0% of the server's cores on target (check 11" in got.reasons[0]


def test_where_no_other_block_tells_what_strangers_did_the_answer_says_so(tmp_path: Path) -> None:
    write_campaign(tmp_path, ONE_BLOCK, lambda _run, step: Load(strangers=0.1 if step.users == 400 else 0.0))
    text = analyze(tmp_path, write=False).text
    assert "In 1 of 2 windows that count, others took more than check 11 allows: 10% of the server's cores in 1" in text
    assert "What they did to single at 400 users in block 1 can't be told: too few undisturbed blocks have" in text
    quiet = tmp_path / "quiet"
    write_campaign(quiet, ONE_BLOCK, lambda _run, _step: Load())
    assert "that count, others took" not in analyze(quiet, write=False).text


def test_a_disturbed_step_is_compared_with_its_other_blocks(tmp_path: Path) -> None:
    """In block 3 somebody takes a tenth of the core, and R is 7 ms instead of 4: by itself that is sound."""
    asked = plan(models=["single"], users=[100, 400], aa=False, return_step=False, blocks=3)

    def load_of(run: Run, step: Step) -> Load:
        disturbed = run.block == 3 and step.users == 400
        return Load(strangers=0.1, response=0.007) if disturbed else Load()

    write_campaign(tmp_path, asked, load_of)
    assert [step.verdict for step in verdicts_of(tmp_path, "3-single")] == ["valid"] * 3
    analysis = analyze(tmp_path, write=False)
    top = analysis.steps[analysis.steps["users"] == 400]
    assert top["verdict"].tolist() == ["valid", "valid", "disturbed"]
    assert "2 undisturbed blocks gave" in analysis.text


def test_a_ladder_of_one_step_without_an_idle_step_cannot_tell(tmp_path: Path) -> None:
    """An older campaign: its own R is all that R1 could be."""
    asked = plan(models=["single"], users=[400], aa=False, return_step=False)
    write_campaign(tmp_path, asked, lambda _run, _step: Load(old=True, **{**OVER, "server_cpu": 0.3}))
    (only,) = verdicts_of(tmp_path, "1-single")
    assert any("is the lowest that was measured, and no idle server's" in reason for reason in only.reasons)


def test_older_campaigns_are_judged_by_what_they_have(tmp_path: Path) -> None:
    write_campaign(tmp_path, ASKED, lambda _run, step: Load(old=True, **(OVER if step.users == 400 else {})))
    lower, upper = verdicts_of(tmp_path, "1-single")
    assert (lower.verdict, upper.verdict) == ("valid", "overload")
    assert any("check 11 (others on these cores) not available" in reason for reason in lower.reasons)


def test_without_samples_a_step_can_be_valid_but_says_what_is_not_known(tmp_path: Path) -> None:
    write_campaign(tmp_path, ASKED, lambda _run, _step: Load(samples=False))
    got = verdicts_of(tmp_path, "1-single")[-1]
    assert got.verdict == "valid"
    for check in ("check 4 (ports used)", "check 8 (R over R1)", "check 9 (target's kernel)"):
        assert any(reason.startswith(f"{check} not available") for reason in got.reasons)


def test_counts_that_do_not_agree_spoil_every_step_of_the_run(tmp_path: Path) -> None:
    files = write_campaign(tmp_path, ASKED)
    state = files.run("1-single").state
    state.write_text(state.read_text().replace('"answered": ', '"answered": 9'))
    assert [step.verdict for step in verdicts_of(tmp_path, "1-single")] == ["inconsistent"] * 3
    assert "1-single does not agree" in analyze(tmp_path, write=False).text


def test_the_order_of_verdicts_first_that_applies(tmp_path: Path) -> None:
    """A lost worker, a late generator and an unsteady window at once: the worker is named."""
    got = judged(tmp_path, lost=("load1-1",), lag_ms=90.0, drift=0.8)
    assert got.verdict == "worker-lost"


def test_every_check_of_every_step_is_in_checks_csv(tmp_path: Path) -> None:
    write_campaign(tmp_path, plan(blocks=2))
    checks = analyze(tmp_path, write=False).checks
    first = checks[(checks["block"] == 1) & (checks["model"] == "single") & (checks["step"] == 1)]
    assert sorted(first["check"].unique()) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]
    assert set(checks["outcome"]) <= {"pass", "flag", "fail", "not available"}
    written = checks_table(checks)
    assert written["detail"].str.len().min() > 0
    assert written["code"].tolist() == checks["code"].tolist()
    repeats = written[written["check"] == 10]
    assert {"CoV of X over blocks", "return step X", "return step R", "A/A requests/s"} <= set(repeats["name"])
