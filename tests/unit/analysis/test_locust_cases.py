"""CSV files of Locust that were misread once: those of tests/cases/csv-*, each with the right value of its README."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.draw.locust_figures import held, response_over_time, rps_over_time, timeline
from analysis.read.locust_csv import LocustRun, Origin, read_all
from analysis.read.locust_history import Span
from analysis.read.locust_rows import Gap, GapKind
from analysis.tell.locust_summary import LocustAnalysis, analyze_locust, notes
from study.errors import FormatError
from tests.unit.locust_writer import Course, LoadPhase, write

CASES = Path(__file__).resolve().parents[2] / "cases"
STEADY = Course((("GET", "/"),), (LoadPhase(10, 30, (20,)),))


def analysed(case: str | Path, tmp_path: Path) -> LocustAnalysis:
    return analyze_locust([("", CASES / case)], tmp_path / "out", figures=False)


def row(analysis: LocustAnalysis, name: str, run: str = "run") -> pd.Series:
    frame = analysis.summary
    (found,) = [each for _, each in frame[(frame["name"] == name) & (frame["run"] == run)].iterrows()]
    return found


def one(directory: Path) -> LocustRun:
    (run,) = read_all([("", directory)])
    return run


def kinds(run: LocustRun) -> list[GapKind]:
    return [gap.kind for gap in run.gaps]


def test_the_clock_set_back_is_named_and_not_counted_across(tmp_path: Path) -> None:
    run = one(CASES / "csv-clock-set-back")
    assert run.gaps == (Gap(GapKind.CLOCK_BACK, "run_stats_history.csv", line=17, seconds=3599.0),)
    found = analysed("csv-clock-set-back", tmp_path)
    assert row(found, "Aggregated")["rps_held"] == pytest.approx(20)
    assert "the clock goes back by 3599 s at line 17" in found.text
    assert run.totals["seconds"].tolist() == list(range(31))
    for figure in (rps_over_time(timeline([run])), response_over_time(timeline([run]))):
        assert figure.axes[0].get_xlim()[1] < 40


def test_full_history_of_1_2_has_percentiles_since_the_start() -> None:
    run = one(CASES / "csv-full-history-locust-1.2-to-2.3")
    assert run.percentiles == Span.SEEM_SINCE_START
    assert any("of everything since the start in run" in note for note in notes([run]))


def test_0_13(tmp_path: Path) -> None:
    found = analysed("csv-locust-0.13", tmp_path)
    for name in ("/a", "Aggregated"):
        figures = row(found, name)[["requests", "failures", "rps", "mean_ms", "p95_ms", "p99_ms", "max_ms"]]
        assert figures.tolist() == [400, 4, 20, 7, 11, 19, 33]
    (run,) = found.runs
    assert (run.versions, run.origins["p95_ms"]) == ("0.13.2 or older", Origin.DISTRIBUTION)
    assert run.origins["rps_held"] == Origin.NO_HISTORY
    assert not run.gaps


def test_0_14(tmp_path: Path) -> None:
    found = analysed("csv-locust-0.14", tmp_path)
    figures = [row(found, name)[["requests", "failures", "mean_ms"]].tolist() for name in ("/a", "/b", "Aggregated")]
    assert figures == [[300, 3, 7], [100, 0, 9], [400, 3, 8]]
    assert "| run | all | 400 |" in found.text
    (run,) = found.runs
    assert run.totals["requests"].tolist() == list(range(0, 401, 20))
    assert run.totals["seconds"].tolist() == list(range(0, 41, 2))
    assert run.origins["users_held"] == Origin.NO_USERS


def test_a_name_first_seen_late_is_counted_from_none(tmp_path: Path) -> None:
    found = analysed("csv-name-first-seen-late", tmp_path)
    rates = [row(found, name)["rps_held"] for name in ("/fast", "/slow", "/once", "Aggregated")]
    assert rates == pytest.approx([20, 10 / 30, 4 / 30, 614 / 30])
    assert sum(rates[:3]) == pytest.approx(rates[3])
    assert row(found, "Aggregated")[["users_held", "seconds_held"]].tolist() == [10, 30]


def test_names_as_they_come(tmp_path: Path) -> None:
    found = analysed("csv-newline-in-name", tmp_path)
    rows = [line for line in found.text.splitlines() if line.startswith("| run | ")]
    assert rows.pop(0).startswith("| run | request |")
    assert len(rows) == len(found.summary) == 16
    assert rows[2].startswith("| run | grpc /two lines | 102 |")
    assert found.summary["name"].iloc[2] == "/two\nlines"
    assert rows[6].startswith("| run | grpc Aggregated | 106 |")
    assert [line for line in rows if "| all |" in line] == [rows[-1]]
    assert {cells.replace("\\|", "").count("|") for cells in rows} == {13}


def test_no_final_line_end(tmp_path: Path) -> None:
    found = analysed("csv-no-final-line-end", tmp_path)
    assert row(found, "Aggregated")[["requests", "rps_held", "seconds_held"]].tolist() == [600, 20, 30]
    assert not found.gaps


@pytest.mark.parametrize("name", ["example", "german", "utf16"])
def test_what_is_not_locusts_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = CASES / "csv-not-locust" / f"{name}_stats.csv"
    (tmp_path / path.name).write_bytes(path.read_bytes())
    for directory in (tmp_path, path.parent):
        assert main([str(directory), "--no-figures"]) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert f"{path.name}: not a CSV file of Locust's: no column Type, Name, Request Count" in said
        assert ("semicolons" in said) >= (name == "german")
        assert ("UTF-16" in said) >= (name == "utf16")
    assert not (tmp_path / "analysis").exists()


def test_two_holds_of_the_most_users(tmp_path: Path) -> None:
    total = row(analysed("csv-two-peaks", tmp_path), "Aggregated")
    assert total[["users_held", "seconds_held", "rps_held"]].tolist() == [100, 59, 100]


def test_two_runs_in_one_file(tmp_path: Path) -> None:
    found = analysed("csv-two-runs-in-one-file", tmp_path)
    assert [row(found, "Aggregated", f"run ({at})")["rps_held"] for at in (1, 2)] == pytest.approx([20, 40])
    assert set(found.summary["name"]) == {"/", "Aggregated"}
    assert "run_stats_history.csv: line 33 is a second head" in found.text


def test_a_history_of_two_runs_whose_statistics_are_the_second_ones(tmp_path: Path) -> None:
    for at, rate in enumerate((20, 40)):
        write(Course((("GET", "/"),), (LoadPhase(10, 30, (rate,)),)), tmp_path, "2.24", prefix=f"part{at}")
    for at, name in enumerate(("stats_history", "stats")):
        parts = [(tmp_path / f"part{part}_{name}.csv").read_bytes() for part in range(2)]
        (tmp_path / f"run_{name}.csv").write_bytes(b"".join(parts[at:]))
    for path in tmp_path.glob("part*"):
        path.unlink()
    first, second = read_all([("", tmp_path)])
    assert first.stats["requests"].tolist() == [600, 600]
    assert (first.origins["requests"], first.origins["rps"]) == (Origin.LAST_ROW, Origin.NO_ROWS)
    assert (first.held().rps, second.held().rps) == (20, 40)  # type: ignore[union-attr]
    assert second.stats["requests"].tolist() == [1200, 1200]


@pytest.mark.parametrize("where", ["stats", "stats_history"])
def test_rows_with_more_fields_than_the_head_are_skipped(where: str, tmp_path: Path) -> None:
    write(STEADY, tmp_path, "2.24")
    path = tmp_path / f"run_{where}.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *(f"{line},7,8" for line in rows)]) + "\n")
    gap = one(tmp_path).gaps[0]
    size = head.count(",") + 1
    assert (gap.kind, gap.line, gap.count, gap.detail) == (GapKind.FIELDS, 2, len(rows), f"{size + 2} of {size}")
    other = "stats_history" if where == "stats" else "stats"
    (tmp_path / f"run_{other}.csv").write_text(path.read_text())
    with pytest.raises(FormatError, match="fields from line 2 on"):
        analysed(tmp_path, tmp_path)
    path.write_text("\n".join([head + ",,", *(f"{line},," for line in rows)]) + "\n")
    assert len({*one(tmp_path).gaps} & {gap}) == 0


def test_a_cut_last_row_is_left_out(tmp_path: Path) -> None:
    write(STEADY, tmp_path, "2.24")
    path = tmp_path / "run_stats.csv"
    text = path.read_bytes()
    path.write_bytes(text[:-30])
    run = one(tmp_path)
    assert kinds(run) == [GapKind.CUT, GapKind.NO_TOTAL]
    assert run.stats["name"].tolist() == ["/"]


def test_a_last_figure_that_may_be_cut_is_left_out(tmp_path: Path) -> None:
    """With percentiles of one's own (locust.stats.PERCENTILES_TO_REPORT) the last field may be one that is read."""
    head = "Type,Name,Request Count,Failure Count,Average Response Time,Max Response Time,Requests/s,50%,95%,99%\n"
    (tmp_path / "run_stats.csv").write_text(
        head + "GET,/,10,0,5.5,130,1.0,10,20,120\n,Aggregated,10,0,5.5,130,1.0,10,20,1"
    )
    run = one(tmp_path)
    assert Gap(GapKind.CUT_FIELD, "run_stats.csv", 3, columns=("99%",)) in run.gaps
    assert run.stats["p99_ms"].isna().tolist() == [False, True]


