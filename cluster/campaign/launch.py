"""Starts the processes of one run on the hosts: server, background clients, Locust's master and workers, samplers."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.campaign import commands
from cluster.campaign.own.elsewhere import listening_process
from cluster.campaign.own.surroundings import environment_file, interpreter, own_directory
from cluster.campaign.prepare import Setup
from cluster.deploy.packages import packages_of
from cluster.hosts import tunnel
from cluster.hosts.host import LEASE_S, Ended, Host, ProcessHandle, Spawn, at_once
from cluster.hosts.inventory import CONTROL, DIRECT, LOOPBACK
from cluster.remote.probe import NOT_READY
from study.duration import run_seconds
from study.errors import HostError, RunError
from study.layout import BODY, CA, HEADERS, PATHS, CampaignFiles, RunFiles
from study.plan import Run
from study.request import DRAWN
from study.workload import Server

SERVER_READY_S = 15.0  # unless the plan's table of the server says otherwise
LAST_LINES, LAST_LENGTH = 5, 300  # of the server's log that a message shows, and characters of each
PROBE_S = 1.0  # how long one readiness probe of a command waits before its process is checked again
SLOW_RAMP_S = 140.0  # how long the ladder waits for a step's users beyond the plan, before it gives up
SLACK_S = 120.0
GRACE_S = 8.0  # longer than the servers' own drain
BACKGROUND_READY_S = (
    15.0  # longer than READY_S of cluster/remote/background.py, after which the clients report in any case
)
SERVER, MASTER, SAMPLER, BACKGROUND = "server", "master", "sampler", "background"


@dataclass(frozen=True)
class Attempt:
    """One attempt at one run."""

    setup: Setup
    campaign: CampaignFiles
    run: Run
    number: int
    """From 1; the number of the attempt before it is in the run.json that it replaces."""
    started: str
    earlier_boot_ids: tuple[Mapping[str, str], ...]
    """Each host's boot id, from the runs of the same block that are on disk."""
    started_pids: list[tuple[str, int]] = field(default_factory=lambda: [(CONTROL, os.getpid())])
    """Machine and PID of fab and of each process that the attempt has started."""
    replaced: list[str] = field(default_factory=list)
    """Names of the outputs of the servers that a fresh one has replaced."""

    @property
    def files(self) -> RunFiles:
        """The run's files on control."""
        return self.campaign.run(self.run.directory)

    @property
    def server(self) -> Server:
        """The server that is measured."""
        return self.setup.plan.server(self.run.model)

    @property
    def scratch(self) -> Path:
        """The run's directory on each host, below the host's own."""
        return Path("work") / self.campaign.directory.name / self.run.directory

    @property
    def lifetime_s(self) -> float:
        """The longest that the run may take."""
        plan = self.setup.plan
        ready_s = self.server.ready_s or SERVER_READY_S
        return ready_s + run_seconds(plan)[1] + plan.most_steps * SLOW_RAMP_S + plan.timeout + SLACK_S

    @property
    def is_on_target(self) -> bool:
        """Whether the server runs on the target, where it can be watched."""
        return self.server.name not in self.setup.running.elsewhere

    def spawn(
        self, host: Host, name: str, argv: tuple[str, ...], ready_s: float = 0.0, cpus: tuple[int, ...] = ()
    ) -> ProcessHandle:
        """Start a supervised process with the run's limits, on the host's own cores unless `cpus` are given."""
        handle = host.start(
            Spawn(
                name=name,
                argv=argv,
                log_directory=host.directory / self.scratch,
                cpus=cpus or self.setup.placement.cpus(host.entry),
                lease_s=LEASE_S,
                lifetime_s=self.lifetime_s,
                memory_floor_mb=self.setup.plan.memory_floor_mb,
                grace_s=GRACE_S,
                ready_s=ready_s,
            )
        )
        self.started_pids.append((host.entry.machine, handle.pid))
        return handle

    def bring(self, host: Host) -> Path:
        """Have the files that the plan names on the host; returns their directory there."""
        here = self.campaign.brought
        return host.share(here) if here.is_dir() else here

    def probed_request(self, host: Host) -> commands.ProbedRequest:
        """What the probe and the background clients on that host ask for."""
        name, asked, drawn = self.server.name, self.server.asked, random.Random(self.setup.plan.seed)
        path = asked.path
        if asked.range is not None:
            path = path.replace(DRAWN, str(drawn.randint(*asked.range)))
        elif asked.paths is not None:
            path = drawn.choice((self.campaign.brought / f"{name}{PATHS}").read_text(encoding="ascii").split())
        there = self.bring(host)
        has_body = (self.campaign.brought / f"{name}{BODY}").exists()
        return commands.ProbedRequest(
            path,
            there / f"{name}{BODY}" if has_body else None,
            there / f"{name}{CA}" if self.server.ca is not None else None,
            there / f"{name}{HEADERS}" if asked.headers else None,
        )

    def addresses(self, host: Host) -> tuple[str, ...]:
        """Those of a server that runs already, as printed for the load host; none of one that the study starts."""
        return self.setup.running.addresses.get(self.server.name, {}).get(host.entry.name, ())

    def own_pids(self, host: Host) -> tuple[int, ...]:
        """PIDs of the study's processes on the host's machine, so that a sampler doesn't take them for strangers."""
        return tuple(pid for machine, pid in self.started_pids if machine == host.entry.machine)


