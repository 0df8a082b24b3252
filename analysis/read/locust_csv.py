"""The CSV files that any Locust run writes (`locust --csv`, or downloads of the web page), as tidy frames.

Each figure says what it is made of (`LocustRun.origins`), and each thing in a file that can't be read is a value
(`LocustRun.gaps`); analysis/tell makes sentences of both. The versions' formats are in locust_dialects.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis.read.locust_dialects import ALL, NO_TYPE, OLD_ALL, PERCENTILES, TEXT, FileKind, file_name
from analysis.read.locust_history import KEY, Span, holds, timed
from analysis.read.locust_rows import Gap, GapKind, Part, read_parts
from study.errors import FormatError, UsageError
from study.layout import CampaignFiles

STATS = ("requests", "failures", "rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
HELD = ("users_held", "seconds_held", "rps_held", "mean_ms_held")


class Origin(StrEnum):
    """What a figure is made of, or why it can't be had."""

    WRITTEN = "written"
    """As Locust wrote it: of everything since the start, the ramp included."""
    DISTRIBUTION = "distribution"
    """The same, from `_distribution.csv`."""
    LAST_ROW = "last-row"
    """The same, from the last rows of the history, where there are no statistics."""
    COUNTED = "counted"
    """Differences of the history's counts over the times with the most users."""
    NO_ROWS = "no-rows"
    NO_COLUMN = "no-column"
    NO_HISTORY = "no-history"
    NO_USERS = "no-users"
    """Versions before 1.0 write no number of users."""
    NO_HOLD = "no-hold"
    """No two rows of the history, one after the other, have the most users."""
    TOTAL_ALONE = "total-alone"
    """Without --csv-full-history the history has all requests together and no names."""
    WHOLE_MS = "whole-ms"
    """Averages cut to whole ms are too coarse for differences."""


@dataclass(frozen=True)
class Held:
    """What was counted while the most users ran; several such times are added, and what lies between is left out."""

    users: int
    seconds: float
    rps: float
    """Requests, failures included, a second."""
    mean_ms: float | None


@dataclass(frozen=True)
class LocustRun:
    """One run. Times in ms, rates per second; `history` counts its seconds from its first row (see `timed`)."""

    name: str
    directory: Path
    versions: str
    """Of Locust that may have written the files; empty where none could be read."""
    stats: pd.DataFrame
    history: pd.DataFrame
    percentiles: Span
    """What the history's percentiles are of."""
    holds: tuple[tuple[int, int], ...]
    """Index of the first and the last row of all requests together of each time with the most users."""
    origins: Mapping[str, Origin]
    """For each column of STATS and HELD, of all requests together; `names_held` for those of each name."""
    gaps: tuple[Gap, ...] = ()

    @property
    def totals(self) -> pd.DataFrame:
        """The history of all requests together."""
        return self.history[self.history["total"]]

    @cached_property
    def _by_name(self) -> dict[tuple[str, str, bool], pd.DataFrame]:
        groups = self.history.groupby(KEY, sort=False)
        return {(str(kind), str(name), bool(total)): rows for (kind, name, total), rows in groups}

    def held(self, kind: str = "", name: str = ALL, total: bool = True) -> Held | None:
        """Of all requests together, or of one request's name (`total` false); None where `origins` says why.

        A name is counted from its last row before the hold, or from 0 where it was first seen within: so the names add
        to the total.
        """
        if self.origins["rps_held" if total else "names_held"] != Origin.COUNTED:
            return None
        mine = self._by_name.get((kind, name, total), self.history.iloc[:0])
        clock, users = (self.history[name].to_numpy() for name in ("seconds", "users"))
        seconds = requests = spent = 0.0
        for first, last in self.holds:
            before, after = (_counted(mine, at, self.history["lap"].iloc[at]) for at in (first, last))
            seconds += float(clock[last] - clock[first])
            requests += after[0] - before[0]
            spent += after[1] - before[1]
        known = self.origins["mean_ms_held"] == Origin.COUNTED and requests > 0 and not math.isnan(spent)
        return Held(int(users[self.holds[0][0]]), seconds, requests / seconds, spent / requests if known else None)


def _counted(rows: pd.DataFrame, at: int, lap: int) -> tuple[float, float]:
    """Requests and the ms that they took together, as counted when the history's row `at`, of this lap, was written."""
    place = int(rows.index.searchsorted(at, side="right")) - 1
    if place < 0 or rows["lap"].iloc[place] != lap:
        return 0.0, 0.0
    requests = float(rows["requests"].iloc[place])
    return requests, requests * float(rows["mean_ms"].iloc[place]) if requests else 0.0


