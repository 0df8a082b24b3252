"""From an inventory and a plan to a Setup: hosts, their facts, everything validated."""

from __future__ import annotations

import fcntl
import getpass
import math
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from cluster.campaign import preflight
from cluster.campaign.own.brought import read_brought
from cluster.campaign.own.command_checks import check_commands
from cluster.campaign.own.elsewhere import RunningServers
from cluster.campaign.placement import Placement
from cluster.campaign.reach import way_checks
from cluster.deploy import deployment
from cluster.deploy.locustfiles import OwnFiles, examine, own_files
from cluster.deploy.packages import is_installed
from cluster.deploy.release import this_release
from cluster.hosts.host import PROJECT, STATE, Host, at_once, json_value, try_all
from cluster.hosts.inventory import CONTROL, SSH, HostEntry, Inventory, load_inventory, url_host
from cluster.hosts.local import LocalHost
from cluster.hosts.ssh import SshHost
from cluster.remote.process_table import command_lines
from cluster.remote.supervise import HOLDER
from study import models
from study.errors import HostError, StudyError, UsageError
from study.formats.facts_json import Facts
from study.layout import from_here, results_directory
from study.plan import Plan, PlanFile, load_plan

DEFAULT_PLAN = PROJECT / "campaigns" / "quick.toml"
DEFAULT_INVENTORY = PROJECT / "inventory.ini"


@dataclass(frozen=True)
class Setup:
    """What a campaign runs with: the plan, and the hosts with their facts. `control` is where fab runs.

    `plan_text` is the text that `plan` was parsed from, `files` are those that it names. `without` names load hosts
    of the inventory that were lost and take no part any more. `running` is about the servers that run already.
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
    running: RunningServers = field(default_factory=RunningServers)
    files: Mapping[str, bytes] = field(default_factory=dict)
    plan_directory: Path = Path()
    own: OwnFiles | None = None
    """The plan's locustfile, where it has one."""

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The target, the load hosts, control."""
        return (self.target, *self.load, self.control)

    @property
    def placement(self) -> Placement:
        """Which cores everything runs on."""
        return Placement(self.inventory, self.facts)

    def workers(self) -> list[tuple[Host, str]]:
        """Each worker's host, and its name in the ledger."""
        hosts = {host.entry.name: host for host in self.load}
        return [(hosts[host], worker) for host, worker in self.placement.workers()]

    def limited_to(self, load: tuple[Host, ...]) -> Setup:
        """The same with these of its load hosts alone."""
        inventory = replace(self.inventory, load=tuple(host.entry for host in load))
        left_out = tuple(host.entry.name for host in self.load if host not in load)
        return replace(self, load=load, inventory=inventory, without=(*self.without, *left_out))


@dataclass
class Choice:
    """The inventory and the plan that a command line names. Once given, they hold for its later tasks as well."""

    inventory: Path | None = None
    plan: Path | None = None
    allowed: tuple[str, ...] = ()
    """Names of hosts outside of the inventory that may be loaded."""

    def take(self, inventory: str | None, plan: str | None) -> None:
        """Remember the options of one task. Raises UsageError where an earlier task had different ones."""
        self.inventory = self._one("inventory", self.inventory, inventory)
        self.plan = self._one("plan", self.plan, plan)

    @staticmethod
    def _one(option: str, before: Path | None, given: str | None) -> Path | None:
        now = from_here(given) if given is not None else before
        if before is not None and now != before:
            raise UsageError(f"--{option} {before} holds for the whole command line; a second one, {now}, can't")
        return now

    def read_inventory(self) -> Inventory:
        """The inventory given, or named by STUDY_INVENTORY; else inventory.ini, where it exists."""
        given = self.inventory or _from_environment("STUDY_INVENTORY")
        return load_inventory(given or DEFAULT_INVENTORY, required=given is not None)

    def read_plan(self) -> PlanFile:
        """The plan given, or named by STUDY_PLAN, with the files that it names; else campaigns/quick.toml."""
        path = self.plan or _from_environment("STUDY_PLAN") or DEFAULT_PLAN
        asked = load_plan(path, known_models=models.options())
        return replace(asked, files=read_brought(asked.plan, asked.directory, f"plan {path}"))


