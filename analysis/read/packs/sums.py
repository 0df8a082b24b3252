"""A pack as it is, against its own list: which of its files were changed since it was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from study.errors import DamagedError, FormatError
from study.formats.bounded import read_bounded
from study.formats.json_files import FORMAT, read_json
from study.formats.pack.pack_json import PackFile, is_whole
from study.formats.pack.zip_archive import Unpacked, unpack_zip
from study.layout import CampaignFiles
from study.reading import parse_as

MOST_LISTED = 2**24  # bytes of pack.json


@dataclass(frozen=True)
class PackSums:
    """The sums of a pack's files against its list. Names are paths below the campaign's directory."""

    listed: PackFile
    directory: Path
    """Where it was unpacked."""
    list_whole: bool
    """Whether the list itself is as it was made."""
    seal: bool | None
    """Whether the archive's bytes are as they were written; None where another program packed the files again."""
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def raw_whole(self) -> bool:
        """Whether the list and every raw file are as they were packed, so that they can be analysed again."""
        return self.list_whole and not self.added and not {*self.changed, *self.missing} & self.listed.raw.keys()

    @property
    def whole(self) -> bool:
        """Whether nothing was changed since it was packed."""
        return self.raw_whole and not self.changed and not self.missing and self.seal is not False


def open_pack(archive: Path, into: Path) -> PackSums:
    """Unpack into an empty directory and check every sum.

    Raises FormatError for what isn't a pack, or one of another version; DamagedError where it can't be read any more.
    """
    unpacked = unpack_zip(archive, into)
    listed, whole = _list_of(archive, unpacked)
    sums = {**listed.raw, **listed.derived}
    present = {*unpacked.digests, *unpacked.damaged} - {CampaignFiles(unpacked.top).pack.name}
    return PackSums(
        listed=listed,
        directory=unpacked.top,
        list_whole=whole,
        seal=unpacked.seal,
        changed=tuple(sorted(name for name in present & sums.keys() if unpacked.digests.get(name) != sums[name])),
        missing=tuple(sorted(sums.keys() - present)),
        added=tuple(sorted(present - sums.keys())),
    )


def _list_of(archive: Path, unpacked: Unpacked) -> tuple[PackFile, bool]:
    """The list, and whether it is as it was made."""
    path = CampaignFiles(unpacked.top).pack
    if path.name in unpacked.damaged:
        raise DamagedError(f"{archive}: {path.name}, its list of files, was changed: nothing else can be checked")
    if path.name not in unpacked.digests:
        raise FormatError(f"{archive}: not a pack of a campaign: it holds no {path.name}")
    text = read_bounded(path, MOST_LISTED).decode("utf-8", "replace")
    try:
        listed = parse_as(PackFile, read_json(path), path.name)
    except FormatError as error:
        if f'"format": {FORMAT},' not in text and '"format": ' in text:
            raise FormatError(str(error).replace(str(path), f"{archive}: {path.name}")) from None
        raise DamagedError(
            f"{archive}: {path.name}, its list of files, was changed and can't be read: nothing else can be checked"
        ) from None
    return listed, is_whole(text, listed.digest)
