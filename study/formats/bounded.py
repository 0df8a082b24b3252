"""Reads files of a campaign that may come from elsewhere: regular ones, of a bounded size, inside its directory."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path, PurePosixPath
from typing import Any

MOST_BYTES = 2**29
MOST_COLUMNS = 1_000
MOST_DEPTH = 8
MOST_NAME = 255  # bytes; what Linux file systems take


def relative_name(text: str, most_depth: int = MOST_DEPTH) -> PurePosixPath | None:
    """The name of a file in an archive as a path that leads nowhere else; None where it isn't one."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    wrong = (
        text.startswith("/")
        or not parts
        or ".." in parts
        or len(parts) > most_depth
        or any(len(part.encode("utf-8", "surrogateescape")) > MOST_NAME for part in parts)
        or not text.isprintable()
    )
    return None if wrong else PurePosixPath(*parts)


def read_bounded(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file. Raises OSError, which has a reason as its `strerror`, for anything else.

    A FIFO or a device would block or never end; a link may lead out of the campaign, to a file of this machine.
    """
    if path.is_symlink() and path.parent.resolve() not in path.resolve().parents:
        raise OSError(errno.EINVAL, "a link that leaves its directory", str(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if status.st_size > most or len(content := stream.read(most + 1)) > most:
            raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The same as text; a byte that isn't UTF-8 becomes U+FFFD."""
    return read_bounded(path, most).decode("utf-8", "replace")


def parse_json(text: str | bytes) -> Any:
    """A JSON value. Raises ValueError, also where it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
