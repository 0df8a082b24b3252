"""manifest.json: where a campaign ran, with which code, and what makes it the same campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from study.formats.facts_json import Facts
from study.formats.json_files import FORMAT, write_json
from study.formats.registry import IMPLIED, VOLATILE, Formatted, Listed, keys, unknown
from study.formats.units import StoredUnit

COMPARED_DIGESTS = Listed(("servers/", "cluster/", "requirements.lock"))
"""The plan and the hosts have digests, too, and say themselves what differs."""
LOCUSTFILE = "the locustfile"
"""The digest of a locustfile of one's own, with its files and requirements; absent with the study's own clients."""
DIGITS = 12  # of a commit or digest: enough for a person to compare


def short(digest: str | None) -> str:
    """The formatter of commits and digests."""
    return digest[:DIGITS] if digest else "nothing"


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """What a model's file says of the model; all empty for a server that isn't one of servers/."""

    model: str = ""
    summary: str = ""
    docstring: str = ""
    descriptors: int | None = None
    """The most descriptors that the model can use, where it has such a limit."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Reading an older manifest, a key that is missing has its default here, and unknown keys are passed over."""

    format: Annotated[int, IMPLIED] = FORMAT
    made_by: str = "an unknown program"
    plan: Annotated[str, IMPLIED] = ""
    """The plan's name."""
    created: Annotated[str, VOLATILE] = ""
    """UTC, ISO 8601."""
    commit: Annotated[str | None, Formatted(short)] = None
    """None where there is no repository or no git."""
    uncommitted_changes: bool = False
    identity: Annotated[Mapping[str, Annotated[str, Formatted(short)]], COMPARED_DIGESTS] = field(default_factory=dict)
    """SHA-256 by what it was computed from; a campaign is continued only where all of them are the same."""
    load_cores: Annotated[int | None, StoredUnit("cores"), IMPLIED] = None
    """CPUs of all workers together."""
    models: Annotated[Mapping[str, ModelDescription], IMPLIED] = field(default_factory=dict)
    """By the name in the plan."""
    hosts: Mapping[str, Facts] = field(default_factory=dict)
    """By the name in the inventory; `control` is the machine that runs fab."""


KEYS = keys(Manifest)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write manifest.json whole. Raises ValueError for a key that the registry doesn't have."""
    value = asdict(manifest)
    if strange := unknown(KEYS, value):
        raise ValueError(f"manifest.json has no key {', '.join(strange)}: it belongs into study/formats")
    write_json(path, value)
