"""One run as its files have it at this moment: state, counts of its steps, its seconds, samples of the hosts."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.hosts.host import STATE
from cluster.show.page.growing_file import GrowingFile, GrowingTable, number
from study.errors import FormatError
from study.formats.ledger_jsonl import LedgerHeader, LostRecord, PhaseRecord, SearchRecord, TrialRecord
from study.formats.live_json import LiveFigures
from study.formats.run_json import RunState
from study.layout import RunFiles
from study.plan import Run
from study.reading import parse_as, read_as

ABORTED = "aborted"  # the kind of failure of a request whose user the ladder ended
MEASURE = "measure"
STALE_S = 10.0  # since the last live.json, which is written once a second
SERIES = ("time", "running", "rps", "requests", "failures", "p50_ms", "p99_ms", "lag_p99_ms", "worker_cpu")
"""Columns of seconds.csv that the page draws."""
SAMPLED = ("time", "cpu_cores")


@dataclass
class StepCounts:
    """A step's measure window by the ledger, as far as the workers' records have come."""

    kind: str
    users: int
    requests: int = 0
    failures: int = 0
    rate: float = 0.0
    """Requests per second, failures included."""
    workers: set[str] = field(default_factory=set)
    """Those whose record has come, or is lost."""

    def add(self, record: PhaseRecord) -> None:
        """Add one worker's record."""
        aborted = record.failures.get(ABORTED, 0)
        self.requests += record.attempts - aborted
        self.failures += record.attempts - record.successes - aborted
        self.rate += (record.attempts - aborted) / record.seconds if record.seconds > 0 else 0.0
        self.workers.add(record.worker)


@dataclass
class CpuSeries:
    """CPU of one process, process tree or host, second by second."""

    host: str
    role: str
    name: str
    cores: float | None = None
    columns: dict[str, list[float | None]] = field(default_factory=lambda: {name: [] for name in SAMPLED})


