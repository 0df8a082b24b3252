"""The tasks of one command line: what fabfile.py's tasks do, with one console and one choice of inventory and plan."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from cluster.campaign import cleanup, preflight
from cluster.campaign.calibration import calibrate
from cluster.campaign.loop import run_campaign
from cluster.campaign.observer import DescribeCapacity, Judge, Observer
from cluster.campaign.own.elsewhere import RunningServers, look_for_servers
from cluster.campaign.own.surroundings import bring_surroundings
from cluster.campaign.prepare import Choice, Setup, examined, exclusive, held, hosts_of, make_setup, survey
from cluster.campaign.resume import open_campaign, sealed_runs
from cluster.deploy import deployment, packages
from cluster.deploy.locustfiles import own_files
from cluster.hosts.host import Host
from cluster.hosts.inventory import Inventory
from cluster.show import tables
from cluster.show.progress import Progress
from study.errors import RunError
from study.exit_status import ExitStatus
from study.layout import CampaignFiles, from_here
from study.plan import PlanFile
from study.safe_text import printable

JUDGE_EVERY_S = 5.0  # between two looks for runs that have ended


class Session:
    """One command line. Every method raises StudyError where a person can mend what went wrong."""

    def __init__(self) -> None:
        self._console = Console(markup=False)
        self._choice = Choice()

    def choose(self, inventory: str | None, plan: str | None) -> None:
        """Options of the next task; they hold for the tasks after it as well."""
        self._choice.take(inventory, plan)

    def allow(self, hosts: str) -> None:
        """Names of hosts, with commas, that may be loaded although they aren't in the inventory."""
        self._choice.allowed += tuple(filter(None, hosts.split(",")))

    def show_plan(self, capacity: DescribeCapacity) -> None:
        """Print what would run; `capacity` describes a calibration that is kept."""
        tables.show_plan(self._console, make_setup(self._choice), capacity)

    def check(self) -> None:
        """Print the preflight's checks. Raises StudyError where one of them makes the plan impossible."""
        known = survey(self._choice)
        checks = [*known.checks(), *known.program_checks(), *known.way_checks()]
        tables.show_checks(self._console, checks)
        preflight.stop_if_impossible(checks)
        examined(known.asked, known.inventory, known.hosts[-1])
        self._look_for_servers(known.asked, known.inventory, known.hosts[1:-1])

    def deploy(self, offline: bool) -> None:
        """Bring code and environment to the hosts; mistakes in inventory and plan are reported first."""
        inventory = self._choice.read_inventory()
        asked = self._choice.read_plan()
        own = own_files(asked)
        self._print(f"deploy: {inventory.source}")
        hosts = hosts_of(inventory)

        def report(line: str) -> None:
            self._print(f"  {line}")

        deployment.deploy(hosts, offline, report)
        if own is not None and own.requirements is not None:
            packages.install(hosts[1:], own.requirements, offline, report)
        bring_surroundings(asked.plan, asked.directory, hosts[0], report)

    def run_campaign(
        self,
        fresh: bool,
        page: bool,
        judge: Judge,
        capacity: DescribeCapacity,
        summarise: Callable[[Path], ExitStatus],
    ) -> ExitStatus:
        """Run the campaign's missing runs, then summarise all of it, also after Ctrl-C or a failed run.

        `summarise` writes figures and tables, and returns what they come to. With `page` the live page shows the
        campaign; it may outlast the hold of the hosts.
        """
        with ExitStack() as outlasting, exclusive(), held(self._hosts()):
            setup = self._ready()
            asked = PlanFile(setup.plan, setup.plan_text, files=setup.files)
            setup = replace(setup, running=self._look_for_servers(asked, setup.inventory, setup.load))
            progress = Progress(self._console)
            progress.message(f"on {setup.inventory.source}")
            files = open_campaign(setup, progress, fresh)
            observer: Observer = progress
            if page:
                from cluster.show.page.live_page import campaign_page  # it takes long to import, as below

                shown = campaign_page(files, progress, judge, self._console.is_terminal)
                observer = outlasting.enter_context(shown)
            try:
                with progress.displayed():
                    failed = run_campaign(setup, files, observer, judge, capacity)
            finally:
                status = summarise(files.directory) if sealed_runs(files) else ExitStatus.NO_VALID_STEP
        if failed:
            raise RunError(f"failed: {', '.join(failed)}; `fab run-campaign` tries them again")
        return status

    def serve(self, campaigns: Sequence[str], judge: Judge) -> None:
        """Serve the live page of these campaigns, finished or running, until Ctrl-C.

        Verdicts come as the runs are judged: all of them at the beginning, but none while a campaign is measured on
        this machine, which the judgement would disturb.
        """
        from cluster.show.page.live_page import LivePage, judge_sealed, named

        watched = named([from_here(campaign) for campaign in campaigns or ("results/latest",)])
        with LivePage(watched) as page:
            for each in watched.values():
                self._print(f"live page of {each.name}: {page.address}campaign/{each.name}/")
            while True:
                judge_sealed(watched.values(), judge)
                time.sleep(JUDGE_EVERY_S)

    def calibrate(self, capacity: DescribeCapacity) -> None:
        """Calibrate the load generator for the plan's client and connection mode, and keep the result for campaigns."""
        with exclusive(), held(self._hosts()), tempfile.TemporaryDirectory(prefix="calibration-") as directory:
            setup = self._ready()
            progress = Progress(self._console)
            with progress.displayed():
                calibrate(setup, CampaignFiles(Path(directory)), progress, capacity, anew=True)

    def show_processes(self) -> None:
        """Print which processes of the study run, and where."""
        tables.show_processes(self._console, self._hosts())

    def stop(self) -> None:
        """End every process of the study."""
        names = cleanup.end_leftovers(self._hosts())
        self._print("stopped: " + ", ".join(names) if names else "nothing of the study runs")

    def clean(self) -> None:
        """End every process and remove what the study keeps on the hosts."""
        with exclusive():
            removed = cleanup.clean(self._hosts())
            for each in removed or ("nothing, since the hosts keep nothing of the study",):
                self._print(f"removed {each}")

    def print_markdown(self, text: str) -> None:
        """Print Markdown: rendered on a terminal, elsewhere as it is. A CI job of GitHub's gets it as its summary."""
        from rich.markdown import Markdown  # it takes long to import, and most tasks print none

        shown = printable(text)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(summary).open("a", encoding="utf-8", errors="replace") as stream:
                stream.write(f"{shown}\n")
        self._console.print(Markdown(shown) if self._console.is_terminal else shown, highlight=False, soft_wrap=True)

    def _hosts(self) -> tuple[Host, ...]:
        return hosts_of(self._choice.read_inventory())

    def _ready(self) -> Setup:
        """The setup, once nothing of an earlier campaign runs and every host can do its part."""
        cleanup.end_leftovers(self._hosts())
        setup = make_setup(self._choice)
        preflight.stop_if_impossible(preflight.examine(setup.inventory, setup.plan, setup.facts))
        deployment.require(setup.hosts)
        if setup.own is not None and setup.own.requirements is not None:
            packages.require((*setup.load, setup.control), setup.own.requirements_digest)
        bring_surroundings(setup.plan, setup.plan_directory, setup.target, self._print)
        return setup

    def _look_for_servers(self, asked: PlanFile, inventory: Inventory, load: Sequence[Host]) -> RunningServers:
        """Find the plan's servers that run already."""
        return look_for_servers(asked.plan, inventory, load, asked.files, self._choice.allowed, self._print)

    def _print(self, line: str) -> None:
        self._console.print(printable(line), highlight=False)
