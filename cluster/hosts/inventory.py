"""The inventory: where the study runs. Whatever Ansible reads is read; what would change its meaning is refused.

Of its groups, `target` (one host) and `load` count, with the groups that are in them. Plain INI is read here, with
group_vars/ and host_vars/ beside it; for anything else ansible-inventory is asked. Two variables are about the whole
study and belong in `[all:vars]`: `transport`, how the load hosts reach Locust's master, and `control_address`, where.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from cluster.hosts.inventory_ansible import one_line, read_json, read_with_ansible
from cluster.hosts.inventory_files import decode, read_text, variable_files
from cluster.hosts.inventory_groups import ALL, UNGROUPED, GroupTree, NotPlainError, VariableFiles, Variables
from cluster.hosts.inventory_ini import read_ini, refuse_other_formats
from cluster.hosts.inventory_settings import (
    KEY,
    LOCAL,
    MAX_WORKERS,
    SSH,
    checked_host,
    connection,
    destination,
    is_address,
    is_link_local,
    is_loopback,
    parse_cpus,
    refusals,
    text,
    whole,
)
from study.errors import InventoryError

__all__ = [
    "CONTROL", "DIRECT", "LOCAL", "LOOPBACK", "REMOTE_DIR", "SSH", "TUNNEL", "HostEntry", "Inventory",
    "load_inventory", "parse_cpus", "parse_inventory", "this_machine", "url_host",
]  # fmt: skip

TUNNEL, DIRECT = "tunnel", "direct"
LOOPBACK = "127.0.0.1"
CONTROL = "control"  # where fab and the Locust master run; no host of the inventory may have this name
STUDY_VARIABLES = ("transport", "control_address")
REMOTE_DIR = "~/.load-study"
STANDARD_INPUT = Path("-")
MAX_MISTAKES, MAX_LENGTH = 20, 500  # of those shown, and characters of each; the others are counted
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class HostEntry:
    """One host of the inventory. Without `cpus`, placement chooses cores; with `workers` 0, there is one per core.

    `destination`, `port`, `user` and `key` are arguments of ssh, whose own settings apply where they are empty;
    `address` is where the other hosts reach this one, and what the server binds on the target. Both may be IPv6
    addresses, without brackets.
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
        """The target, then the load hosts in the inventory's order; control is none of them."""
        return (self.target, *self.load)


def url_host(address: str) -> str:
    """An address as it stands before `:port`: IPv6 in brackets (RFC 3986, 3.2.2)."""
    return f"[{address}]" if ":" in address else address


def this_machine(source: str) -> Inventory:
    """The inventory for one machine: one server, one master, two workers."""
    return _with_cpus(Inventory(HostEntry("target"), (HostEntry("load1", workers=2),), source))


def load_inventory(path: Path, required: bool) -> Inventory:
    """Read an inventory, from standard input where `path` is `-`; this machine alone where there is no such file and
    it is not `required`.

    Raises InventoryError with every mistake in one message.
    """
    if path == STANDARD_INPUT:
        return parse_inventory(_standard_input(), "standard input")
    if not path.exists() and not required:
        return this_machine(f"no {path.name}: this machine alone")
    try:
        return _inventory(_read_plain(path), path.name, variable_files(path.parent))
    except NotPlainError as reason:
        return _inventory(read_with_ansible(path, reason), path.name)


def parse_inventory(text: str, source: str) -> Inventory:
    """Read an inventory from its text: INI, or JSON as `ansible-inventory --list` prints it. See load_inventory."""
    try:
        return _inventory(_parse(text, source), source)
    except NotPlainError as reason:
        raise InventoryError(
            f"inventory {source}: {reason}. Give the file itself, or pipe it: "
            "ansible-inventory -i FILE --list | fab ... --inventory -"
        ) from None


@cache  # each task of a command line reads the inventory
def _standard_input() -> str:
    try:
        return decode(sys.stdin.buffer.read())
    except (OSError, ValueError) as error:
        raise InventoryError(f"inventory from standard input: can't be read: {error}") from None


def _read_plain(path: Path) -> GroupTree:
    """Raises InventoryError, and NotPlainError where Ansible may be able to read it."""
    if path.is_dir():
        raise NotPlainError("this is a directory")
    try:
        content = read_text(path)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and os.access(path, os.X_OK):
            raise NotPlainError("this is a program") from None
        raise InventoryError(f"inventory {path}: can't be read: {getattr(error, 'strerror', None) or error}") from None
    if content.startswith("#!"):
        raise NotPlainError("this is a script")
    if path.suffix in (".yml", ".yaml", ".toml"):
        raise NotPlainError(f"this is {'TOML' if path.suffix == '.toml' else 'YAML'}")
    return _parse(content, path.name)


def _parse(content: str, source: str) -> GroupTree:
    if content.lstrip().startswith("{"):
        try:
            return read_json(content)
        except ValueError as error:
            raise InventoryError(f"inventory {source}: {error}") from None
    refuse_other_formats(content)
    tree, mistakes = read_ini(content)
    _stop_at(mistakes, source)
    return tree


def _stop_at(mistakes: list[str], source: str) -> None:
    if mistakes:
        shown = [one_line(mistake[:MAX_LENGTH]) for mistake in dict.fromkeys(mistakes)]
        left = len(shown) - MAX_MISTAKES
        shown = [*shown[:MAX_MISTAKES], f"and {left} more"] if left > 0 else shown
        raise InventoryError(f"inventory {source}:\n" + "\n".join(f"  {mistake}" for mistake in shown))


