"""What differs between two campaigns besides their results: plans, code, and the machines they ran on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from study.plan import Plan

OF_THE_SERVER = ("work", "servers")
OF_THE_MEASUREMENT = (
    "name", "models", "users", "spawn_rate", "settle", "measure", "return_step", "aa", "blocks", "seed", "port",
    "master_port", "memory_floor_mb", "slo",
)  # fmt: skip
"""Any other key of a plan says what the users do: where one differs, the campaigns ask different questions."""
PASSING = ("boot_id", "load_1min", "memory_available_mb", "disk_free_mb", "ports_busy", "executable")
"""Facts of a host that change from one hour to the next."""


@dataclass(frozen=True)
class Difference:
    """`what` as in the file that it comes from; None where one side doesn't have it."""

    what: str
    first: Any
    second: Any

    def __str__(self) -> str:
        return f"{self.what}: {_shown(self.first)} against {_shown(self.second)}"


def plan_differences(first: Plan, second: Plan) -> tuple[Difference, ...]:
    """Keys of the two plans that aren't alike, those of tables by dotted names."""
    return _differences(first.model_dump(mode="json"), second.model_dump(mode="json"))


def of_the_load(difference: Difference) -> bool:
    """Whether a plan's key is one of what the users do."""
    return difference.what.partition(".")[0] not in (*OF_THE_SERVER, *OF_THE_MEASUREMENT)


def manifest_differences(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> tuple[Difference, ...]:
    """Code, locked packages and hosts that aren't alike; what several hosts share is said once."""
    if first is None or second is None:
        return (Difference("manifest.json", *("there" if each else None for each in (first, second))),)
    code = [
        Difference(what, _code(first, what), _code(second, what))
        for what in ("commit", "servers/", "cluster/", "requirements.lock", "made_by")
        if _code(first, what) != _code(second, what)
    ]
    hosts, others = _mapping(first.get("hosts")), _mapping(second.get("hosts"))
    named: dict[tuple[str, str, str], list[str]] = {}
    found: dict[tuple[str, str, str], Difference] = {}
    for host in dict.fromkeys((*hosts, *others)):
        if host not in hosts or host not in others:
            code.append(Difference(f"host {host}", *("there" if host in each else None for each in (hosts, others))))
            continue
        for entry in _differences(_mapping(hosts[host]), _mapping(others[host])):
            if entry.what.partition(".")[0] not in PASSING:
                key = (entry.what, repr(entry.first), repr(entry.second))
                named.setdefault(key, []).append(host)
                found[key] = entry
    return (
        *code,
        *(
            Difference(f"{', '.join(on)}, {found[key].what}", found[key].first, found[key].second)
            for key, on in named.items()
        ),
    )


def _differences(first: Mapping[str, Any], second: Mapping[str, Any], before: str = "") -> tuple[Difference, ...]:
    lines: list[Difference] = []
    for key in dict.fromkeys((*first, *second)):
        mine, theirs = first.get(key), second.get(key)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            lines += _differences(mine, theirs, f"{before}{key}.")
        elif mine != theirs:
            lines.append(Difference(f"{before}{key}", mine, theirs))
    return tuple(lines)


def _code(manifest: Mapping[str, Any], what: str) -> Any:
    """A digest of the manifest's, cut to what a person compares, or one of its own keys."""
    digest = _mapping(manifest.get("identity")).get(what)
    if digest is not None:
        return str(digest)[:12]
    value = manifest.get(what)
    if what == "commit" and value:
        return str(value)[:12] + (" with uncommitted changes" if manifest.get("uncommitted_changes") else "")
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)
