"""One run, in order: start the server, probe it until it answers as the plan says, start Locust's master and workers,
wait for the end of the ladder, stop everything (always), copy the logs home, seal.

Sealing is writing run.json; a run without it never happened.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cluster.campaign import commands, interrupts
from cluster.campaign.cleanup import stop_and_collect
from cluster.campaign.launch import (
    BACKGROUND,
    MASTER,
    SERVER,
    Attempt,
    processes_of,
    replace_server,
    server_end,
    start_background,
    start_locust,
    start_samplers,
    start_server,
)
from cluster.campaign.observer import Observer
from cluster.campaign.own.surroundings import interpreter
from cluster.campaign.placement import on_cores
from cluster.campaign.prepare import Setup
from cluster.hosts import tunnel
from cluster.hosts.host import Host, at_once, json_value
from cluster.hosts.lease import Processes, Renewing
from cluster.remote.kernel import OPENED
from study.errors import FormatError, HostError, LostHostError, RunError, StoppedError, StudyError
from study.formats.bounded import read_text
from study.formats.json_files import write_json
from study.formats.ledger_jsonl import EndRecord
from study.formats.live_json import FreshServers, LiveFigures
from study.formats.run_json import LostHost, RunState, ServerCounts, added
from study.layout import CampaignFiles
from study.plan import Run
from study.reading import parse_as, read_as
from study.workload import Server

RENEW_S = 2.0
SILENT_S = 30.0  # the master writes live.json once a second
START_S = 90.0  # before its first: it waits CONNECT_WAIT_S of commands.py for its workers
LOOK_S = 0.1  # between two looks at the ledger's end
TAIL_BYTES = 100  # longer than the record that ends a ledger
MOST_BOOT_ID = 64
PROBES = 1  # requests of the campaign itself, which the server counts as well


@dataclass
class AttemptResult:
    """What an attempt came to. `counts` are the kernel's, of a server that keeps none of its own."""

    reasons: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    boot_ids: dict[str, str] = field(default_factory=dict)
    counts: ServerCounts | None = None
    lost: str = ""

    @property
    def state(self) -> Literal["done", "failed", "skipped"]:
        """As in run.json."""
        return "skipped" if self.missing else "failed" if self.reasons else "done"


def execute(setup: Setup, campaign: CampaignFiles, run: Run, observer: Observer) -> str:
    """One run from start to seal; returns its state. Ctrl-C stops everything and leaves the run unsealed.

    A run whose server requires something that isn't installed on the target is skipped: sealed at once, with the
    reason. Raises StoppedError where somebody else ended the run's processes.
    """
    attempt, result = _begin(setup, campaign, run), AttemptResult()
    files = attempt.files
    with on_cores(setup.placement.cpus(setup.control.entry)):
        try:
            result.boot_ids = at_once(setup.hosts, _boot_id)
            result.missing = _missing_requirements(attempt.server, setup.target)
            if not result.missing:
                result.counts = _measure(attempt, observer)
        except StoppedError:
            raise
        except LostHostError as error:
            result.lost = error.host
            result.reasons.append(str(error))
        except StudyError as error:
            result.reasons.append(str(error))
        finally:
            with interrupts.held_back():  # workers first, the server last
                hosts = (*setup.load, setup.control, setup.target)
                result.reasons += stop_and_collect(hosts, attempt.scratch, files, result.lost, processes_of(setup))
    if result.missing and not result.reasons:
        result.reasons.append(f"not installed on {setup.target.entry.name}: {', '.join(result.missing)}")
    record = _record(attempt, result)
    files.live.unlink(missing_ok=True)
    files.fresh_servers.unlink(missing_ok=True)
    write_json(files.state, asdict(record))
    return result.state


def _begin(setup: Setup, campaign: CampaignFiles, run: Run) -> Attempt:
    """A new attempt; removes the files of the one before it."""
    files = campaign.run(run.directory)
    number = 1 + (read_as(RunState, files.state).attempt if files.state.exists() else 0)
    earlier = campaign.runs.glob(f"{run.block}-*/{files.state.name}")
    boot_ids = tuple(read_as(RunState, state).boot_ids for state in earlier)
    shutil.rmtree(files.directory, ignore_errors=True)
    files.logs.mkdir(parents=True)
    return Attempt(setup, campaign, run, number, _utc(), boot_ids)


