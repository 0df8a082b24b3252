"""The campaign's main loop: calibrate, then each missing run, each sealed and judged before the next one starts.

A run in which a load host was lost is tried again once, with the load hosts that still answer. A lost target is waited
for. Lost hosts are asked again before the next run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Sequence

from cluster.campaign import preflight
from cluster.campaign.calibration import calibrate
from cluster.campaign.cleanup import end_processes
from cluster.campaign.launch import MASTER, SERVER
from cluster.campaign.observer import DescribeCapacity, Judge, Observer
from cluster.campaign.prepare import Setup
from cluster.campaign.resume import missing_runs
from cluster.campaign.run import execute
from cluster.hosts.host import Host, try_all
from study.errors import StudyError, UnreachableError
from study.formats.run_json import RunState
from study.layout import CampaignFiles
from study.plan import Run
from study.reading import read_as

TARGET_S = 120.0  # how long a lost target is waited for: longer than a machine takes to boot
ASK_S = 3.0  # between two attempts to reach it
IN_USE = os.strerror(errno.EADDRINUSE)
MOST_LOG = 20_000  # characters at the end of a log
REPORT_S = 30.0  # between two messages about it
GO_ON = "then `fab run-campaign` goes on with what is missing"


def run_campaign(
    setup: Setup, files: CampaignFiles, observer: Observer, judge: Judge, capacity: DescribeCapacity
) -> list[str]:
    """Calibrate, then do every missing run. Returns the names of the runs that failed; see run_missing."""
    calibrate(setup, files.calibration, observer, capacity)
    return run_missing(setup, files, observer, judge)


def run_missing(setup: Setup, files: CampaignFiles, observer: Observer, judge: Judge) -> list[str]:
    """Do every missing run; a failed one doesn't stop the next. Returns the names of those that failed.

    Raises StudyError where the hosts that still answer don't suffice.
    """
    runs = missing_runs(setup.plan, files)
    failed = []
    current = setup  # without the hosts that are lost
    for number, run in enumerate(runs, start=1):
        if current.without:
            current = reachable(setup, observer)
        for is_first in (True, False):
            observer.run_started(setup.plan, run, number, len(runs))
            state = execute(current, files, run, observer)
            observer.run_ended(run, state, judge(files.directory, run.directory))
            if state != "failed":
                break
            before, current = current, reachable(setup, observer)
            lost = _lost_load_host(before, current, files, run)
            if not is_first or not (lost or _port_was_taken(files, run)):
                failed.append(run.directory)
                break
            why = f"with the load of {_names(current.load)}" if lost else "since its port was taken when it began"
            observer.message(f"block {run.block}, {run.label} is tried again, {why}")
    return failed


def _lost_load_host(before: Setup, now: Setup, files: CampaignFiles, run: Run) -> bool:
    """Whether the run lost a load host, which may answer again by now."""
    lost = read_as(RunState, files.run(run.directory).state).lost
    return lost is not None or any(host not in now.load for host in before.load)


def _port_was_taken(files: CampaignFiles, run: Run) -> bool:
    """Whether a port was taken between the check and the start, as by a client's connection: it is free again soon."""
    mine = files.run(run.directory)
    texts = [read_as(RunState, mine.state).reason]
    for name in (SERVER, MASTER):
        with contextlib.suppress(OSError):
            texts.append((mine.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-MOST_LOG:])
    return any(IN_USE in text for text in texts)


def reachable(setup: Setup, observer: Observer) -> Setup:
    """The setup with the load hosts that answer; ends what still runs on them. Waits for the target.

    Raises StudyError where they can't carry the plan, or the target doesn't come back.
    """
    silent = _silent(setup.hosts)
    if setup.target.entry.name in silent:
        _wait_for_target(setup.target, observer)
    load = tuple(host for host in setup.load if host.entry.name not in silent)
    if len(load) == len(setup.load):
        return setup
    left = setup.limited_to(load)
    lost = ", ".join(left.without)
    if not load:
        raise StudyError(f"no load host answers any more: bring {lost} back, {GO_ON}")
    try:
        preflight.stop_if_impossible(preflight.examine(left.inventory, left.plan, left.facts))
    except StudyError as error:
        raise StudyError(f"without {lost}, {error}\nbring {lost} back, {GO_ON}") from None
    observer.message(f"{lost} can't be reached: on with {_names(load)}")
    return left


def _silent(hosts: Sequence[Host]) -> set[str]:
    """Names of the hosts that can't be reached; on the others, ends what still runs."""
    answers = try_all(hosts, end_processes)
    return {name for name, answer in answers.items() if isinstance(answer, UnreachableError)}


def _wait_for_target(target: Host, observer: Observer) -> None:
    """Return once the target answers again. Raises StudyError after TARGET_S."""
    name, began = target.entry.name, time.monotonic()
    reported = -REPORT_S
    while (waited := time.monotonic() - began) < TARGET_S:
        if not _silent((target,)):
            observer.message(f"{name} answers again")
            return
        if waited - reported >= REPORT_S:
            observer.message(f"{name} can't be reached: it is waited for, {TARGET_S - waited:.0f} s more")
            reported = waited
        time.sleep(ASK_S)
    raise StudyError(f"{name} can't be reached since {TARGET_S:.0f} s: bring it back, {GO_ON}")


def _names(hosts: Sequence[Host]) -> str:
    return ", ".join(host.entry.name for host in hosts)