@pytest.mark.parametrize("version", ["0.14.6", "1.0", "2.24"])
def test_lines_that_windows_doubles_and_a_byte_order_mark(version: str, tmp_path: Path) -> None:
    write(STEADY, tmp_path, version)
    for path in tmp_path.glob("*.csv"):
        text = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text)
    run = one(tmp_path)
    assert not run.gaps
    assert run.totals["requests"].iloc[-1] == 600


@pytest.mark.parametrize(
    ("full_history", "requests"),
    [
        ("Locust_2026-01-01_x.py_http___host_requests_full_history", "Locust_2026-01-01_x.py_http___host_requests"),
        ("requests_full_history_1700000044.25", "requests_1700000041.5"),
        ("run_requests_full_history (1)", "run_requests (1)"),
    ],
)  # fmt: skip
def test_downloads_of_the_web_page(full_history: str, requests: str, tmp_path: Path) -> None:
    write(STEADY, tmp_path, "2.24")
    (tmp_path / "run_stats_history.csv").rename(tmp_path / f"{full_history}.csv")
    (tmp_path / "run_stats.csv").rename(tmp_path / f"{requests}.csv")
    assert main([str(tmp_path), "--no-figures"]) == 0
    run = one(tmp_path)
    assert not run.gaps
    assert run.stats["requests"].tolist() == [600, 600]
    assert run.held().rps == 20  # type: ignore[union-attr]


