"""Counts in a window whose ends lie between two readings: two bounds, and sentences that say so."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis import analyze
from analysis.judge.findings import Finding
from analysis.read.background_rows import read_background
from analysis.read.counter_span import CounterSpan, spans_of
from analysis.read.sample_rows import SampleRows
from analysis.tell.sentences import sentence
from analysis.tell.words import between
from study.plan import Run, Step
from tests.unit.synthetic import Load, plan, write_campaign

READINGS = pd.DataFrame(
    {"time": [1.0, 2.0, 3.0, 4.0, 5.0], "seconds": 1.0, "drops": [0.0, 7.0, 5.0, 20.0, 9.0], "other": float("nan")}
)


def span(start: float, end: float, rows: pd.DataFrame = READINGS) -> CounterSpan:
    return spans_of(SampleRows.of(rows), ("drops", "other"), start, end)["drops"]


def test_a_window_between_readings_has_the_whole_intervals_at_least_and_all_that_touch_it_at_most() -> None:
    assert span(1.5, 3.5) == CounterSpan(5.0, 32.0)
    assert span(1.0, 3.0) == CounterSpan(12.0, 12.0)  # the readings fall on its ends
    assert span(1.01, 2.99) == CounterSpan(12.0, 12.0)
    assert span(2.2, 2.8) == CounterSpan(0.0, 5.0)  # within one interval
    assert list(spans_of(SampleRows.of(READINGS), ("drops", "other"), 1.5, 3.5)) == ["drops"]


def test_without_a_reading_beyond_both_ends_there_is_no_upper_bound() -> None:
    assert span(3.5, 5.5) == CounterSpan(9.0, None)
    assert span(-1.0, 1.5) == CounterSpan(0.0, None)
    assert span(7.0, 9.0) == CounterSpan(0.0, None)
    assert span(1.5, 4.5, READINGS.drop(index=2)) == CounterSpan(20.0, None)  # the third reading is lost
    unknown = READINGS.assign(drops=READINGS["drops"].where(READINGS["time"] != 2.0))
    assert span(1.5, 3.5, unknown) == CounterSpan(5.0, None)


@pytest.mark.parametrize(
    ("least", "most", "text"),
    [(3, 3, "3 drops"), (1, 1, "1 drop"), (3, 5, "3 to 5 drops"), (0, 1, "at most 1 drop"), (0, 0, "0 drops"),
     (2, None, "at least 2 drops")],
)  # fmt: skip
def test_bounds_of_a_count_in_words(least: float, most: float | None, text: str) -> None:
    assert between(least, most, "drop") == text


def test_counters_that_moved_beside_the_window_are_told_as_at_most() -> None:
    def told(**counters: CounterSpan) -> str:
        return sentence(Finding("target.kernel", value=0.0, threshold=0.001, counters=counters))

    assert told(listen_drops=CounterSpan(5.0, 32.0), retransmits=CounterSpan(0.0, 2.0)) == (
        "5 to 32 listen drops, at most 2 retransmits"
    )
    assert told(listen_drops=CounterSpan(0.0, 0.0)) == "no overflow, drop, cookie, retransmit or timeout"
    assert told(listen_drops=CounterSpan(0.0, None)).endswith("timeout, in the samples that lie in the window")


def test_a_window_of_two_seconds_between_samples_has_at_most_what_both_its_ends_share(tmp_path: Path) -> None:
    """Ten drops a second, in windows that begin half a second before a sample: one whole second of two."""

    def load_of(_run: Run, _step: Step) -> Load:
        return Load(seconds=2.0, overflows=10, samples=True)

    files = write_campaign(tmp_path, plan(models=["single"], users=[100, 200], aa=False, return_step=False), load_of)
    path = files.run("1-single").samples("target")
    frame = pd.read_csv(path, dtype={"role": str, "name": str})
    frame["time"] -= 0.5
    frame.to_csv(path, index=False)
    steps = analyze(tmp_path, write=False)
    rows = steps.steps[steps.steps["kind"] == "ladder"]
    assert rows["listen_overflows"].iloc[0] == 30  # the last window has no sample after its end
    assert rows["listen_overflows"].isna().tolist() == [False, True]
    checks = steps.checks[(steps.checks["code"] == "target.kernel") & (steps.checks["step"] > 0)]
    assert [sentence(finding) for finding in checks["finding"]] == [
        "10 to 30 listen overflows", "at least 10 listen overflows",
    ]  # fmt: skip
    requests = rows["requests"].astype(float).to_numpy()
    assert checks["value"].to_numpy() == pytest.approx(10 / requests)  # evidence is what is surely of the window


def test_background_clients_that_were_turned_away_have_bounds_too(tmp_path: Path) -> None:
    head = "time,seconds,kind,wanted,held,waiting,opened,answered,refused,reset,timed_out"
    rows = [
        f"{at},1.0,idle,4,4,0,0,{answered},0,{reset},0" for at, answered, reset in ((1, 1, 2), (2, 5, 3), (3, 1, 4))
    ]
    path = tmp_path / "bystanders.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    (window,) = read_background(path).window(0.6, 2.2)
    assert window.turned_away == CounterSpan(3.0, 9.0)
    assert window.ended == 8  # of the one row of which more than half lies in the window
    held = Finding("background.held", kind="idle", held=4.0, wanted=4, turned_away=3.0, most=9.0)
    assert sentence(held).endswith("and 3 to 9 times one was refused, cut off or not answered")
