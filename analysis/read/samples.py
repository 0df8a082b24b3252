"""samples-<host>.csv, one row a second and process, reduced to the figures of one measure window.

Rows are joined to a window by the wall clock, which no rate is computed from.
"""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.read.counter_span import EDGE_S, CounterSpan, spans_of
from analysis.read.sample_rows import SampleRows, known_max, known_mean, known_median, quotients
from study.formats.bounded import MOST_COLUMNS, read_text
from study.formats.csv_rows import number_columns, text_columns
from study.formats.samples_csv import SampleRow

KERNEL = ("listen_overflows", "listen_drops", "syn_cookies", "retransmits", "tcp_timeouts")
"""Kernel counters of the target that are told of a window."""
FEW_ENDED = 0.05  # share of the CPU time of ended children up to which the context switches are complete
TEXT = text_columns(SampleRow)
NUMBERS = number_columns(SampleRow)
CLOCKS_APART_S = 5.0  # difference of the hosts' clocks up to which samples that end early don't count as cut


@dataclass(frozen=True)
class CoreGroupSeconds:
    """A group of cores in one window, an entry for each sample: the server's cores, or the workers' of a load host.

    Rates in cores. What is busy and not own was taken by other programs.
    """

    host: str
    cores: float
    seconds: tuple[float, ...]
    """Length of each sample."""
    busy: tuple[float, ...]
    """In user, nice and system mode, by the kernel's timer ticks."""
    own: tuple[float, ...]
    """CPU of the study's own processes."""
    steal: tuple[float, ...]
    pressure: float | None
    """Mean share of the time in which some task of the host waited for a CPU (PSI); None where the kernel has none."""


@dataclass(frozen=True)
class Target:
    """The target in one window; None where a figure was not recorded.

    CPU and queue are means and medians over the window's seconds; processes, threads, descriptors, memory are maxima.
    """

    cpu_cores: float | None = None
    """Mean CPU of the server's whole process tree."""
    cores: float | None = None
    ended_cores: float | None = None
    """The part of `cpu_cores` that belongs to children which have ended."""
    kernel_share: float | None = None
    """Share of kernel mode in the busy time of its cores."""
    busiest_thread_cores: float | None = None
    processes: float | None = None
    threads: float | None = None
    fds: float | None = None
    fd_limit: float | None = None
    pss_mb: float | None = None
    """Memory of the tree, each page counted once; in campaigns that don't have it, proportional set size."""
    switches: float | None = None
    """Context switches a second of the processes that still run; None where ended children, whose switches are lost,
    did more than FEW_ENDED of the work."""
    accept_queue: float | None = None
    """Median of the connections waiting to be accepted, one moment a second."""
    accept_queue_max: float | None = None
    accept_queue_mean: float | None = None
    """Mean over all looks, about ten a second; None in campaigns with one look a second."""
    accept_queue_looks: int | None = None
    """How many looks that mean is of."""
    listen_socket_drops: CounterSpan | None = None
    """Connections that the server's own listening sockets dropped in the window; None where it isn't known."""
    group: CoreGroupSeconds | None = None
    """The server's cores, with everybody on them; None in older campaigns."""
    backlog: float | None = None
    starts: float | None = None
    """Processes and threads started on its machine per second, by any program."""
    kernel: Mapping[str, CounterSpan] | None = None
    """How far the kernel's counters moved in the window."""


@dataclass(frozen=True)
class Generator:
    """The load hosts in one window: the highest share of any host; None where it was not recorded."""

    ports_share: float | None = None
    """Local ports in use over those that there are, 0 to 1."""
    cpu_share: float | None = None
    """CPU of all workers of a host over the cores that they share, 0 to 1."""
    groups: tuple[CoreGroupSeconds, ...] = ()
    """The workers' cores on each load host; none in older campaigns."""
    shared_cpu_p95: float | None = None
    """As `cpu_share`, the 95th percentile of the window's seconds, of hosts with more workers than cores."""


