"""Capacities from the final verdicts: brackets of ladders and searches, over blocks, and the sentence about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.collections import LineCollection

from analysis.draw.capacity_figure import capacities, capacity_frame
from analysis.rank.capacity import ModelCapacity
from analysis.rank.outcome import CampaignOutcome, outcome_of
from analysis.read.results import load
from analysis.tell.capacity_sentence import capacity_sentences, differing, recoveries
from analysis.tell.report.capacity_caption import capacity_table
from study.formats.ledger_jsonl import LedgerLine, RecoveryRecord, TrialRecord, ledger_line
from study.plan import Run, Slo, Step
from tests.unit.synthetic import Load, plan, write_campaign

LADDER: dict[str, Any] = {
    "models": ["single"], "users": [100, 200, 400], "aa": False, "return_step": False, "slo": Slo(p99_ms=50),
}  # fmt: skip
FULL: dict[str, Any] = {"server_cpu": 1.0, "response": 0.5}
"""An overload: its CPU is full, and its users wait longer than the SLO allows."""


def outcome(directory: Path, load_of: Callable[[Run, Step], Load], **changes: Any) -> CampaignOutcome:
    write_campaign(directory / "c", plan(**{**LADDER, **changes}), load_of)
    return outcome_of(load(directory / "c"))


def only(made: CampaignOutcome) -> ModelCapacity:
    (capacity,) = made.capacities
    return capacity


def full_from(users: int) -> Callable[[Run, Step], Load]:
    return lambda _run, step: Load(seconds=60, **(FULL if step.users >= users else {}))


def note(campaign: Path, *records: LedgerLine) -> None:
    """Write records into the one run's ledger, after its header."""
    ledger = campaign / "runs" / "1-single" / "ledger.jsonl"
    header, *lines = ledger.read_text(encoding="utf-8").splitlines(keepends=True)
    ledger.write_text("".join((header, *map(ledger_line, records), *lines)), encoding="utf-8")


def test_a_ladder_bounds_the_capacity_by_its_rungs(tmp_path: Path) -> None:
    made = outcome(tmp_path, full_from(400))
    assert (only(made).low, only(made).high, only(made).ended, only(made).broken) == (200, 400, "slo", "p99")
    assert "single carries between 200 and 400 users (p99" in capacity_sentences(made)[0]


def test_where_the_top_passed_the_capacity_is_a_bound(tmp_path: Path) -> None:
    made = outcome(tmp_path, full_from(1000))
    assert (only(made).users, only(made).high, only(made).ended) == (400, None, "most")
    assert "at least 400 users (the plan's largest load)" in capacity_sentences(made)[0]
    (row,) = made.summary.to_dict("records")
    assert "capacity_users" in row["at_least"]


def test_where_the_generator_was_late_nothing_beyond_is_said(tmp_path: Path) -> None:
    made = outcome(tmp_path, lambda _run, step: Load(seconds=60, lag_ms=40 if step.users == 400 else 1))
    assert (only(made).users, only(made).high, only(made).ended) == (200, None, "generator")
    assert "beyond it the load generator was the limit" in capacity_sentences(made)[0]


def test_where_the_first_load_failed_the_capacity_is_below_it(tmp_path: Path) -> None:
    made = outcome(tmp_path, lambda _run, _step: Load(seconds=60, failures={"reset": 200}, rate=33.0))
    assert (only(made).users, only(made).high) == (None, 100)
    assert "fewer than 100 users (failures" in capacity_sentences(made)[0]


def test_blocks_give_a_median_with_its_interval(tmp_path: Path) -> None:
    made = outcome(tmp_path, lambda run, step: full_from(400 if run.block != 2 else 200)(run, step), blocks=3)
    capacity = only(made)
    assert [(block.low, block.high) for block in capacity.blocks] == [(200, 400), (100, 200), (200, 400)]
    assert (capacity.users, capacity.low, capacity.high) == (200, 100, 400)
    assert capacity.coverage == pytest.approx(0.75)


def test_where_a_block_carried_nothing_the_lower_end_is_a_bound_and_no_zero(tmp_path: Path) -> None:
    made = outcome(tmp_path, lambda run, step: full_from(400 if run.block != 2 else 100)(run, step), blocks=3)
    assert [(block.low, block.high) for block in only(made).blocks] == [(200, 400), (None, 100), (200, 400)]
    assert (only(made).users, only(made).low, only(made).high) == (200, None, 400)
    sentence = capacity_sentences(made)[0]
    assert "single carries fewer than 400 users (p99; full: CPU; no load passed in 1 of 3 blocks)" in sentence
    (row,) = capacity_table(made).rows
    assert [cell.text for cell in row[:4]] == ["single", "200", "no load passed in 1 of 3 blocks", "400"]
    (lines,) = (
        each
        for each in capacities(capacity_frame(made.summary), ["single"]).axes[0].collections
        if isinstance(each, LineCollection)
    )
    ((from_, _), (to, _)), *more = lines.get_segments()
    assert (from_ < 200, to, more) == (True, 400, [])  # from the edge of the axis