class WatchedRun:
    """`refresh` reads on; everything else is what was read."""

    def __init__(self, files: RunFiles, run: Run) -> None:
        self.files, self.run = files, run
        self.state: RunState | None = None
        self.live: LiveFigures | None = None
        self.steps: dict[int, StepCounts] = {}
        self.trials: list[TrialRecord] = []
        self.search: SearchRecord | None = None
        self.seconds: dict[str, list[float | None]] = {name: [] for name in SERIES}
        self.places: list[tuple[int | None, str]] = []
        """Step and phase of each row of `seconds`."""
        self.begun = 0
        """How often its reading was begun: once more where the run is."""
        self._told = ""
        self._sealed_at: int | None = None
        self._ledger = GrowingFile(files.ledger)
        self.samples: dict[tuple[str, str, str], CpuSeries] = {}
        self._restart()

    @property
    def name(self) -> str:
        return self.run.directory

    @property
    def is_live(self) -> bool:
        """Whether its master writes running figures."""
        return self.state is None and self.live is not None and time.time() - self.live.time < STALE_S

    @property
    def status(self) -> str:
        """done, failed, skipped, running, unfinished or waiting."""
        if self.state is not None:
            return self.state.state
        return "running" if self.is_live else "unfinished" if self.live is not None else "waiting"

    def refresh(self) -> bool:
        """Read what is new; whether anything but the seconds has changed."""
        sealed_at = _modified(self.files.state)
        if sealed_at is not None and sealed_at == self._sealed_at:
            return False
        if sealed_at is None and self.live is None and not self.files.directory.is_dir():
            return False
        again = self._ledger.is_another()  # the run was begun again
        if again:
            self._restart()
        self._sealed_at = sealed_at
        self.state = None if sealed_at is None else _read(RunState, self.files.state)
        if self.state is None:
            self.live = _read(LiveFigures, self.files.live) or self.live
        before, self._told = self._told, self.status
        return self._read_ledger() or again or self._told != before

    def read_seconds(self) -> None:
        """Read on in seconds.csv and in the hosts' samples."""
        for row in self._seconds_file.new_rows():
            for name, column in self.seconds.items():
                column.append(number(row.get(name, "")))
            step = number(row.get("step", ""))
            self.places.append((None if step is None else int(step), row.get("phase", "")))
        for host, file in self._sample_files().items():
            for row in file.new_rows():
                key = (host, row.get("role", ""), row.get("name", ""))
                samples = self.samples.setdefault(key, CpuSeries(*key))
                samples.cores = number(row.get("cores", ""))
                for name, column in samples.columns.items():
                    column.append(number(row.get(name, "")))

    def times(self, step: int, phase: str) -> list[float]:
        """When the seconds of a step's phase were written."""
        rows = zip(self.seconds["time"], self.places, strict=True)
        return [at for at, place in rows if place == (step, phase) and at is not None]

    def logs(self) -> list[Path]:
        """Its logs that aren't empty: on a host of this machine while it runs, in its directory afterwards."""
        home = sorted(path for path in self.files.logs.glob("*.log") if path.is_file())
        return [path for path in home or sorted(self._scratch("*.log")) if path.stat().st_size]

    def _restart(self) -> None:
        self.begun += 1
        self._sealed_at = None
        self._workers: tuple[str, ...] = ()
        self.state = self.live = self.search = None
        self.steps, self.trials, self.samples, self.places = {}, [], {}, []
        self.seconds = {name: [] for name in SERIES}
        self._ledger = GrowingFile(self.files.ledger)
        self._seconds_file = GrowingTable(self.files.seconds)
        self._tables: dict[str, GrowingTable] = {}
        self._looked = 0.0

    def _read_ledger(self) -> bool:
        """Take the new lines; whether any of them is about a measure window or a search."""
        taken = False
        for line in self._ledger.new_lines():
            try:
                taken |= self._take(json.loads(line))
            except (ValueError, FormatError, RecursionError):
                continue  # the analysis names what is damaged
        return taken

    def _take(self, value: Any) -> bool:
        source = self.files.ledger
        kind = value.get("record") if isinstance(value, dict) else None
        if kind == "header":
            self._workers = parse_as(LedgerHeader, value, source).workers
        elif kind == "phase" and value.get("phase") == MEASURE:
            record = parse_as(PhaseRecord, value, source)
            self.steps.setdefault(record.step, StepCounts(record.kind, record.users)).add(record)
            return True
        elif kind == "lost" and value.get("phase") == MEASURE:
            lost = parse_as(LostRecord, value, source)
            if lost.step in self.steps:
                self.steps[lost.step].workers.add(lost.worker)
            return True
        elif kind == "trial":
            self.trials.append(parse_as(TrialRecord, value, source))
            return True
        elif kind == "search":
            self.search = parse_as(SearchRecord, value, source)
            return True
        return False

    def counted(self, step: int) -> bool:
        """Whether the records of all workers have come."""
        return self.steps[step].workers.issuperset(self._workers)

    def _sample_files(self) -> dict[str, GrowingTable]:
        """By host: on a host of this machine while the run goes on, in the run's own directory afterwards."""
        if self.state is not None or time.monotonic() - self._looked > STALE_S / 5:
            self._looked = time.monotonic()
            pattern = self.files.samples("*").name
            for path in (*self._scratch(pattern), *self.files.directory.glob(pattern)):
                host = path.name.removeprefix(pattern.partition("*")[0]).removesuffix(".csv")
                self._tables.setdefault(host, GrowingTable(path)).path = path
        return self._tables

    def _scratch(self, pattern: str) -> list[Path]:
        campaign = self.files.directory.parents[1].name
        return list(STATE.glob(f"*/work/{campaign}/{self.name}/{pattern}"))


def _modified(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _read(kind: type[Any], path: Path) -> Any:
    try:
        return read_as(kind, path)
    except FormatError:
        return None