def _from_environment(variable: str) -> Path | None:
    value = os.environ.get(variable, "")
    return Path(value) if value else None


@dataclass(frozen=True)
class Survey:
    """The plan, the inventory, and the facts of every host, or in `failures` why they couldn't be read."""

    asked: PlanFile
    inventory: Inventory
    hosts: tuple[Host, ...]
    facts: dict[str, Facts]
    failures: dict[str, HostError]

    def checks(self) -> list[preflight.HostCheck]:
        """The preflight's checks of every host."""
        return preflight.examine(self.inventory, self.asked.plan, self.facts, self.failures)

    def way_checks(self) -> list[preflight.HostCheck]:
        """Whether the load hosts reach the target's port, and have their tunnels; tried only where all hosts answer."""
        target, *load, _ = self.hosts
        starts_server = preflight.starts_server(self.asked.plan)
        port_is_free = (
            starts_server and not self.failures and not self.facts[target.entry.name].ports[str(self.asked.plan.port)]
        )
        return way_checks(self.inventory, self.asked.plan, target, load) if port_is_free else []

    def program_checks(self) -> list[preflight.HostCheck]:
        """Whether the target has the programs that the plan's commands start with, and what else they need."""
        return [] if self.inventory.target.name in self.failures else check_commands(self.asked.plan, self.hosts[0])


def survey(choice: Choice) -> Survey:
    """Read plan and inventory, and the facts of every host, all at the same time. Changes nothing on them."""
    inventory = choice.read_inventory()
    asked = choice.read_plan()
    hosts = target, *_ = hosts_of(inventory)
    ports = {target.entry.name: asked.plan.port, CONTROL: asked.plan.master_port}
    answers = try_all(hosts, lambda host: read_facts(host, ports.get(host.entry.name)))
    facts = {name: answer for name, answer in answers.items() if not isinstance(answer, HostError)}
    failures = {name: answer for name, answer in answers.items() if isinstance(answer, HostError)}
    return Survey(asked, inventory, hosts, facts, failures)


def make_setup(choice: Choice) -> Setup:
    """Read and validate what was chosen, and the facts of every host. Raises StudyError."""
    known = survey(choice)
    if known.failures:
        preflight.stop_if_impossible(known.checks())
    target, *load, control = known.hosts
    asked = known.asked
    own = examined(asked, known.inventory, control)
    return Setup(
        asked.plan,
        asked.text,
        known.inventory,
        control,
        target,
        tuple(load),
        known.facts,
        results_directory(),
        files=asked.files,
        own=own,
        plan_directory=asked.directory,
    )


def examined(asked: PlanFile, inventory: Inventory, control: Host) -> OwnFiles | None:
    """The plan's locustfile, imported once on control; None where it has none. Raises PlanError."""
    own = own_files(asked)
    if own is None:
        return None
    if own.requirements is not None and not is_installed(control, own.requirements_digest):
        raise StudyError("`fab deploy` first: it installs the locustfile's requirements")
    server = asked.plan.server(asked.plan.models[0])
    host, port = server.location(inventory.target.address, asked.plan.port)
    return examine(own, control, f"{'https' if server.tls else 'http'}://{url_host(host)}:{port}")


def hosts_of(inventory: Inventory) -> tuple[Host, ...]:
    """The target, the load hosts, control: every host where the study may keep something."""
    return tuple(make_host(entry) for entry in (*inventory.hosts, inventory.control))


def make_host(entry: HostEntry) -> Host:
    """The host of an entry, of the kind that the inventory asks for."""
    if entry.connection == SSH:
        return SshHost(entry, this_release().code_name, this_release().env_name)
    return LocalHost(entry)


