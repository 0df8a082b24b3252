"""Which runs of a campaign are missing: those that its plan asks for, minus those on disk. No other state exists.

And how long the runs of a whole one took.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cluster.campaign import manifest
from cluster.campaign.observer import Observer
from cluster.campaign.own.brought import may_hold_tokens
from cluster.campaign.own.surroundings import digests
from cluster.campaign.prepare import Setup
from study.duration import JUDGE_S
from study.errors import FormatError
from study.formats.json_files import write_whole
from study.formats.manifest_json import Manifest, write_manifest
from study.formats.run_json import RunState
from study.layout import CampaignFiles, RunFiles, point_latest
from study.plan import Plan, Run
from study.reading import read_as


def open_campaign(setup: Setup, observer: Observer, fresh: bool) -> CampaignFiles:
    """The newest campaign of this plan, code and hosts if it is unfinished and not `fresh`, else a new one."""
    identity = manifest.identity(
        setup.plan_text,
        setup.inventory,
        setup.facts,
        setup.own.digest if setup.own is not None else "",
        {**setup.files, **digests(setup.plan, setup.plan_directory)},
    )
    newest = None if fresh else next(manifest.campaigns(setup.results, setup.plan.name), None)
    if newest is not None and missing_runs(setup.plan, CampaignFiles(newest)):
        changed = manifest.changed(read_as(Manifest, CampaignFiles(newest).manifest).identity, identity)
        if not changed:
            observer.message(f"going on with {newest.name}: what is finished there is kept")
            point_latest(newest)
            return CampaignFiles(newest)
        observer.message(f"{newest.name} is unfinished, but {changed} changed since: a new campaign begins")
    files = CampaignFiles(setup.results / directory_name(setup.plan))
    files.runs.mkdir(parents=True)
    write_whole(files.plan, setup.plan_text, private=may_hold_tokens(setup.plan))
    for name, content in setup.files.items():
        write_whole(files.brought / name, content, private=True)
    if setup.own is not None:
        setup.own.keep(files)
    write_manifest(files.manifest, manifest.describe(setup.plan, identity, setup.facts, setup.placement.load_cores()))
    point_latest(files.directory)
    return files


def directory_name(plan: Plan) -> str:
    """The plan's name and the local time: directories of one plan sort by time."""
    return f"{plan.name}-{datetime.now():%Y%m%d-%H%M%S}"


def missing_runs(plan: Plan, files: CampaignFiles) -> list[Run]:
    """The plan's runs that are neither done nor skipped, in the plan's order."""
    return [run for run in plan.runs() if state_of(files.run(run.directory)) not in ("done", "skipped")]


def sealed_runs(files: CampaignFiles) -> list[Path]:
    """Directories of the runs that are done, failed or skipped."""
    return [state.parent for state in files.runs.glob("*/run.json")]


@dataclass(frozen=True)
class EarlierRuns:
    """The runs of a whole campaign of the same plan on the same hosts."""

    campaign: str
    """The name of its directory."""
    seconds: float
    """How long its runs took together, with the judgement of each."""


def earlier_runs(setup: Setup) -> EarlierRuns | None:
    """Those of the newest campaign on disk with this plan and these hosts in which every run is done; None without."""
    known = manifest.identity(setup.plan_text, setup.inventory, setup.facts)
    asked = {what: digest for what, digest in known.items() if what == "the plan" or what.startswith("the host ")}
    for directory in manifest.campaigns(setup.results, setup.plan.name):
        files = CampaignFiles(directory)
        with contextlib.suppress(FormatError, ValueError):
            before = read_as(Manifest, files.manifest).identity
            runs = [read_as(RunState, files.run(run.directory).state) for run in setup.plan.runs()]
            if asked.items() <= before.items() and all(run.state == "done" for run in runs):
                return EarlierRuns(directory.name, sum(_seconds(run) + JUDGE_S for run in runs))
    return None


def _seconds(run: RunState) -> float:
    """How long it took. Raises ValueError where one of its times is missing."""
    return (datetime.fromisoformat(run.ended) - datetime.fromisoformat(run.started)).total_seconds()


def state_of(files: RunFiles) -> str:
    """done, failed, skipped, or absent."""
    return read_as(RunState, files.state).state if files.state.exists() else "absent"