def _record(attempt: Attempt, result: AttemptResult) -> RunState:
    """The content of run.json."""
    setup, run, files = attempt.setup, attempt.run, attempt.files
    lost = result.lost if result.lost != setup.target.entry.name else ""
    live = _live_figures(files.live)
    return RunState(
        state=result.state,
        reason="; ".join(result.reasons),
        block=run.block,
        label=run.label,
        model=run.model,
        attempt=attempt.number,
        load=tuple(host.entry.name for host in setup.load),
        without=setup.without,
        lost=LostHost(lost, live.step if live else None) if lost else None,
        boot_ids=result.boot_ids,
        rebooted=tuple(
            name
            for name, boot in result.boot_ids.items()
            if any(each.get(name, boot) != boot for each in attempt.earlier_boot_ids)
        ),
        started=attempt.started,
        ended=_utc(),
        server=result.counts or _server_counts(files.logs, (*attempt.replaced, f"{SERVER}.out")),
        probes=0 if result.counts else PROBES * (1 + len(attempt.replaced)),
        slots=_slots(files.logs / f"{SERVER}.out"),
    )


# -- the load, and its end ----------------------------------------------------------------------------


def _measure(attempt: Attempt, observer: Observer) -> ServerCounts | None:
    """Start, probe, load. Raises StudyError where the run can't be completed.

    Returns the kernel's count of connections where the server keeps no counts of its own.
    """
    target = attempt.setup.target
    server = start_server(attempt)
    before = _accepted(target) if attempt.server.model is None and attempt.is_on_target else None
    start_background(attempt)
    workers = start_locust(attempt)
    start_samplers(attempt, server, workers)
    _wait_for_end(attempt, observer, workers)
    return None if before is None else ServerCounts(accepted=_accepted(target) - before, counted_by="kernel")


def _wait_for_end(attempt: Attempt, observer: Observer, workers: dict[str, list[str]]) -> None:
    """Renew every lease until the master has ended. Raises RunError where the run can't be completed.

    Where the master asks for a fresh server, in live.json, one is started.
    """
    began = heard = time.monotonic()
    last: LiveFigures | None = None
    answered = 0  # of the master's requests for a fresh server
    silent_s = SILENT_S + attempt.setup.plan.timeout  # in the end it waits for the last answers
    with Renewing(attempt.setup.hosts) as renewing:
        while time.monotonic() < began + attempt.lifetime_s:
            if _has_ended(attempt, renewing.once(RENEW_S)):
                return
            if (figures := _live_figures(attempt.files.live)) and figures != last:
                last, heard = figures, time.monotonic()
                observer.progress(figures)
            if last is not None and last.fresh_servers > answered:
                answered, started = last.fresh_servers, _replace_server(attempt, observer, workers, renewing)
                write_json(attempt.files.fresh_servers, asdict(FreshServers(answered=answered, started=started)))
                heard = time.monotonic()
            if time.monotonic() > heard + (silent_s if last else START_S):
                raise RunError(
                    f"Locust's master on this machine has written nothing for {time.monotonic() - heard:.0f} s: it was"
                    f" stopped or hangs, and says nothing about the server; see logs/{MASTER}.log"
                )
            _sleep_unless_complete(attempt.files.ledger)
    raise RunError(f"the run did not end within {attempt.lifetime_s:.0f} s")


def _replace_server(attempt: Attempt, observer: Observer, workers: dict[str, list[str]], renewing: Renewing) -> bool:
    """Start a fresh server while the leases are renewed; whether there is one."""
    observer.message(f"{attempt.run.label} did not recover from a trial in time: a fresh server is wanted")
    with ThreadPoolExecutor(max_workers=1) as pool:
        replacing = pool.submit(replace_server, attempt, workers)
        while not replacing.done():
            renewing.once(RENEW_S)
            time.sleep(LOOK_S)
        started = replacing.result()
    where = (attempt.setup.target.entry.name, SERVER)
    until = time.monotonic() + SILENT_S
    while started and where not in renewing.once(RENEW_S) and time.monotonic() < until:
        time.sleep(LOOK_S)  # that answer was of the time between the two servers
    return started


def _sleep_unless_complete(ledger: Path) -> None:
    """Sleep for RENEW_S; less once the ledger is complete, since the master then ends within moments."""
    until = time.monotonic() + RENEW_S
    while time.monotonic() < until:
        time.sleep(LOOK_S)
        if _is_complete(ledger):
            return


