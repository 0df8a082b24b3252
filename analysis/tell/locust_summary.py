"""Summary, figures and notes of plain Locust runs: what their CSV files allow, and no verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.read.locust_csv import ALL, LocustRun, read_all
from analysis.tell.csv_files import csv_text
from analysis.tell.markdown_sections import listed, section, table
from study.formats.json_files import write_whole
from study.layout import CampaignFiles

COLUMNS = (
    "run", "type", "name", "requests", "failures", "rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms",
    "users_held", "seconds_held", "rps_held", "mean_ms_held",
)  # fmt: skip
WHOLE = ("requests", "failures", "users_held")


@dataclass(frozen=True)
class LocustAnalysis:
    """What plain Locust runs come to, and what was written about them."""

    runs: tuple[LocustRun, ...]
    summary: pd.DataFrame
    text: str
    gaps: tuple[str, ...]
    paths: tuple[Path, ...]
    """What was written."""


def analyze_locust(named: Sequence[tuple[str, Path]], out: Path, figures: bool = True) -> LocustAnalysis:
    """Read every run of these directories and write summary.csv, summary.md and figures into `out`.

    Raises FormatError where a directory holds no such files, UsageError where two runs would bear one name.
    """
    runs = tuple(read_all(named))
    summary = runs_frame(runs)
    gaps = tuple(f"{run.name}: {gap}" for run in runs for gap in run.gaps)
    text = _text(runs, summary, gaps)
    files = CampaignFiles(out)
    write_whole(files.summary_csv, csv_text(summary))
    write_whole(files.summary_md, text)
    drawn: tuple[Path, ...] = ()
    if figures:
        from analysis.draw.locust_figures import draw_all  # seaborn takes a second to import

        drawn = draw_all(runs, files.figures)
    return LocustAnalysis(runs, summary, text, gaps, (files.summary_csv, files.summary_md, *drawn))


def runs_frame(runs: Sequence[LocustRun]) -> pd.DataFrame:
    """One row for each run and request's name, all together last; the columns are those of docs/results.md."""
    frame = pd.DataFrame.from_records(
        [_row(run, row) for run in runs for row in run.stats.to_dict("records")], columns=list(COLUMNS)
    )
    numbers = [name for name in COLUMNS if name not in ("run", "type", "name")]
    return frame.astype(dict.fromkeys(numbers, "float64")).astype(dict.fromkeys(WHOLE, "Int64"))


def _row(run: LocustRun, row: dict[Any, Any]) -> dict[str, Any]:
    held = run.held(row["type"], row["name"])
    if held is None:
        return {"run": run.name, **row}
    return {
        "run": run.name,
        **row,
        "users_held": held.users,
        "seconds_held": held.seconds,
        "rps_held": held.rps,
        "mean_ms_held": held.mean_ms,
    }


def notes(runs: Sequence[LocustRun]) -> list[str]:
    """What Locust's files can't say, each with what to do about it where something can be done."""
    lines = [
        "Locust's requests/s divide by the whole time since the start, the ramp included. Those at most users are"
        " counted from the history's rows with the most users; its clock has whole seconds, and a master's counts are"
        " up to 3 s old.",
        "Requests and average response times hold failed requests too.",
        "Response times are kept to two significant digits and whole milliseconds: 0.3 ms is 0 in a percentile.",
        "Requests still in flight at the end are in no file: a server that hangs looks fast.",
        "Nothing in these files tells the server's limit from the load generator's, from users that never ran or from a"
        " worker that was lost: no step has a verdict here, and nothing is ranked. One run has no interval either.",
    ]
    cumulative = [run.name for run in runs if not run.history.empty and not run.by_window]
    if cumulative:
        lines.insert(
            1,
            f"Percentiles over time are of everything since the start in {', '.join(cumulative)}:"
            " `--csv-full-history` gives those of the last ten seconds.",
        )
    return lines


def _text(runs: Sequence[LocustRun], summary: pd.DataFrame, gaps: Sequence[str]) -> str:
    heads = ("run", "request", "requests", "failures", "requests/s", "average response ms", "p50 ms", "p95 ms",
             "p99 ms", "users at most", "requests/s then", "average ms then")  # fmt: skip
    keys = ("requests", "failures", "rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "users_held", "rps_held",
            "mean_ms_held")  # fmt: skip
    rows = [
        (
            row["run"],
            f"{row['type']} {row['name']}".strip() if row["name"] != ALL else "all",
            *(_cell(row[key]) for key in keys),
        )
        for row in summary.to_dict("records")
    ]
    count = "One Locust run" if len(runs) == 1 else f"{len(runs)} Locust runs"
    parts = [
        f"# {count}",
        table(heads, rows) if rows else "No run has a row of statistics.",
        section("What such files can't say", listed(notes(runs))),
        section("What is missing", listed(gaps)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(value: Any) -> str:
    if value is None or pd.isna(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.4g}" if value < 1000 else f"{value:.0f}"
