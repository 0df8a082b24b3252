"""What comes of analysing a pack again: whether its raw files give the tables, verdicts and sentences that it holds."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.read.packs.contents import DifferingCell
from analysis.read.packs.sums import PackSums
from study.exit_status import ExitStatus
from study.formats.manifest_json import Manifest
from study.formats.pack.pack_json import ProgramFacts


@dataclass(frozen=True)
class AnalysedAgain:
    """The files that analysis makes of a pack's raw files, against those that the pack holds."""

    same: tuple[str, ...]
    """Files with the same bytes."""
    places: int
    """Cells and lines that were compared, those of the same files included."""
    differing: tuple[DifferingCell, ...]
    redrawn: tuple[str, ...]
    """Figures and page whose bytes differ."""


@dataclass(frozen=True)
class Verification:
    """A pack, verified."""

    archive: str
    sums: PackSums
    measured: Manifest | None
    """Of the campaign itself; None where it can't be read."""
    here: ProgramFacts
    """The program that analysed it again."""
    again: AnalysedAgain | None
    """None where raw files were changed: what they gave isn't known any more."""

    @property
    def alike(self) -> bool:
        """Whether code, libraries, Python's minor version and architecture are those that the pack was made with."""
        packed = self.sums.listed.program
        return _deciding(packed) == _deciding(self.here)

    @property
    def same(self) -> bool:
        """Whether nothing was changed, and everything that can be compared comes out the same."""
        again = self.again
        return self.sums.whole and again is not None and not again.differing and not (again.redrawn and self.alike)

    @property
    def exit_status(self) -> ExitStatus:
        """OK or DIFFERS."""
        return ExitStatus.OK if self.same else ExitStatus.DIFFERS


def minor(version: str) -> str:
    """As `3.11` of `3.11.7`."""
    return ".".join(version.split(".")[:2])


def _deciding(program: ProgramFacts) -> tuple[object, ...]:
    return program.code, minor(program.python), program.machine, dict(program.libraries)
