"""A campaign: the runs that its plan asks for, minus those on disk. No other state exists.

One run, in order: start the server, see that it answers as the plan says, start Locust's master and workers, wait for
the ladder's end, stop everything (always), bring the logs home, seal. Sealing is writing run.json; a run without it
never happened.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cluster.campaign import commands, interrupts, manifest
from cluster.campaign.preflight import Facts, given_cpus, sampler_cpus, server_cpus, workers_of
from cluster.hosts import tunnel
from cluster.hosts.host import LEASE_S, Ended, Handle, Host, Spawn, at_once
from cluster.hosts.inventory import DIRECT, LOOPBACK, Inventory
from cluster.hosts.lease import Renewing
from cluster.remote.kernel import OPENED
from cluster.remote.probe import NOT_READY
from study.errors import FormatError, HostError, LostHostError, RunError, StoppedError, StudyError
from study.formats.json_files import write_json, write_whole
from study.formats.ledger_jsonl import EndRecord
from study.formats.live_json import LiveFigures
from study.formats.manifest_json import Manifest, write_manifest
from study.formats.run_json import LostHost, RunState, ServerCounts
from study.layout import CampaignFiles, RunFiles, point_latest
from study.plan import Plan, Run
from study.reading import parse_as, read_as
from study.workload import Server

RENEW_S = 2.0
SERVER_READY_S = 15.0
READY_TURN_S = 1.0  # between two looks whether a command that isn't ready still lives
SLOW_RAMP_S = 140.0  # what a step may take beyond its plan: the ladder waits so long for its users, and says so
SLACK_S = 120.0
GRACE_S = 8.0  # longer than the servers' own drain
BYSTANDERS_READY_S = 15.0  # longer than they wait for one another
SERVER, MASTER, SAMPLER, BYSTANDERS = "server", "master", "sampler", "bystanders"
PROBES = 1  # requests of the campaign itself, which the server counts as well


@dataclass(frozen=True)
class Study:
    """What a campaign needs to know: what is asked, and the hosts as they were found. `control` is where fab runs.

    `without` names load hosts of the inventory that were lost and don't take part.
    """

    plan: Plan
    plan_text: str
    inventory: Inventory
    control: Host
    target: Host
    load: tuple[Host, ...]
    facts: dict[str, Facts]
    results: Path
    without: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[Host, ...]:
        return (self.target, *self.load, self.control)

    def on(self, load: tuple[Host, ...]) -> Study:
        """The same with those of its load hosts alone."""
        inventory = replace(self.inventory, load=tuple(host.entry for host in load))
        left_out = tuple(host.entry.name for host in self.load if host not in load)
        return replace(self, load=load, inventory=inventory, without=(*self.without, *left_out))

    def load_cores(self) -> int:
        """Cores that the workers have, each counted once where several hosts of the inventory are one machine."""
        given = {(host.is_here or host.entry.name, cpu) for host in self.load for cpu in self.cpus_of(host)}
        return len(given)

    def cpus_of(self, host: Host) -> tuple[int, ...]:
        """The cores of the server, of a load host's workers, or of control."""
        cpus = server_cpus if host is self.target else given_cpus
        return cpus(host.entry, self.facts[host.entry.name])

    def beside(self, host: Host) -> tuple[int, ...]:
        """Where the sampler runs: not on the server's cores, if there are others."""
        if host.is_here:
            return self.control.entry.cpus or self.cpus_of(host)
        return sampler_cpus(host.entry, self.facts[host.entry.name]) if host is self.target else self.cpus_of(host)

    def workers(self) -> list[tuple[Host, str]]:
        """Each worker's host and name, as in the ledger."""
        return [
            (host, f"{host.entry.name}-{number}")
            for host in self.load
            for number in range(1, workers_of(host.entry, self.facts[host.entry.name]) + 1)
        ]