def test_downloads_at_several_times_are_runs_of_their_own(tmp_path: Path) -> None:
    for stamp in ("1700000041.5", "1700000099.5"):
        write(STEADY, tmp_path, "2.24")
        (tmp_path / "run_stats.csv").rename(tmp_path / f"requests_{stamp}.csv")
    (tmp_path / "run_stats_history.csv").rename(tmp_path / "requests_full_history_1700000100.5.csv")
    names = [run.name for run in read_all([("", tmp_path)])]
    assert names == ["requests_1700000041.5", "requests_1700000099.5", "requests_full_history_1700000100.5"]


def test_an_idle_time_is_a_gap_in_the_lines_and_no_request_a_second(tmp_path: Path) -> None:
    course = Course((("GET", "/"),), (LoadPhase(10, 30, (20,)), LoadPhase(10, 40, (0,)), LoadPhase(10, 30, (20,))))
    write(course, tmp_path, "2.24")
    rows = timeline([one(tmp_path)])
    idle = rows["seconds"].between(40, 70)
    assert (rows.loc[idle, "rps"] == 0).all()
    assert rows.loc[idle, ["p50_ms", "p95_ms", "p99_ms"]].isna().all(axis=None)
    assert (rows.loc[rows["seconds"].between(13, 30), "rps"] == 20).all()
    for axes in response_over_time(rows).axes:
        (line,) = [line for line in axes.lines if line.get_marker() == "None"]
        at = np.asarray(line.get_xdata(), dtype=float)
        drawn = np.asarray(line.get_ydata(), dtype=float)
        assert np.isnan(drawn[(at >= 40) & (at <= 70)]).all()
        assert not np.isnan(drawn[(at >= 1) & (at <= 30)]).any()


