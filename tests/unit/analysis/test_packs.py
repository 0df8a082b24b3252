"""Packs: a campaign as one .zip. Whatever was changed in it is found and named; what wasn't comes out the same."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis import Packed, pack, pack_lines, verification_text, verify
from analysis.read.packs.contents import differing_cells
from analysis.read.packs.sums import PackSums, open_pack
from analysis.tell.archive.pack_text import MOST_SHOWN
from study.errors import DamagedError, FormatError, StudyError, UsageError
from study.exit_status import ExitStatus
from study.formats.json_files import write_json
from study.formats.pack import zip_archive
from study.formats.pack.pack_json import PackFile, list_text, with_digest
from study.formats.pack.zip_archive import unpack_zip, write_zip
from study.layout import CampaignFiles
from study.reading import read_as
from tests.unit.synthetic import Load, plan, write_campaign

SMALL = plan(models=["single", "thread"], users=[100], aa=False, return_step=False)
FLIPS = 40
FILES = 12


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> CampaignFiles:
    directory = tmp_path_factory.mktemp("packs") / "small-20270115-080000"
    files = write_campaign(directory, SMALL, lambda _run, _step: Load(seconds=40.0))
    write_json(files.manifest, {"created": "2027-01-15T08:00:00+00:00", "commit": "c" * 40, "hosts": {}})
    files.run("1-single").logs.mkdir()
    (files.run("1-single").logs / "server.err").write_text("a line\n", encoding="utf-8")
    (files.run("1-single").logs / "link").symlink_to("/etc/hostname")
    (files.runs / ".half").write_text("of a write under way", encoding="utf-8")
    return files


@pytest.fixture(scope="module")
def packed(campaign: CampaignFiles) -> Packed:
    return pack(campaign.directory, commit="f" * 40)


@pytest.fixture
def names(packed: Packed) -> list[str]:
    return [*packed.listed.raw, *packed.listed.derived]


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def again(packed: Packed, place: Path, change: Callable[[CampaignFiles], None]) -> Path:
    """The pack with its files changed, packed again by this program: its archive has no damage."""
    unpacked = unpack_zip(packed.path, place / "unpacked")
    files = CampaignFiles(unpacked.top)
    change(files)
    found = [str(path.relative_to(unpacked.top)) for path in unpacked.top.rglob("*") if path.is_file()]
    write_zip(place / "again.zip", unpacked.top, found, unpacked.top.name)
    return place / "again.zip"


def resummed(files: CampaignFiles) -> None:
    """Give the list the sums of the files as they are now."""
    listed = read_as(PackFile, files.pack)
    again = {
        kind: {name: hashlib.sha256((files.directory / name).read_bytes()).hexdigest() for name in sums}
        for kind, sums in (("raw", listed.raw), ("derived", listed.derived))
    }
    files.pack.write_text(list_text(with_digest(PackFile(**{**vars(listed), **again, "digest": ""}))), encoding="utf-8")


def found_in(archive: Path, place: Path) -> PackSums | StudyError:
    """What checking the sums comes to, an error included."""
    try:
        return open_pack(archive, place)
    except StudyError as error:
        return error
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.slow
def test_an_untouched_pack_comes_out_the_same(packed: Packed, campaign: CampaignFiles) -> None:
    assert packed.path == campaign.directory.with_name(f"{campaign.directory.name}.zip")
    verified = verify(packed.path)
    text = verification_text(verified)
    assert verified.same, text
    assert verified.exit_status is ExitStatus.OK
    assert f"# {packed.path.name}: the same" in text
    assert f"All {len(packed.listed.raw) + len(packed.listed.derived)} files have the sums" in text
    assert "begun 2027-01-15" in text
    assert "commit ffffffffffff" in text
    assert packed.listed.digest in text


def test_it_holds_all_files_below_one_directory_and_its_links_lead_somewhere(
    packed: Packed, campaign: CampaignFiles, tmp_path: Path
) -> None:
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.testzip() is None
        assert {name.partition("/")[0] for name in archive.namelist()} == {campaign.directory.name}
        archive.extractall(tmp_path)
    top = tmp_path / campaign.directory.name
    there = {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}
    assert there == {"pack.json", *packed.listed.raw, *packed.listed.derived}
    assert {"runs/1-single/ledger.jsonl", "runs/1-single/logs/server.err", "report.html", "figures/rps.svg"} <= there
    assert 'href="../' not in (top / "report.html").read_text(encoding="utf-8")
    assert not campaign.report.exists()  # the campaign itself stays as it was


def test_what_no_pack_takes_is_named(packed: Packed) -> None:
    assert packed.left_out == ("runs/1-single/logs/link",)
    assert any("runs/1-single/logs/link" in line for line in pack_lines(packed.listed, packed.left_out))
    assert "runs/.half" not in packed.listed.raw


@pytest.mark.slow
def test_the_same_campaign_gives_the_same_bytes(packed: Packed, campaign: CampaignFiles, tmp_path: Path) -> None:
    copied = shutil.copytree(campaign.directory, tmp_path / campaign.directory.name, symlinks=True)
    other = pack(copied, tmp_path / "other.zip", commit="f" * 40)
    assert other.path.read_bytes() == packed.path.read_bytes()


def test_a_byte_flipped_anywhere_in_the_archive_is_found(packed: Packed, tmp_path: Path) -> None:
    content = packed.path.read_bytes()
    drawn = random.Random(1)
    ends = [*range(0, 30, 3), *range(len(content) - 95, len(content), 7)]
    for place in [*ends, *(drawn.randrange(len(content)) for _ in range(FLIPS))]:
        (tmp_path / "flipped.zip").write_bytes(flipped(content, place))
        found = found_in(tmp_path / "flipped.zip", tmp_path / "out")
        assert isinstance(found, StudyError) or not found.whole, place


def test_a_byte_flipped_in_any_file_is_found_and_the_file_named(
    packed: Packed, names: list[str], tmp_path: Path
) -> None:
    drawn = random.Random(2)
    for at, name in enumerate(drawn.sample(names, FILES)):

        def flip(files: CampaignFiles, name: str = name) -> None:
            path = files.directory / name
            content = path.read_bytes()
            path.write_bytes(flipped(content, drawn.randrange(len(content))))

        place = tmp_path / str(at)
        found = found_in(again(packed, place, flip), place / "out")
        shutil.rmtree(place)
        assert isinstance(found, PackSums), found
        assert found.changed == (name,)
        assert not found.whole
        assert found.raw_whole == (name in packed.listed.derived)


def test_a_byte_flipped_in_the_list_is_found(packed: Packed, tmp_path: Path) -> None:
    size = len(list_text(packed.listed).encode())
    drawn = random.Random(3)
    for at, byte in enumerate([0, size - 2, size - 20, *(drawn.randrange(size) for _ in range(20))]):

        def flip(files: CampaignFiles, byte: int = byte) -> None:
            files.pack.write_bytes(flipped(files.pack.read_bytes(), byte))

        place = tmp_path / str(at)
        found = found_in(again(packed, place, flip), place / "out")
        assert isinstance(found, StudyError) or not found.list_whole, byte


def test_a_changed_raw_file_is_named_and_nothing_analysed(packed: Packed, tmp_path: Path) -> None:
    def change(files: CampaignFiles) -> None:
        ledger = files.run("1-single").ledger
        ledger.write_bytes(ledger.read_bytes().replace(b'"successes": ', b'"successes": 9', 1))

    verified = verify(again(packed, tmp_path, change))
    text = verification_text(verified)
    assert verified.exit_status is ExitStatus.DIFFERS
    assert "- runs/1-single/ledger.jsonl: changed" in text
    assert "Not analysed again" in text


@pytest.mark.slow
def test_a_forged_cell_and_sentence_are_found_though_every_sum_fits(packed: Packed, tmp_path: Path) -> None:
    def forge(files: CampaignFiles) -> None:
        heads, first, *rest = files.summary_csv.read_text(encoding="utf-8").splitlines()
        cells = dict(zip(heads.split(","), first.split(","), strict=True)) | {"peak_rps": "99999"}
        files.summary_csv.write_text("\n".join((heads, ",".join(cells.values()), *rest)) + "\n", encoding="utf-8")
        text = files.summary_md.read_text(encoding="utf-8")
        files.summary_md.write_text(text.replace("No ranking, and no order is claimed", "single is best"), "utf-8")
        value = json.loads(files.summary_json.read_text(encoding="utf-8"))
        value["capacities"][0]["users"] = 777
        write_json(
            files.summary_json, {name: each for name, each in value.items() if name not in ("format", "made_by")}
        )
        (files.figures / "rps.svg").write_bytes(
            (files.figures / "rps.svg").read_bytes().replace(b"#0072b2", b"#0072b3")
        )
        resummed(files)

    verified = verify(again(packed, tmp_path, forge))
    text = verification_text(verified)
    assert verified.sums.whole
    assert verified.exit_status is ExitStatus.DIFFERS
    assert "NOT the same" in text
    assert "summary.csv, row 1 (single" in text
    assert "peak_rps: the pack has 99999; the raw files give " in text
    assert "capacities[0].users: the pack has 777" in text
    assert "single is best" in text
    assert "figures/rps.svg" in text
    assert "Every sum fits" in text


def test_a_file_that_is_gone_or_was_added_is_named(packed: Packed, tmp_path: Path) -> None:
    def change(files: CampaignFiles) -> None:
        (files.directory / "runs" / "1-thread" / "samples-load1.csv").unlink()
        (files.directory / "runs" / "1-thread" / "samples-load9.csv").write_text("time\n", encoding="utf-8")

    found = found_in(again(packed, tmp_path, change), tmp_path / "out")
    assert isinstance(found, PackSums)
    assert (found.missing, found.added) == (
        ("runs/1-thread/samples-load1.csv",), ("runs/1-thread/samples-load9.csv",),
    )  # fmt: skip
    assert not found.raw_whole


def test_files_packed_again_by_another_program_are_whole(packed: Packed, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed.path) as archive, zipfile.ZipFile(tmp_path / "mail.zip", "w") as other:
        for entry in archive.infolist():
            other.writestr(entry.filename, archive.read(entry))
    found = found_in(tmp_path / "mail.zip", tmp_path / "out")
    assert isinstance(found, PackSums)
    assert found.whole
    assert found.seal is None


@pytest.mark.slow
def test_an_unfinished_campaign_is_packed_and_says_so(campaign: CampaignFiles, tmp_path: Path) -> None:
    copied = CampaignFiles(Path(shutil.copytree(campaign.directory, tmp_path / "unfinished", symlinks=True)))
    copied.run("1-thread").state.unlink()
    made = pack(copied.directory)
    assert any(line.startswith("unfinished: 1 of 2 runs done") for line in pack_lines(made.listed, made.left_out))
    copied.run("1-single").state.unlink()
    with pytest.raises(UsageError, match="none of its runs is done"):
        pack(copied.directory)


def zip_of(path: Path, *entries: tuple[str, int]) -> Path:
    """An archive with members of these names and modes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, mode in entries:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, b"/etc/passwd")
    return path


