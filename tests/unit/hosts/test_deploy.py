"""A deploy over SSH: what is missing is brought, what is whole is left, what is damaged is mended."""

from __future__ import annotations

import io
import re
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.deploy import deployment as deploy
from cluster.deploy import release, wheels
from cluster.deploy.deployment import Installed
from cluster.deploy.wheels import Platform
from cluster.hosts.host import PROJECT
from cluster.hosts.ssh import SshHost
from study.errors import StudyError
from tests.sshd import Sshd
from tests.unit.hosts.test_hosts import daemon, far

__all__ = ["daemon", "far"]  # fixtures

WHOLE = Installed(
    python="3.11.7", venv=True, machine="x86_64", libc=("glibc", "2.36"), obstacle="", free_mb=9000,
    code="", env="absent",
)  # fmt: skip


@pytest.fixture
def small_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A lock with one of the packages, so that an environment is made in seconds."""
    text = release.LOCK.read_text(encoding="utf-8")
    found = re.search(r"^psutil==.*?(?=^[a-z])", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    lock = tmp_path / release.LOCK.name
    lock.write_text(found[0], encoding="utf-8")
    for module in (release, wheels, deploy):
        monkeypatch.setattr(module, "LOCK", lock)
    monkeypatch.setattr(wheels, "STATE", tmp_path)
    monkeypatch.setattr(deploy, "IMPORTED", ("psutil",))
    release.this_release.cache_clear()
    yield lock
    release.this_release.cache_clear()


def deployed(host: SshHost, offline: bool = False) -> list[str]:
    said: list[str] = []
    deploy.deploy([host], offline, said.append)
    return said


def test_the_lock_of_the_hosts_is_part_of_the_other(request: pytest.FixtureRequest) -> None:
    def pins(name: str) -> set[str]:
        lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
        return {line.split(" ")[0] for line in lines if line[:1].isalnum() and "sys_platform == 'win32'" not in line}

    assert pins("requirements-hosts.lock") <= pins("requirements.lock")


def test_the_archive_is_the_same_bytes_for_the_same_files() -> None:
    assert release.archive() == release.archive()
    with tarfile.open(fileobj=io.BytesIO(release.archive())) as archive:
        names = archive.getnames()
    assert "cluster/engine/locustfile.py" in names
    assert not [name for name in names if "__pycache__" in name]


@pytest.mark.slow
def test_a_deploy_brings_all_then_nothing_then_what_was_damaged(small_lock: Path, daemon: Sshd) -> None:
    host = SshHost(
        daemon.entry(python=sys.executable), release.this_release().code_name, release.this_release().env_name
    )
    with pytest.raises(StudyError, match="has not this code, its Python environment is absent"):
        deploy.require([host])
    assert "code and environment deployed" in deployed(host)[0]
    deploy.require([host])
    assert host.run([host.python, "-c", "import psutil, cluster.remote.sampler"]).status == 0
    assert "nothing to copy" in deployed(host)[0]
    (host.installation.code / "cluster" / "remote" / "probe.py").unlink()
    with pytest.raises(StudyError, match="this code is damaged"):
        deploy.require([host])
    assert re.search("far: code deployed", deployed(host)[0])
    next(host.installation.env.glob("lib/python*/site-packages/psutil/__init__.py")).unlink()
    with pytest.raises(StudyError, match="environment is damaged"):
        deploy.require([host])
    last = deployed(host, offline=True)
    assert "environment deployed" in last[-1]
    assert not (host.directory / "wheels").exists()
    host.close()


@pytest.fixture(autouse=True)
def around(request: pytest.FixtureRequest) -> None:
    """Everything that goes over SSH has the home and the clean-up of the hosts' tests."""
    if "daemon" in request.fixturenames:
        request.getfixturevalue("far")


@pytest.mark.parametrize(
    ("differs", "part"),
    [
        ({"python": "3.9.2"}, "too old: install 3.11"),
        ({"venv": False}, "venv module is missing"),
        ({"obstacle": "/srv: Permission denied"}, "can't write to /srv: Permission denied"),
        ({"free_mb": 12}, "no space: 12 MiB"),
    ],
)
def test_what_stands_in_the_way_is_said_with_what_to_do(differs: dict[str, Any], part: str) -> None:
    (said,) = deploy.obstacles("load1", replace(WHOLE, **differs))
    assert said.startswith("load1: ")
    assert part in said


def test_a_host_that_has_all_needs_no_space() -> None:
    assert deploy.obstacles("load1", replace(WHOLE, free_mb=1, code=release.this_release().code, env="whole")) == []


def test_a_host_without_python_is_told_to_get_one(far: SshHost, daemon: Sshd) -> None:
    far.entry = daemon.entry(python="/nowhere/python3")
    with pytest.raises(StudyError, match=r"there is no /nowhere/python3: install Python 3\.11"):
        deployed(far)


@pytest.mark.parametrize(
    ("said", "offline", "part"),
    [
        ("WARNING: Retrying ... NewConnectionError('...')\nERROR: No matching distribution", False, "deploy --offline"),
        ("ERROR: Could not find a version that satisfies", True, r"no wheel fits this host \(riscv64"),
        ("OSError: [Errno 28] No space left on device", False, "no space left"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", False, "pip failed"),
    ],
)
def test_pips_last_words_are_explained(said: str, offline: bool, part: str) -> None:
    assert re.search(part, deploy.explain_pip(said, "riscv64, Python 3.11", offline))


def test_wheels_for_a_machine_that_has_none_say_so(small_lock: Path) -> None:
    with pytest.raises(StudyError, match=r"vax, glibc 2\.17, Python 3\.11"):
        wheels.download(Platform.of("vax", ("glibc", "2.17"), "3.11.4"))
    assert not list((small_lock.parent / "wheels").iterdir())


def test_the_tags_of_a_platform() -> None:
    tags = Platform.of("aarch64", ("glibc", "2.17"), "3.12.1").tags()
    assert tags[0] == "manylinux_2_17_aarch64"
    assert "manylinux2014_aarch64" in tags
    assert "manylinux_2_18_aarch64" not in tags
    assert Platform.of("x86_64", ("", ""), "3.11.0").tags()[0] == "musllinux_1_2_x86_64"
