"""The inventory: where the study runs, in a subset of the INI format of Ansible's inventories.

Groups `[target]` (one host) and `[load]`, their `[group:vars]`, `[all:vars]`, and ranges `load[1:4]`. Other groups are
ignored, so that an existing inventory can be used once two of its groups have these names. Settings of the whole study
are in `[all:vars]`: `transport`, how the load hosts reach Locust's master, and `control_address`, the address where.
docs/several-machines.md lists the variables.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from study.errors import InventoryError

LOCAL, SSH = "local", "ssh"
SSH_ALIASES = ("smart", "paramiko")  # ansible_connection values that also mean SSH
TUNNEL, DIRECT = "tunnel", "direct"
LOOPBACK = "127.0.0.1"
CONTROL = "control"  # where fab and the Locust master run; no host of the inventory may have this name
HOST_VARIABLES = {
    "ansible_host", "ansible_port", "ansible_user", "ansible_ssh_private_key_file", "ansible_connection",
    "ansible_python_interpreter", "remote_dir", "cpus", "workers", "address",
}  # fmt: skip
STUDY_VARIABLES = {"transport", "control_address"}
IGNORED_PREFIX = "ansible_become"  # accepted and ignored: the study never changes the user
REMOTE_DIR = "~/.load-study"


@dataclass(frozen=True)
class HostEntry:
    """One host of the inventory. Without `cpus`, placement chooses cores; with `workers` 0, there is one per core.

    `destination`, `port`, `user` and `key` are arguments of ssh, whose own settings apply where they are empty;
    `address` is where the other hosts reach this one, and what the server binds on the target.
    """

    name: str
    connection: str = LOCAL
    address: str = LOOPBACK
    destination: str = ""
    port: int = 0
    user: str = ""
    key: str = ""
    python: str = ""
    remote_dir: str = ""
    cpus: tuple[int, ...] = ()
    workers: int = 0

    @property
    def machine(self) -> str:
        """Which computer this is: hosts with the same value share its cores, its clock and its loopback."""
        return CONTROL if self.connection == LOCAL else self.name


@dataclass(frozen=True)
class Inventory:
    """The hosts of a campaign. `source` names the file for messages; `control` is the machine that fab runs on."""

    target: HostEntry
    load: tuple[HostEntry, ...]
    source: str
    control: HostEntry = HostEntry(CONTROL)
    transport: str = TUNNEL

    @property
    def hosts(self) -> tuple[HostEntry, ...]:
        """The target, then the load hosts; control is none of them."""
        return (self.target, *self.load)


def this_machine(source: str) -> Inventory:
    """The inventory for one machine: one server, one master, two workers."""
    return _with_cpus(Inventory(HostEntry("target"), (HostEntry("load1", workers=2),), source))


def load_inventory(path: Path, required: bool) -> Inventory:
    """Read an inventory; this machine alone where the file doesn't exist and is not `required`.

    Raises InventoryError with every mistake in one message.
    """
    if not path.exists() and not required:
        return this_machine(f"no {path.name}: this machine alone")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InventoryError(f"inventory {path}: can't be read: {getattr(error, 'strerror', None) or error}") from None
    return parse_inventory(text, path.name)


def parse_inventory(text: str, source: str) -> Inventory:
    """Parse an inventory's text; `source` names it in messages. Raises InventoryError; see load_inventory."""
    mistakes: list[str] = []
    groups, variables = _sections(text, mistakes)
    targets = _entries("target", groups, variables, mistakes)
    load = _entries("load", groups, variables, mistakes)
    if not mistakes and not targets and not load:
        return this_machine(f"{source} names no host: this machine alone")
    if len(targets) != 1:
        mistakes.append(f"[target] must name one host, it names {len(targets)}")
    if not load:
        mistakes.append("[load] names no host")
    names = [entry.name for entry in (*targets, *load)]
    mistakes += [f"{name}: named twice" for name in sorted(set(names)) if names.count(name) > 1]
    if CONTROL in names:
        mistakes.append(f"{CONTROL}: this name is reserved for the machine that fab runs on")
    transport, control = _reaching_control(variables.get("all", {}), mistakes)
    elsewhere = any(entry.connection == SSH and not _is_loopback(entry.destination) for entry in load)
    if not mistakes and elsewhere and _is_loopback(targets[0].address):
        mistakes.append(
            f"{targets[0].name}: its address is {targets[0].address}, which other hosts can't reach: set address="
        )
    if mistakes:
        raise InventoryError(f"inventory {source}:\n" + "\n".join(f"  {mistake}" for mistake in mistakes))
    remote = [entry.name for entry in (*targets, *load) if entry.connection == SSH]
    where = f"{len(remote)} hosts over SSH" if remote else "this machine alone"
    return _with_cpus(Inventory(targets[0], tuple(load), f"{source}: {where}", control, transport))


def _reaching_control(settings: dict[str, str], mistakes: list[str]) -> tuple[str, HostEntry]:
    """Transport, and control's entry: the master binds loopback for tunnels, or control_address for direct."""
    transport, address = settings.get("transport", TUNNEL), settings.get("control_address", "")
    if transport not in (TUNNEL, DIRECT):
        mistakes.append(f"transport is {TUNNEL} or {DIRECT}, not {transport!r}")
    if transport == DIRECT and not address:
        mistakes.append(f"transport={DIRECT} needs control_address= in [all:vars]: the address that the master binds")
    return transport, HostEntry(CONTROL, address=address if transport == DIRECT else LOOPBACK)