def test_counts_that_begin_again(tmp_path: Path) -> None:
    """Statistics were reset, or the web page started another test: nothing is counted across it."""
    write(STEADY, tmp_path, "2.24")
    path = tmp_path / "run_stats_history.csv"
    head, *rows = path.read_text().splitlines()
    later = [line.replace(line[:10], str(int(line[:10]) + 31), 1) for line in rows]
    path.write_text("\n".join([head, *rows, *later]) + "\n")
    run = one(tmp_path)
    assert kinds(run) == [GapKind.COUNTS_AGAIN]
    assert run.held().rps == 20  # type: ignore[union-attr]
    assert run.held("GET", "/", total=False).rps == 20  # type: ignore[union-attr]


def test_a_long_time_without_rows(tmp_path: Path) -> None:
    write(STEADY, tmp_path, "2.24", full=False)
    path = tmp_path / "run_stats_history.csv"
    head, *rows = path.read_text().splitlines()
    late = [line.replace(line[:10], str(int(line[:10]) + 7200), 1) for line in rows[15:]]
    path.write_text("\n".join([head, *rows[:15], *late]) + "\n")
    run = one(tmp_path)
    assert run.gaps == (Gap(GapKind.NO_ROWS_FOR, path.name, 17, seconds=7201.0),)
    assert (run.held().seconds, run.held().rps) == (29, 20)  # type: ignore[union-attr]


def test_names_that_do_not_add_to_the_total_are_named(tmp_path: Path) -> None:
    write(STEADY, tmp_path, "2.24")
    path = tmp_path / "run_stats.csv"
    path.write_text(path.read_text().replace("GET,/,600", "GET,/,590"))
    found = analysed(tmp_path, tmp_path)
    assert found.gaps == ("run: run_stats.csv: 600 requests in all, but 590 in the rows of their names",)


def test_one_foreign_file_does_not_keep_the_others_from_being_read(tmp_path: Path) -> None:
    write(STEADY, tmp_path, "2.24")
    (tmp_path / "vm_stats.csv").write_text("cpu,memory\n1,2\n")
    found = analysed(tmp_path, tmp_path)
    assert row(found, "Aggregated")["requests"] == 600
    assert found.gaps[0] == "vm: vm_stats.csv: not a CSV file of Locust's: no column Type, Name, Request Count"


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    write(STEADY, tmp_path, "2.24")
    (tmp_path / "run_stats_history.csv").unlink()
    os.mkfifo(tmp_path / "run_stats_history.csv")
    run = one(tmp_path)
    assert kinds(run) == [GapKind.NOT_A_FILE]
    (tmp_path / "run_stats.csv").write_text(",".join(f"c{at}" for at in range(200_000)) + "\n1\n")
    assert kinds(one(tmp_path))[0] == GapKind.NOT_LOCUST


def test_only_rows_whose_rate_saw_one_number_of_users_are_set_against_users(tmp_path: Path) -> None:
    head = "Timestamp,User Count,Type,Name,Requests/s,Failures/s,Total Request Count,Total Average Response Time\n"
    rows = [
        f"{1000 + second},{10 if second < 5 else 20},,Aggregated,{second},0,{100 * second},5" for second in range(30)
    ]
    (tmp_path / "x_stats_history.csv").write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
    run = one(tmp_path)
    steady = held(timeline([run]))
    assert steady["seconds"].tolist() == list(range(21, 30))
    assert run.percentiles == Span.NONE
    at_most = run.held()
    assert at_most is not None
    assert (at_most.users, at_most.seconds, at_most.rps, at_most.mean_ms) == (20, 24.0, 100.0, 5.0)
