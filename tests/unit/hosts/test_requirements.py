"""What a locustfile imports is installed over SSH: by its hashes, from wheels that are brought along."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from cluster.deploy import packages, wheels
from cluster.hosts.ssh import SshHost
from study.errors import StudyError
from tests.unit.hosts.test_hosts import daemon, far

__all__ = ["daemon", "far"]  # fixtures

pytestmark = pytest.mark.slow  # pip, several times

WHEEL = "tiny-1.0-py3-none-any.whl"
SAID = "hello from a wheel"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of one module, the only one that pip finds on this machine."""
    index = tmp_path / "index"
    index.mkdir()
    about = {
        "METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(index / WHEEL, "w") as packed:
        packed.writestr("tiny.py", f"SAID = {SAID!r}\n")
        for name, text in about.items():
            packed.writestr(f"tiny-1.0.dist-info/{name}", text)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setattr(wheels, "STATE", tmp_path / "state")
    return index / WHEEL


@pytest.fixture
def host(far: SshHost) -> SshHost:
    """A host with a Python environment; that it is this machine's makes it quick."""
    python = Path(far.python)
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="ascii")
    python.chmod(0o755)
    return far


def asked(directory: Path, digest: str) -> Path:
    file = directory / "needed.txt"
    file.write_text(f"tiny==1.0 \\\n    --hash=sha256:{digest}\n", encoding="ascii")
    return file


def test_requirements_are_brought_and_installed_once(host: SshHost, wheel: Path, tmp_path: Path) -> None:
    file = asked(tmp_path, hashlib.sha256(wheel.read_bytes()).hexdigest())
    digest = packages.requirements_digest(file)
    said: list[str] = []
    with pytest.raises(StudyError, match="`fab deploy` first: far: the locustfile's requirements aren't installed"):
        packages.require([host], digest)
    packages.install([host], file, True, said.append)
    packages.require([host], digest)
    place = packages.packages_of(host, digest)
    script = f"import sys; sys.path.append({str(place)!r}); import tiny; print(tiny.SAID)"
    assert host.run([host.python, "-c", script]).out == f"{SAID}\n"
    assert not (place / "wheels").exists()
    packages.install([host], file, True, said.append)
    assert len(said) == 1
    assert said[0].startswith("far: the locustfile's requirements installed in ")


def test_a_wheel_with_another_hash_is_not_installed(host: SshHost, wheel: Path, tmp_path: Path) -> None:
    file = asked(tmp_path, hashlib.sha256().hexdigest())
    with pytest.raises(StudyError, match="Expected sha256"):
        packages.install([host], file, True, print)
    assert not packages.is_installed(host, packages.requirements_digest(file))
