"""A results directory, read: what was asked, what is on disk, and tidy frames of all of it.

    from analysis import load
    campaign = load(Path("results/quick"))
    campaign.phases()[["model", "step", "phase", "worker", "attempts"]]

Runs are read one at a time and only when asked for, so that a large campaign needs little memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.read.background import Bystanders, read_bystanders
from analysis.read.histograms import Histogram, merge
from analysis.read.ledger import Ledger, Record, read_ledger
from analysis.read.samples import Samples, read_samples
from study.errors import FormatError, PlanError
from study.layout import CampaignFiles, RunFiles, read_json
from study.plan import Plan, Run, load_plan

Key = tuple[int, str, int]
"""Block, label and step."""


@dataclass(frozen=True)
class RunData:
    """One run that the plan asks for, whether it is on disk or not."""

    run: Run
    files: RunFiles
    state: str
    """`done`, `failed`, `skipped` (its server isn't installed), or `absent`: no run.json, so that it never happened."""
    reason: str = ""
    server: Mapping[str, Any] | None = None
    """The server's own counts at its end."""
    probes: int = 0
    """Requests that the campaign itself sent to the server."""
    gaps: tuple[str, ...] = ()
    lost: tuple[str, int | None] | None = None
    """The host that was lost, and the step that it was lost in."""

    def ledger(self) -> Ledger:
        return read_ledger(self.files.ledger)

    def samples(self) -> Samples:
        return read_samples(self.files.directory)

    def bystanders(self) -> Bystanders:
        return read_bystanders(self.files.bystanders)


@dataclass(frozen=True)
class Campaign:
    """What was asked and what is there. `gaps` names what is missing or could not be read."""

    files: CampaignFiles
    plan: Plan
    manifest: Mapping[str, Any] | None
    runs: tuple[RunData, ...]
    gaps: tuple[str, ...] = field(default=())

    @property
    def labels(self) -> tuple[str, ...]:
        """Models in the plan's order, the A/A control after them: what a colour and a row belong to."""
        control = [run.label for run in self.plan.runs() if run.label not in self.plan.models]
        return (*self.plan.models, *dict.fromkeys(control))

    def phases(self) -> pd.DataFrame:
        """One row for each run, step, phase and worker, as the ledger has them, without histograms and ticks."""
        return self._rows(_phase_row)

    def ticks(self) -> pd.DataFrame:
        """One row for each run, step, phase, worker and tick; counted from the phase's start."""
        return self._frame(
            {**_of_run(data), **_of_record(record), **dict(zip(vars(record.ticks), row, strict=True))}
            for data, record in self._records()
            for row in zip(*vars(record.ticks).values(), strict=True)
        )

    def samples(self) -> pd.DataFrame:
        """What the hosts saw, once a second."""
        frames = [data.samples().frame.assign(block=data.run.block, model=data.run.label) for data in self._present()]
        return pd.concat(frames, ignore_index=True) if frames else Samples().frame

    def histograms(self, key: str = "response_us", phase: str = "measure") -> dict[Key, Histogram]:
        """One histogram for each block, label and step, all workers added. Raises FormatError for a damaged one."""
        parts: dict[Key, list[Histogram]] = {}
        for data, record in self._records():
            if record.phase == phase:
                parts.setdefault((data.run.block, data.run.label, record.step), []).append(record.histogram(key))
        return {where: merge(found) for where, found in parts.items()}

    def _present(self) -> Iterable[RunData]:
        return (data for data in self.runs if data.state not in ("absent", "skipped"))

    def _records(self) -> Iterable[tuple[RunData, Record]]:
        return ((data, record) for data in self._present() for record in data.ledger().records)

    def _rows(self, row: Callable[[Record], dict[str, Any]]) -> pd.DataFrame:
        return self._frame({**_of_run(data), **row(record)} for data, record in self._records())

    @staticmethod
    def _frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
        return pd.DataFrame.from_records(list(rows))


def load(directory: Path | str) -> Campaign:
    """Read a campaign's directory, wherever it was copied to and however far it came.

    Raises FormatError where it is no campaign, or one of a version that this program doesn't read.
    """
    files = CampaignFiles(Path(directory))
    if not files.plan.is_file():
        raise FormatError(f"{directory}: not a campaign: it holds no plan.toml (campaigns are below results/)")
    try:
        plan = load_plan(files.plan).plan
    except PlanError as error:
        raise FormatError(f"{directory}: not a campaign that can be read: {error}") from None
    gaps: list[str] = []
    manifest: Mapping[str, Any] | None = None
    if not files.manifest.is_file():
        gaps.append("manifest.json is missing: where it ran isn't known")
    elif not _is_json(files.manifest):
        gaps.append("manifest.json is damaged: where it ran isn't known")
    else:
        manifest = read_json(files.manifest)
    runs = tuple(read_run(files, run) for run in plan.runs())
    gaps += [gap for run in runs for gap in run.gaps]
    return Campaign(files, plan, manifest, runs, tuple(gaps))


def read_run(files: CampaignFiles, run: Run) -> RunData:
    """One run's state; a damaged run.json makes it absent and is named. Raises FormatError for another version."""
    run_files = files.run(run.directory)
    if not run_files.state.is_file():
        return RunData(run, run_files, "absent", "no such run on disk")
    if not _is_json(run_files.state):
        return RunData(run, run_files, "absent", "run.json is damaged", gaps=(f"{run.directory}/run.json: damaged",))
    state = read_json(run_files.state)
    server = state.get("server")
    lost = state.get("lost")
    return RunData(
        run,
        run_files,
        str(state.get("state", "failed")),
        str(state.get("reason") or ""),
        server if isinstance(server, dict) else None,
        int(state.get("probes") or 0),
        tuple(_notes(run, state)),
        (str(lost["host"]), lost["step"]) if isinstance(lost, dict) else None,
    )


def _notes(run: Run, state: Mapping[str, Any]) -> Iterator[str]:
    """What makes the run unlike the others of its block."""
    if without := state.get("without"):
        yield f"{run.directory}: carried by {', '.join(state['load'])} alone, without {', '.join(without)}"
    if rebooted := state.get("rebooted"):
        yield f"{run.directory}: {', '.join(rebooted)} was started anew since an earlier run of block {run.block}"


def _is_json(path: Path) -> bool:
    """Whether a file is whole: what was cut is no JSON, and is a gap; another version's is refused."""
    try:
        json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return True


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
    left_out = ("ticks", "failures")
    row = {name: value for name, value in vars(record).items() if name not in left_out and not name.endswith("_us")}
    return {**row, "failures": record.attempts - record.successes}