class Judged(Protocol):
    """A step's verdict, as whoever judges gives it; as text it is one line."""

    @property
    def step(self) -> int: ...

    @property
    def verdict(self) -> str: ...

    @property
    def rps(self) -> float | None: ...


class Show(Protocol):
    """What the person at the keyboard sees."""

    def say(self, text: str) -> None: ...

    def began(self, plan: Plan, run: Run, number: int, of: int) -> None: ...

    def live(self, figures: LiveFigures) -> None: ...

    def ended(self, run: Run, state: str, found: Sequence[Judged]) -> None: ...


Judge = Callable[[Path, str], Sequence[Judged]]
"""From a campaign's directory and a run's name to its steps' verdicts: the campaign itself draws no conclusions."""


def missing_runs(plan: Plan, files: CampaignFiles) -> list[Run]:
    """The plan's runs without a run.json that says done or skipped, in the plan's order."""
    return [run for run in plan.runs() if state_of(files.run(run.directory)) not in ("done", "skipped")]


def sealed_runs(files: CampaignFiles) -> list[Path]:
    """The runs on disk: done, failed or skipped."""
    return [state.parent for state in files.runs.glob("*/run.json")]


def state_of(files: RunFiles) -> str:
    """done, failed, skipped, or absent."""
    return read_as(RunState, files.state).state if files.state.exists() else "absent"


def open_campaign(study: Study, show: Show, fresh: bool) -> CampaignFiles:
    """The unfinished campaign of this plan, code and hosts where there is one, else a new one."""
    asked = manifest.identity(study.plan_text, study.inventory, study.facts)
    newest = None if fresh else next(manifest.campaigns(study.results, study.plan.name), None)
    if newest is not None and missing_runs(study.plan, CampaignFiles(newest)):
        changed = manifest.changed(read_as(Manifest, CampaignFiles(newest).manifest).identity, asked)
        if not changed:
            show.say(f"going on with {newest.name}: what is finished there is kept")
            point_latest(newest)
            return CampaignFiles(newest)
        show.say(f"{newest.name} is unfinished, but {changed} changed since: a new campaign begins")
    files = CampaignFiles(study.results / directory_name(study.plan))
    files.runs.mkdir(parents=True)
    write_whole(files.plan, study.plan_text)
    write_manifest(files.manifest, manifest.describe(study.plan, asked, study.facts, study.load_cores()))
    point_latest(files.directory)
    return files


def directory_name(plan: Plan) -> str:
    """By name and local time, so that a listing is in order of time."""
    return f"{plan.name}-{datetime.now():%Y%m%d-%H%M%S}"


def end_leftovers(hosts: tuple[Host, ...]) -> list[str]:
    """End what an earlier fab left behind, on all hosts at once; returns the names of what was still running.

    Raises HostError with every host where that can't be done, once it is done on the others.
    """
    return [name for left in at_once(hosts, end_what_runs).values() for name in left]


def end_what_runs(host: Host) -> list[str]:
    """End all that the study has on a host; returns the names of what was still running."""
    found = host.listed()
    for name in found:
        host.stop(name)
    return [f"{host.entry.name}: {name}" for name, ended in found.items() if ended is None]


def clean(hosts: tuple[Host, ...]) -> list[str]:
    """End what runs and remove the study's directory from every host; returns what was removed.

    Raises HostError with every host where that can't be done, once it is done on the others.
    """

    def remove(host: Host) -> str:
        end_leftovers((host,))
        host.run(["rm", "-rf", "--", str(host.directory)])
        if not host.is_here:
            host.run(["rmdir", "--ignore-fail-on-non-empty", "--", str(host.directory.parent)])
        return f"{host.entry.name}: {host.directory}"

    return list(at_once(hosts, remove).values())


