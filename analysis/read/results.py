"""A campaign's directory as values: its plan, its runs as far as they are on disk, and tidy frames of both.

    from analysis import load
    campaign = load(Path("results/quick"))
    campaign.phases()[["model", "step", "phase", "worker", "attempts"]]

A run's files are read when a method asks for them, one run at a time, so that a large campaign needs little memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.read.background_rows import BackgroundClients, read_background
from analysis.read.histograms import Histogram, merge
from analysis.read.ledger import Ledger, Record, read_ledger
from analysis.read.samples import Samples, read_samples
from study.errors import FormatError, PlanError
from study.formats.bounded import parse_json, read_bounded
from study.formats.json_files import check_format
from study.formats.manifest_json import Manifest
from study.formats.run_json import LostHost, RunState, ServerCounts
from study.layout import CampaignFiles, RunFiles
from study.plan import Plan, Run, load_plan
from study.reading import Stored, parse_as

Key = tuple[int, str, int]
"""Block, label and step."""


@dataclass(frozen=True)
class RunData:
    """One run that the plan asks for, whether it is on disk or not."""

    run: Run
    files: RunFiles
    state: str
    """`done`, `failed`, `skipped` (its server isn't installed), or `absent`: there is no run.json that can be read."""
    reason: str = ""
    server: ServerCounts | None = None
    """The server's own counts at its end, where it could print them."""
    probes: int = 0
    """Requests that the campaign itself sent to the server."""
    gaps: tuple[str, ...] = ()
    lost: LostHost | None = None
    slots: int | None = None
    """How many requests its server serves at once, as the server itself says."""

    def ledger(self) -> Ledger:
        """What the workers counted. Raises FormatError for a ledger of another version."""
        return read_ledger(self.files.ledger)

    def samples(self) -> Samples:
        """What the samplers measured on all hosts."""
        return read_samples(self.files.directory)

    def background(self) -> BackgroundClients:
        """What became of the background clients."""
        return read_background(self.files.background)


@dataclass(frozen=True)
class Campaign:
    """What was asked and what is on disk. `gaps` names what is missing or could not be read."""

    files: CampaignFiles
    plan: Plan
    manifest: Manifest | None
    runs: tuple[RunData, ...]
    gaps: tuple[str, ...] = field(default=())

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the runs: models in the plan's order, the A/A control after them."""
        control = [run.label for run in self.plan.runs() if run.label not in self.plan.models]
        return (*self.plan.models, *dict.fromkeys(control))

    def phases(self) -> pd.DataFrame:
        """One row for each run, step, phase and worker, as the ledger has them, without histograms and ticks."""
        return self._rows(_phase_row)

    def ticks(self) -> pd.DataFrame:
        """One row for each run, step, phase, worker and tick; figures counted from the phase's beginning."""
        return self._frame(
            {**_of_run(data), **_of_record(record), **dict(zip(vars(record.ticks), row, strict=True))}
            for data, record in self._records()
            for row in zip(*vars(record.ticks).values(), strict=True)
        )

    def samples(self) -> pd.DataFrame:
        """The rows of every samples-<host>.csv, with `block` and `model`: about one a second, host and process."""
        frames = [data.samples().frame.assign(block=data.run.block, model=data.run.label) for data in self._present()]
        return pd.concat(frames, ignore_index=True) if frames else Samples().frame

    def histograms(self, key: str = "response_us", phase: str = "measure") -> dict[Key, Histogram]:
        """One histogram for each block, label and step, all workers added. Raises FormatError for a damaged one."""
        parts: dict[Key, list[Histogram]] = {}
        for data, record in self._records():
            if record.phase == phase:
                parts.setdefault((data.run.block, data.run.label, record.step), []).append(record.histogram(key))
        return {where: merge(each) for where, each in parts.items()}

    def _present(self) -> Iterable[RunData]:
        return (data for data in self.runs if data.state not in ("absent", "skipped"))

    def _records(self) -> Iterable[tuple[RunData, Record]]:
        return ((data, record) for data in self._present() for record in data.ledger().records)

    def _rows(self, row: Callable[[Record], dict[str, Any]]) -> pd.DataFrame:
        return self._frame({**_of_run(data), **row(record)} for data, record in self._records())

    @staticmethod
    def _frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
        return pd.DataFrame.from_records(list(rows))


MOST_PLAN = 10**6


def load(directory: Path | str) -> Campaign:
    """Read a campaign's directory, wherever it was copied to and however far it came.

    Raises FormatError where it is no campaign, or one of a version that this program doesn't read.
    """
    files = CampaignFiles(Path(directory))
    if not files.plan.is_file():
        raise FormatError(f"{directory}: not a campaign: it holds no plan.toml (campaigns are below results/)")
    try:
        read_bounded(files.plan, MOST_PLAN)
        plan = load_plan(files.plan).plan
    except OSError as error:
        raise FormatError(f"{files.plan}: can't be read: {error.strerror}") from None
    except PlanError as error:
        raise FormatError(f"{directory}: not a campaign that can be read: {error}") from None
    gaps: list[str] = []
    manifest: Manifest | None = None
    if not os.path.lexists(files.manifest):
        gaps.append("manifest.json is missing: where it ran isn't known")
    elif (manifest := _read(Manifest, files.manifest)) is None:
        gaps.append("manifest.json is damaged: where it ran isn't known")
    runs = tuple(read_run(files, run) for run in plan.runs())
    gaps += [gap for run in runs for gap in run.gaps]
    return Campaign(files, plan, manifest, runs, tuple(gaps))


def read_run(files: CampaignFiles, run: Run) -> RunData:
    """One run's state; a damaged run.json makes it absent and is named. Raises FormatError for another version."""
    run_files = files.run(run.directory)
    if run_files.directory.is_symlink():
        gap = f"{run.directory}: a link, not followed"
        return RunData(run, run_files, "absent", "a link, not followed", gaps=(gap,))
    if not os.path.lexists(run_files.state):
        return RunData(run, run_files, "absent", "no such run on disk")
    state = _read(RunState, run_files.state)
    if state is None:
        return RunData(run, run_files, "absent", "run.json is damaged", gaps=(f"{run.directory}/run.json: damaged",))
    return RunData(
        run,
        run_files,
        state.state,
        state.reason,
        state.server,
        state.probes,
        tuple(_notes(run, state)),
        state.lost,
        state.slots,
    )


def _notes(run: Run, state: RunState) -> Iterator[str]:
    """What distinguishes the run from the others of its block."""
    if state.without:
        yield f"{run.directory}: carried by {', '.join(state.load)} alone, without {', '.join(state.without)}"
    if state.rebooted:
        hosts = ", ".join(state.rebooted)
        yield f"{run.directory}: {hosts} was started anew since an earlier run of block {run.block}"


def _read(kind: type[Stored], path: Path) -> Stored | None:
    """A JSON file; None for a cut file or a wrong value. Raises FormatError for another program's or version's file."""
    try:
        value = parse_json(read_bounded(path))
    except (OSError, ValueError):
        return None
    check_format(value, path)
    try:
        return parse_as(kind, value, path)
    except FormatError:
        return None


def _of_run(data: RunData) -> dict[str, Any]:
    return {"block": data.run.block, "model": data.run.label}


def _of_record(record: Record) -> dict[str, Any]:
    return {
        "step": record.step,
        "kind": record.kind,
        "users": record.users,
        "phase": record.phase,
        "worker": record.worker,
    }


def _phase_row(record: Record) -> dict[str, Any]:
    left_out = ("record", "ticks", "failures")
    row = {name: value for name, value in vars(record).items() if name not in left_out and not name.endswith("_us")}
    return {**row, "failures": record.attempts - record.successes}