@pytest.mark.parametrize(
    ("entries", "part"),
    [
        ((("a/pack.json", 0), ("../b", 0)), "holds '../b'"),
        ((("a/pack.json", 0), ("/etc/cron.d/x", 0)), "holds '/etc/cron.d/x'"),
        ((("a/pack.json", 0), ("a/link", 0o120777)), "holds 'a/link'"),
        ((("a/pack.json", 0), ("a/./pack.json", 0)), "each once"),
        ((("a/b", 0), ("a/b/c", 0), ("a/pack.json", 0)), "as a file and as a directory"),
        ((("photos/1.jpg", 0),), "it holds no pack.json"),
        ((("1.jpg", 0), ("2.jpg", 0)), "not a pack of a campaign"),
        ((), "not a pack of a campaign"),
    ],
)
def test_an_archive_of_something_else_is_refused(
    tmp_path: Path, entries: tuple[tuple[str, int], ...], part: str
) -> None:
    archive = zip_of(tmp_path / "other.zip", *entries)
    before = set(tmp_path.parent.iterdir())
    with pytest.raises(FormatError) as caught:
        verify(archive)
    assert part in str(caught.value)
    assert set(tmp_path.parent.iterdir()) == before


def test_what_is_no_archive_is_refused(packed: Packed, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello", encoding="utf-8")
    (tmp_path / "cut.zip").write_bytes(packed.path.read_bytes()[:-2000])
    for name, kind, part in (
        ("absent.zip", UsageError, "no such file"),
        ("text.zip", FormatError, "not a .zip file"),
        (".", FormatError, "a directory"),
        ("cut.zip", DamagedError, "cut short"),
    ):
        with pytest.raises(kind, match=part):
            verify(tmp_path / name)


def test_an_archive_that_unpacks_beyond_the_bound_is_refused(
    packed: Packed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_archive, "MOST_UNPACKED", 5000)
    with pytest.raises(FormatError, match="unpacks to more than"):
        open_pack(packed.path, tmp_path / "out")
    monkeypatch.setattr(zip_archive, "MOST_LIST", 100)
    with pytest.raises(FormatError, match="lists more files"):
        open_pack(packed.path, tmp_path / "out")


def test_contents_are_compared_by_place_and_numbers_by_their_size() -> None:
    assert differing_cells("a.json", b'{"a": [1.0000000000001, 2]}', b'{"a": [1.0, 2]}') == ()
    (cell,) = differing_cells("a.json", b'{"a": [1, {"b": 3}]}', b'{"a": [1, {"b": 4}]}') or ()
    assert (cell.place, cell.packed, cell.again) == ("a[1].b", "3", "4")
    assert len(differing_cells("a.csv", b"x,y\n1,2\n", b"x,y\n1,2\n3,4\n") or ()) == 2
    page = b"<style>a{}</style><p>one <b>two</b></p><img src='data:x' alt='three'><svg><text>no</text></svg>"
    assert differing_cells("a.html", page, page.replace(b"a{}", b"b{}")) == ()
    changed = differing_cells("a.html", page, page.replace(b"two", b"2"))
    assert [(each.packed, each.again) for each in changed or ()] == [("two", ""), ("", "2")]
    assert differing_cells("a.svg", b"1", b"2") is None


def test_many_changes_are_counted(packed: Packed, tmp_path: Path) -> None:
    def change(files: CampaignFiles) -> None:
        for path in files.figures.iterdir():
            path.write_bytes(path.read_bytes() + b" ")
        (files.run("1-single").ledger).unlink()

    text = verification_text(verify(again(packed, tmp_path, change)))
    figures = sum(name.startswith("figures/") for name in packed.listed.derived)
    assert figures > MOST_SHOWN - 10
    if figures > MOST_SHOWN:
        assert f"and {figures - MOST_SHOWN} more file" in text