def _inventory(tree: GroupTree, source: str, files: VariableFiles = lambda kind, name: {}) -> Inventory:
    """Raises InventoryError, and NotPlainError from `files`."""
    mistakes: list[str] = []
    settings = {name: tree.variables(name, files) for group in ("target", "load") for name in _members(tree, group)}
    targets = _entries("target", tree, settings, mistakes)
    load = _entries("load", tree, settings, mistakes)
    if len(named := _members(tree, "target")) > 1:
        mistakes.append(f"[target] must name one host, it names {len(named)}")
    names = Counter(entry.name for entry in (*targets, *load))
    mistakes += [f"{name}: named twice" for name in sorted(names) if names[name] > 1]
    if CONTROL in names:
        mistakes.append(f"{CONTROL}: this name is reserved for the machine that fab runs on")
    transport, control = _reaching_control(settings, mistakes)
    elsewhere = any(entry.connection == SSH and not is_loopback(entry.destination) for entry in load)
    if not mistakes and elsewhere and (is_loopback(targets[0].address) or is_link_local(targets[0].address)):
        mistakes.append(
            f"{targets[0].name}: its address is {targets[0].address}, which other hosts can't reach: set address="
        )
    _stop_at(mistakes, source)
    remote = [entry.name for entry in (*targets, *load) if entry.connection == SSH]
    where = f"{len(remote)} hosts over SSH" if remote else "this machine alone"
    return _with_cpus(Inventory(targets[0], tuple(load), f"{source}: {where}", control, transport))


def _members(tree: GroupTree, group: str) -> list[str]:
    return tree.members(group) if group in tree.groups else []


def _entries(group: str, tree: GroupTree, settings: dict[str, Variables], mistakes: list[str]) -> list[HostEntry]:
    entries = []
    for name in _members(tree, group):
        if wrong := list(refusals(settings[name])):
            mistakes += [f"[{group}] {name}: {each}" for each in wrong]
            continue
        try:
            entries.append(_entry(name, settings[name]))
        except ValueError as error:
            mistakes.append(f"[{group}] {name}: {error}")
    if not _members(tree, group):
        mistakes.append(_no_host_in(group, tree))
    return entries


def _no_host_in(group: str, tree: GroupTree) -> str:
    if group in tree.groups:
        return f"[{group}] names no host"
    found = [name for name in tree.groups if name not in (ALL, UNGROUPED)]
    by_lower = {name.lower(): name for name in found}
    near = difflib.get_close_matches(group, by_lower, n=1)
    meant = f"; did you mean [{by_lower[near[0]]}]?" if near else ""
    listed = ", ".join(found[:MAX_MISTAKES]) + ", ..." * (len(found) > MAX_MISTAKES)
    return f"there is no group [{group}] (groups: {listed or 'none'}){meant}"


def _entry(name: str, settings: Variables) -> HostEntry:
    """Raises ValueError."""
    own = name.rpartition("@")[2]
    if not (_NAME.fullmatch(own) or is_address(own)) or "%" in own:
        raise ValueError("a host's name has letters, digits, dots, dashes and underscores, or is an address")
    how, to = connection(settings), destination(name, settings)
    python = text(settings, "ansible_python_interpreter")
    address = text(settings, "address")
    return HostEntry(
        name=own,
        connection=how,
        address=checked_host(address, "address") if address else LOOPBACK if how == LOCAL else to.host,
        destination=to.host,
        port=to.port,
        user=to.user,
        key=text(settings, *KEY),
        python="" if python.startswith("auto") else python,
        remote_dir=text(settings, "remote_dir"),
        cpus=parse_cpus(text(settings, "cpus")),
        workers=whole(settings, MAX_WORKERS, "workers"),
    )


def _reaching_control(settings: dict[str, Variables], mistakes: list[str]) -> tuple[str, HostEntry]:
    """Transport, and control's entry: the master binds loopback for tunnels, or control_address for direct."""
    values = {}
    for key in STUDY_VARIABLES:
        try:
            found = {text(each, key) for each in settings.values()}
        except ValueError as error:
            mistakes.append(str(error))
            found = {""}
        if len(found) > 1:
            mistakes.append(f"{key} is a setting of the whole study: it belongs in [all:vars]")
        values[key] = min(found, default="")
    transport, address = values["transport"] or TUNNEL, values["control_address"]
    if transport not in (TUNNEL, DIRECT):
        mistakes.append(f"transport is {TUNNEL} or {DIRECT}, not {transport!r}")
    if transport == DIRECT and not address:
        mistakes.append(f"transport={DIRECT} needs control_address= in [all:vars]: the address that the master binds")
    try:
        checked_host(address or LOOPBACK, "control_address")
    except ValueError as error:
        mistakes.append(str(error))
    return transport, HostEntry(CONTROL, address=address if transport == DIRECT else LOOPBACK)


def _with_cpus(inventory: Inventory) -> Inventory:
    """Share the cores of this machine: the first half for the server, the rest for load hosts and control.

    Where the inventory sets `cpus` for any host of this machine, nothing is chosen for the others, and control gets the
    cores of the first local load host.
    """
    here = [entry for entry in inventory.hosts if entry.connection == LOCAL]
    cores = _cores() if inventory.target in here else []
    half = len(cores) // 2
    if half and not any(entry.cpus for entry in here):
        rest = tuple(cores[half:])
        load = tuple(replace(entry, cpus=rest) if entry in here else entry for entry in inventory.load)
        target = replace(inventory.target, cpus=tuple(cores[:half]))
        return replace(inventory, target=target, load=load, control=replace(inventory.control, cpus=rest))
    shared = next((entry.cpus for entry in inventory.load if entry in here), ())
    return replace(inventory, control=replace(inventory.control, cpus=shared))


def _cores() -> list[int]:
    """The CPUs that this process may use; empty where the system has no such call, as on a Mac."""
    affinity = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else []