def read_facts(host: Host, port: int | None) -> Facts:
    """The host's facts, and whether `port` can be bound there. Raises HostError.

    `clock_s` is added: the least and the most seconds that the host's clock may be ahead of control's. The host read
    its clock at some moment between the request and the answer.
    """
    ports = [] if port is None else ["--port", str(port)]
    asked = time.time()
    done = host.module("facts", "--address", host.entry.address, "--directory", str(host.storage), *ports)
    answered = time.time()
    if done.status in deployment.NOT_FOUND and host.installation is not None:
        raise HostError(f"{host.entry.name}: there is no {host.installation.base_python}\n{deployment.REMEDY}")
    if done.status:
        last = "\n".join(done.err.strip().splitlines()[-3:])
        raise HostError(f"{host.entry.name}: can't be looked at with Python: {last}")
    try:
        facts = json_value(done.out)
    except ValueError:
        line = done.out.strip().partition("\n")[0]
        raise HostError(
            f"{host.entry.name}: its shell prints {line!r} before the answer: see ~/.bashrc there"
        ) from None
    known = host.parsed(Facts, facts, "facts")
    wrong = {
        "python": not re.fullmatch(r"[0-9]{1,3}\.[0-9]{1,3}[!-~]*", known.python),
        "cores": not known.cores,
        "clock": not math.isfinite(known.clock),
        "ephemeral_ports": known.system == "Linux" and len(known.ephemeral_ports) != 2,
        "ports": port is not None and str(port) not in known.ports,
    }
    if any(wrong.values()):
        keys = ", ".join(key for key, is_wrong in wrong.items() if is_wrong)
        raise HostError(f"{host.entry.name}: facts answered wrongly: {keys}")
    return replace(known, clock_s=(known.clock - answered, known.clock - asked))


@contextmanager
def held(hosts: Sequence[Host]) -> Iterator[None]:
    """Hold the hosts for this checkout: another one would end its campaign. Raises HostError, which names the other."""
    holder = f"{_user()}@{socket.gethostname()}:{PROJECT}"
    at_once(hosts, lambda host: host.hold(holder))
    try:
        yield
    finally:
        try_all(hosts, lambda host: host.release(holder))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return str(os.getuid())


@contextmanager
def exclusive() -> Iterator[None]:
    """Hold the lock of this checkout: two campaigns at once would disturb each other. Raises StudyError."""
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise StudyError(
                f"another campaign runs from this checkout (PID {holder}): wait for it, or end it"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def refuse_beside_campaign() -> None:
    """Raise StudyError where a campaign runs from this checkout, or on this machine: work here would disturb it."""
    who = next(campaigns_here(), None)
    try:
        with (STATE / "lock").open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        who = "this checkout"
    except FileNotFoundError:
        pass
    if who is not None:
        raise StudyError(
            f"a campaign runs from {who}, and this would disturb its measurement: wait for its end, or copy the"
            " results to another machine and read them there"
        )


def campaigns_here() -> Iterator[str]:
    """From where campaigns run that measure on this machine or are controlled by it, this process's own left out.

    Another checkout has a lock of its own. But its fab is among the processes here, and while a run goes on so are the
    monitors of what it started here, over SSH too, beside whose state is the name of the checkout that holds the host.
    """
    for pid, words in command_lines().items():
        names = {Path(word).name for word in words}
        if pid in (os.getpid(), os.getppid()):
            continue
        if "cluster.remote.monitor" in words and "--state" in words[:-1]:
            holder = Path(words[words.index("--state") + 1]) / HOLDER
            with suppress(OSError):
                yield holder.read_text(encoding="utf-8", errors="replace").strip()
        elif "fab" in names and names & {"run-campaign", "calibrate"}:
            yield f"another checkout (PID {pid})"