def _is_loopback(address: str) -> bool:
    return address == "localhost" or address.startswith("127.") or address == "::1"


Sections = dict[str, list[str]]
Variables = dict[str, dict[str, str]]


def _sections(text: str, mistakes: list[str]) -> tuple[Sections, Variables]:
    """The lines of each group, and the variables of each [group:vars]."""
    groups: Sections = {}
    variables: Variables = {}
    section = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            header = re.fullmatch(r"\[([\w.-]+(?::\w+)?)\]\s*(?:[#;].*)?", line)
            if header is None:
                mistakes.append(f"line {number}: not a group header: {line}")
                continue
            section = header[1]
        elif section.endswith(":vars"):
            key, equals, value = line.partition("=")
            if not equals:
                mistakes.append(f"line {number}: not key=value: {line}")
            variables.setdefault(section.removesuffix(":vars"), {})[key.strip()] = value.strip().strip("'\"")
        elif not section:
            mistakes.append(f"line {number}: {line} stands before the first [group]")
        else:
            groups.setdefault(section, []).append(line)
    return groups, variables


def _entries(group: str, groups: Sections, variables: Variables, mistakes: list[str]) -> list[HostEntry]:
    """The hosts of one group; a host's own variables override its group's, and those [all:vars]."""
    entries = []
    for line in groups.get(group, []):
        try:
            pattern, *assignments = shlex.split(line, comments=True)
        except ValueError as error:
            mistakes.append(f"[{group}] {line}: {error}")
            continue
        own = dict(word.partition("=")[::2] for word in assignments)
        everywhere = {key: value for key, value in variables.get("all", {}).items() if key not in STUDY_VARIABLES}
        settings = {**everywhere, **variables.get(group, {}), **own}
        mistakes += [f"[{group}] {pattern}: {_unknown(key)}" for key in settings if not _is_known(key)]
        for name in _range(pattern):
            try:
                entries.append(_entry(name, settings))
            except ValueError as error:
                mistakes.append(f"[{group}] {name}: {error}")
    return entries


def _is_known(key: str) -> bool:
    return key in HOST_VARIABLES or key.startswith(IGNORED_PREFIX)


def _unknown(key: str) -> str:
    """Message for a variable that a host can't have."""
    if key in STUDY_VARIABLES:
        return f"{key} is a setting of the whole study: it belongs in [all:vars]"
    if "pass" in key:
        return f"{key}: the study uses keys and the SSH agent, never a password"
    if key.startswith("ansible_"):
        return f"unknown variable {key}: settings of ssh belong in ~/.ssh/config, which the study reads"
    return f"unknown variable {key}"


def _range(pattern: str) -> Iterator[str]:
    """The names of a range such as `load[1:4]` or `load[01:12]`, both ends included as in Ansible."""
    match = re.fullmatch(r"(.*)\[(\d+):(\d+)\](.*)", pattern)
    if match is None:
        yield pattern
        return
    before, low, high, after = match.groups()
    for number in range(int(low), int(high) + 1):
        yield f"{before}{number:0{len(low)}d}{after}"


def _entry(name: str, settings: dict[str, str]) -> HostEntry:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError("a host's name has letters, digits, dots, dashes and underscores")
    connection = settings.get("ansible_connection", SSH)
    if connection not in (LOCAL, SSH, *SSH_ALIASES):
        raise ValueError(f"ansible_connection is {SSH} or {LOCAL}, not {connection!r}")
    python = settings.get("ansible_python_interpreter", "")
    destination = settings.get("ansible_host", name)
    return HostEntry(
        name=name,
        connection=LOCAL if connection == LOCAL else SSH,
        address=settings.get("address", LOOPBACK if connection == LOCAL else destination),
        destination=destination,
        port=_whole(settings, "ansible_port"),
        user=settings.get("ansible_user", ""),
        key=settings.get("ansible_ssh_private_key_file", ""),
        python="" if python.startswith("auto") else python,
        remote_dir=settings.get("remote_dir", ""),
        cpus=parse_cpus(settings.get("cpus", "")),
        workers=_whole(settings, "workers"),
    )


def _whole(settings: dict[str, str], key: str) -> int:
    value = settings.get(key, "0")
    if not value.isdigit():
        raise ValueError(f"{key} is a whole number, not {value!r}")
    return int(value)


def parse_cpus(text: str) -> tuple[int, ...]:
    """CPU numbers as taskset writes them: `0,2-4`. Raises ValueError."""
    cpus: list[int] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise ValueError(f"cpus are numbers and ranges like 0,2-4, not {text!r}")
        cpus += range(int(match[1]), int(match[2] or match[1]) + 1)
    return tuple(sorted(set(cpus)))


def _with_cpus(inventory: Inventory) -> Inventory:
    """Share the cores of this machine: the first half for the server, the rest for load hosts and control.

    Where the inventory sets `cpus` for any host of this machine, nothing is chosen for the others, and control gets the
    cores of the first local load host.
    """
    here = [entry for entry in inventory.hosts if entry.connection == LOCAL]
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    if inventory.target in here and half and not any(entry.cpus for entry in here):
        rest = tuple(cores[half:])
        load = tuple(replace(entry, cpus=rest) if entry in here else entry for entry in inventory.load)
        target = replace(inventory.target, cpus=tuple(cores[:half]))
        return replace(inventory, target=target, load=load, control=replace(inventory.control, cpus=rest))
    load_cpus = next((entry.cpus for entry in inventory.load if entry in here), ())
    return replace(inventory, control=replace(inventory.control, cpus=load_cpus))
