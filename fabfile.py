"""The load study's tasks. `fab -l` lists them, `fab --help TASK` explains one. cluster/ runs, analysis/ reads."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fabric import task
from fabric.main import program
from invoke.collection import Collection

from cluster.campaign import interrupts
from cluster.lab import tasks as lab
from cluster.show.command_line import choices, leave, nobody_reads, parse_tasks
from study.errors import StudyError, UsageError, told
from study.exit_status import ExitStatus
from study.layout import campaign_directory, from_here, require_place, results_directory
from study.safe_text import printable

if TYPE_CHECKING:  # each task imports what it needs, so that `fab -l` is quick
    from cluster.campaign.observer import StepOutcome
    from cluster.show.session import Session

INVENTORY = {"inventory": "inventory file (default: inventory.ini; STUDY_INVENTORY sets it too)"}
PLAN = {"plan": "plan file (default: campaigns/quick.toml; STUDY_PLAN sets it too)"}
ALLOW = {"allow-host": "names, with commas, of hosts outside of the inventory that may be loaded (`url` in a plan)"}
JUNIT = {"junit": "write a JUnit file too, with a test case for each model and threshold"}
CAMPAIGN = {"campaign": "the campaign's directory (default: results/latest)"}


@contextmanager
def session(inventory: str | None = None, plan: str | None = None) -> Iterator[Session]:
    """The command line's session. An error that a person can mend ends fab with one message and an exit status."""
    interrupts.listen()
    try:
        opened = _session()
        opened.choose(inventory, plan)
        yield opened
    except StudyError as error:
        print(f"fab: {printable(str(error))}", file=sys.stderr)
        sys.exit(error.exit_status)
    except BrokenPipeError:
        nobody_reads()
    except OSError as error:
        if (text := told(error)) is None:
            raise
        print(f"fab: {printable(text)}", file=sys.stderr)
        sys.exit(ExitStatus.FAILED)
    except KeyboardInterrupt:
        print("fab: stopped; nothing is left running, and every finished run is kept", file=sys.stderr)
        sys.exit(ExitStatus.INTERRUPTED)


@cache
def _session() -> Session:
    from cluster.show.session import Session

    opened = Session()
    for inventory, plan in choices(_given):
        opened.choose(inventory, plan)
    return opened


@task(name="plan", help={**INVENTORY, **PLAN})
def show_plan(c: Any, inventory: str | None = None, plan: str | None = None) -> None:
    """Print what would run, in which order, and how long it takes."""
    with session(inventory, plan) as study:
        study.show_plan(capacity)


@task(help={**INVENTORY, **PLAN, **ALLOW})
def check(c: Any, inventory: str | None = None, plan: str | None = None, allow_host: str = "") -> None:
    """Check whether every host can do its part of this plan, and what to do where it can't. Changes nothing."""
    with session(inventory, plan) as study:
        study.allow(allow_host)
        study.check()


@task(help={**INVENTORY, **PLAN, "offline": "bring the Python packages from here, to hosts that reach no index"})
def deploy(c: Any, inventory: str | None = None, plan: str | None = None, offline: bool = False) -> None:
    """Bring code and Python environment to the hosts, as far as they lack it. This machine needs nothing."""
    with session(inventory, plan) as study:
        study.deploy(offline)


@task(
    name="run-campaign",
    help={
        **INVENTORY,
        **PLAN,
        **ALLOW,
        **JUNIT,
        "fresh": "begin a new campaign, even where one is unfinished",
        "page": "serve the live page on 127.0.0.1 meanwhile; --no-page serves none",
    },
)
def run_campaign(
    c: Any,
    inventory: str | None = None,
    plan: str | None = None,
    fresh: bool = False,
    allow_host: str = "",
    junit: str = "",
    page: bool = True,
) -> None:
    """Measure every model at every step, then make figures and summary. Goes on with an unfinished campaign."""
    with session(inventory, plan) as study:
        study.allow(allow_host)
        require_place(junit)
        if exit_status := study.run_campaign(fresh, page, judge, capacity, partial(summarise, junit=junit)):
            sys.exit(exit_status)


@task(iterable=["campaign"], help={"campaign": "a campaign's directory; may be given several times"})
def serve(c: Any, campaign: Sequence[str] | None = None) -> None:
    """Serve the live page of finished or running campaigns on 127.0.0.1, until Ctrl-C (default: results/latest)."""
    with session() as study:
        study.serve(campaign or (), judge)


@task(help={**INVENTORY, **PLAN})
def calibrate(c: Any, inventory: str | None = None, plan: str | None = None) -> None:
    """Measure the rate that the load generator sustains, and keep it for campaigns with these hosts and this client."""
    with session(inventory, plan) as study:
        study.calibrate(capacity)


