"""What a locustfile of one's own imports: its requirements file, installed with hashes beside the study's environment.

In a directory named by the file's digest, on control and on every load host. A mark in it, written last, says that it
is whole.
"""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.deploy.deployment import INSTALL_S, explain_pip, inspect
from cluster.deploy.release import NAME_LENGTH
from cluster.deploy.wheels import Platform, download
from cluster.hosts.host import Host, at_once
from study.errors import HostError, StudyError

WHOLE = ".whole"  # the mark


def requirements_digest(file: Path) -> str:
    """SHA-256 of the requirements file; its first digits name the directory."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def packages_of(host: Host, digest: str) -> Path:
    """Where the packages of a requirements file are on the host."""
    return host.directory / "packages" / digest[:NAME_LENGTH]


def is_installed(host: Host, digest: str) -> bool:
    """Whether all of them are there. Raises HostError."""
    return host.run(["test", "-f", str(packages_of(host, digest) / WHOLE)]).status == 0


def require(hosts: Sequence[Host], digest: str) -> None:
    """Raises StudyError unless every host has them."""
    there = at_once(hosts, lambda host: is_installed(host, digest))
    if missing := [name for name, has in there.items() if not has]:
        raise StudyError(f"`fab deploy` first: {', '.join(missing)}: the locustfile's requirements aren't installed")


def install(hosts: Sequence[Host], requirements: Path, offline: bool, report: Callable[[str], None]) -> None:
    """Install them on every host that lacks them; `offline` brings the wheels from here. Raises HostError."""
    digest = requirements_digest(requirements)

    def bring(host: Host) -> None:
        if is_installed(host, digest):
            return
        host.claim()
        began = time.monotonic()
        _install(host, packages_of(host, digest), requirements, offline)
        report(f"{host.entry.name}: the locustfile's requirements installed in {time.monotonic() - began:.1f} s")

    at_once(hosts, bring)


def _install(host: Host, place: Path, requirements: Path, offline: bool) -> None:
    name = host.entry.name
    _must(host, ["rm", "-rf", "--", str(place)])
    _must(host, ["mkdir", "-p", "--", str(place)])
    lock, wheels = place / "requirements.txt", place / "wheels"
    host.put(requirements, place / requirements.name)
    if requirements.name != lock.name:
        _must(host, ["mv", "--", str(place / requirements.name), str(lock)])
    source: tuple[str, ...] = ("--retries", "1", "--timeout", "15")
    if offline:
        host.put(download(_platform(host), requirements), wheels, INSTALL_S)
        source = ("--no-index", "--find-links", str(wheels))
    done = host.run(
        [
            *(host.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
            *("--no-deps", "--require-hashes", "--only-binary", ":all:", *source),
            *("--target", str(place), "-r", str(lock)),
        ],
        INSTALL_S,
    )
    if done.status:
        raise HostError(f"{name}: the locustfile's requirements: {explain_pip(done.err, name, offline)}")
    _must(host, ["rm", "-rf", "--", str(wheels)])
    _must(host, ["touch", "--", str(place / WHOLE)])


def _platform(host: Host) -> Platform:
    """What decides which wheels fit the host; where nothing is inspected, it is this machine."""
    state = inspect(host)
    if state is not None:
        return Platform.of(state.machine, state.libc, state.python)
    return Platform.of(platform.machine(), platform.libc_ver(), platform.python_version())


def _must(host: Host, argv: Sequence[str]) -> None:
    """Run a command. Raises HostError where it fails."""
    done = host.run(argv)
    if done.status:
        raise HostError(f"{host.entry.name}: {' '.join(argv[:3])} ended with {done.status}: {done.err.strip()}")