def execute(study: Study, files: CampaignFiles, run: Run, show: Show) -> str:
    """One run from start to seal; returns its state. Ctrl-C stops everything and leaves the run unsealed.

    A run whose server needs what isn't installed on the target is skipped: sealed at once, with the reason.
    """
    to = files.run(run.directory)
    earlier = [read_as(RunState, state) for state in files.runs.glob(f"{run.block}-*/{to.state.name}")]
    attempt = 1 + (read_as(RunState, to.state).attempt if to.state.exists() else 0)
    shutil.rmtree(to.directory, ignore_errors=True)
    to.logs.mkdir(parents=True)
    started = _utc()
    reasons: list[str] = []
    counted: ServerCounts | None = None
    lacking: list[str] = []
    boots: dict[str, str] = {}
    lost: LostHostError | None = None
    work = Path("work") / files.directory.name / run.directory
    with _on_cores(study.cpus_of(study.control)):
        try:
            boots = at_once(study.hosts, lambda host: host.run(commands.BOOT_ID).out.strip())
            lacking = _lacking(study.plan.server(run.model), study.target)
            if not lacking:
                counted = _load(study, files, run, to, work, show)
        except StoppedError:
            raise
        except LostHostError as error:
            lost = error
            reasons.append(str(error))
        except StudyError as error:
            reasons.append(str(error))
        finally:
            with interrupts.held_back():
                reasons += _stop_and_collect(study, to, work, lost.host if lost else "")
    live = _live(to.live)
    to.live.unlink(missing_ok=True)
    if lacking and not reasons:
        reasons.append(f"not installed on {study.target.entry.name}: {', '.join(lacking)}")
    sealed = RunState(
        state="skipped" if lacking else "failed" if reasons else "done",
        reason="; ".join(reasons),
        block=run.block,
        label=run.label,
        model=run.model,
        attempt=attempt,
        load=tuple(host.entry.name for host in study.load),
        without=study.without,
        lost=LostHost(lost.host, live.step if live else None)
        if lost and lost.host != study.target.entry.name
        else None,
        boot_ids=boots,
        rebooted=tuple(
            name for name, boot in boots.items() if any(one.boot_ids.get(name, boot) != boot for one in earlier)
        ),
        started=started,
        ended=_utc(),
        server=counted or _counts(to.logs / f"{SERVER}.out"),
        probes=0 if counted else PROBES,
    )
    write_json(to.state, asdict(sealed))
    return sealed.state


@contextlib.contextmanager
def _on_cores(cpus: tuple[int, ...]) -> Iterator[None]:
    """Keep fab and what it starts beside the load: nothing but the server is to run on the server's cores."""
    before = os.sched_getaffinity(0)
    _pin(set(cpus))
    try:
        yield
    finally:
        _pin(before)


def _pin(cpus: set[int]) -> None:
    """All threads of this process: connections over SSH have one each."""
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread), cpus)


