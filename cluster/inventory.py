"""The inventory: where the study runs, in the INI subset of Ansible's inventories that DESIGN names.

Groups `[target]` (one host) and `[load]`, their `[group:vars]`, `[all:vars]`, and ranges `load[1:4]`. Other groups are
passed over, so that an existing inventory serves once two groups bear these names.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.errors import InventoryError

LOCAL = "local"
CONTROL = "control"  # where fab and the Locust master run; no host of the inventory may bear this name
KNOWN = {
    "ansible_host", "ansible_port", "ansible_user", "ansible_ssh_private_key_file", "ansible_connection",
    "ansible_python_interpreter", "remote_dir", "cpus", "workers", "address",
}  # fmt: skip


@dataclass(frozen=True)
class HostEntry:
    """One host as the inventory names it. `cpus` empty: chosen from its cores. `workers` 0: one for each of them."""

    name: str
    connection: str = LOCAL
    address: str = "127.0.0.1"
    python: str = ""
    remote_dir: str = ""
    cpus: tuple[int, ...] = ()
    workers: int = 0


@dataclass(frozen=True)
class Inventory:
    """`source` says in a few words where it came from."""

    target: HostEntry
    load: tuple[HostEntry, ...]
    source: str

    @property
    def hosts(self) -> tuple[HostEntry, ...]:
        return (self.target, *self.load)


def this_machine(source: str) -> Inventory:
    """This machine alone: one server, one master, two workers."""
    target, load = _share_cpus(HostEntry("target"), (HostEntry("load1", workers=2),))
    return Inventory(target, load, source)


def load_inventory(path: Path, required: bool) -> Inventory:
    """Read an inventory; this machine alone where there is none and it is not `required`.

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
    """Read an inventory from its text; see load_inventory."""
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
    remote = [entry.name for entry in (*targets, *load) if entry.connection != LOCAL]
    names = [entry.name for entry in (*targets, *load)]
    mistakes += [f"{name}: named twice" for name in sorted(set(names)) if names.count(name) > 1]
    if CONTROL in names:
        mistakes.append(f"{CONTROL}: this name is kept for the machine where fab runs")
    if remote and not mistakes:
        mistakes.append(
            f"{', '.join(remote)}: hosts over SSH are not supported yet; "
            "set ansible_connection=local to run on this machine"
        )
    if mistakes:
        raise InventoryError(f"inventory {source}:\n" + "\n".join(f"  {mistake}" for mistake in mistakes))
    target, workers = _share_cpus(targets[0], tuple(load))
    return Inventory(target, workers, f"{source}: this machine alone")


Sections = dict[str, list[str]]
Variables = dict[str, dict[str, str]]


def _sections(text: str, mistakes: list[str]) -> tuple[Sections, Variables]:
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
    entries = []
    for line in groups.get(group, []):
        try:
            pattern, *assignments = shlex.split(line, comments=True)
        except ValueError as error:
            mistakes.append(f"[{group}] {line}: {error}")
            continue
        own = dict(word.partition("=")[::2] for word in assignments)
        settings = {**variables.get("all", {}), **variables.get(group, {}), **own}
        mistakes += [f"[{group}] {pattern}: unknown variable {key}" for key in settings if key not in KNOWN]
        for name in _range(pattern):
            try:
                entries.append(_entry(name, settings))
            except ValueError as error:
                mistakes.append(f"[{group}] {name}: {error}")
    return entries


def _range(pattern: str) -> Iterator[str]:
    """`load[1:4]` and `load[01:12]` as Ansible reads them, both ends included."""
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
    workers = settings.get("workers", "0")
    if not workers.isdigit():
        raise ValueError(f"workers is a whole number, not {workers!r}")
    return HostEntry(
        name=name,
        connection=settings.get("ansible_connection", "ssh"),
        address=settings.get("address", "127.0.0.1"),
        python=settings.get("ansible_python_interpreter", ""),
        remote_dir=settings.get("remote_dir", ""),
        cpus=parse_cpus(settings.get("cpus", "")),
        workers=int(workers),
    )


def parse_cpus(text: str) -> tuple[int, ...]:
    """CPU numbers as taskset writes them: `0,2-4`. Raises ValueError."""
    cpus: list[int] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise ValueError(f"cpus are numbers and ranges like 0,2-4, not {text!r}")
        cpus += range(int(match[1]), int(match[2] or match[1]) + 1)
    return tuple(sorted(set(cpus)))


def _share_cpus(target: HostEntry, load: tuple[HostEntry, ...]) -> tuple[HostEntry, tuple[HostEntry, ...]]:
    """On one machine the server gets the first half of the cores and all load hosts the rest, where nobody chose."""
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    if not half or target.cpus or any(entry.cpus for entry in load):
        return target, load
    rest = tuple(cores[half:])
    return replace(target, cpus=tuple(cores[:half])), tuple(replace(entry, cpus=rest) for entry in load)