def _has_ended(attempt: Attempt, processes: Processes) -> bool:
    """Whether the master has completed the ladder. Raises StudyError where it can't any more."""
    setup = attempt.setup
    control, target = setup.control.entry.name, setup.target.entry.name
    for (host, name), ended in processes.items():
        if ended is not None and ended.how == "memory":
            floor = setup.plan.memory_floor_mb
            raise RunError(f"{host} had less than {floor} MiB of available memory: {name} and all others were stopped")
    first = (target, SERVER) if attempt.server.is_started else (setup.load[0].entry.name, setup.workers()[0][1])
    if first not in processes:
        raise StoppedError("the campaign's processes were stopped (`fab stop`?); `fab run-campaign` goes on with it")
    server = processes.get((target, SERVER))
    if server is not None:
        label = attempt.run.label
        raise RunError(f"the server {label} ended during the run{server_end(attempt, server)}")
    if processes.get((setup.load[0].entry.name, BACKGROUND)) is not None:
        raise RunError(f"the background clients ended during the run; see logs/{BACKGROUND}.log")
    for each in setup.load:
        if processes.get((control, tunnel.process_name(each.entry))) is not None:
            raise LostHostError(each.entry.name, "its tunnel ended")
    master = processes.get((control, MASTER))
    if master is None:
        return False
    if master.status != 0 or not _is_complete(attempt.files.ledger):
        raise RunError(f"Locust's master ended early ({master.how}, status {master.status}); see logs/{MASTER}.log")
    return True


def _boot_id(host: Host) -> str:
    """The host's boot id, a UUID; empty where it gives none."""
    text = host.run(commands.BOOT_ID).out.strip()
    return text if len(text) <= MOST_BOOT_ID and text.isprintable() else ""


# -- what the hosts and the files say ----------------------------------------------------------------------------------


def _missing_requirements(server: Server, target: Host) -> list[str]:
    """What the server requires and the target lacks."""
    if not (needed := commands.requires(server)):
        return []
    return target.parsed(list[str], _answer(target, commands.missing(interpreter(server, target), needed)), "exec")


def _accepted(target: Host) -> int:
    """Connections that the target's kernel has accepted so far, for all programs."""
    counters = target.parsed(dict[str, int], _answer(target, commands.kernel_counters(target.python)), "kernel")
    if OPENED not in counters:
        raise HostError(f"{target.entry.name}: its kernel doesn't count {OPENED}")
    return counters[OPENED]


def _answer(host: Host, argv: tuple[str, ...]) -> Any:
    """The JSON that a command printed. Raises HostError where it failed, or printed none."""
    done = host.run(argv)
    if done.status:
        last = "\n".join(done.err.strip().splitlines()[-3:])
        raise HostError(f"{host.entry.name}: {argv[2]} ended with {done.status}: {last}")
    try:
        return json_value(done.out)
    except ValueError:
        raise HostError(f"{host.entry.name}: {argv[2]} answered with no JSON: {done.out[:80]!r}") from None


def _is_complete(ledger: Path) -> bool:
    """Whether the ledger's last line is the record that ends it."""
    try:
        with ledger.open("rb") as stream:
            stream.seek(max(0, ledger.stat().st_size - TAIL_BYTES))
            last = stream.read().splitlines()[-1]
        return bool(json.loads(last).get("record") == EndRecord().record)
    except (OSError, ValueError, IndexError, AttributeError):
        return False


def _live_figures(path: Path) -> LiveFigures | None:
    """The master's last figures; None before it has written any."""
    try:
        return read_as(LiveFigures, path)
    except FormatError:
        return None


def _server_counts(logs: Path, outs: Sequence[str]) -> ServerCounts | None:
    """The counts of the run's servers, each its last line of output; None where one didn't print them."""
    counts = []
    for out in (logs / name for name in outs):
        try:
            counts.append(parse_as(ServerCounts, json_value(read_text(out).splitlines()[-1]), out))
        except (OSError, ValueError, IndexError, FormatError):
            return None
    return counts[0] if len(counts) == 1 else added(counts)


def _slots(out: Path) -> int | None:
    """The size of the server's pool, from its first line of output; None where it has none, or doesn't print it."""
    try:
        ready = json_value(read_text(out).splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    slots = ready.get("slots") if isinstance(ready, dict) else None
    return slots if isinstance(slots, int) else None


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