def processes_of(setup: Setup) -> dict[str, set[str]]:
    """Names of the processes that a run has on each host."""
    names = {setup.target.entry.name: {SERVER, SAMPLER}, setup.control.entry.name: {MASTER}}
    for host in setup.load:
        names[host.entry.name] = {SAMPLER}
        names[setup.control.entry.name].add(tunnel.process_name(host.entry))
    for host, worker in setup.workers():
        names[host.entry.name].add(worker)
    names[setup.load[0].entry.name].add(BACKGROUND)
    return names


def start_server(attempt: Attempt) -> int | None:
    """Start the server, and probe it from a load host until it answers as the plan says.

    Returns its PID. One that runs already is only probed; it has none to watch where it isn't on the target.
    """
    setup, server, target = attempt.setup, attempt.server, attempt.setup.target
    if not server.is_started:
        _probe(attempt)
        return listening_process(target, server.location("", 0)[1]) if attempt.is_on_target else None
    cpus = setup.placement.cpus(target.entry)[: server.cores]
    scratch = target.directory / attempt.scratch
    place = commands.ServerPlace(
        own_directory(server, target), interpreter(server, target), environment_file(server, target)
    )
    argv = commands.server(target.python, setup.plan, server, target.entry, len(cpus), scratch, place)
    handle = attempt.spawn(target, SERVER, argv, SERVER_READY_S if server.command is None else 0.0, cpus)
    _probe(attempt)
    return handle.pid


def _probe(attempt: Attempt) -> None:
    """Repeat the readiness probe of a command for as long as its process lives; a model is probed once."""
    label, target, first = attempt.run.label, attempt.setup.target, attempt.setup.load[0]
    request = attempt.probed_request(first)
    argv = commands.probe(first.python, attempt.setup.plan, attempt.server, target.entry, PROBE_S, request)
    ready_s = attempt.server.ready_s or SERVER_READY_S
    until = time.monotonic() + ready_s
    while (probe := first.run(argv, PROBE_S + attempt.setup.plan.timeout + 10)).status:
        answer = probe.err.strip() or probe.out.strip()
        if ended := target.listed().get(SERVER):
            raise RunError(f"the server {label} ended before it was ready{server_end(attempt, ended)}")
        if probe.status != NOT_READY:
            log = last_lines(attempt) if attempt.server.is_started else ""
            raise RunError(f"{label} doesn't answer as the plan says: {answer}{_probed(attempt)}{log}")
        if time.monotonic() > until:
            longer = "" if attempt.server.command is None else ". A larger ready_s in its table waits longer"
            raise RunError(f"{label} was not ready within {ready_s:g} s: {answer}{longer}{last_lines(attempt)}")


def _probed(attempt: Attempt) -> str:
    """What the probe asked for, where the plan need not say it: its users' requests are those of a locustfile."""
    if attempt.setup.plan.locustfile is None:
        return ""
    asked = attempt.server.asked
    return f" ({asked.method} {asked.path}, once before the load: `path` and `expect` in its table say what is good)"


def server_end(attempt: Attempt, ended: Ended) -> str:
    """How the server ended, what follows from it, and the last lines of its log, as the end of a sentence."""
    daemon = ""
    if ended.left:
        daemon = (
            f". It left {ended.left} process(es) in the background, which were ended: its command must stay in the "
            "foreground (no --daemon)"
        )
    return f" ({ended.how}, status {ended.status}){daemon}; see logs/{last_lines(attempt)}"


def last_lines(attempt: Attempt) -> str:
    """The last lines of the server's log, each indented on a line of its own; empty where there are none."""
    target = attempt.setup.target
    log = target.directory / attempt.scratch / f"{SERVER}.log"
    try:
        printed = target.run(["tail", "-n", str(LAST_LINES), "--", str(log)]).out
    except HostError:
        return ""
    return "".join(f"\n    {line[:LAST_LENGTH]}" for line in printed.splitlines()[-LAST_LINES:])


