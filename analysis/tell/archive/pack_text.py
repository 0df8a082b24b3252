"""Whether a pack is what it was, and whether its raw files give what it says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.read.packs.contents import DifferingCell
from analysis.read.packs.verification import AnalysedAgain, Verification, minor
from analysis.tell.markdown_sections import listed, section
from analysis.tell.report.provenance import origin
from analysis.tell.words import counted, shortened
from study.formats.manifest_json import short
from study.formats.pack.pack_json import PackFile, ProgramFacts
from study.safe_text import inert

MOST_SHOWN = 20
"""Files and places that are listed; the others are counted."""
LONGEST = 120


def verification_text(verified: Verification) -> str:
    """The whole as Markdown, the answer first."""
    sums = verified.sums
    again = verified.again
    outcome = "the same" if verified.same else "NOT the same"
    parts = [
        f"# {inert(verified.archive)}: {outcome}",
        "\n".join(listed([*_who(verified), *_sum_lines(verified), *_again_lines(verified)])),
        section("Changed since it was packed", _changes(verified)),
        section("Not what the raw files give", _differing(again.differing) if again is not None else []),
        section("Drawn otherwise", _redrawn(verified)),
    ]
    if sums.whole and not verified.same and verified.alike:
        parts.append("Every sum fits: what differs was changed before it was packed, or by the program that packed it.")
    return "\n\n".join(part for part in parts if part) + "\n"


def pack_lines(listed_files: PackFile, left_out: Sequence[str]) -> tuple[str, ...]:
    """What is said of a pack that was made: its digest, and what isn't in it."""
    raw, derived = len(listed_files.raw), len(listed_files.derived)
    lines = [
        f"{counted(raw, 'raw file')} and {counted(derived, 'file')} made of them; SHA-256 of its list:"
        f" {listed_files.digest}",
    ]
    if listed_files.done < listed_files.runs:
        lines.append(f"unfinished: {_runs(listed_files)}; the pack holds what is there")
    if left_out:
        lines.append(f"left out, since no pack takes links, devices or such names: {shortened(list(left_out))}")
    return tuple(lines)


def _runs(listed_files: PackFile) -> str:
    return f"{listed_files.done} of {counted(listed_files.runs, 'run')} done"


def _who(verified: Verification) -> Iterator[str]:
    packed, here = verified.sums.listed, verified.here
    yield inert(f"Campaign {packed.campaign}, {_runs(packed)}. Its list of files has the SHA-256 {packed.digest}.")
    if verified.again is not None:
        yield inert(origin(verified.measured))
    yield f"Packed by {inert(_program(packed.program))}."
    if verified.alike:
        yield "Analysed here by the same code, with the same libraries."
        return
    differences = (
        [] if packed.program.code == here.code else ["another version of the code, which may word sentences otherwise"]
    )
    if minor(packed.program.python) != minor(here.python):
        differences.append(f"Python {here.python}")
    if packed.program.machine != here.machine:
        differences.append(here.machine)
    names = sorted(packed.program.libraries.keys() | here.libraries.keys())
    both = [(name, packed.program.libraries.get(name, ""), here.libraries.get(name, "")) for name in names]
    differences += [
        f"{name} {mine or 'missing'} (there {theirs or 'missing'})" for name, theirs, mine in both if theirs != mine
    ]
    yield inert(f"Analysed here by {'; '.join(differences)}.")


def _program(program: ProgramFacts) -> str:
    changed = " with uncommitted changes" if program.uncommitted_changes else ""
    commit = f", commit {short(program.commit)}{changed}" if program.commit else ""
    return f"{program.name}{commit}, code {short(program.code)}, Python {program.python} on {program.machine}"


def _sum_lines(verified: Verification) -> Iterator[str]:
    sums = verified.sums
    count = len(sums.listed.raw) + len(sums.listed.derived)
    if not (sums.changed or sums.missing or sums.added) and sums.list_whole:
        yield f"All {counted(count, 'file')} have the sums that they were packed with."
    if sums.seal is None:
        yield "Another program has packed the files again since, which changes none of them."


def _again_lines(verified: Verification) -> Iterator[str]:
    again = verified.again
    if again is None:
        yield "Not analysed again: what its raw files gave isn't known any more."
        return
    if not again.differing:
        yield (
            f"Analysed again from {counted(len(verified.sums.listed.raw), 'raw file')}: all"
            f" {counted(again.places, 'cell and line', 'cells and lines')} of tables, summary and report come out the"
            f" same; {counted(len(again.same), 'file')} {'is' if len(again.same) == 1 else 'are'} the same to the byte."
        )


def _changes(verified: Verification) -> list[str]:
    sums = verified.sums
    lines = [] if sums.list_whole else ["- pack.json: the list of files and sums itself"]
    for words, names in (("changed", sums.changed), ("missing", sums.missing), ("added", sums.added)):
        lines += [f"- {name}: {words}" for name in names[:MOST_SHOWN]]
        lines += [f"- and {counted(len(names) - MOST_SHOWN, 'more file')} {words}"] if len(names) > MOST_SHOWN else []
    if not lines and sums.seal is False:
        lines.append("- the archive's own bytes, but none of the files in it")
    return lines


def _differing(cells: Sequence[DifferingCell]) -> list[str]:
    lines = [f"- {_cell(cell)}" for cell in cells[:MOST_SHOWN]]
    return [*lines, f"- and {len(cells) - MOST_SHOWN:,} more"] if len(cells) > MOST_SHOWN else lines


def _cell(cell: DifferingCell) -> str:
    where = f"{cell.file}, {cell.place}" if cell.place else cell.file
    both = enumerate(zip(cell.packed, cell.again, strict=False))
    same = next((at for at, (first, second) in both if first != second), 0)
    packed, again = (_around(text, same) for text in (cell.packed, cell.again))
    return f"{where}: the pack has {packed}; the raw files give {again}"


def _around(text: str, place: int) -> str:
    """A text, of a long one the part around a place."""
    begin = max(0, place - LONGEST // 3) if len(text) > LONGEST else 0
    shown = text[begin : begin + LONGEST]
    return f"{'...' if begin else ''}{shown}{'...' if begin + LONGEST < len(text) else ''}" or "nothing"


def _redrawn(verified: Verification) -> list[str]:
    again: AnalysedAgain | None = verified.again
    drawn = [name for name in again.redrawn if name not in verified.sums.changed] if again is not None else []
    if not drawn:
        return []
    why = (
        "the same code and libraries draw them otherwise"
        if verified.alike
        else "other code, libraries or machines draw otherwise, so that their bytes say nothing"
    )
    return [f"- {shortened(drawn)}: {why}"]