@dataclass(frozen=True)
class Samples:
    """All samples of a run in one frame, which has the host's name in the column `host`."""

    frame: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["host", *TEXT, *NUMBERS]).astype(dict.fromkeys(NUMBERS, float))
    )
    gaps: tuple[str, ...] = ()
    run: str = ""
    """Name of the run's directory, for the texts of gaps."""

    @cached_property
    def rows(self) -> SampleRows:
        """The frame's rows as arrays."""
        return SampleRows.of(self.frame)

    def window(self, start: float, end: float) -> SampleRows:
        """Rows whose interval lies in the window (Unix time, s), of hosts without any those of which half of it does.

        A row that also covers what follows has the burst of connections of the next step's new users.
        """
        time, seconds, host = self.rows["time"], self.rows["seconds"], self.rows["host"]
        whole = (time - seconds >= start - EDGE_S) & (time <= end + EDGE_S)
        half = (time - seconds / 2 >= start) & (time - seconds / 2 <= end)
        seen = set(host[whole].tolist())
        other = np.flatnonzero(half & ~whole)
        whole[other] = [name not in seen for name in host[other]]
        return self.rows.where(whole)

    def unsampled(self, workers: Collection[str]) -> tuple[str, ...]:
        """A line for the server and for each of the run's workers that has no samples."""
        sampled = set(self.frame.loc[self.frame["role"] == "worker", "name"])
        lines = [] if (self.frame["role"] == "server").any() else [f"{self.run}: no samples of the server"]
        lines += [f"{self.run}: no samples of worker {name}" for name in workers if name not in sampled]
        return tuple(lines)

    def ending_before(self, end: float) -> tuple[str, ...]:
        """A line for each host whose samples end before the last window does, at `end` (Unix time, s)."""
        last = self.frame.groupby("host")["time"].max()
        return tuple(
            f"{self.run}/samples-{host}.csv: ends {end - time:.0f} s before the last window does"
            for host, time in last.items()
            if end - time > CLOCKS_APART_S
        )


