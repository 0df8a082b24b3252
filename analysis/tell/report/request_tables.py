"""What the report shows of a locustfile of one's own: requests by name, failures by text, exceptions of its tasks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from analysis.tell.report.page import Cell, Picture, Table, cells, inlined
from analysis.tell.words import BOUNDS, bounded, counted, number
from study.safe_text import printable

LAST_LINES = 12
"""Of a traceback, in the report; the ledger has all of it."""


def own_tables(requests: pd.DataFrame, exceptions: pd.DataFrame, model: str) -> tuple[Table, ...]:
    """The tables of one model; none with the study's own clients."""
    rows, raised = requests[requests["model"] == model], exceptions[exceptions["model"] == model]
    made = []
    if len(rows):
        made.append(_by_name(rows))
    texts: Counter[tuple[str, str]] = Counter()
    for row in rows.to_dict("records"):
        texts.update({(f"{row['method']} {row['name']}", text): count for text, count in row["failure_texts"].items()})
    if texts:
        listed = tuple(
            cells(printable(name), f"{count:,}", printable(text)) for (name, text), count in texts.most_common()
        )
        made.append(Table("Failures by their text, all measure windows", ("request", "failures", "text"), listed))
    if len(raised):
        listed = tuple(
            cells(printable(str(row["text"])), f"{row['count']:,}", _end_of(str(row["traceback"])))
            for row in raised.to_dict("records")
        )
        made.append(
            Table("Exceptions that user classes raised, ramps included", ("exception", "times", "traceback"), listed)
        )
    return tuple(made)


def _by_name(rows: pd.DataFrame) -> Table:
    heads = (
        "request",
        "users",
        "block",
        "verdict",
        "requests",
        "failures",
        "requests/s",
        "mean ms of successes",
        "p50 ms",
        "p95 ms",
        "p99 ms",
    )
    listed = []
    for row in rows.sort_values(["method", "name", "step", "block"], kind="stable").to_dict("records"):
        note = "reported by the locustfile itself" if row["outside"] else ""
        late = bool(row["times_bound"])
        figures = [number(_known(row["rps"]))] + [
            number(_known(row[name]), bounded(name in row["at_least"], late, BOUNDS))
            for name in ("mean_ms", "p50_ms", "p95_ms", "p99_ms")
        ]
        listed.append(
            (
                Cell(printable(f"{row['method']} {row['name']}"), note=note),
                *cells(f"{row['users']:,}", str(row["block"]), str(row["verdict"])),
                *cells(f"{row['requests']:,}", f"{row['failures']:,}", *figures),
            )
        )
    return Table("Requests by name, each measure window", heads, tuple(listed))


def request_picture(directory: Path, model: str, requests: pd.DataFrame) -> Picture | None:
    """The figure of a model with its caption; None without a locustfile of one's own."""
    name = f"requests-{model}"
    names = requests.loc[requests["model"] == model, "name"].nunique()
    if not names:
        return None
    text = (
        f"Rate and 95th percentile of {counted(names, 'name')} of requests against users, medians of the blocks; "
        "steps that are valid or overload alone, the names with the most requests. A request that timed out counts as"
        " one that takes at least as long as it was waited for; of those in flight at a window's end no name is known."
    )
    return Picture(name, inlined(directory / f"{name}.svg"), f"Requests of {model} by name", text)


def _end_of(traceback: str) -> str:
    return printable(" / ".join(line.strip() for line in traceback.strip().splitlines()[-LAST_LINES:]))


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None