def _load(study: Study, files: CampaignFiles, run: Run, to: RunFiles, work: Path, show: Show) -> ServerCounts | None:
    """Start, verify, load. Raises StudyError where the run can't be brought to its end.

    Returns the kernel's count of a server that keeps none of its own.
    """
    plan, target = study.plan, study.target
    of = plan.server(run.model)
    lifetime = plan.run_seconds()[1] + len(plan.steps()) * SLOW_RAMP_S + plan.timeout + SLACK_S

    def spawn(host: Host, name: str, argv: tuple[str, ...], ready_s: float = 0.0, cpus: tuple[int, ...] = ()) -> Handle:
        return host.start(
            Spawn(
                name=name,
                argv=argv,
                log_directory=host.directory / work,
                cpus=cpus or study.cpus_of(host),
                lease_s=LEASE_S,
                lifetime_s=lifetime,
                memory_floor_mb=plan.memory_floor_mb,
                grace_s=GRACE_S,
                ready_s=ready_s,
            )
        )

    cores = len(study.cpus_of(target))
    argv = commands.server(target.python, plan, of, target.entry, cores, target.directory / work)
    server = spawn(target, SERVER, argv, SERVER_READY_S if of.command is None else 0.0)
    first = study.load[0]
    _verify(run, first, target, commands.probe(first.python, plan, of, target.entry, READY_TURN_S), plan.timeout)
    before = None if of.command is None else _opened(target)
    if plan.bystanders:
        beside = RunFiles(first.directory / work).background
        argv = commands.bystanders(first.python, plan, of, target.entry, beside)
        spawn(first, BYSTANDERS, argv, BYSTANDERS_READY_S)
    workers = study.workers()
    names = tuple(name for _, name in workers)
    spawn(
        study.control,
        MASTER,
        commands.master(
            study.control.python, files.plan, plan, of, target.entry, to.directory, names, study.control.entry.address
        ),
    )
    masters = {host.entry.name: _way_to_master(study, host, work, spawn) for host in study.load}
    plans = {host.entry.name: _plan_on(host, files.plan) for host in study.load}
    pids: dict[str, list[str]] = {}
    for host, name in workers:
        at, way = plans[host.entry.name], masters[host.entry.name]
        started = spawn(host, name, commands.worker(host.python, at, plan, of, target.entry, name, way))
        pids.setdefault(host.entry.name, []).append(f"{started.pid}:{name}")
    for host in (target, *study.load):
        watched = f"{server.pid}:{run.label}" if host is target else None
        here = tuple(pids.get(host.entry.name, ()))
        samples = RunFiles(host.directory / work).samples(host.entry.name)
        argv = commands.sampler(host.python, plan, of, host.entry.name, samples, watched, here)
        spawn(host, SAMPLER, argv, cpus=study.beside(host))
    _wait(study, to, run, show, lifetime)
    return None if before is None else ServerCounts(accepted=_opened(target) - before, counted_by="kernel")


def _verify(run: Run, first: Host, target: Host, probe: tuple[str, ...], timeout: float) -> None:
    """See from a load host that the server answers as the plan says; a command is waited for as long as it lives."""
    until = time.monotonic() + SERVER_READY_S
    while (probed := first.run(probe, READY_TURN_S + timeout + 10)).status:
        said = probed.err.strip() or probed.out.strip()
        if ended := target.listed().get(SERVER):
            raise RunError(
                f"the server {run.label} ended before it was ready ({ended.how}, status {ended.status}); see logs/"
            )
        if probed.status != NOT_READY:
            raise RunError(f"{run.label} doesn't answer as the plan says: {said}")
        if time.monotonic() > until:
            raise RunError(f"{run.label} was not ready within {SERVER_READY_S:g} s: {said}")


def _way_to_master(study: Study, host: Host, work: Path, spawn: Callable[..., Handle]) -> tuple[str, int]:
    """Address and port where the host's workers find the master: its own end of a tunnel where it is reached by SSH."""
    port, address = study.plan.master_port, study.control.entry.address
    if host.is_here or study.inventory.transport == DIRECT:
        return address, port

    def start(name: str, argv: tuple[str, ...]) -> Path:
        log = study.control.directory / work / f"{name}.log"
        log.unlink(missing_ok=True)  # of a fab that was killed: it names that tunnel's port
        spawn(study.control, name, argv)
        return log

    return LOOPBACK, tunnel.opened(study.control, host.entry, port, start)


def _plan_on(host: Host, plan: Path) -> Path:
    """The plan's file, for the workers on a host."""
    if host.is_here:
        return plan
    there = host.directory / plan.name
    host.put(plan, there)
    return there


def _lacking(of: Server, target: Host) -> list[str]:
    """What the server needs and the target hasn't."""
    if not (needed := commands.requires(of)):
        return []
    lacking: list[str] = json.loads(_said(target, commands.missing(target.python, needed)))
    return lacking


def _said(host: Host, argv: tuple[str, ...]) -> str:
    """What a command printed. Raises HostError where it failed."""
    done = host.run(argv)
    if done.status:
        last = "\n".join(done.err.strip().splitlines()[-3:])
        raise HostError(f"{host.entry.name}: {argv[2]} ended with {done.status}: {last}")
    return done.out