def test_a_load_that_was_not_tried_takes_no_part_in_a_median(tmp_path: Path) -> None:
    made = outcome(tmp_path, lambda run, step: full_from(400 if run.block != 2 else 100)(run, step), blocks=2)
    assert (only(made).users, only(made).high) == (None, 400)
    assert "single carries fewer than 400 users" in capacity_sentences(made)[0]


def test_one_open_block_makes_it_a_bound(tmp_path: Path) -> None:
    made = outcome(tmp_path, lambda run, step: full_from(400 if run.block != 2 else 1000)(run, step), blocks=3)
    assert (only(made).users, only(made).high, only(made).ended) == (200, None, "most")


def test_a_trial_that_the_run_took_otherwise_is_named(tmp_path: Path) -> None:
    write_campaign(tmp_path / "c", plan(**LADDER), full_from(400))
    live = {
        "step": 3, "users": 400, "long": False, "outcome": "passed", "answers": 900, "above": 0, "failures": 0,
        "lag_p99_ms": 1.0, "worker_cpu_p95": 0.2, "users_right": 1.0,
    }  # fmt: skip
    note(tmp_path / "c", TrialRecord(**live))  # type: ignore[arg-type]
    (sentence,) = differing(outcome_of(load(tmp_path / "c")))
    assert sentence == (
        "By all checks 1 trial counts otherwise than while the run went on: passed, now failed (overload): 1."
    )


def recovery(step: int, recovered: bool, fresh: bool) -> RecoveryRecord:
    return RecoveryRecord(
        step=step, users=5, seconds=12.0, response_s=0.2, recovered=recovered, fresh_server=fresh,
    )  # fmt: skip


def test_a_server_that_did_not_recover_is_named_with_what_followed(tmp_path: Path) -> None:
    write_campaign(tmp_path / "c", plan(**LADDER), full_from(400))
    assert recoveries(outcome_of(load(tmp_path / "c"))) == ()
    note(tmp_path / "c", recovery(1, True, False))
    assert recoveries(outcome_of(load(tmp_path / "c"))) == ()
    note(tmp_path / "c", recovery(3, True, True), recovery(2, True, True), recovery(1, False, False))
    fresh, backlog = recoveries(outcome_of(load(tmp_path / "c")))
    assert fresh == (
        "single, block 1: after the trials at 400 and 200 users the server was not back at an idle server's response"
        " time in 10 s; a fresh one was started."
    )
    assert backlog.endswith("after the trial at 100 users the server was not back at an idle server's response time in"
                            " 10 s; the next trial began with its backlog.")  # fmt: skip


def test_what_made_the_trials_beyond_a_capacity_unclear_is_said(tmp_path: Path) -> None:
    drifts = outcome(tmp_path / "drifts", lambda _run, step: Load(drift=0.8) if step.users > 100 else Load())
    assert "no load gave a clear result: unsteady in " in capacity_sentences(drifts)[0]
    small = plan(models=["single"], users=[5, 10], aa=False, return_step=False)
    write_campaign(tmp_path / "few", small, lambda _run, _step: Load(seconds=60))
    (few,) = capacity_sentences(outcome_of(load(tmp_path / "few")))
    assert "no load gave a clear result: fewer than 300 answers in 2 trials" in few


def test_what_is_sustained_is_the_capacity_though_the_server_is_full(tmp_path: Path) -> None:
    """At 400 users it gives 20 % less than they ask for, and keeps an SLO of 5 s: that load is carried."""
    made = outcome(
        tmp_path,
        lambda _run, step: Load(seconds=60, rate=106.0, response=0.77, server_cpu=1.0) if step.users == 400 else Load(),
        slo=Slo(p99_ms=5000),
    )
    assert made.steps.set_index("users")["verdict"][400] == "overload"
    (row,) = made.summary.to_dict("records")
    assert row["sustained_users"] == row["capacity_users"] == only(made).users == 400
    assert {"sustained_users", "capacity_users"} <= row["at_least"]


@pytest.mark.parametrize(("timed_out", "carried"), [(50, None), (20, 100)])
def test_requests_that_timed_out_are_above_the_slo_and_above_the_printed_quantile(
    tmp_path: Path, timed_out: int, carried: int | None
) -> None:
    """1.25 % or 0.5 % of 4,000 requests wait 2 s in vain: within 2 % failures, and the first isn't within the p99."""
    slow = Load(seconds=120, failures={"timed-out": timed_out}, failed_after=2.0, server_cpu=1.0)
    made = outcome(tmp_path, lambda _run, _step: slow, users=[100], slo=Slo(p99_ms=50, failures_percent=2), timeout=2.0)
    row = made.steps.set_index("kind").loc["ladder"]
    assert only(made).users == carried
    assert ("p99_ms" in row["at_least"]) == (carried is None)
    assert row["p99_ms"] == pytest.approx(2000, rel=0.01) if carried is None else row["p99_ms"] < 50
    assert row["p50_ms"] < 50
    assert "p50_ms" not in row["at_least"]