@task(help={**CAMPAIGN, **JUNIT, "out": "another directory for them, where the campaign can't be written to"})
def analyze(c: Any, campaign: str = "results/latest", out: str = "", junit: str = "") -> None:
    """Make all figures and tables of a campaign again from its files."""
    with session():
        directory = campaign_directory(campaign)
        require_place(junit)
        _refuse_beside_campaign()
        status = summarise(directory, Path(out) if out else None, junit)
        if status in (ExitStatus.MISSED, ExitStatus.UNDETERMINED):
            sys.exit(status)


@task(
    help={
        "first": "a campaign's directory",
        "second": "another one: its figures over those of the first",
        "fail-on": "`worse`: exit status 4 where anything is worse than days of one version differ by",
        "out": "write the comparison to this file too, a table where its name ends in .csv, else Markdown",
    }
)
def compare(c: Any, first: str, second: str, fail_on: str = "", out: str = "") -> None:
    """Compare two campaigns: the ratio of each figure with its interval, and what differs between the two."""
    with session() as study:
        if fail_on not in ("", "worse"):
            raise UsageError(f"--fail-on {fail_on}: only `worse` is known")
        _refuse_beside_campaign()
        import analysis

        comparison = analysis.compare(first, second)
        if out:
            comparison.write(Path(out))
        study.print_markdown(comparison.text)
        if fail_on and comparison.unjudged:
            print(f"--fail-on {fail_on}: {comparison.unjudged}", file=sys.stderr)
        if fail_on and comparison.worse:
            sys.exit(ExitStatus.WORSE)


@task(
    help={
        **CAMPAIGN,
        "pack": "also make one .zip of report, tables, figures and raw files, with a list of their sums",
        "out": "name of the .zip (default: that of the campaign's directory, beside it)",
    }
)
def report(c: Any, campaign: str = "results/latest", pack: bool = False, out: str = "") -> None:
    """Make a campaign's report again; with --pack one .zip to send or to keep, for `fab verify`."""
    with session():
        directory = campaign_directory(campaign)
        if out and not pack:
            raise UsageError("--out names the .zip: it goes with --pack")
        require_place(out)
        _refuse_beside_campaign()
        import analysis

        if not pack:
            print(f"report: {analysis.analyze(directory).paths[-1].resolve()}")
            return
        from cluster.campaign.manifest import this_commit

        made = analysis.pack(directory, out or None, *this_commit())
        print("\n".join((*analysis.pack_lines(made.listed, made.left_out), f"pack: {made.path.resolve()}")))


@task(help={"file": "a .zip that `fab report --pack` made"})
def verify(c: Any, file: str) -> None:
    """Say whether a pack was changed, and whether its raw files give its tables, verdicts and sentences."""
    with session() as study:
        _refuse_beside_campaign()
        import analysis

        verified = analysis.verify(file)
        study.print_markdown(analysis.verification_text(verified))
        if status := verified.exit_status:
            sys.exit(status)


@task(help={"results": "a directory of campaigns (default: results)"})
def history(c: Any, results: str = "") -> None:
    """List the campaigns of each plan with their capacities and peaks, as a table and a figure over time."""
    with session() as study:
        _refuse_beside_campaign()
        import analysis

        study.print_markdown(analysis.history(from_here(results) if results else results_directory()).text)


def _refuse_beside_campaign() -> None:
    from cluster.campaign.prepare import refuse_beside_campaign

    refuse_beside_campaign()


@task(help=INVENTORY)
def status(c: Any, inventory: str | None = None) -> None:
    """Show which processes of the study run, and where."""
    with session(inventory) as study:
        study.show_processes()


@task(help=INVENTORY)
def stop(c: Any, inventory: str | None = None) -> None:
    """End every process that the study started, on every host of the inventory."""
    with session(inventory) as study:
        study.stop()


@task(help=INVENTORY)
def clean(c: Any, inventory: str | None = None) -> None:
    """End what runs, and remove all that the study keeps on the hosts. Results stay."""
    with session(inventory) as study:
        study.clean()


def judge(directory: Path, run: str) -> Sequence[StepOutcome]:
    """A run's verdicts, one for each step, from the analysis."""
    import analysis

    return analysis.verdicts_of(directory, run)


def capacity(calibration: Path, need: float, cores: int) -> str:
    """One sentence on the rate that the generator sustained, against the plan's need in requests per second."""
    import analysis

    return analysis.capacity_sentence(analysis.capacity(calibration), need, cores)


def summarise(directory: Path, out: Path | None = None, junit: str = "") -> ExitStatus:
    """Make figures, tables and summary of what is on disk, and print the summary; returns what they come to."""
    import analysis

    result = analysis.analyze(directory, out=out)
    if junit:
        result.write_junit(Path(junit))
    _session().print_markdown(result.text)
    print(f"report: {result.paths[-1].resolve()}", flush=True)
    return result.exit_status if result.any_valid else ExitStatus.NO_VALID_STEP


namespace = Collection.from_module(sys.modules[__name__])
namespace.add_collection(Collection.from_module(lab, "lab"))
try:
    _given = parse_tasks(program, namespace)
except UsageError as error:
    leave(error)