def read_samples(directory: Path) -> Samples:
    """Read every samples-<host>.csv of a run; a last line that is cut is left out and named under `gaps`."""
    frames: list[pd.DataFrame] = []
    gaps: list[str] = []
    for path in sorted(directory.glob("samples-*.csv")):
        try:
            text = read_text(path)
        except OSError as error:
            gaps.append(f"{directory.name}/{path.name}: can't be read: {error.strerror}")
            continue
        whole, _, cut = text.rpartition("\n")
        if cut:
            gaps.append(f"{directory.name}/{path.name}: the last line is cut, skipped")
        if not whole:
            continue
        if whole.partition("\n")[0].count(",") >= MOST_COLUMNS:
            gaps.append(f"{directory.name}/{path.name}: more than {MOST_COLUMNS} columns, not read")
            continue
        try:
            texts = dict.fromkeys(TEXT, str)
            frame = pd.read_csv(io.StringIO(whole), dtype=texts, on_bad_lines="skip", low_memory=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            gaps.append(f"{directory.name}/{path.name}: can't be read: {error}")
            continue
        if skipped := whole.count("\n") - len(frame):
            gaps.append(f"{directory.name}/{path.name}: {skipped} damaged lines, skipped")
        frames.append(_typed(frame, path.stem.removeprefix("samples-")))
    if not frames:
        return Samples(gaps=tuple(gaps), run=directory.name)
    return Samples(pd.concat(frames, ignore_index=True), tuple(gaps), directory.name)


def _typed(frame: pd.DataFrame, host: str) -> pd.DataFrame:
    columns: dict[str, pd.Series] = {name: frame.get(name, pd.Series("", frame.index)) for name in TEXT}
    for name in NUMBERS:
        values = frame[name] if name in frame else pd.Series(index=frame.index, dtype=float)
        parsed = values if values.dtype.kind in "iuf" else pd.to_numeric(values.astype(str), errors="coerce")
        columns[name] = parsed.astype(float)
    typed = pd.DataFrame(columns)
    typed.insert(0, "host", host)
    return typed


def target_of(samples: Samples, start: float, end: float) -> Target | None:
    """The server and its host in a window (Unix time, s); None where it has no row of the server.

    Rates, means and maxima are of the rows in the window; counts have bounds, since a row at an end covers more.
    """
    rows = samples.window(start, end)
    server = rows.having("role", "server")
    if not len(server):
        return None
    hosts = rows.of_hosts(server["host"])
    looked = server.knowing("accept_queue_mean")
    looks = looked["accept_queue_looks"]
    queue = np.nansum(looks * looked["accept_queue_mean"])
    kernel = spans_of(samples.rows.of_hosts(server["host"]), KERNEL, start, end)
    dropped = spans_of(samples.rows.having("role", "server"), ("listen_socket_drops",), start, end)
    return Target(
        cpu_cores=known_mean(server["cpu_cores"]),
        cores=known_max(server["cores"]),
        ended_cores=known_mean(server["ended_cores"]),
        kernel_share=known_mean(server["kernel_share"]),
        busiest_thread_cores=known_mean(server["busiest_thread_cores"]),
        processes=known_max(server["processes"]),
        threads=known_max(server["threads"]),
        fds=known_max(server["fds"]),
        fd_limit=known_max(server["fd_limit"]),
        pss_mb=known_max(server["memory_mb"]) or known_max(server["pss_mb"]),
        switches=_switches(server),
        accept_queue=known_median(server["accept_queue"]),
        accept_queue_max=known_max(server["accept_queue"]),
        accept_queue_mean=_ratio(queue, np.nansum(looks)) if len(looks) else None,
        accept_queue_looks=int(np.nansum(looks)) if len(looks) else None,
        listen_socket_drops=dropped.get("listen_socket_drops"),
        group=next(iter(_groups(server, rows)), None),
        backlog=known_max(server["backlog"]),
        starts=_per_second(hosts, "starts"),
        kernel=kernel or None,
    )


def generator_of(rows: SampleRows) -> Generator:
    """The load hosts in a window's rows: those with rows of workers."""
    workers = rows.having("role", "worker")
    hosts = rows.of_hosts(workers["host"])
    ports = known_max(quotients(hosts["ports_used"], hosts["ports_limit"]))
    shares = [_share(mine) for mine in workers.each("host").values()]
    share = max((each for each in shares if each is not None), default=None)
    return Generator(ports, share, tuple(_groups(hosts, rows)), _shared_p95(workers))


def _share(workers: SampleRows) -> float | None:
    """Mean CPU of all workers of one host over the cores that they share."""
    each = workers.each("name").values()
    used = sum(known_mean(mine["cpu_cores"]) or 0.0 for mine in each)
    cores = [mean for mine in each if (mean := known_mean(mine["cores"]))]
    return used / max(cores) if cores else None


def _shared_p95(workers: SampleRows) -> float | None:
    """Of each second the workers' CPU together over their cores: one worker alone may never use much of a core."""
    highest = []
    for host in workers.each("host").values():
        each = host.each("name").values()
        if len(each) <= (known_max(host["cores"]) or math.inf):
            continue
        longest = max(len(mine) for mine in each)  # each process's row has a moment of its own
        used, cores = np.zeros(longest), np.full(longest, np.nan)
        for mine in each:
            used[: len(mine)] += np.nan_to_num(mine["cpu_cores"])
            cores[: len(mine)] = np.fmax(cores[: len(mine)], mine["cores"])
        shares = quotients(used, cores)
        if len(known := shares[~np.isnan(shares)]):
            highest.append(float(np.quantile(known, 0.95)))
    return max(highest, default=None)


def _groups(of: SampleRows, rows: SampleRows) -> Iterator[CoreGroupSeconds]:
    """The group of cores of each host that has one in the rows `of`; `rows` has all rows of the window."""
    for host, group in of.knowing("group_cores").each("host").items():
        seconds = group["seconds"]
        busy, own, steal = (
            tuple(quotients(group[column], seconds).tolist())
            for column in ("group_busy_s", "group_own_s", "group_steal_s")
        )
        yield CoreGroupSeconds(
            host=host,
            cores=float(group["group_cores"].max()),
            seconds=tuple(seconds.tolist()),
            busy=busy,
            own=own,
            steal=steal,
            pressure=known_mean(rows.of_hosts([host])["cpu_pressure"]),
        )


def _switches(server: SampleRows) -> float | None:
    counted = server.knowing("context_switches")
    ended = counted["ended_cores"]
    if np.isnan(ended).any() or ended.sum() > FEW_ENDED * np.nansum(counted["cpu_cores"]):
        return None
    return _ratio(counted["context_switches"].sum(), np.nansum(counted["seconds"])) if len(counted) else None


def _per_second(rows: SampleRows, column: str) -> float | None:
    """A count over the time that its rows cover: a window's ends lie within rows that are left out."""
    counted = rows.knowing(column)
    return _ratio(counted[column].sum(), np.nansum(counted["seconds"])) if len(counted) else None


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
