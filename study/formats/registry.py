"""A registry of every key of manifest.json: type, unit, formatter, and whether it is volatile (as pyperf's _metadata).

The keys are the fields of the manifest's dataclasses; what isn't a type or a unit is metadata in their annotations:
`clock: Annotated[float, StoredUnit("s"), VOLATILE]`. The comparison of two campaigns lists a difference only in a key
that is neither volatile nor implied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from enum import Enum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from study.formats.units import StoredUnit, metadata_of

ANY = "*"  # in a path: any name of a mapping


class Unlisted(Enum):
    """Why a key that differs is no difference between two campaigns."""

    VOLATILE = "differs from one hour, directory or boot to the next"
    IMPLIED = "follows from the plan or from another key of the manifest"


VOLATILE, IMPLIED = Unlisted.VOLATILE, Unlisted.IMPLIED


@dataclass(frozen=True)
class Formatted:
    """Metadata: the formatter that makes a value readable in a list of differences."""

    formatter: Callable[[Any], str]


@dataclass(frozen=True)
class Listed:
    """Metadata of a mapping: the names in it that are compared; all others are implied."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Key:
    """One key of the manifest. `path` has ANY in place of a host's, model's, package's or port's name."""

    path: tuple[str, ...]
    type: Any
    unit: str
    formatter: Callable[[Any], str]
    unlisted: Unlisted | None

    @property
    def volatile(self) -> bool:
        return self.unlisted is VOLATILE


@dataclass(frozen=True)
class Entry:
    """One value of a manifest, at its path, with the registry's key for it."""

    path: tuple[str, ...]
    key: Key
    value: Any


def plain(value: Any) -> str:
    """The formatter of a key that names no other: absent values as "nothing", lists with commas."""
    if value is None or value == "":
        return "nothing"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def keys(kind: type) -> dict[tuple[str, ...], Key]:
    """The registry of a dataclass, its nested dataclasses and mappings included."""
    flat = (key for name, hint in _hints(kind) for key in _keys((name,), hint, None))
    return {key.path: key for key in flat}


def entries(registry: Mapping[tuple[str, ...], Key], value: Mapping[str, Any]) -> Iterator[Entry]:
    """Every value of a JSON object that the registry has a key for; keys that it doesn't know are passed over."""
    return (Entry(path, key, leaf) for path, key, leaf in _walk(registry, value) if key is not None)


def unknown(registry: Mapping[tuple[str, ...], Key], value: Mapping[str, Any]) -> list[str]:
    """The keys of a JSON object, as dotted paths, that the registry doesn't have."""
    return [".".join(path) for path, key, _ in _walk(registry, value) if key is None]


def _hints(kind: type) -> Iterator[tuple[str, Any]]:
    yield from get_type_hints(kind, include_extras=True).items()


def _keys(path: tuple[str, ...], hint: Any, inherited: Unlisted | None) -> Iterator[Key]:
    unlisted = next(metadata_of(hint, Unlisted), inherited) if inherited is None else inherited
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if isinstance(bare, type) and is_dataclass(bare):
        for name, inner in _hints(bare):
            yield from _keys((*path, name), inner, unlisted)
    elif get_origin(bare) is Mapping:
        listed = next(metadata_of(hint, Listed), None)
        for name in listed.names if listed else ():
            yield from _keys((*path, name), get_args(bare)[1], unlisted)
        yield from _keys((*path, ANY), get_args(bare)[1], IMPLIED if listed else unlisted)
    else:
        unit = next((each.symbol for each in metadata_of(hint, StoredUnit)), "")
        formatter = next((each.formatter for each in metadata_of(hint, Formatted)), plain)
        yield Key(path, bare, unit, formatter, unlisted)


def _walk(
    registry: Mapping[tuple[str, ...], Key],
    value: Mapping[str, Any],
    path: tuple[str, ...] = (),
    pattern: tuple[str, ...] = (),
) -> Iterator[tuple[tuple[str, ...], Key | None, Any]]:
    """Every leaf of a JSON object with its key, None where the registry has none."""
    for name, inner in value.items():
        here = (*path, name)
        matches = [at for at in ((*pattern, name), (*pattern, ANY)) if _leads(registry, at)]
        if not matches:
            yield here, None, inner
        elif matches[0] in registry:
            yield here, registry[matches[0]], inner
        elif isinstance(inner, Mapping):
            yield from _walk(registry, inner, here, matches[0])
        else:
            yield here, None, inner


def _leads(registry: Mapping[tuple[str, ...], Key], pattern: tuple[str, ...]) -> bool:
    return any(path[: len(pattern)] == pattern for path in registry)
