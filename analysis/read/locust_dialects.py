"""What each version of Locust calls its CSV files and their columns.

Read in locust/stats.py and locust/web.py of locustio/locust at the tags named. The versions between two write alike:

- to 0.13.2: `_requests.csv`, and the percentiles in `_distribution.csv`, whose Name is type and name; no history. Rows
  are joined by line ends: none at the end, and names are not escaped. Averages are cut to whole ms. The total is called
  Total to 0.12.1 and Aggregated since, its type None.
- 0.13.3 to 0.14.6: `_stats.csv` and `_stats_history.csv`, without a number of users; counts are "# requests". Escaping,
  averages and the total's type as before. Percentiles of the history are of the last ten seconds.
- 1.0 to 1.1.1: User Count is new. `_stats.csv` of 1.0 has no final line end; names are not escaped in it, nor in the
  history of 1.1. Averages are whole ms. Percentiles of the history are of the last ten seconds.
- 1.2 to 2.2.1: the csv module writes both files; averages have fractions. Percentiles of the history are of everything
  since the start, with `--csv-full-history` too.
- 2.2.2 on (seen to 2.47.0): percentiles of the history are of the last ten seconds with `--csv-full-history`, and of
  everything since the start without it (commit bdf59435). No column tells these from 1.2 to 2.2.1.
- The web page's downloads have the same columns: `requests_TIME.csv`, `distribution_TIME.csv` (to 0.13.2),
  `stats_history_TIME.csv` (0.13.3 to 0.14.6: one moment), `requests_full_history_TIME.csv` (1.2 on); since 2.32.2
  `Locust_START_FILE_HOST_requests.csv` and `..._requests_full_history.csv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

ALL = "Aggregated"
"""Locust's name for all requests together."""
OLD_ALL = "Total"
NO_TYPE = ("", "None")
"""The type of all requests together, as the versions write it."""
FINEST = "99.999%"
"""The percentile that the versions before 1.2 alone report unless told to."""
TEXT = ("type", "name")
PERCENTILES = {"50%": "p50_ms", "95%": "p95_ms", "99%": "p99_ms"}
SLOWEST = {"100%": "slowest_ms"}


class FileKind(StrEnum):
    """The files of one run that are read."""

    STATS = "stats"
    DISTRIBUTION = "distribution"
    HISTORY = "history"


@dataclass(frozen=True)
class Dialect:
    """The columns of one kind of file as some versions of Locust write it."""

    kind: FileKind
    versions: str
    columns: Mapping[str, str]
    """Locust's name to this program's, of all columns that are read."""
    needed: frozenset[str]
    """Those of Locust's names without which a file is not of this dialect."""
    others: frozenset[str] = field(default=frozenset())
    """Columns that are not read."""
    unescaped: bool = False
    """Names stand in quotes as they are, with whatever quotes, commas and line ends they have."""
    whole_means: bool = False
    """Average response times are cut to whole ms."""
    last_line_ends: bool = True


@dataclass(frozen=True)
class FileName:
    """What a file's name says: its kind and the prefix that the run's other files share, None for a time stamp."""

    kind: FileKind
    prefix: str | None


_OLD = {
    "Name": "name", "# requests": "requests", "# failures": "failures", "Average response time": "mean_ms",
    "Requests/s": "rps",
}  # fmt: skip
_OLD_OTHERS = frozenset({"Median response time", "Min response time", "Average Content Size"})
_NEW = {"Type": "type", "Name": "name", "Requests/s": "rps"}
_OLDEST, _OLDER, _OLD_ONE, _NEWEST = "0.13.2 or older", "0.13.3 to 0.14.6", "1.0 to 1.1.1", "1.2 or newer"

