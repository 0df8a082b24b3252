"""Differences between two campaigns other than their results: in their plans, and in their manifests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from study.formats.manifest_json import KEYS, Manifest
from study.formats.registry import entries
from study.plan import Plan

SERVER_KEYS = ("work", "servers")
MEASUREMENT_KEYS = (
    "name", "models", "users", "spawn_rate", "settle", "measure", "return_step", "aa", "blocks", "seed", "port",
    "master_port", "memory_floor_mb", "slo",
)  # fmt: skip
"""Keys of a plan that say how it was measured; those that are in neither list say what the users do."""


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)


@dataclass(frozen=True)
class Difference:
    """One key that has two values. `what` as in the file that it comes from; None on the side that doesn't have it."""

    what: str
    first: Any
    second: Any
    formatter: Callable[[Any], str] = field(default=_shown, compare=False)

    def __str__(self) -> str:
        return f"{self.what}: {self.formatter(self.first)} against {self.formatter(self.second)}"


def plan_differences(first: Plan, second: Plan) -> tuple[Difference, ...]:
    """Keys of the two plans whose values differ, those of tables by dotted names."""
    return _differences(first.model_dump(mode="json"), second.model_dump(mode="json"))


def of_the_load(difference: Difference) -> bool:
    """Whether a plan's key says what the users do: then the two campaigns can't be compared."""
    return difference.what.partition(".")[0] not in (*SERVER_KEYS, *MEASUREMENT_KEYS)


def manifest_differences(first: Manifest | None, second: Manifest | None) -> tuple[Difference, ...]:
    """Keys of the registry whose values differ, volatile and implied ones left out; those of several hosts once."""
    if first is None or second is None:
        return (_presence("manifest.json", first is not None, second is not None),)
    ones, others = ({entry.path: entry for entry in entries(KEYS, asdict(each))} for each in (first, second))
    differences: list[Difference] = []
    hosts: dict[str, Difference] = {}
    shared: dict[tuple[str, str, str], tuple[list[str], Difference]] = {}
    for path in dict.fromkeys((*ones, *others)):
        key = (ones.get(path) or others[path]).key
        mine, theirs = (each[path].value if path in each else None for each in (ones, others))
        if key.unlisted is not None or mine == theirs:
            continue
        if path[0] != "hosts":
            differences.append(Difference(path[-1], mine, theirs, key.formatter))
            continue
        host, what = path[1], ".".join(path[2:])
        if host not in first.hosts or host not in second.hosts:
            hosts[host] = _presence(f"host {host}", host in first.hosts, host in second.hosts)
            continue
        difference = Difference(what, mine, theirs, key.formatter)
        shared.setdefault((what, repr(mine), repr(theirs)), ([], difference))[0].append(host)
    on_hosts = (replace(each, what=f"{', '.join(names)}, {each.what}") for names, each in shared.values())
    return (*differences, *hosts.values(), *on_hosts)


def _presence(what: str, first: bool, second: bool) -> Difference:
    return Difference(what, "there" if first else None, "there" if second else None)


def _differences(first: Mapping[str, Any], second: Mapping[str, Any], before: str = "") -> tuple[Difference, ...]:
    lines: list[Difference] = []
    for key in dict.fromkeys((*first, *second)):
        mine, theirs = first.get(key), second.get(key)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            lines += _differences(mine, theirs, f"{before}{key}.")
        elif mine != theirs:
            lines.append(Difference(f"{before}{key}", mine, theirs))
    return tuple(lines)
