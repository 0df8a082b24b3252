"""Writes the CSV files of a Locust run that never was, as each version writes them, from a known course of events."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

VERSIONS = ("0.13.0", "0.14.6", "1.0", "1.1", "1.2", "2.24")
START = 1_700_000_000
PERCENTILES = ("50%", "66%", "75%", "80%", "90%", "95%", "98%", "99%", "99.9%", "99.99%", "100%")
OLD = (
    "Median response time",
    "Average response time",
    "Min response time",
    "Max response time",
    "Average Content Size",
)
NEW = (
    "Median Response Time",
    "Average Response Time",
    "Min Response Time",
    "Max Response Time",
    "Average Content Size",
)


@dataclass(frozen=True)
class LoadPhase:
    """So many users for so many seconds, and what each name is asked in each of them."""

    users: int
    seconds: int
    rates: tuple[int, ...]


@dataclass(frozen=True)
class Course:
    """What happened. All response times of a second are alike, 10 ms in even phases and 20 ms in odd ones."""

    names: tuple[tuple[str, str], ...]
    """Type and name of each request."""
    phases: tuple[LoadPhase, ...]

    @property
    def length(self) -> int:
        return sum(phase.seconds for phase in self.phases)

    def at(self, second: int) -> tuple[int, LoadPhase]:
        """The phase of a second, and its number."""
        for number, phase in enumerate(self.phases):
            second -= phase.seconds
            if second < 0:
                return number, phase
        raise IndexError

    def asked(self, first: int, end: int, name: int | None = None) -> int:
        """Requests in the seconds from `first` up to `end`, of one name or of all."""
        rates = (self.at(second)[1].rates for second in range(first, end))
        return sum(sum(each) if name is None else each[name] for each in rates)


@dataclass(frozen=True)
class NameStatistics:
    """What Locust knows of one name, or of all, when it writes a row."""

    kind: str
    name: str
    count: int
    mean: float
    rps: float
    slowest: int
    """Since the start."""
    now: int | None
    """The response time of the last ten seconds, None where there was none."""
    average: float
    """Requests a second since the start."""


def entry(course: Course, end: int, name: int | None, version: str) -> NameStatistics:
    """Of everything before the second `end`."""
    counts = [course.asked(second, second + 1, name) for second in range(end)]
    times = [10 if course.at(second)[0] % 2 == 0 else 20 for second in range(end)]
    total = sum(counts)
    answered = [second for second in range(end) if course.asked(second, second + 1)]
    window = range(max(answered[-1] - 12, 0), answered[-1] - 2) if answered else range(0)
    recent = [times[at] for at in range(max(0, end - 10), end) if counts[at]]
    kind, called = course.names[name] if name is not None else ("None" if version < "1.1" else "", "Aggregated")
    return NameStatistics(
        kind, called, total,
        sum(count * time for count, time in zip(counts, times, strict=True)) / total if total else 0,
        sum(counts[at] for at in window) / len(window) if window else 0.0,
        max((time for count, time in zip(counts, times, strict=True) if count), default=0),
        max(recent, default=None), total / (answered[-1] + 1) if answered else 0.0,
    )  # fmt: skip


def entries(course: Course, end: int, version: str, names: bool = True) -> Iterator[NameStatistics]:
    """Those of the names that were asked by then, and that of all requests together."""
    for at in range(len(course.names)) if names else ():
        if course.asked(0, end, at):
            yield entry(course, end, at, version)
    yield entry(course, end, None, version)


def write(course: Course, directory: Path, version: str, full: bool = True, prefix: str = "run") -> None:
    """The files of a version; `full` with a row for each name in the history (1.0 on)."""
    old, quoted = version < "1.0", version < "1.1"
    finest = () if version >= "1.2" or version < "0.13.3" else ("99.999%",) if version >= "1.0" else ("99.999",)
    head: tuple[str, ...]
    rows: list[tuple[object, ...]]
    columns: tuple[str, ...]
    percentiles = (*PERCENTILES[:-1], *finest, PERCENTILES[-1])
    last = list(entries(course, course.length, version))
    if version < "0.13.3":
        head = ("Method", "Name", "# requests", "# failures", *OLD, "Requests/s")
        rows = [(e.kind, e.name, e.count, 0, 10, int(e.mean), 1, e.slowest, 5, f"{e.average:.2f}") for e in last]
        save(directory / f"{prefix}_requests.csv", head, rows, True, "")
        shares = [
            (e.name if e.name == "Aggregated" else f"{e.kind} {e.name}", e.count, *[e.slowest] * len(percentiles))
            for e in last
        ]
        save(directory / f"{prefix}_distribution.csv", ("Name", "# requests", *percentiles), shares, True, "", 1)
        return
    head = ("Type", "Name", *(("# requests", "# failures") if old else ("Request Count", "Failure Count")))
    head += (*(OLD if old else NEW), "Requests/s", "Requests Failed/s" if old else "Failures/s", *percentiles)
    rows = [
        (e.kind, e.name, e.count, 0, 10, int(e.mean) if quoted else float(e.mean), 1, e.slowest, 5, e.average, 0.0)
        + ((e.slowest if e.count else "N/A",) * len(percentiles))
        for e in last
    ]
    save(directory / f"{prefix}_stats.csv", head, rows, quoted, "" if quoted else "\n")
    history: list[tuple[object, ...]] = []
    for end in range(0, course.length + 1, 2 if version < "1.2" else 1):
        users = course.at(min(end, course.length - 1))[1].users
        for e in entries(course, end, version, full and not old):
            since_start = "1.2" <= version < "2.2.2" or (version >= "2" and not full)
            value = "N/A" if not e.count else e.slowest if since_start else e.now or 0
            shares_of = (value,) * len(percentiles)
            kind = "" if not old and e.name == "Aggregated" and e.kind == "None" else e.kind
            whole = version < "1.2"
            mean = int(e.mean) if whole else float(e.mean)
            rate = f"{e.rps:.2f}" if whole else f"{e.rps:2f}"
            if old:
                history.append((kind, e.name, f"{START + end}", e.count, 0, rate, "0.00", 10, mean, 1, e.slowest, 5))
                history[-1] += shares_of
            else:
                history.append((START + end, users, kind, e.name, rate, "0.00", *shares_of, e.count, 0, 10, mean))
                history[-1] += (1, e.slowest, 5)
    if old:
        columns = ("Type", "Name", "Timestamp", "# requests", "# failures", "Requests/s", "Requests Failed/s", *OLD)
        columns += percentiles
    else:
        columns = ("Timestamp", "User Count", "Type", "Name", "Requests/s", "Failures/s", *percentiles)
        columns += ("Total Request Count", "Total Failure Count", *(f"Total {name}" for name in NEW))
    save(directory / f"{prefix}_stats_history.csv", columns, history, version < "1.2", "\n")


def save(
    path: Path, head: Sequence[str], rows: Sequence[Sequence[object]], unescaped: bool, end: str, texts: int = 2
) -> None:
    """As Locust before 1.2 did, with names between quotes as they are, or with the csv module."""
    if unescaped:
        first = head.index("Name")
        quoted = {first, first + 1 - texts} | ({0, 1} if head[0] == "Timestamp" else set())
        lines = [",".join(f'"{name}"' for name in head)]
        lines += [",".join(f'"{v}"' if at in quoted else str(v) for at, v in enumerate(row)) for row in rows]
        text = "\n".join(lines) + end
    else:
        written = io.StringIO()
        csv.writer(written).writerows([head, *rows])
        text = written.getvalue()
    path.write_bytes(text.encode())
