"""Wheels for hosts that reach no package index: downloaded here for their Python and machine, checked by hash."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cluster.deploy.release import LOCK, NAME_LENGTH
from cluster.hosts.host import STATE
from study.errors import StudyError

DOWNLOAD_S = 600.0
OLDEST_GLIBC, OLDEST_MUSL = 5, 1  # lowest minor versions for which platform tags exist


@dataclass(frozen=True)
class Platform:
    """What decides which wheels fit a host: uname's machine, the libc and its version, Python's minor version."""

    machine: str
    libc: str
    libc_version: str
    python: str

    @classmethod
    def of(cls, machine: str, libc: tuple[str, str], python: str) -> Platform:
        """From the answers of Python's platform module on the host, which recognises glibc alone."""
        return cls(machine, libc[0] or "musl", libc[1] or "1.2", ".".join(python.split(".")[:2]))

    def __str__(self) -> str:
        return f"{self.machine}, {self.libc} {self.libc_version}, Python {self.python}"

    def tags(self) -> list[str]:
        """The platform tags of PEP 600 and PEP 656 that fit, the newest first."""
        family, oldest = ("musllinux", OLDEST_MUSL) if self.libc == "musl" else ("manylinux", OLDEST_GLIBC)
        major, minor = (int(part) for part in self.libc_version.split(".")[:2])
        tags = [f"{family}_{major}_{number}_{self.machine}" for number in range(minor, oldest - 1, -1)]
        if family == "manylinux":
            tags += [f"manylinux{year}_{self.machine}" for year in ("2014", "2010", "1")]
        return [*tags, f"linux_{self.machine}"]


def download(platform: Platform, lock: Path = LOCK) -> Path:
    """The directory with every wheel of a lock file, by default the hosts', downloaded once. Raises StudyError."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    where = STATE / "wheels" / "-".join(
        (digest[:NAME_LENGTH], platform.machine, platform.libc, platform.libc_version, platform.python)
    )  # fmt: skip
    if where.is_dir():
        return where
    where.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=where.parent, prefix=".unfinished-"))
    try:
        _pip_download(platform, lock, unfinished)
        unfinished.rename(where)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return where


def _pip_download(platform: Platform, lock: Path, into: Path) -> None:
    """`pip download` of a lock file's wheels for another platform. Raises StudyError."""
    fitting = [word for tag in platform.tags() for word in ("--platform", tag)]
    argv = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", str(into)),
        *("--implementation", "cp", "--python-version", platform.python, *fitting, "-r", str(lock)),
    ]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=DOWNLOAD_S, check=False, process_group=0
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise StudyError(f"the wheels for {platform} took more than {DOWNLOAD_S:g} s to download") from None
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-3:])
        raise StudyError(f"no wheels could be downloaded for {platform}; its machine may have none:\n{last}")
