"""Archives from a host that lies: nothing outside the destination, nothing but plain files, nothing large."""

from __future__ import annotations

import gzip
import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.hosts import archive
from cluster.hosts.archive import unpack
from study.errors import HostError

Add = Callable[[tarfile.TarFile], None]


def packed(*entries: Add, form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for add in entries:
            add(tar)
    return stream.getvalue()


def file(name: str, content: bytes = b"content", mode: int = 0o644) -> Add:
    def add(tar: tarfile.TarFile) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), mode
        tar.addfile(entry, io.BytesIO(content))

    return add


def special(name: str, kind: bytes, target: str = "") -> Add:
    def add(tar: tarfile.TarFile) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        tar.addfile(entry)

    return add


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_files_and_directories_are_unpacked_below_the_destination(tmp_path: Path) -> None:
    sent = packed(special("logs", tarfile.DIRTYPE), file("./logs/a.log", b"one"), file("samples-load1.csv", b"two"))
    assert unpack(sent, tmp_path / "into", "load1") == [Path("logs/a.log"), Path("samples-load1.csv")]
    assert (tmp_path / "into" / "logs" / "a.log").read_bytes() == b"one"
    assert (tmp_path / "into" / "samples-load1.csv").read_bytes() == b"two"
    assert everything(tmp_path) == {"into", "into/logs", "into/logs/a.log", "into/samples-load1.csv"}


def test_it_adds_to_a_directory_that_is_there(tmp_path: Path) -> None:
    unpack(packed(file("a")), tmp_path / "into", "load1")
    unpack(packed(file("b"), file("a", b"newer")), tmp_path / "into", "load1")
    assert (tmp_path / "into" / "a").read_bytes() == b"newer"
    assert everything(tmp_path / "into") == {"a", "b"}


def test_mode_bits_of_the_archive_are_not_taken(tmp_path: Path) -> None:
    unpack(packed(file("run", mode=0o6777)), tmp_path / "into", "load1")
    mode = (tmp_path / "into" / "run").stat().st_mode
    assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR | stat.S_IXOTH)


def link_chain() -> tuple[Add, ...]:
    """Long directory names and links to them, so that resolving the last one is cut short: CVE-2025-4517."""
    long = "d" * 247
    entries: list[Add] = []
    path = ""
    for letter in "abcdefghijklmnop":
        entries += [special(f"{path}{long}", tarfile.DIRTYPE), special(f"{path}{letter}", tarfile.SYMTYPE, long)]
        path += f"{long}/"
    out = "/".join("abcdefghijklmnop") + "/" + "l" * 254
    entries += [special(out, tarfile.SYMTYPE, "../" * 16), special("escape", tarfile.SYMTYPE, f"{out}/../outside")]
    return (*entries, file("escape", b"written outside"))


REFUSED = {
    "a symbolic link": (special("a", tarfile.SYMTYPE, "/etc/passwd"),),
    "a file through a link": (special("a", tarfile.SYMTYPE, ".."), file("a/outside")),
    "a chain of links": link_chain(),
    "a hard link": (file("a"), special("b", tarfile.LNKTYPE, "a")),
    "a hard link outside": (special("b", tarfile.LNKTYPE, "../secret"),),
    "a FIFO": (special("a", tarfile.FIFOTYPE),),
    "a character device": (special("a", tarfile.CHRTYPE),),
    "a block device": (special("a", tarfile.BLKTYPE),),
    "an absolute name": (file("/tmp/outside"),),
    "a name with ..": (file("a/../../outside"),),
    "a name of dots": (file("./."),),
    "a name with an escape sequence": (file("a\x1b[2Jb"),),
    "a name with a line end": (file("a\nb"),),
    "a name that is too long": (file("a" * 300),),
    "a name that is too deep": (file("a/" * 9 + "b"),),
    "one name twice": (file("a"), file("./a")),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_anything_else_is_refused_whole_and_names_the_host(kind: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("kept", encoding="utf-8")
    with pytest.raises(HostError, match=r"^load1: sent ") as refused:
        unpack(packed(file("first"), *REFUSED[kind]), tmp_path / "into", "load1")
    assert str(refused.value).isprintable()
    assert everything(tmp_path) == {"secret"}
    assert (tmp_path / "secret").read_text(encoding="utf-8") == "kept"


def test_a_sparse_file_that_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    hole = tmp_path / "hole"
    with hole.open("wb") as stream:
        os.truncate(stream.fileno(), 2**40)
    sent = tmp_path / "sparse.tar"
    assert os.spawnlp(os.P_WAIT, "tar", "tar", "-C", str(tmp_path), "--sparse", "-cf", str(sent), "hole") == 0
    assert sent.stat().st_size < 1_000_000
    with pytest.raises(HostError, match="no regular file"):
        unpack(sent.read_bytes(), tmp_path / "into", "load1")
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize(
    "content", [b"", b"no archive", gzip.compress(packed(file("a")) * 1000), packed(file("a"))[:700]]
)
def test_what_is_no_whole_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="load1: sent a damaged archive"):
        unpack(content, tmp_path / "into", "load1")
    assert everything(tmp_path) == set()


def test_size_and_number_of_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    with pytest.raises(HostError, match="sent more than 0 MiB"):
        unpack(packed(file("a", b"x" * 600), file("b", b"x" * 600)), tmp_path / "into", "load1")
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    with pytest.raises(HostError, match="sent more than 3 files"):
        unpack(packed(*(file(str(number)) for number in range(4))), tmp_path / "into", "load1")
    assert everything(tmp_path) == set()


def test_a_link_in_the_destination_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "logs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="is a link"):
        unpack(packed(file("logs/a")), tmp_path / "into", "load1")
    assert everything(tmp_path / "elsewhere") == set()
