"""The public functions for packs: make one .zip of a campaign, and verify one that came from somebody."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from analysis.pipeline import analyze
from analysis.read.packs.contents import DifferingCell, cells_of, differing_cells
from analysis.read.packs.sums import PackSums, open_pack
from analysis.read.packs.verification import AnalysedAgain, Verification
from analysis.read.results import Campaign, load
from study.errors import UsageError
from study.formats.bounded import read_bounded, relative_name
from study.formats.json_files import made_by, write_whole
from study.formats.pack.pack_json import PackFile, ProgramFacts, list_text, with_digest
from study.formats.pack.zip_archive import MOST_DEPTH, write_zip
from study.layout import PROJECT, CampaignFiles

DECIDING = (
    "hdrhistogram", "jinja2", "markdown-it-py", "matplotlib", "numpy", "pandas", "scipy", "seaborn", "statsmodels",
)  # fmt: skip
"""Libraries that decide figures and pages."""
CODE = ("analysis", "study")
DRAWN = (".png", ".svg", ".html")
"""Files that are compared as bytes too: pictures, and the page that they are in."""


@dataclass(frozen=True)
class Packed:
    """A pack that was made."""

    path: Path
    listed: PackFile
    left_out: tuple[str, ...]
    """Files of the campaign that no pack takes: links, devices, names that other systems don't have."""


def pack(
    campaign_dir: Path | str,
    archive: Path | str | None = None,
    commit: str | None = None,
    uncommitted_changes: bool = False,
) -> Packed:
    """Analyse a campaign's raw files and pack them with all that analysis makes of them; the campaign isn't changed.

    The archive is CAMPAIGN.zip beside the campaign's directory unless it is named. Raises FormatError where it is no
    campaign, UsageError where none of its runs is done.
    """
    campaign = load(campaign_dir)
    done = _done(campaign)
    if not done:
        raise UsageError(f"{campaign_dir}: none of its runs is done: there is nothing to pack yet")
    directory = campaign.files.directory.resolve()
    name = directory.name if relative_name(directory.name) is not None else campaign.plan.name
    path = Path(archive) if archive is not None else directory.with_name(f"{directory.name}.zip")
    with tempfile.TemporaryDirectory(prefix="pack-") as place:
        copied = CampaignFiles(Path(place) / name)
        left_out = tuple(_copy_raw(campaign.files, copied))
        raw = _sums(copied, copied.raw)
        analyze(copied.directory)
        made = with_digest(
            PackFile(
                campaign=name,
                runs=len(campaign.runs),
                done=done,
                program=this_program(commit, uncommitted_changes),
                raw=raw,
                derived=_sums(copied, copied.derived),
            )
        )
        write_whole(copied.pack, list_text(made))
        write_zip(path, copied.directory, (copied.pack.name, *made.raw, *made.derived), name)
    return Packed(path, made, left_out)


def verify(archive: Path | str) -> Verification:
    """Check every sum of a pack, then analyse its raw files again and compare what comes out with what it holds.

    Raises FormatError for what is no pack, DamagedError for one that can't be read any more, UsageError where there is
    no such file.
    """
    path = Path(archive)
    if not path.exists():
        raise UsageError(f"{archive}: no such file; `fab report --pack` makes a pack")
    with tempfile.TemporaryDirectory(prefix="verify-") as place:
        sums = open_pack(path, Path(place) / "packed")
        if not sums.raw_whole:
            return Verification(path.name, sums, None, this_program(), None)
        campaign = CampaignFiles(Path(place) / "again" / sums.directory.name)
        _move_raw(sums, campaign)
        found = analyze(campaign.directory).campaign
        return Verification(path.name, sums, found.manifest, this_program(), _compared(sums, found))


def this_program(commit: str | None = None, uncommitted_changes: bool = False) -> ProgramFacts:
    """The code that runs, with what else decides its figures and pages."""
    return ProgramFacts(
        name=made_by(),
        commit=commit,
        uncommitted_changes=uncommitted_changes,
        code=_code(),
        python=platform.python_version(),
        machine=platform.machine(),
        libraries={name: _version(name) for name in DECIDING},
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _code() -> str:
    """SHA-256 of what analysis is made of, templates included."""
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((PROJECT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(PROJECT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _copy_raw(campaign: CampaignFiles, copied: CampaignFiles) -> Iterator[str]:
    """Copy the raw files; yields the names of those that no pack takes. Hidden files are those of a write under way."""
    for name, path in _files(campaign, campaign.raw):
        if relative_name(name, MOST_DEPTH - 1) is None or path.is_symlink() or not path.is_file():
            yield name
            continue
        place = copied.directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(read_bounded(path))


def _files(campaign: CampaignFiles, tops: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """Files and links below these files and directories, by their path below the campaign's. No link is followed."""
    for top in tops:
        if top.is_symlink() or not top.is_dir():
            found = [top] if os.path.lexists(top) else []
        else:
            walked = [(Path(at), directories, names) for at, directories, names in os.walk(top)]
            links = [at / name for at, directories, _ in walked for name in directories if (at / name).is_symlink()]
            found = [*links, *(at / name for at, _, names in walked for name in names)]
        for path in sorted(found):
            if not path.name.startswith("."):
                yield str(path.relative_to(campaign.directory)), path


def _sums(campaign: CampaignFiles, tops: tuple[Path, ...]) -> dict[str, str]:
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in _files(campaign, tops)}


def _move_raw(sums: PackSums, campaign: CampaignFiles) -> None:
    """Move the raw files into a directory of their own, so that nothing derived can be read in their place."""
    for name in sums.listed.raw:
        place = campaign.directory / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(sums.directory / name, place)


def _compared(sums: PackSums, campaign: Campaign) -> AnalysedAgain:
    """The derived files that the pack holds, and its count of runs, against those that were made again."""
    again = dict(_files(campaign.files, campaign.files.derived))
    counts = {"runs": (sums.listed.runs, len(campaign.runs)), "done": (sums.listed.done, _done(campaign))}
    differing = [
        DifferingCell(campaign.files.pack.name, key, str(packed), str(counted))
        for key, (packed, counted) in counts.items()
        if packed != counted
    ]
    same, redrawn, places = [], [], 0
    for name in sorted(sums.listed.derived.keys() | again.keys()):
        packed = sums.directory / name
        if not packed.exists() or name not in again:
            if name not in sums.missing:
                differing.append(DifferingCell(name, "", _there(packed.exists()), _there(name in again)))
            continue
        contents = read_bounded(packed), read_bounded(again[name])
        places += cells_of(name, contents[1])
        if contents[0] == contents[1]:
            same.append(name)
        elif (cells := differing_cells(name, *contents)) is not None:
            differing += cells
        if contents[0] != contents[1] and packed.suffix in DRAWN:
            redrawn.append(name)
    return AnalysedAgain(tuple(same), places, tuple(differing), tuple(redrawn))


def _there(present: bool) -> str:
    return "a file" if present else ""


def _done(campaign: Campaign) -> int:
    return sum(run.state == "done" for run in campaign.runs)