def _opened(target: Host) -> int:
    """Connections that the target's kernel has accepted so far, whoever they were for."""
    return int(json.loads(_said(target, commands.opened(target.python)))[OPENED])


def _wait(study: Study, to: RunFiles, run: Run, show: Show, lifetime: float) -> None:
    """Until the master has ended, renewing every lease. Raises RunError where the run can't be whole."""
    until = time.monotonic() + lifetime
    with Renewing(study.hosts) as renewing:
        while time.monotonic() < until:
            if _has_ended(study, to, run, renewing.once(RENEW_S)):
                return
            if live := _live(to.live):
                show.live(live)
            time.sleep(RENEW_S)
    raise RunError(f"the run did not end within {lifetime:.0f} s")


def _has_ended(study: Study, to: RunFiles, run: Run, known: dict[tuple[str, str], Ended | None]) -> bool:
    """Whether the master has walked the ladder to its end. Raises RunError where it can't any more."""
    for (host, name), ended in known.items():
        if ended is not None and ended.how == "memory":
            floor = study.plan.memory_floor_mb
            raise RunError(f"{host} had less than {floor} MiB of available memory: {name} and all others were stopped")
    if (study.target.entry.name, SERVER) not in known:
        raise StoppedError("the campaign's processes were stopped (`fab stop`?); `fab run-campaign` goes on with it")
    server = known[study.target.entry.name, SERVER]
    if server is not None:
        raise RunError(f"the server {run.label} ended during the run ({server.how}, status {server.status}); see logs/")
    if known.get((study.load[0].entry.name, BYSTANDERS)) is not None:
        raise RunError("the clients beside the load ended during the run; see logs/bystanders.log")
    for each in study.load:
        if known.get((study.control.entry.name, tunnel.name_of(each.entry))) is not None:
            raise LostHostError(each.entry.name, "its tunnel ended")
    master = known.get((study.control.entry.name, MASTER))
    if master is not None:
        if master.status != 0 or not _walked(to.ledger):
            raise RunError(f"Locust's master ended early ({master.how}, status {master.status}); see logs/master.log")
        return True
    return False


def _walked(ledger: Path) -> bool:
    """Whether the ladder was walked to its end: the ledger's last line says so."""
    try:
        return bool(json.loads(ledger.read_text(encoding="utf-8").splitlines()[-1]).get("record") == EndRecord().record)
    except (OSError, ValueError, IndexError):
        return False


def _stop_and_collect(study: Study, to: RunFiles, work: Path, lost: str) -> list[str]:
    """Workers first, the server last, after it a lost host, which takes long to say nothing.

    Whatever goes wrong, all the rest is tried; returns what went wrong.
    """
    problems: list[str] = []
    for host in sorted((*study.load, study.control, study.target), key=lambda host: host.entry.name == lost):
        with _noted(problems):
            for name in list(host.listed()):
                with _noted(problems):
                    host.stop(name)
            _collect(host, host.directory / work, to)
    return problems


@contextlib.contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except (HostError, OSError) as error:
        problems.append(str(error))


def _collect(host: Host, logs: Path, to: RunFiles) -> None:
    """Bring a host's logs and samples home, and leave none there."""
    if host.run(["test", "-d", str(logs)]).status == 0:
        host.get(logs, to.logs)
        host.run(["rm", "-rf", "--", str(logs)])
        for figures in (*to.logs.glob("samples-*.csv"), *to.logs.glob(to.background.name)):
            figures.replace(to.directory / figures.name)


def _live(path: Path) -> LiveFigures | None:
    """The master's latest figures; None before it has written any."""
    try:
        return read_as(LiveFigures, path)
    except FormatError:
        return None


def _counts(out: Path) -> ServerCounts | None:
    """The server's own counts, which are the last line of its output; None where it was ended before."""
    try:
        return parse_as(ServerCounts, json.loads(out.read_text(encoding="utf-8").splitlines()[-1]), out)
    except (OSError, ValueError, IndexError, FormatError):
        return None


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
