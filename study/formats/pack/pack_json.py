"""pack.json: which files a pack holds, the SHA-256 sum of each, and the program that analysed the campaign."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from study.formats.json_files import stamped_json


@dataclass(frozen=True, kw_only=True)
class ProgramFacts:
    """The program that made tables, figures and report of the raw files."""

    name: str
    """Program and version."""
    commit: str | None = None
    """None where there is no repository or no git."""
    uncommitted_changes: bool = False
    code: str
    """SHA-256 of analysis/ and study/: another one may word sentences otherwise."""
    python: str
    machine: str
    """The processor's architecture."""
    libraries: Mapping[str, str]
    """Versions, by name, of what decides figures and pages."""


@dataclass(frozen=True, kw_only=True)
class PackFile:
    """The whole file."""

    campaign: str
    """The name of the campaign's directory."""
    runs: int
    """That the plan asks for."""
    done: int
    """How many of them are done."""
    program: ProgramFacts
    raw: Mapping[str, str]
    """SHA-256 of each file that the campaign wrote, by its path."""
    derived: Mapping[str, str]
    """SHA-256 of each file that analysis made of those."""
    digest: str = ""
    """SHA-256 of this file as it is with this value empty: it names the pack."""


def with_digest(pack: PackFile) -> PackFile:
    """The list with the digest of its own text."""
    return replace(pack, digest=_sum(list_text(replace(pack, digest=""))))


def list_text(pack: PackFile) -> str:
    """The file's text."""
    return stamped_json(asdict(pack))


def is_whole(text: str, digest: str) -> bool:
    """Whether the file's text is the one that the digest in it was computed of."""
    return _sum(text.replace(_key(digest), _key(""))) == digest


def _key(digest: str) -> str:
    """The line of the digest; it is the last key, and no other value of the file can hold a quotation mark as it is."""
    return f'\n  "digest": "{digest}"\n'


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