def is_locust(directory: Path) -> bool:
    """Whether a directory holds such files, and no campaign."""
    return not CampaignFiles(directory).plan.exists() and bool(_found(directory)[0])


def read_all(named: Sequence[tuple[str, Path]]) -> list[LocustRun]:
    """Every run in every directory, in that order. A name stands for its directory; "" for none given.

    A run of which nothing can be read has empty frames, and gaps. Raises FormatError where a directory has no file with
    a name that Locust gives, UsageError where two runs would bear one name.
    """
    runs: list[LocustRun] = []
    for name, directory in named:
        prefixes, second = _found(directory)
        if not prefixes:
            raise FormatError(f"{directory}: no campaign (no plan.toml), and no files of `locust --csv` (*_stats.csv)")
        for prefix, files in prefixes.items():
            before = name or (directory.resolve().name if len(named) > 1 else "")
            parts = [before] if before and len(prefixes) == 1 else [before, prefix]
            runs += read_runs(
                "/".join(part for part in parts if part), directory, prefix, files, second.pop(prefix, ())
            )
    names = [run.name for run in runs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two runs are called {', '.join(twice)}: name each directory, as in before=DIR after=DIR")
    return runs


def _found(directory: Path) -> tuple[dict[str, dict[FileKind, Path]], dict[str, list[Gap]]]:
    """The files of each prefix, and what another file of the same prefix and kind keeps from being read.

    Downloads bear the time at which each was made: one of a kind in a directory are one run.
    """
    prefixes: dict[str, dict[FileKind, Path]] = {}
    second: dict[str, list[Gap]] = {}
    stamped: dict[FileKind, list[Path]] = {}
    for path in sorted(directory.iterdir() if directory.is_dir() else ()):
        known = file_name(path)
        if known is None:
            continue
        if known.prefix is None:
            stamped.setdefault(known.kind, []).append(path)
        elif known.kind in prefixes.setdefault(known.prefix, {}):
            kept, other = sorted((prefixes[known.prefix][known.kind], path), key=lambda each: "_stats" not in each.stem)
            prefixes[known.prefix][known.kind] = kept
            second.setdefault(known.prefix, []).append(Gap(GapKind.SECOND_FILE, other.name))
        else:
            prefixes[known.prefix][known.kind] = path
    if stamped and all(len(paths) == 1 for paths in stamped.values()):
        first = min(stamped, key=list(FileKind).index)
        prefixes[stamped[first][0].stem] = {kind: paths[0] for kind, paths in stamped.items()}
    else:
        prefixes |= {path.stem: {kind: path} for kind, paths in stamped.items() for path in paths}
    alone = {prefix for prefix, files in prefixes.items() if files.keys() == {FileKind.DISTRIBUTION}}
    return {prefix: prefixes[prefix] for prefix in sorted(prefixes.keys() - alone)}, second


def read_runs(
    name: str, directory: Path, prefix: str, files: Mapping[FileKind, Path], known: Iterable[Gap] = ()
) -> list[LocustRun]:
    """The runs of one prefix, one for each head in its files, numbered; the last of each file belong together."""
    gaps = list(known)
    parts: dict[FileKind, list[Part]] = {}
    for kind, path in files.items():
        parts[kind], found = read_parts(path, kind)
        gaps += found
    stats, histories = parts.get(FileKind.STATS, []), parts.get(FileKind.HISTORY, [])
    count = max(len(stats), len(histories), 1)
    stats_at = [None] * (count - len(stats)) + [*stats]
    history_at = [None] * (count - len(histories)) + [*histories]
    runs = []
    for at, (stat, history) in enumerate(zip(stats_at, history_at, strict=True), 1):
        last = at == count
        distribution = parts.get(FileKind.DISTRIBUTION, []) if last else []
        mine = [*gaps, *_absent(prefix, files, stat)] if last else []
        runs.append(_run(f"{name} ({at})" if count > 1 else name, directory, files, stat, history, distribution, mine))
    return runs


def _absent(prefix: str, files: Mapping[FileKind, Path], stats: Part | None) -> Iterable[Gap]:
    """Files that this version writes and that aren't there."""
    missing = "No such file or directory"
    if FileKind.STATS not in files:
        yield Gap(GapKind.UNREADABLE, f"{prefix}_stats.csv", detail=missing)
    if stats is None or FileKind.HISTORY in files or files[FileKind.STATS].stem == prefix:
        return
    if "p50_ms" in stats.dialect.columns.values():
        web = files[FileKind.STATS].stem.endswith("_requests")
        yield Gap(GapKind.UNREADABLE, f"{prefix}_{'requests_full' if web else 'stats'}_history.csv", detail=missing)
    elif FileKind.DISTRIBUTION not in files:
        yield Gap(GapKind.NO_DISTRIBUTION, f"{prefix}_distribution.csv")


def _run(
    name: str, directory: Path, files: Mapping[FileKind, Path], stats: Part | None, history: Part | None,
    distribution: Sequence[Part], gaps: list[Gap],
) -> LocustRun:  # fmt: skip
    table, origins = _table(stats, distribution)
    if not table.empty:
        gaps += _sums(table, files[FileKind.STATS].name)
    rows, span, found = timed(history, files[FileKind.HISTORY].name if history else "")
    if table.empty and not rows.empty:
        table, origins = _last_rows(rows)
    spans = holds(rows[rows["total"]])
    dialects = [part.dialect for part in (history, stats) if part is not None]
    return LocustRun(
        name, directory, dialects[0].versions if dialects else "", table, rows, span, spans,
        {**origins, **_held_origins(rows, spans, history)}, (*gaps, *found),
    )  # fmt: skip


def _table(stats: Part | None, distribution: Sequence[Part]) -> tuple[pd.DataFrame, dict[str, Origin]]:
    """The rows of the statistics with the columns type, name, total and STATS, and what each of STATS is."""
    columns = [*TEXT, "total", *STATS]
    if stats is None or stats.rows.empty:
        kinds = {**dict.fromkeys(TEXT, "str"), "total": "bool"}
        empty = pd.DataFrame(columns=columns).astype({name: kinds.get(name, "float64") for name in columns})
        return empty, dict.fromkeys(STATS, Origin.NO_ROWS)
    table = stats.rows.reindex(columns=columns).astype({"total": "bool"})
    there = set(stats.rows.columns) - stats.absent
    origins = {name: Origin.WRITTEN if name in there else Origin.NO_COLUMN for name in STATS}
    if distribution and "p50_ms" not in there:
        rows = distribution[-1].rows.drop_duplicates("name", keep="last").set_index("name")
        keys = table[[*TEXT, "total"]].itertuples(index=False)
        called = [next((name for name in _names(*key) if name in rows.index), "") for key in keys]
        for name in PERCENTILES.values():
            table[name] = rows[name].reindex(called).to_numpy()
            origins[name] = Origin.DISTRIBUTION
    return table, origins


def _last_rows(history: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Origin]]:
    """What the history has of the columns of `_table`, as it stood at its end."""
    lap = history[history["lap"] == history["lap"].iloc[-1]]
    known = ["requests", "failures", "mean_ms"]
    table = lap.drop_duplicates(KEY, keep="last")[[*KEY, *known]].reindex(columns=[*TEXT, "total", *STATS])
    there = [name for name in known if table[name].notna().any()]
    return table, {name: Origin.LAST_ROW if name in there else Origin.NO_ROWS for name in STATS}


