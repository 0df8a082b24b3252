"""A host that lies, behind a real sshd: its tar and its Python are scripts that send what they shouldn't."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.campaign.cleanup import end_leftovers, place_of, stop_and_collect
from cluster.campaign.prepare import read_facts
from cluster.deploy import deployment
from cluster.hosts import archive, ssh
from cluster.hosts import ssh_config as openssh
from cluster.hosts.host import Host
from cluster.hosts.ssh import SshHost
from cluster.remote.facts import collect_facts
from study.errors import HostError
from study.layout import RunFiles
from tests import sshd
from tests.sshd import Sshd
from tests.unit.hosts.test_archive import REFUSED, everything, file, packed

PROCESSES = {"far": {"sampler", "far-1", "background"}, "target": {"server", "sampler"}, "control": {"master"}}
DEEP = "[" * 100_000


@pytest.fixture
def liar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshHost]:
    """A host whose `tar` sends what is in bin/answer, and whose `python3` prints what is in bin/printed."""
    if sshd.missing() and not os.environ.get("CI"):
        pytest.skip("needs openssh-server and openssh-client")
    programs = tmp_path / "sshd" / "bin"
    programs.mkdir(parents=True)
    write_program(programs / "tar", f'cat "{programs}/answer"')
    write_program(programs / "python3", f'cat "{programs}/printed"')
    with Sshd(tmp_path / "sshd", f"SetEnv PATH={programs}:/usr/bin:/bin\n") as running:
        monkeypatch.setenv("HOME", str(running.home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        monkeypatch.setattr(openssh, "CONFIG", tmp_path / "ssh_config")
        host = SshHost(running.entry(python=str(programs / "python3")), "code", "env")
        host.directory.joinpath("work").mkdir(parents=True)
        yield host
        host.close()


def write_program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(0o755)


def sends(host: SshHost, answer: bytes) -> None:
    """Let its tar send these bytes."""
    (host.root.parent / "bin" / "answer").write_bytes(answer)


def prints(host: SshHost, text: str) -> None:
    (host.root.parent / "bin" / "printed").write_text(text, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_nothing_of_a_hostile_archive_is_written(liar: SshHost, kind: str, tmp_path: Path) -> None:
    into = tmp_path / "results" / "logs"
    into.parent.mkdir()
    sends(liar, packed(file("first"), *REFUSED[kind]))
    with pytest.raises(HostError, match=r"^far: sent "):
        liar.get(liar.directory / "work", into)
    assert everything(tmp_path / "results") == set()
    assert not Path("/tmp/outside").exists()


def test_a_damaged_archive_names_the_host(liar: SshHost, tmp_path: Path) -> None:
    sends(liar, b"no archive")
    with pytest.raises(HostError, match="far: sent a damaged archive"):
        liar.get(liar.directory / "work", tmp_path / "into")


def test_a_stream_without_end_is_cut_off(liar: SshHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "MOST_ARCHIVE", 20 * archive.MIB)
    write_program(liar.root.parent / "bin" / "tar", "cat /dev/zero")
    began = time.monotonic()
    with pytest.raises(HostError, match="far: sent more than 20 MiB in answer to one command"):
        liar.get(liar.directory / "work", tmp_path / "into")
    assert time.monotonic() - began < 20
    assert not (tmp_path / "into").exists()


def test_a_whole_archive_is_taken(liar: SshHost, tmp_path: Path) -> None:
    sends(liar, packed(file("far-1.log", b"a log")))
    liar.get(liar.directory / "work", tmp_path / "into")
    assert (tmp_path / "into" / "far-1.log").read_bytes() == b"a log"


def test_a_load_host_brings_its_own_files_alone(liar: SshHost, tmp_path: Path) -> None:
    files = RunFiles(tmp_path / "run")
    mine = ("samples-far.csv", "far-1.log", "sampler.out", files.background.name)
    others = ("samples-target.csv", "server.out", "master.log", "ledger.jsonl", "run.json", "logs/x.log")
    sends(liar, packed(*(file(name) for name in (*mine, *others))))
    prints(liar, "[]")
    (said,) = stop_and_collect((liar,), Path("work"), files, "", PROCESSES)
    assert said.startswith("far brought files that aren't its own, and were not taken: ledger.jsonl, logs/x.log, ")
    assert said.endswith(" and 1 more")
    expected = {"logs", "samples-far.csv", files.background.name, "logs/far-1.log", "logs/sampler.out"}
    assert everything(tmp_path / "run") == expected


@pytest.mark.parametrize(
    ("brought", "place"),
    [
        ("server.out", "logs/server.out"),
        ("anything/of/its/own", "logs/anything/of/its/own"),
        ("nginx.conf", "logs/nginx.conf"),
        ("samples-target.csv", "samples-target.csv"),
        ("samples-far.csv", None),
        ("far-1.log", None),
        ("master.out", None),
        ("bystanders.csv", None),
    ],
)
def test_the_target_brings_what_its_server_wrote_and_nothing_under_anothers_name(
    brought: str, place: str | None, tmp_path: Path
) -> None:
    into = place_of(Path(brought), "target", RunFiles(tmp_path), PROCESSES)
    assert into == (None if place is None else tmp_path / place)


def good_facts(**changes: object) -> str:
    return json.dumps(collect_facts("127.0.0.1", (80,), Path("/")) | changes)


FACTS = {
    "no object": "[]",
    "a number": "7",
    "nested deeply": DEEP,
    "without a clock": good_facts(clock=None),
    "a clock that is no number": good_facts(clock="soon"),
    "a clock at infinity": good_facts().replace('"clock": ', '"clock": 1e999, "x": '),
    "a version that is none": good_facts(python="three"),
    "one local port": good_facts(ephemeral_ports=[1]),
    "no cores": good_facts(cores=[]),
    "cores of text": good_facts(cores=["a"]),
    "no ports": good_facts(ports={}),
    "cut off": good_facts()[:-20],
    "nothing": "",
}


@pytest.mark.parametrize("kind", FACTS)
def test_wrong_facts_are_one_message_that_names_the_host(liar: SshHost, kind: str) -> None:
    prints(liar, FACTS[kind])
    with pytest.raises(HostError, match=r"^far: "):
        read_facts(liar, 80)


def test_right_facts_are_read(liar: SshHost) -> None:
    prints(liar, good_facts(hostname="it"))
    assert read_facts(liar, 80).hostname == "it"


ANSWERS = ["7", "{}", '{"name": 3}', '[{"name": "x"}]', "[[]]", DEEP, '"text"', "null", '[{"name": "x", "ended": {}}]']
CALLS: list[Callable[[Host], object]] = [
    Host.listed,
    Host.renew,
    lambda host: host.stop("it"),
    lambda host: end_leftovers((host,)),
    deployment.inspect,
    lambda host: deployment.require((host,)),
]


@pytest.mark.slow
@pytest.mark.parametrize("answer", ANSWERS)
def test_wrong_answers_are_one_message_that_names_the_host(liar: SshHost, answer: str) -> None:
    prints(liar, answer + "\n")
    for call in CALLS:
        with pytest.raises(HostError, match=r"far: "):
            call(liar)


def test_the_archive_is_taken_without_tarfiles_filters(
    liar: SshHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian 12's Python 3.11.2 has none: calling one there ends in a traceback."""
    for name in ("extractall", "extract", "data_filter", "tar_filter"):
        monkeypatch.delattr(tarfile.TarFile if name.startswith("extract") else tarfile, name, raising=False)
    shutil.copy(shutil.which("tar", path="/usr/bin:/bin") or "", liar.root.parent / "bin" / "tar")
    (tmp_path / "sent").write_text(sys.version, encoding="utf-8")
    liar.put(tmp_path / "sent", liar.directory / "there")
    liar.get(liar.directory / "there", tmp_path / "back")
    assert (tmp_path / "back").read_text(encoding="utf-8") == sys.version
