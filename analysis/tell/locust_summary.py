"""Summary, figures and notes of plain Locust runs: what their CSV files allow, and no verdicts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.read.locust_csv import HELD, STATS, LocustRun, Origin, read_all
from analysis.read.locust_history import Span
from analysis.read.locust_rows import Gap, GapKind
from analysis.tell.csv_files import csv_text
from analysis.tell.markdown_sections import listed, section, table
from study.errors import FormatError
from study.formats.json_files import write_whole
from study.layout import CampaignFiles, require_writable

COLUMNS = ("run", "type", "name", *STATS, *HELD)
WHOLE = ("requests", "failures", "users_held")
HEADS = {
    "requests": "requests", "failures": "failures", "rps": "requests/s", "mean_ms": "average response ms",
    "p50_ms": "p50 ms", "p95_ms": "p95 ms", "p99_ms": "p99 ms", "users_held": "users at most",
    "rps_held": "requests/s then", "mean_ms_held": "average ms then",
}  # fmt: skip
"""The columns of the table of summary.md."""
NOT_SHOWN = {"max_ms": "longest ms", "seconds_held": "seconds then", "names_held": "both of each name"}

ORIGINS: Mapping[Origin, str] = {
    Origin.WRITTEN: "as Locust wrote it, of everything since the start",
    Origin.DISTRIBUTION: "as Locust wrote it in `_distribution.csv`, of everything since the start",
    Origin.LAST_ROW: "as Locust wrote it in the history's last rows, of everything since the start",
    Origin.COUNTED: "counted from the history, from the first to the last row of each time with the most users",
    Origin.NO_ROWS: "can't be had: there are no rows of statistics",
    Origin.NO_COLUMN: "can't be had: the files have no such column",
    Origin.NO_HISTORY: "can't be had: there is no history",
    Origin.NO_USERS: "can't be had: the history has no number of users (Locust writes it since 1.0)",
    Origin.NO_HOLD: "can't be had: no two rows in succession have the most users",
    Origin.TOTAL_ALONE: "can't be had: the history has no names (`--csv-full-history` adds them)",
    Origin.WHOLE_MS: "can't be had: Locust before 1.2 cut averages to whole ms",
}
SPANS: Mapping[Span, str] = {
    Span.SINCE_START: "Percentiles over time are of everything since the start in {runs}: `--csv-full-history` of"
    " Locust 2.2.2 or newer gives those of the last ten seconds.",
    Span.SEEM_SINCE_START: "Percentiles over time are of everything since the start in {runs}, as far as its rows show:"
    " the slowest response time never falls, as from Locust 1.2 to 2.2.1 with `--csv-full-history`.",
    Span.UNTOLD: "Percentiles over time are of everything since the start or of the last ten seconds in {runs}: it"
    " depends on Locust's version, and so short a history doesn't show which.",
}
WHY_NOT = {
    "utf-16": " (it is UTF-16, and Locust writes UTF-8: save it as such)",
    ";": " (semicolons part its fields, and Locust writes commas)",
    "\t": " (tabs part its fields, and Locust writes commas)",
}
"""Why a file has none of Locust's columns, by the detail of its gap."""


@dataclass(frozen=True)
class LocustAnalysis:
    """What the files of plain Locust runs come to."""

    runs: tuple[LocustRun, ...]
    summary: pd.DataFrame
    text: str
    """summary.md."""
    gaps: tuple[str, ...]
    paths: tuple[Path, ...]
    """What was written."""


def analyze_locust(named: Sequence[tuple[str, Path]], out: Path, figures: bool = True) -> LocustAnalysis:
    """Read every run of these directories and write summary.csv, summary.md and figures into `out`.

    Raises FormatError where nothing of a directory can be read, UsageError where two runs would bear one name.
    """
    every = tuple(read_all(named))
    runs = tuple(run for run in every if _has_rows(run))
    for directory in dict.fromkeys(run.directory for run in every):
        if all(run.directory != directory for run in runs):
            gaps = [gap for run in every if run.directory == directory for gap in run.gaps]
            raise FormatError(f"{directory}: no run of Locust can be read: {'; '.join(map(gap_text, gaps))}")
    require_writable(out)
    summary = runs_frame(runs)
    told = tuple(f"{shown(run.name)}: {gap_text(gap)}" for run in every for gap in run.gaps)
    text = _text(runs, summary, told)
    files = CampaignFiles(out)
    write_whole(files.summary_csv, csv_text(summary))
    write_whole(files.summary_md, text)
    drawn: tuple[Path, ...] = ()
    if figures:
        from analysis.draw.locust_figures import draw_all  # seaborn takes a second to import

        drawn = draw_all(runs, files.figures)
    return LocustAnalysis(runs, summary, text, told, (files.summary_csv, files.summary_md, *drawn))


def _has_rows(run: LocustRun) -> bool:
    return not (run.stats.empty and run.history.empty)


def runs_frame(runs: Sequence[LocustRun]) -> pd.DataFrame:
    """One row for each run and request's name, all together last; the columns are those of docs/results.md."""
    frame = pd.DataFrame.from_records(
        [_row(run, row) for run in runs for row in run.stats.to_dict("records")], columns=list(COLUMNS)
    )
    numbers = [name for name in COLUMNS if name not in ("run", "type", "name")]
    return frame.astype(dict.fromkeys(numbers, "float64")).astype(dict.fromkeys(WHOLE, "Int64"))


