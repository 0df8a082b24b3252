"""The .zip of a pack: the same bytes for the same files, sealed with its own SHA-256, and read as hostile input.

The archive's comment holds the SHA-256 of all bytes before it, so that a change anywhere is seen, also one in a header
that no program reads.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from study.errors import DamagedError, FormatError
from study.formats.bounded import relative_name

MOST_UNPACKED = 2**31  # bytes of all files together
MOST_LIST = 2**23  # bytes of its list of files, some 60,000 of them: zipfile reads it whole
MOST_DEPTH = 16
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the date of every file in it: that of the campaign is in its manifest
SEAL = b"SHA-256 "
HEX = 64
END = struct.Struct("<4s4H2LH")  # the end of the central directory, APPNOTE 4.3.16
END_SIGNATURE, LOCATOR_SIGNATURE, FILE_SIGNATURE = b"PK\5\6", b"PK\6\7", b"PK\3\4"
LOCATOR_SIZE = 20
MOST_COMMENT = 2**16
CHUNK = 2**20
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, struct.error
)  # fmt: skip
"""What zipfile raises for a damaged member."""


@dataclass(frozen=True)
class Unpacked:
    """What was in an archive."""

    top: Path
    """The directory that holds its files."""
    digests: dict[str, str]
    """SHA-256 of each file, by its path below `top`."""
    damaged: tuple[str, ...]
    """Files whose bytes are not those that were packed, by the archive itself."""
    seal: bool | None
    """Whether the archive is as it was written; None where another program packed the files again."""


def write_zip(archive: Path, directory: Path, names: Iterable[str], top: str) -> None:
    """Pack files of a directory, below one directory `top`; the archive appears whole, by rename. Raises OSError."""
    descriptor, temporary = tempfile.mkstemp(dir=archive.parent, prefix=f".{archive.name}.")
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            os.fchmod(descriptor, 0o644)
            with zipfile.ZipFile(stream, "w") as packed:
                for name in sorted(names):
                    entry = zipfile.ZipInfo(f"{top}/{name}", EARLIEST)
                    entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
                    entry.external_attr = (stat.S_IFREG | 0o644) << 16
                    packed.writestr(entry, (directory / name).read_bytes())
                packed.comment = SEAL + b"0" * HEX
            stream.seek(-HEX, os.SEEK_END)
            place = stream.tell()
            digest = _digest(stream, place)
            stream.seek(place)
            stream.write(digest)
            stream.flush()
            os.fsync(descriptor)
        os.replace(temporary, archive)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def unpack_zip(archive: Path, into: Path) -> Unpacked:
    """Unpack an archive into an empty directory: plain files alone, within bounds, all below one directory.

    Raises FormatError for what is no such archive, DamagedError for one that was cut or whose own structure is damaged.
    """
    if archive.is_dir():
        raise FormatError(f"{archive}: a directory, where a pack is wanted: `fab report --pack` makes one")
    with archive.open("rb") as stream:
        _require_zip(stream, archive)
        seal = _seal(stream)
        try:
            packed = zipfile.ZipFile(stream)
        except UNREADABLE as error:
            raise DamagedError(f"{archive}: a damaged archive: {error}") from None
        with packed:
            return _unpacked(packed, archive, into, seal)


def _unpacked(packed: zipfile.ZipFile, archive: Path, into: Path, seal: bool | None) -> Unpacked:
    entries = [entry for entry in packed.infolist() if not entry.is_dir()]
    names = {entry.filename: relative_name(entry.filename, MOST_DEPTH) for entry in entries}
    tops = {name.parts[0] for name in names.values() if name is not None}
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if names[entry.filename] is None or kind not in (0, stat.S_IFREG):
            raise FormatError(f"{archive}: holds {entry.filename[:80]!a}, which is not taken from a pack")
    if len(set(names.values())) != len(entries) or len(tops) != 1:
        raise FormatError(f"{archive}: not a pack of a campaign: its files are not below one directory, each once")
    (top,) = tops
    digests: dict[str, str] = {}
    damaged: list[str] = []
    left = MOST_UNPACKED
    for entry in entries:
        path = names[entry.filename]
        assert path is not None
        name = str(path.relative_to(top))
        place = into / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(entry) as content:
                digests[name], size = _copy(content, place, left)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise FormatError(f"{archive}: holds {name} as a file and as a directory") from None
        except UNREADABLE:
            damaged.append(name)
            continue
        if (left := left - size) < 0:
            raise FormatError(f"{archive}: unpacks to more than {MOST_UNPACKED // 2**20:,} MiB")
    return Unpacked(into / top, digests, tuple(damaged), seal)


def _copy(content: IO[bytes], place: Path, most: int) -> tuple[str, int]:
    """The SHA-256 and the size of a member that is written to a new file; it ends soon after `most` bytes."""
    digest, size = hashlib.sha256(), 0
    with place.open("xb") as file:
        while size <= most and (chunk := content.read(CHUNK)):
            digest.update(chunk)
            file.write(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _require_zip(stream: IO[bytes], archive: Path) -> None:
    """Raise where the file isn't a zip, was cut, or lists more files than are read: zipfile reads the whole list."""
    begins = stream.read(len(FILE_SIGNATURE)) == FILE_SIGNATURE
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - END.size - MOST_COMMENT))
    tail = stream.read()
    at = tail.rfind(END_SIGNATURE)
    if at < 0 or len(tail) - at < END.size:
        if begins:
            raise DamagedError(f"{archive}: cut short: the end of the archive is missing")
        raise FormatError(f"{archive}: not a .zip file, as `fab report --pack` makes it")
    listed_bytes = END.unpack_from(tail, at)[5]
    large = tail[max(0, at - LOCATOR_SIZE) :].startswith(LOCATOR_SIGNATURE)
    if listed_bytes > MOST_LIST or large:
        raise FormatError(f"{archive}: lists more files, or larger ones, than a pack may have")
    stream.seek(0)


def _seal(stream: IO[bytes]) -> bool | None:
    """Whether the last bytes are the SHA-256 of all before; None where the archive has no comment."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(size - END.size)
    end = stream.read()
    stream.seek(max(0, size - HEX - len(SEAL)))
    last = stream.read()
    bare = end.startswith(END_SIGNATURE)
    sealed = last.startswith(SEAL) and _digest(stream, size - HEX) == last[len(SEAL) :]
    stream.seek(0)
    return None if bare else sealed


def _digest(stream: IO[bytes], length: int) -> bytes:
    """The SHA-256, in hexadecimal, of the first `length` bytes."""
    digest = hashlib.sha256()
    stream.seek(0)
    while length > 0 and (chunk := stream.read(min(CHUNK, length))):
        digest.update(chunk)
        length -= len(chunk)
    return digest.hexdigest().encode()