DIALECTS: tuple[Dialect, ...] = (
    Dialect(
        FileKind.STATS, _NEWEST,
        {**_NEW, "Request Count": "requests", "Failure Count": "failures", "Average Response Time": "mean_ms",
         "Max Response Time": "max_ms", **PERCENTILES},
        frozenset({"Type", "Name", "Request Count"}),
        frozenset({"Median Response Time", "Min Response Time", "Average Content Size", "Failures/s"}),
    ),
    Dialect(
        FileKind.HISTORY, _NEWEST,
        {"Timestamp": "seconds", "User Count": "users", **_NEW, "Failures/s": "failures_per_s", **PERCENTILES,
         **SLOWEST, "Total Request Count": "requests", "Total Failure Count": "failures",
         "Total Average Response Time": "mean_ms"},
        frozenset({"Timestamp", "Type", "Name", "Total Request Count"}),
        frozenset({"Total Median Response Time", "Total Min Response Time", "Total Max Response Time",
                   "Total Average Content Size"}),
    ),
    Dialect(
        FileKind.STATS, _OLDER, {"Type": "type", **_OLD, "Max response time": "max_ms", **PERCENTILES},
        frozenset({"Type", "Name", "# requests"}), _OLD_OTHERS | {"Requests Failed/s", "99.999"},
        unescaped=True, whole_means=True, last_line_ends=False,
    ),
    Dialect(
        FileKind.HISTORY, _OLDER,
        {"Type": "type", "Timestamp": "seconds", **_OLD, "Requests Failed/s": "failures_per_s", **PERCENTILES,
         **SLOWEST},
        frozenset({"Timestamp", "Type", "Name", "# requests"}),
        _OLD_OTHERS | {"Max response time", "99.999"}, unescaped=True, whole_means=True,
    ),
    Dialect(
        FileKind.STATS, _OLDEST, {"Method": "type", **_OLD, "Max response time": "max_ms"},
        frozenset({"Method", "Name", "# requests"}), _OLD_OTHERS,
        unescaped=True, whole_means=True, last_line_ends=False,
    ),
    Dialect(
        FileKind.DISTRIBUTION, _OLDEST, {"Name": "name", "# requests": "requests", **PERCENTILES},
        frozenset({"Name", "# requests"}), unescaped=True, last_line_ends=False,
    ),
)  # fmt: skip
"""The newest first: it is the one whose columns are named as missing in a file that has none of them."""

_STAMP = r"(?P<stamp>\d+(?:\.\d+)?)"
_NAMES: tuple[tuple[FileKind, str], ...] = (
    (FileKind.HISTORY, r"(?P<prefix>.*)_stats_history"),
    (FileKind.HISTORY, r"(?P<prefix>.*)_requests_full_history"),
    (FileKind.HISTORY, rf"(?:requests_full|stats)_history_{_STAMP}"),
    (FileKind.DISTRIBUTION, r"(?P<prefix>.*)_distribution"),
    (FileKind.DISTRIBUTION, rf"distribution_{_STAMP}"),
    (FileKind.STATS, r"(?P<prefix>.*)_stats"),
    (FileKind.STATS, r"(?P<prefix>.*)_requests"),
    (FileKind.STATS, rf"requests_{_STAMP}"),
)
_PATTERNS = tuple(
    (kind, re.compile(rf"{name}(?P<copy> ?\(\d+\))?\.csv", re.DOTALL)) for kind, name in _NAMES
)  # browsers number a second download


def file_name(path: Path) -> FileName | None:
    """What a file's name says of it; None where no Locust calls a file so."""
    for kind, pattern in _PATTERNS:
        if match := pattern.fullmatch(path.name):
            parts = match.groupdict()
            prefix = parts.get("prefix")
            return FileName(kind, None if prefix is None else prefix + (parts["copy"] or ""))
    return None


def recognised(kind: FileKind, head: Sequence[str]) -> Dialect | None:
    """The dialect of a file of this kind with this head, None where it is no head of Locust's."""
    for dialect in DIALECTS:
        if dialect.kind == kind and dialect.needed <= set(head):
            return _before_1_2(dialect) if dialect.versions == _NEWEST and FINEST in head else dialect
    return None


def _before_1_2(dialect: Dialect) -> Dialect:
    return replace(
        dialect, versions=_OLD_ONE, unescaped=True, whole_means=True, last_line_ends=dialect.kind == FileKind.HISTORY
    )


def with_fractions(dialect: Dialect) -> Dialect:
    """The dialect of a file whose averages have fractions: one of 1.2 or newer may report what 1.0 reports, if told to.

    `_stats.csv` of 1.1 has them already.
    """
    if dialect.versions != _OLD_ONE:
        return dialect
    versions = _NEWEST if dialect.kind == FileKind.HISTORY else "1.1 or newer"
    return replace(dialect, versions=versions, whole_means=False)


def missing_columns(kind: FileKind, head: Iterable[str]) -> tuple[str, ...]:
    """What a file with this head lacks to be of the dialect that is nearest to it, in the order that Locust has."""
    given = set(head)
    mine = [dialect for dialect in DIALECTS if dialect.kind == kind]
    nearest = max(mine, key=lambda dialect: len(given & dialect.columns.keys()))
    return tuple(column for column in nearest.columns if column in nearest.needed and column not in given)


def begins_a_head(kind: FileKind, fields: Sequence[str]) -> bool:
    """Whether these fields, the last of them perhaps cut, are the beginning of a head."""
    if not fields:
        return True
    known = {name for dialect in DIALECTS if dialect.kind == kind for name in (*dialect.columns, *dialect.others)}
    whole = all(name in known or re.fullmatch(r"[\d.]+%", name) for name in fields[:-1])
    last = fields[-1]
    return whole and (any(name.startswith(last) for name in known) or bool(re.fullmatch(r"[\d.]+%?", last)))