def _row(run: LocustRun, row: dict[Any, Any]) -> dict[str, Any]:
    held = run.held(row["type"], row["name"], row["total"])
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
    spans = [(span, [shown(run.name) for run in runs if run.percentiles == span]) for span in SPANS]
    return [
        "Locust's requests/s divide by the whole time from the start to the last answer, the ramp included. The"
        " history's clock has whole seconds, and a master's counts are up to 3 s old.",
        *(SPANS[span].format(runs=", ".join(names)) for span, names in spans if names),
        "Requests and average response times hold failed requests too.",
        "Response times are kept to two significant digits and whole milliseconds: 0.3 ms is 0 in a percentile.",
        "Requests still in flight at the end are in no file: a server that hangs looks fast.",
        "Nothing in these files tells the server's limit from the load generator's, from users that never ran or from a"
        " worker that was lost: no step has a verdict here, and nothing is ranked. One run has no interval either.",
    ]


def sources(runs: Sequence[LocustRun]) -> list[str]:
    """For each figure what it is made of, or why it can't be had: a line for all runs and figures of one kind."""
    several = len(runs) > 1
    lines: list[str] = []
    for origin, words in ORIGINS.items():
        figures: dict[tuple[str, ...], list[str]] = {}
        for run in runs:
            names = tuple(name for key, name in (HEADS | NOT_SHOWN).items() if run.origins.get(key) == origin)
            if names:
                figures.setdefault(names, []).append(shown(run.name))
        for names, mine in figures.items():
            where = f" in {', '.join(mine)}" if several else ""
            lines.append(f"{', '.join(names)}{where}: {words}.")
    return lines


def gap_text(gap: Gap) -> str:
    """The sentence for something that is missing, from the name of its file on."""
    columns, rows = ", ".join(gap.columns), "1 row" if gap.count == 1 else f"{gap.count} rows"
    words = {
        GapKind.UNREADABLE: f"can't be read: {gap.detail}",
        GapKind.NOT_A_FILE: "can't be read: no regular file",
        GapKind.TOO_LARGE: f"too large: not read beyond {gap.count:,} {'rows' if gap.line else 'bytes'}",
        GapKind.NOT_LOCUST: f"not a CSV file of Locust's: no column {columns}{WHY_NOT.get(gap.detail, '')}",
        GapKind.NO_COLUMN: f"no column {columns}",
        GapKind.NO_ROWS: "no rows",
        GapKind.CUT: f"the last line ({gap.line}) is cut, skipped",
        GapKind.CUT_FIELD: f"line {gap.line} has no end: its {columns} may be cut, left out",
        GapKind.FIELDS: f"{rows} with {gap.detail} fields from line {gap.line} on, skipped: which is which is unknown",
        GapKind.NUMBERS: f"{rows} without a count of requests or a time from line {gap.line} on, skipped",
        GapKind.BROKEN: f"can't be read from line {gap.line} on",
        GapKind.SECOND_HEAD: f"line {gap.line} is a second head: another run begins there, read as a run of its own",
        GapKind.CLOCK_BACK: f"the clock goes back by {gap.seconds:g} s at line {gap.line}:"
        " nothing is counted across it, and time goes on from there in the figures",
        GapKind.NO_ROWS_FOR: f"no rows for {gap.seconds:g} s before line {gap.line}: nothing is counted across them",
        GapKind.COUNTS_AGAIN: f"counts begin again at line {gap.line} (statistics were reset, or another test began):"
        " nothing is counted across it",
        GapKind.NO_TOTAL: "no row of all requests together",
        GapKind.SUM: f"{gap.count} requests in all, but {gap.detail} in the rows of their names",
        GapKind.NO_DISTRIBUTION: "not there: Locust before 0.13.3 has its percentiles in it",
        GapKind.SECOND_FILE: "not read: another file has the same prefix",
    }
    return f"{shown(gap.file)}: {words[gap.kind]}"


def shown(text: str) -> str:
    """A name out of a file on one line, and as text in Markdown: it makes no link, image, code or HTML."""
    line = "".join(" " if unicodedata.category(mark) in ("Cc", "Cf", "Zl", "Zp") else mark for mark in text)
    return re.sub(r"([\\`*<\[])", r"\\\1", line)


def _text(runs: Sequence[LocustRun], summary: pd.DataFrame, gaps: Sequence[str]) -> str:
    totals = [total for run in runs for total in run.stats["total"]]
    rows = [
        (
            shown(row["run"]),
            "all" if total else shown(f"{row['type']} {row['name']}".strip()),
            *(_cell(row[key]) for key in HEADS),
        )
        for row, total in zip(summary.to_dict("records"), totals, strict=True)
    ]
    count = "One Locust run" if len(runs) == 1 else f"{len(runs)} Locust runs"
    versions = [f"{shown(run.name)}: Locust {run.versions}" for run in runs]
    parts = [
        f"# {count}",
        table(("run", "request", *HEADS.values()), rows) if rows else "No run has a row of statistics.",
        section("What the figures are made of", listed([*sources(runs), *versions])),
        section("What such files can't say", listed(notes(runs))),
        section("What is missing", listed(gaps)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(value: Any) -> str:
    if value is None or pd.isna(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.4g}" if value < 1000 else f"{value:.0f}"