def _names(kind: str, name: str, total: bool) -> tuple[str, ...]:
    """What `_distribution.csv` may call a request: its type and name in one."""
    if total:
        return (name, f"None {name}", OLD_ALL, f"None {OLD_ALL}")
    return (f"{kind} {name}", name) if kind in NO_TYPE else (f"{kind} {name}",)


def _sums(table: pd.DataFrame, file: str) -> Iterable[Gap]:
    """Whether the names add to the total."""
    total, names = table.loc[table["total"], "requests"], table.loc[~table["total"], "requests"].sum()
    if total.empty:
        yield Gap(GapKind.NO_TOTAL, file)
    elif total.iloc[0] != names:
        yield Gap(GapKind.SUM, file, count=int(total.iloc[0]), detail=f"{names:.0f}")


def _held_origins(rows: pd.DataFrame, spans: Sequence[tuple[int, int]], history: Part | None) -> dict[str, Origin]:
    if history is None or rows.empty:
        return dict.fromkeys((*HELD, "names_held"), Origin.NO_HISTORY)
    if rows["users"].isna().all():
        return dict.fromkeys((*HELD, "names_held"), Origin.NO_USERS)
    if not spans:
        return dict.fromkeys((*HELD, "names_held"), Origin.NO_HOLD)
    origins = dict.fromkeys((*HELD, "names_held"), Origin.COUNTED)
    if rows["total"].all():
        origins["names_held"] = Origin.TOTAL_ALONE
    if history.dialect.whole_means:
        origins["mean_ms_held"] = Origin.WHOLE_MS
    elif "mean_ms" in history.absent:
        origins["mean_ms_held"] = Origin.NO_COLUMN
    return origins
