"""JSON files that carry the version of their format and the program that wrote them, written whole."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from study.errors import FormatError
from study.formats.bounded import parse_json, read_bounded

FORMAT = 1  # of run.json, manifest.json, live.json and ledger.jsonl; raised when an older reader would be misled
PROGRAM = "load-study"
VERSION = "0.1.0"


def made_by() -> str:
    """Program and version, as they are in every file."""
    return f"{PROGRAM} {VERSION}"


def write_whole(path: Path, content: str | bytes, private: bool = False) -> None:
    """Replace a file by rename, so that a reader sees the old or the new content, also after a power failure.

    Makes the directories above it. Nobody else can read a `private` one. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, 0o600 if private else 0o644)
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None  # a full disk's error names no file
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object whole, with the format's version and the program's name before its own keys."""
    write_whole(path, stamped_json(value))


def stamped_json(value: Mapping[str, Any]) -> str:
    """The text of such a file."""
    stamped = {"format": FORMAT, "made_by": made_by(), **value}
    return json.dumps(stamped, indent=2, ensure_ascii=False) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """Read what write_json wrote. Raises FormatError for another version or a damaged file."""
    try:
        value = parse_json(read_bounded(path))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: can't be read: {error}") from None
    return check_format(value, path)


def check_format(value: Any, path: Path) -> dict[str, Any]:
    """Return the object if its version is this program's. Raises FormatError, which names the program that wrote it."""
    if not isinstance(value, dict) or "format" not in value:
        raise FormatError(f"{path}: not a file of {PROGRAM}")
    if value["format"] != FORMAT:
        writer = value.get("made_by", "an unknown program")
        raise FormatError(f"{path}: format {value['format']}, made by {writer}; this program reads format {FORMAT}")
    return value
