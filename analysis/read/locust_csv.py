"""The CSV files that any Locust run writes (`locust --csv`, with or without `--csv-full-history`), as tidy frames.

`locust_summary.notes` lists what these files can't tell.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from study.errors import FormatError, UsageError

STATS, HISTORY = "_stats.csv", "_stats_history.csv"
ALL = "Aggregated"
"""Locust's name for all requests together."""
STATS_COLUMNS = {
    "Type": "type", "Name": "name", "Request Count": "requests", "Failure Count": "failures",
    "Requests/s": "rps", "Average Response Time": "mean_ms", "50%": "p50_ms", "95%": "p95_ms", "99%": "p99_ms",
    "100%": "max_ms",
}  # fmt: skip
HISTORY_COLUMNS = {
    "Timestamp": "seconds", "User Count": "users", "Type": "type", "Name": "name", "Requests/s": "rps",
    "Failures/s": "failures_per_s", "50%": "p50_ms", "95%": "p95_ms", "99%": "p99_ms",
    "Total Request Count": "requests", "Total Failure Count": "failures", "Total Average Response Time": "mean_ms",
}  # fmt: skip
TEXT = ("type", "name")


@dataclass(frozen=True)
class PeakUsers:
    """Figures of the time with the most users, from the first to the last row of the history that has so many."""

    users: int
    seconds: float
    rps: float
    """Requests, failures included, a second."""
    mean_ms: float | None


@dataclass(frozen=True)
class LocustRun:
    """The files of one prefix. Times in ms, rates per second; `history` counts its seconds from its first row."""

    name: str
    stats: pd.DataFrame
    history: pd.DataFrame
    gaps: tuple[str, ...] = ()

    @property
    def by_window(self) -> bool:
        """Whether the history's percentiles are of the last ten seconds (--csv-full-history), not since the start."""
        return bool((self.history["name"] != ALL).any())

    def of(self, kind: str = "", name: str = ALL) -> pd.DataFrame:
        """The history of one request's name, or of all requests together."""
        return self.history[(self.history["type"] == kind) & (self.history["name"] == name)]

    def held(self, kind: str = "", name: str = ALL) -> PeakUsers | None:
        """The figures with the most users; None where fewer than two rows of the history have so many."""
        rows = self.of(kind, name)
        rows = rows[rows["users"] == self.history["users"].max()]
        if len(rows) < 2:
            return None
        first, last = rows.iloc[0], rows.iloc[-1]
        seconds, requests = last["seconds"] - first["seconds"], last["requests"] - first["requests"]
        if seconds <= 0:
            return None
        spent = last["mean_ms"] * last["requests"] - first["mean_ms"] * first["requests"]
        return PeakUsers(int(last["users"]), seconds, requests / seconds, spent / requests if requests else None)


def is_locust(directory: Path) -> bool:
    """Whether a directory has files of `locust --csv`."""
    return any(directory.glob(f"*{STATS}"))


def read_all(named: Sequence[tuple[str, Path]]) -> list[LocustRun]:
    """Every prefix in every directory, in that order. `named` has a name, or "", for each directory.

    Raises FormatError where a directory has no such files, UsageError where two runs would have the same name.
    """
    runs: list[LocustRun] = []
    for name, directory in named:
        prefixes = sorted(path.name.removesuffix(STATS) for path in directory.glob(f"*{STATS}"))
        if not prefixes:
            raise FormatError(f"{directory}: no campaign (no plan.toml), and no files of `locust --csv` (*{STATS})")
        for prefix in prefixes:
            before = name or (directory.resolve().name if len(named) > 1 else "")
            parts = [before] if before and len(prefixes) == 1 else [before, prefix]
            runs.append(read_run("/".join(part for part in parts if part), directory, prefix))
    names = [run.name for run in runs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two runs are called {', '.join(twice)}: name each directory, as in before=DIR after=DIR")
    return runs


def read_run(name: str, directory: Path, prefix: str) -> LocustRun:
    """Read the files of one prefix; `gaps` names what is cut or missing."""
    gaps: list[str] = []
    stats = _read(directory / f"{prefix}{STATS}", STATS_COLUMNS, gaps)
    history = _read(directory / f"{prefix}{HISTORY}", HISTORY_COLUMNS, gaps)
    history["seconds"] -= history["seconds"].min()
    return LocustRun(name, stats, history, tuple(gaps))


def _read(path: Path, columns: dict[str, str], gaps: list[str]) -> pd.DataFrame:
    """The columns that this program uses, under its names; N/A, and columns that an older Locust lacks, are empty."""
    nothing = pd.DataFrame(columns=list(columns.values())).astype(
        {name: "str" if name in TEXT else "float64" for name in columns.values()}
    )
    try:
        whole, _, cut = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    except OSError as error:
        gaps.append(f"{path.name}: can't be read: {error.strerror}")
        return nothing
    if cut:
        gaps.append(f"{path.name}: the last line is cut, skipped")
    try:
        frame = pd.read_csv(io.StringIO(whole), dtype=str, keep_default_na=False, on_bad_lines="skip")
    except (pd.errors.ParserError, pd.errors.EmptyDataError):
        frame = pd.DataFrame()
    if frame.empty:
        gaps.append(f"{path.name}: no rows")
        return nothing
    if missing := [column for column in columns if column not in frame]:
        gaps.append(f"{path.name}: no column {', '.join(missing)}")
    read = {
        ours: frame.get(theirs, pd.Series("", frame.index))
        if ours in TEXT
        else pd.to_numeric(frame.get(theirs, pd.Series("", frame.index)), errors="coerce").astype(float)
        for theirs, ours in columns.items()
    }
    return pd.DataFrame(read)
