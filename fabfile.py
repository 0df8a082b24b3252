"""The load study's tasks. `fab -l` lists them, `fab --help TASK` explains one. cluster/ runs, analysis/ reads."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fabric import task
from invoke.collection import Collection
from rich.console import Console
from rich.markdown import Markdown

from cluster.campaign import calibration, interrupts, preflight
from cluster.campaign import loop as recovery
from cluster.campaign import prepare as study
from cluster.campaign import run as campaign
from cluster.deploy import deployment
from cluster.lab import tasks as lab
from cluster.show import tables as show
from cluster.show.progress import Progress
from study.errors import RunError, StudyError, UsageError
from study.layout import CampaignFiles

INTERRUPTED, NO_VALID_STEP, WORSE = 130, 3, 4
INVENTORY = {"inventory": "inventory file (default: inventory.ini; STUDY_INVENTORY sets it too)"}
PLAN = {"plan": "plan file (default: campaigns/quick.toml; STUDY_PLAN sets it too)"}
CAMPAIGN = {"campaign": "the campaign's directory (default: results/latest)"}

console = Console(markup=False)
chosen = study.Chosen()


@contextmanager
def front_door(inventory: str | None = None, plan: str | None = None) -> Iterator[None]:
    """Turn what a person can mend into one message and an exit status; a bug keeps its traceback."""
    interrupts.listen()
    try:
        chosen.take(inventory, plan)
        yield
    except StudyError as error:
        print(f"fab: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except OSError as error:
        if error.filename is None:  # not about a file of the person's: a bug
            raise
        print(f"fab: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(StudyError.exit_status)
    except KeyboardInterrupt:
        print("fab: stopped; nothing is left running, and every finished run is kept", file=sys.stderr)
        sys.exit(INTERRUPTED)


@task(name="plan", help={**INVENTORY, **PLAN})
def show_plan(c: Any, inventory: str | None = None, plan: str | None = None) -> None:
    """Print what would run, in which order, and how long it takes."""
    with front_door(inventory, plan):
        show.show_plan(console, study.prepare(chosen))


@task(help={**INVENTORY, **PLAN})
def check(c: Any, inventory: str | None = None, plan: str | None = None) -> None:
    """Look at every host: what it can't do for this plan, and what to do about it. Changes nothing."""
    with front_door(inventory, plan):
        findings = study.survey(chosen).findings()
        show.show_findings(console, findings)
        preflight.stop_if_impossible(findings)


@task(help={**INVENTORY, **PLAN, "offline": "bring the Python packages from here, to hosts that reach no index"})
def deploy(c: Any, inventory: str | None = None, plan: str | None = None, offline: bool = False) -> None:
    """Bring code and Python environment to the hosts, as far as they lack it. This machine needs nothing."""
    with front_door(inventory, plan):
        asked = chosen.read_inventory()
        chosen.read_plan()  # a mistake in it is told before anything is copied
        console.print(f"deploy: {asked.source}", highlight=False)
        deployment.deploy(study.hosts_of(asked), offline, lambda line: console.print(f"  {line}", highlight=False))


@task(name="run-campaign", help={**INVENTORY, **PLAN, "fresh": "begin a new campaign, even where one is unfinished"})
def run_campaign(c: Any, inventory: str | None = None, plan: str | None = None, fresh: bool = False) -> None:
    """Run every model up the ladder of users, then make figures and summary. Goes on with an unfinished campaign."""
    with front_door(inventory, plan), study.alone():
        campaign.end_leftovers(study.hosts_of(chosen.read_inventory()))
        ready = study.prepare(chosen)
        preflight.stop_if_impossible(preflight.examine(ready.inventory, ready.plan, ready.facts))
        deployment.require(ready.hosts)
        progress = Progress(console)
        progress.say(f"on {ready.inventory.source}")
        files = campaign.open_campaign(ready, progress, fresh)
        try:
            with progress.shown():
                calibrated(ready, files.calibration, progress)
                failed = recovery.run_campaign(ready, files, progress, judged)
        finally:
            any_valid = bool(campaign.sealed_runs(files)) and summarise(files.directory)
        if failed:
            raise RunError(f"failed: {', '.join(failed)}; `fab run-campaign` tries them again")
        if not any_valid:
            sys.exit(NO_VALID_STEP)


