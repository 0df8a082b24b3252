"""From what a person chose - an inventory, a plan - to a Study: hosts made, facts gathered, everything validated."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.campaign import preflight
from cluster.campaign.preflight import Facts
from cluster.campaign.run import Study
from cluster.deploy.release import release
from cluster.hosts.host import PROJECT, STATE, Host, LocalHost, tried
from cluster.hosts.inventory import CONTROL, SSH, HostEntry, Inventory, load_inventory
from cluster.hosts.ssh import SshHost
from study import models
from study.errors import HostError, StudyError, UsageError
from study.plan import Plan, load_plan

DEFAULT_PLAN = PROJECT / "campaigns" / "quick.toml"
DEFAULT_INVENTORY = PROJECT / "inventory.ini"
RESULTS = Path("results")


@dataclass
class Chosen:
    """The options that hold for all tasks of one command line, once given; environment variables set them too."""

    inventory: Path | None = None
    plan: Path | None = None

    def take(self, inventory: str | None, plan: str | None) -> None:
        """Remember what was given. Raises UsageError for a second, different one."""
        self.inventory = self._one("inventory", self.inventory, inventory)
        self.plan = self._one("plan", self.plan, plan)

    @staticmethod
    def _one(what: str, before: Path | None, given: str | None) -> Path | None:
        now = Path(given) if given is not None else before
        if before is not None and now != before:
            raise UsageError(f"--{what} {before} holds for the whole command line; a second one, {now}, can't")
        return now

    def read_inventory(self) -> Inventory:
        """The inventory given, named by STUDY_INVENTORY, or ./inventory.ini where it exists."""
        given = self.inventory or _named("STUDY_INVENTORY")
        return load_inventory(given or DEFAULT_INVENTORY, required=given is not None)

    def plan_path(self) -> Path:
        """The plan given, named by STUDY_PLAN, or the quick one."""
        return self.plan or _named("STUDY_PLAN") or DEFAULT_PLAN

    def read_plan(self) -> Plan:
        return load_plan(self.plan_path(), known_models=models.options())


def _named(variable: str) -> Path | None:
    value = os.environ.get(variable, "")
    return Path(value) if value else None


@dataclass(frozen=True)
class Survey:
    """What was asked, and each host as it was found; `unseen` says why one could not be looked at."""

    plan: Plan
    inventory: Inventory
    hosts: tuple[Host, ...]
    facts: dict[str, Facts]
    unseen: dict[str, HostError]

    def findings(self) -> list[preflight.Finding]:
        return preflight.examine(self.inventory, self.plan, self.facts, self.unseen)


def survey(chosen: Chosen) -> Survey:
    """Look at every host, all at once. Starts and changes nothing."""
    inventory = chosen.read_inventory()
    plan = chosen.read_plan()
    hosts = target, *_ = hosts_of(inventory)
    ports = {target.entry.name: plan.port, CONTROL: plan.master_port}
    looked = tried(hosts, lambda host: look_at(host, ports.get(host.entry.name)))
    facts = {name: found for name, found in looked.items() if not isinstance(found, HostError)}
    unseen = {name: error for name, error in looked.items() if isinstance(error, HostError)}
    return Survey(plan, inventory, hosts, facts, unseen)


def prepare(chosen: Chosen) -> Study:
    """Everything that was asked, validated, and every host looked at. Raises StudyError for all that can't be."""
    seen = survey(chosen)
    if seen.unseen:
        preflight.stop_if_impossible(seen.findings())
    target, *load, control = seen.hosts
    text = chosen.plan_path().read_text(encoding="utf-8")
    return Study(seen.plan, text, seen.inventory, control, target, tuple(load), seen.facts, RESULTS.absolute())


def hosts_of(inventory: Inventory) -> tuple[Host, ...]:
    """The target, the load hosts, control: every host where the study may have something."""
    return tuple(make_host(entry) for entry in (*inventory.hosts, inventory.control))


def make_host(entry: HostEntry) -> Host:
    if entry.connection == SSH:
        return SshHost(entry, release().code_name, release().env_name)
    directory = Path(entry.remote_dir).expanduser() if entry.remote_dir else STATE
    return LocalHost(entry, entry.python or sys.executable, directory / entry.name)


def look_at(host: Host, port: int | None) -> Facts:
    """The host's facts; the port that the plan needs on it, if any, is tried. Raises HostError.

    `clock_s` is added: the least and the most that the host's clock may be ahead of this machine's, in seconds. It was
    read at some moment between the question and the answer.
    """
    ports = [] if port is None else ["--port", str(port)]
    directory = Path.cwd() if host.is_here else host.directory
    asked = time.time()
    done = host.module("facts", "--address", host.entry.address, "--directory", str(directory), *ports)
    answered = time.time()
    if done.status:
        last = "\n".join(done.err.strip().splitlines()[-3:])
        raise HostError(f"{host.entry.name}: can't be looked at with Python: {last}")
    try:
        facts: Facts = json.loads(done.out)
    except ValueError:
        said = done.out.strip().partition("\n")[0]
        wrong = f"its shell says {said!r} before it is asked: see ~/.bashrc there"
        raise HostError(f"{host.entry.name}: {wrong}") from None
    return {**facts, "clock_s": (facts["clock"] - answered, facts["clock"] - asked)}


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of this checkout: two campaigns at once would measure each other. Raises StudyError."""
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
