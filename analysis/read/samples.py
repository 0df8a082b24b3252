"""What the hosts saw, once a second, reduced to what one measure window needs.

samples-<host>.csv is joined to a window by wall clock; no rate is made from it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

KERNEL = ("listen_overflows", "listen_drops", "syn_cookies", "retransmits", "tcp_timeouts")
FEW_ENDED = 0.05  # share of the CPU time of children that have ended, up to which context switches are all counted
TEXT = ("role", "name")
NUMBERS = (
    "time", "seconds", "cpu_cores", "cores", "threads", "processes", "fds", "fd_limit", "busiest_thread_cores",
    "pss_mb", "context_switches", "accept_queue", "backlog", "memory_available_mb", *KERNEL, "passive_opens",
    "ports_used", "ports_limit", "time_wait", "sampler_cpu_cores", "ended_cores", "kernel_share", "starts",
)  # fmt: skip


CLOCKS_APART_S = 5.0  # hosts' clocks may disagree by so much before samples that end early are called cut


@dataclass(frozen=True)
class Target:
    """The target in one window; None where it was not recorded.

    CPU and queue are means and medians over the window's seconds, counts of things are the most seen.
    """

    cpu_cores: float | None = None
    """Mean CPU of the server's whole process tree."""
    cores: float | None = None
    ended_cores: float | None = None
    """The part of it that children spent which have ended since."""
    kernel_share: float | None = None
    """Share of the kernel in the busy time of its cores."""
    busiest_thread_cores: float | None = None
    processes: float | None = None
    threads: float | None = None
    fds: float | None = None
    fd_limit: float | None = None
    pss_mb: float | None = None
    switches: float | None = None
    """Context switches a second of the processes that are there; None where most of the work is that of children who
    have ended and took theirs along."""
    accept_queue: float | None = None
    """Median of the connections that wait to be accepted."""
    accept_queue_max: float | None = None
    backlog: float | None = None
    starts: float | None = None
    """Processes and threads started on its machine in the window, by whomever."""
    kernel: Mapping[str, float] | None = None
    """Sums of the kernel's counters over the window."""


@dataclass(frozen=True)
class Generator:
    """The load hosts in one window, the worst of them; None where it was not recorded."""

    ports_share: float | None = None
    cpu_share: float | None = None
    """CPU of all workers of a host over the cores that they share."""


@dataclass(frozen=True)
class Samples:
    """All samples of a run in one frame, with the host's name beside each row."""

    frame: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["host", *TEXT, *NUMBERS]))
    gaps: tuple[str, ...] = ()
    run: str = ""
    """The directory that they are of, to name a gap by."""

    def window(self, start: float, end: float) -> pd.DataFrame:
        """Rows of which at least half the interval lies in the window (Unix time, s)."""
        middle = self.frame["time"] - self.frame["seconds"] / 2
        return self.frame[(middle >= start) & (middle <= end)]

    def unseen(self, workers: Collection[str]) -> tuple[str, ...]:
        """What nobody watched, in words: the server, or some of the run's workers."""
        seen = set(self.frame.loc[self.frame["role"] == "worker", "name"])
        lines = [] if (self.frame["role"] == "server").any() else [f"{self.run}: no samples of the server"]
        lines += [f"{self.run}: no samples of worker {name}" for name in workers if name not in seen]
        return tuple(lines)

    def ending_before(self, end: float) -> tuple[str, ...]:
        """Hosts, in words, whose samples stop before the last window does (Unix time, s)."""
        last = self.frame.groupby("host")["time"].max()
        return tuple(
            f"{self.run}/samples-{host}.csv: ends {end - time:.0f} s before the last window does"
            for host, time in last.items()
            if end - time > CLOCKS_APART_S
        )


def read_samples(directory: Path) -> Samples:
    """Read every samples-<host>.csv of a run; a cut last line is dropped and named."""
    frames: list[pd.DataFrame] = []
    gaps: list[str] = []
    for path in sorted(directory.glob("samples-*.csv")):
        text = path.read_text(encoding="utf-8", errors="replace")
        whole, _, cut = text.rpartition("\n")
        if cut:
            gaps.append(f"{directory.name}/{path.name}: the last line is cut, skipped")
        if not whole:
            continue
        try:
            frame = pd.read_csv(io.StringIO(whole), dtype=str, on_bad_lines="skip")
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
        columns[name] = pd.to_numeric(values, errors="coerce").astype(float)
    typed = pd.DataFrame(columns)
    typed.insert(0, "host", host)
    return typed


def target_of(rows: pd.DataFrame) -> Target | None:
    """The server and its host in a window's rows; None where nobody watched the server."""
    server = rows[rows["role"] == "server"]
    if server.empty:
        return None
    hosts = rows[(rows["role"] == "host") & rows["host"].isin(server["host"].unique())]
    kernel = {name: float(hosts[name].sum()) for name in KERNEL if hosts[name].notna().any()}
    return Target(
        cpu_cores=_known(server["cpu_cores"].mean()),
        cores=_known(server["cores"].max()),
        ended_cores=_known(server["ended_cores"].mean()),
        kernel_share=_known(server["kernel_share"].mean()),
        busiest_thread_cores=_known(server["busiest_thread_cores"].mean()),
        processes=_known(server["processes"].max()),
        threads=_known(server["threads"].max()),
        fds=_known(server["fds"].max()),
        fd_limit=_known(server["fd_limit"].max()),
        pss_mb=_known(server["pss_mb"].max()),
        switches=_switches(server),
        accept_queue=_known(server["accept_queue"].median()),
        accept_queue_max=_known(server["accept_queue"].max()),
        backlog=_known(server["backlog"].max()),
        starts=_known(hosts["starts"].sum(min_count=1)),
        kernel=kernel or None,
    )


def generator_of(rows: pd.DataFrame) -> Generator:
    """The load hosts in a window's rows: those that have workers on them."""
    workers = rows[rows["role"] == "worker"]
    hosts = rows[(rows["role"] == "host") & rows["host"].isin(workers["host"].unique())]
    ports = (hosts["ports_used"] / hosts["ports_limit"]).max() if len(hosts) else None
    each = (
        workers.groupby(["host", "name"])[["cpu_cores", "cores"]]
        .mean()
        .groupby("host")
        .agg({"cpu_cores": "sum", "cores": "max"})
    )
    share = (each["cpu_cores"] / each["cores"]).max() if len(each) else None
    return Generator(ports_share=_known(ports), cpu_share=_known(share))


def _switches(server: pd.DataFrame) -> float | None:
    counted = server[server["context_switches"].notna()]
    ended, whole = counted["ended_cores"].sum(), counted["cpu_cores"].sum()
    if counted["ended_cores"].isna().any() or ended > FEW_ENDED * whole:
        return None
    return _known(counted["context_switches"].sum() / counted["seconds"].sum()) if len(counted) else None


def _known(value: object) -> float | None:
    number = float("nan") if value is None else float(str(value))
    return None if math.isnan(number) else number