def start_background(attempt: Attempt) -> None:
    """Start the plan's background clients, if any, on the first load host."""
    plan, first = attempt.setup.plan, attempt.setup.load[0]
    if plan.background_clients:
        out = RunFiles(first.directory / attempt.scratch).background
        request = attempt.probed_request(first)
        argv = commands.background(
            first.python, plan, attempt.server, attempt.setup.target.entry, out, request, attempt.addresses(first)
        )
        attempt.spawn(first, BACKGROUND, argv, BACKGROUND_READY_S)


def start_locust(attempt: Attempt) -> dict[str, list[str]]:
    """Start the master and all workers; returns `PID:NAME` of the workers, by host."""
    setup, plan, server, target = attempt.setup, attempt.setup.plan, attempt.server, attempt.setup.target.entry
    workers, control = setup.workers(), setup.control
    names, plan_file = tuple(name for _, name in workers), attempt.campaign.plan
    own = commands.master(
        control.python, plan_file, plan, server, target, attempt.files.directory, names, control.entry.address,
        _own_place(attempt, control),
    )  # fmt: skip
    attempt.spawn(control, MASTER, own)
    at_once(setup.load, attempt.bring)
    masters = {host.entry.name: _master_address(attempt, host) for host in setup.load}
    plans = {host.entry.name: host.share(plan_file) for host in setup.load}

    def start(host: Host) -> list[str]:
        where, master, place = plans[host.entry.name], masters[host.entry.name], _own_place(attempt, host)
        own = [name for each, name in workers if each is host]
        known = attempt.addresses(host)
        argvs = {
            name: commands.worker(host.python, where, plan, server, target, name, master, place, known) for name in own
        }
        return [f"{attempt.spawn(host, name, argv).pid}:{name}" for name, argv in argvs.items()]

    return at_once(setup.load, start)


def _own_place(attempt: Attempt, host: Host) -> commands.OwnPlace | None:
    """Brings the plan's locustfile to the host, from the campaign's directory; None where the plan has none."""
    own = attempt.setup.own
    if own is None or attempt.setup.plan.locustfile is None:
        return None
    host.run(["rm", "-rf", "--", str(host.directory / attempt.campaign.own.name)])  # an earlier campaign's
    packages = packages_of(host, own.requirements_digest) if own.requirements is not None else None
    return commands.OwnPlace(host.share(attempt.campaign.own), own.name, own.user_classes, packages)


def _master_address(attempt: Attempt, host: Host) -> tuple[str, int]:
    """Address and port where the host's workers reach the master; opens a tunnel where they need one."""
    setup, control = attempt.setup, attempt.setup.control
    port = setup.plan.master_port
    argv = None if setup.inventory.transport == DIRECT else host.tunnel()
    if argv is None:
        return control.entry.address, port
    name = tunnel.process_name(host.entry)
    log = control.directory / attempt.scratch / f"{name}.log"
    attempt.spawn(control, name, argv)
    return LOOPBACK, tunnel.open_forward(control, host.entry, port, log)


def replace_server(attempt: Attempt, workers: dict[str, list[str]]) -> bool:
    """End the server and start a fresh one; each host's new sampler goes on with the same table.

    The output of the server that ended is kept under a name of its own, since its last line has its counts. Returns
    False where the server isn't the run's own to end.
    """
    setup, target = attempt.setup, attempt.setup.target
    if SERVER not in target.listed():
        return False
    at_once((target, *setup.load), lambda host: host.stop(SAMPLER))
    target.stop(SERVER)
    scratch = target.directory / attempt.scratch
    attempt.replaced.append(f"{SERVER}-{len(attempt.replaced) + 1}.out")
    target.run(["mv", "--", str(scratch / f"{SERVER}.out"), str(scratch / attempt.replaced[-1])])
    start_samplers(attempt, start_server(attempt), workers, append=True)
    return True


def start_samplers(attempt: Attempt, server: int | None, workers: dict[str, list[str]], append: bool = False) -> None:
    """Start one sampler on the target, for the server, and one on each load host, for its workers. They start last.

    A target on which the server doesn't run has none: its figures would be those of another machine.
    """
    setup = attempt.setup

    def start(host: Host) -> None:
        watched = f"{server}:{attempt.run.label}" if host is setup.target else None
        watched_workers = tuple(workers.get(host.entry.name, ()))
        out = RunFiles(host.directory / attempt.scratch).samples(host.entry.name)
        own = attempt.own_pids(host)
        argv = commands.sampler(
            host.python, setup.plan, attempt.server, host.entry.name, out, watched, watched_workers, own, append
        )
        attempt.spawn(host, SAMPLER, argv, cpus=setup.placement.sampler(host.entry))

    at_once((*(() if server is None else (setup.target,)), *setup.load), start)
