"""The missing runs of a campaign, one after the other, and how it goes on when a host is lost on the way.

A run in which a load host was lost is tried again once, with the load hosts that answer. A target that is lost is
waited for. Before the next run, hosts that were lost are asked again.
"""

from __future__ import annotations

import time

from cluster.campaign import preflight
from cluster.campaign.run import Judge, Show, Study, end_what_runs, execute, missing_runs
from cluster.hosts.host import Host, tried
from study.errors import StudyError, UnreachableError
from study.formats.run_json import RunState
from study.layout import CampaignFiles
from study.plan import Run
from study.reading import read_as

TARGET_S = 120.0  # for which a target is waited: a machine starts in less
ASK_S = 3.0
SAY_S = 30.0
GO_ON = "then `fab run-campaign` goes on with what is missing"


def run_campaign(study: Study, files: CampaignFiles, show: Show, judge: Judge) -> list[str]:
    """Do every run that is missing. Returns the names of those that failed; goes on after a failed one.

    Raises StudyError where the hosts that are left don't suffice.
    """
    runs = missing_runs(study.plan, files)
    failed = []
    left = study

    def attempt(run: Run, number: int) -> str:
        show.began(study.plan, run, number, len(runs))
        state = execute(left, files, run, show)
        show.ended(run, state, judge(files.directory, run.directory))
        return state

    for number, run in enumerate(runs, start=1):
        if left.without:
            left = hosts_left(study, show)
        if (state := attempt(run, number)) == "failed":
            before, left = left, hosts_left(study, show)
            lost = read_as(RunState, files.run(run.directory).state).lost  # it may be back by now
            if lost or any(host not in left.load for host in before.load):
                names = ", ".join(host.entry.name for host in left.load)
                show.say(f"block {run.block}, {run.label} is tried again, with the load of {names}")
                state = attempt(run, number)
                left = hosts_left(study, show) if state == "failed" else left
        if state == "failed":
            failed.append(run.directory)
    return failed


def hosts_left(study: Study, show: Show) -> Study:
    """The study with those of its load hosts that answer; ends what still runs there. The target is waited for.

    Raises StudyError where they can't carry the plan, or the target doesn't come back.
    """
    silent = _silent(study.hosts)
    if study.target.entry.name in silent:
        _await(study.target, show)
    load = tuple(host for host in study.load if host.entry.name not in silent)
    if len(load) == len(study.load):
        return study
    left = study.on(load)
    lost = ", ".join(left.without)
    if not load:
        raise StudyError(f"no load host answers any more: bring {lost} back, {GO_ON}")
    try:
        preflight.stop_if_impossible(preflight.examine(left.inventory, left.plan, left.facts))
    except StudyError as error:
        raise StudyError(f"without {lost}, {error}\nbring {lost} back, {GO_ON}") from None
    show.say(f"{lost} can't be reached: on with {', '.join(host.entry.name for host in load)}")
    return left


def _silent(hosts: tuple[Host, ...]) -> set[str]:
    """Those that can't be reached."""
    return {name for name, came in tried(hosts, end_what_runs).items() if isinstance(came, UnreachableError)}


def _await(target: Host, show: Show) -> None:
    """Until the target answers again. Raises StudyError where it doesn't within TARGET_S."""
    name, began = target.entry.name, time.monotonic()
    said = -SAY_S
    while (waited := time.monotonic() - began) < TARGET_S:
        if not _silent((target,)):
            show.say(f"{name} answers again")
            return
        if waited - said >= SAY_S:
            show.say(f"{name} can't be reached: it is waited for, {TARGET_S - waited:.0f} s more")
            said = waited
        time.sleep(ASK_S)
    raise StudyError(f"{name} can't be reached since {TARGET_S:.0f} s: bring it back, {GO_ON}")
