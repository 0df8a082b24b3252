"""Unpack a tar archive that a host made, as hostile input: anybody on the host may have written what it sends.

Regular files and directories alone, under names that are checked here, without links, devices, sparse files or mode
bits, within bounds. tarfile's own filters are not relied on: Python before 3.11.4 has none, and those of 3.11.7 let a
chain of long links write outside the destination (CVE-2025-4517).
"""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from study.errors import HostError
from study.formats.bounded import relative_name

MIB = 2**20
MOST_BYTES = 512 * MIB  # of one archive: samples, logs and Locust's files of a run of hours stay far below it
MOST_FILES = 10_000


def unpack(packed: bytes | IO[bytes], into: Path, host: str) -> list[Path]:
    """Unpack into a directory, which is made where it is missing; returns the files' paths relative to it. `packed` is
    the archive, or a file that is open where it begins.

    All of it is unpacked into a temporary directory first, so that a refused archive leaves nothing. Raises HostError,
    which names the host, for anything but files and directories within the bounds, and OSError where this machine can't
    write.
    """
    into.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.parent))
    try:
        names = [_write(packed_file, name, unfinished) for packed_file, name in _members(packed, host)]
        into.mkdir(exist_ok=True)
        for name in names:
            place = into / name
            _make_directories(into, name.parent)
            (unfinished / name).replace(place)
        return names
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise HostError(f"{host}: sent a damaged archive: {error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _members(packed: bytes | IO[bytes], host: str) -> Iterator[tuple[IO[bytes], Path]]:
    """The regular files of an archive with their checked names. Raises HostError."""
    seen: set[PurePosixPath] = set()
    unpacked = 0
    # "r|" reads no compressed archive, since one of a megabyte could hold a thousand, and begins where the file stands.
    with tarfile.open(fileobj=io.BytesIO(packed) if isinstance(packed, bytes) else packed, mode="r|") as archive:
        for number, member in enumerate(archive):
            if number >= MOST_FILES:
                raise HostError(f"{host}: sent more than {MOST_FILES:,} files")
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise HostError(f"{host}: sent {_shown(member.name)}, which is no regular file")
            name = _checked(member.name, host)
            if name in seen:
                raise HostError(f"{host}: sent {_shown(member.name)} twice")
            seen.add(name)
            unpacked += member.size
            if unpacked > MOST_BYTES:
                raise HostError(f"{host}: sent more than {MOST_BYTES // MIB} MiB")
            content = archive.extractfile(member)
            assert content is not None  # it is a regular file
            yield content, Path(name)


def _checked(text: str, host: str) -> PurePosixPath:
    """A name as a relative path that leads nowhere else. Raises HostError."""
    name = relative_name(text)
    if name is None:
        raise HostError(f"{host}: sent a file with the name {_shown(text)}, which is not taken")
    return name


def _write(content: IO[bytes], name: Path, directory: Path) -> Path:
    """Write one file as this user's own, without the mode bits that the archive has."""
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    with (directory / name).open("xb") as file:
        shutil.copyfileobj(content, file)
    return name


def _make_directories(root: Path, below: Path) -> None:
    """The directories above a file. Raises HostError where a link stands in their place: it would lead elsewhere."""
    at = root
    for part in below.parts:
        at = at / part
        if at.is_symlink():
            raise HostError(f"{at}: is a link, and nothing is written through it")
        at.mkdir(exist_ok=True)


def _shown(name: str) -> str:
    """A name for a message: short, and without escape sequences for the terminal."""
    return ascii(name if len(name) <= 80 else f"{name[:77]}...")