@task(help={**INVENTORY, **PLAN})
def calibrate(c: Any, inventory: str | None = None, plan: str | None = None) -> None:
    """Find the rate that the load generator holds, against twice what the plan's largest step may ask for."""
    with front_door(inventory, plan), study.alone():
        campaign.end_leftovers(study.hosts_of(chosen.read_inventory()))
        ready = study.prepare(chosen)
        preflight.stop_if_impossible(preflight.examine(ready.inventory, ready.plan, ready.facts))
        deployment.require(ready.hosts)
        progress = Progress(console)
        with progress.shown(), tempfile.TemporaryDirectory(prefix="calibration-") as directory:
            calibrated(ready, CampaignFiles(Path(directory)), progress)


@task(help=CAMPAIGN)
def analyze(c: Any, campaign: str = "results/latest") -> None:
    """Make all figures and tables of a campaign again from its files."""
    with front_door():
        if not Path(campaign).is_dir():
            raise UsageError(f"{campaign}: no campaign is there; `make campaign` makes one, below results/")
        summarise(Path(campaign))


@task(
    help={
        "first": "a campaign's directory",
        "second": "another one: its figures over those of the first",
        "fail-on": "`worse`: exit status 4 where anything is worse",
        "out": "write the comparison to this file too, a table where its name ends in .csv, else Markdown",
    }
)
def compare(c: Any, first: str, second: str, fail_on: str = "", out: str = "") -> None:
    """Compare two campaigns: the ratio of each figure with its interval, and what differs between the two."""
    with front_door():
        if fail_on not in ("", "worse"):
            raise UsageError(f"--fail-on {fail_on}: only `worse` is known")
        import analysis

        found = analysis.compare(first, second)
        if out:
            found.write(Path(out))
        tell(found.text)
        if fail_on and found.worse:
            sys.exit(WORSE)


@task(help=INVENTORY)
def status(c: Any, inventory: str | None = None) -> None:
    """Show which processes of the study run, and where."""
    with front_door(inventory):
        show.show_processes(console, study.hosts_of(chosen.read_inventory()))


@task(help=INVENTORY)
def stop(c: Any, inventory: str | None = None) -> None:
    """End every process that the study started, on every host of the inventory."""
    with front_door(inventory):
        left = campaign.end_leftovers(study.hosts_of(chosen.read_inventory()))
        console.print("stopped: " + ", ".join(left) if left else "nothing of the study runs", highlight=False)


@task(help=INVENTORY)
def clean(c: Any, inventory: str | None = None) -> None:
    """End what runs, and remove all that the study keeps on the hosts. Results stay."""
    with front_door(inventory), study.alone():
        for removed in campaign.clean(study.hosts_of(chosen.read_inventory())):
            console.print(f"removed {removed}", highlight=False)


def calibrated(ready: campaign.Study, files: CampaignFiles, progress: Progress) -> None:
    """Calibrate, and say what the generator holds against what the plan needs."""
    import analysis

    need = calibration.need(ready.plan)
    if need is None:
        progress.say("no think time: nothing bounds what a step asks for, so the generator is not calibrated")
    elif calibration.calibrate(ready, files, progress) is not None:
        progress.say(analysis.capacity_sentence(analysis.capacity(files.directory), need, ready.load_cores()))


def judged(directory: Path, run: str) -> Sequence[campaign.Judged]:
    """A run's verdicts, one a step, for the campaign to show."""
    import analysis  # here: pandas takes a second, which `fab -l` needn't wait for

    return analysis.verdicts_of(directory, run)


def summarise(directory: Path) -> bool:
    """Figures, tables and the summary of what is on disk; returns whether any step is valid."""
    import analysis

    found = analysis.analyze(directory)
    tell(found.text)
    console.print(f"report: {found.campaign.files.report.resolve()}", highlight=False, soft_wrap=True)
    return found.any_valid


namespace = Collection.from_module(sys.modules[__name__])  # every task above
namespace.add_collection(Collection.from_module(lab, "lab"))


def tell(text: str) -> None:
    """Markdown as a terminal shows it, or as it is."""
    console.print(Markdown(text) if console.is_terminal else text, highlight=False, soft_wrap=True)
