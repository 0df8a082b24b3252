"""Deploy: bring the code and the Python environment to every host, all at the same time, and only what is missing.

Each is a directory named by a digest. The code is unpacked under another name and renamed when it is complete. A Python
environment can't be renamed, so it is made in its final place and sealed last; one that is not sealed, or has changed
since, is made again.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.deploy.release import LOCK, archive, this_release
from cluster.deploy.wheels import Platform, download
from cluster.hosts.host import Completed, Host, Installation, at_once, json_value
from study.errors import HostError, StudyError

OLDEST_PYTHON = (3, 11)
ENV_MB = 300  # disk space for an environment and for pip while it installs
INSTALL_S = 600.0
IMPORT_S = 60.0
IMPORTED = ("locust", "psutil")
NOEXEC_WORDS = ("failed to map segment", "Operation not permitted", "Permission denied")
NOT_FOUND = (126, 127)  # the shell's exit statuses for a program that is absent or not executable
UNREACHABLE_WORDS = ("NewConnectionError", "ConnectTimeoutError", "ConnectionError", "ProxyError", "name resolution")
NO_WHEEL_WORDS = ("No matching distribution", "is not a supported wheel", "Could not find a version")
REMEDY = "install Python 3.11 or newer, and name it in the inventory with ansible_python_interpreter= if need be"


@dataclass(frozen=True)
class Installed:
    """What cluster/remote/installed.py reports about a host, with the meaning that it has there."""

    python: str
    venv: bool
    machine: str
    libc: tuple[str, str]
    obstacle: str
    free_mb: int
    code: str
    env: str


def deploy(hosts: Sequence[Host], offline: bool, report: Callable[[str], None]) -> None:
    """Bring to every host what it lacks of this checkout. `report` gets a line for each host that a deploy concerns.

    `offline` downloads the wheels here, for hosts that reach no package index. Raises HostError or StudyError, with all
    hosts where the deploy fails.
    """
    states = {name: state for name, state in at_once(hosts, inspect).items() if state is not None}
    if wrong := [line for name, state in states.items() for line in obstacles(name, state)]:
        raise StudyError("\n".join(wrong))
    wheels: dict[str, Path] = {}
    for name, state in states.items() if offline else ():
        if state.env != "whole":
            platform = Platform.of(state.machine, state.libc, state.python)
            report(f"{name}: wheels for {platform}")
            wheels[name] = download(platform)

    def install(host: Host) -> None:
        name, place = host.entry.name, host.installation
        if place is None:
            return
        host.claim()
        began = time.monotonic()
        parts = _install(host, place, states[name], wheels.get(name))
        if parts:
            report(f"{name}: {' and '.join(parts)} deployed in {time.monotonic() - began:.1f} s")
        else:
            report(f"{name}: has all of it, nothing to copy")

    at_once(hosts, install)


def require(hosts: Sequence[Host]) -> None:
    """Raises StudyError unless every host has this code and its environment, undamaged."""
    states = {name: state for name, state in at_once(hosts, inspect).items() if state is not None}
    if missing := [f"{name}: {lack}" for name, state in states.items() if (lack := lacking(state))]:
        raise StudyError("`fab deploy` first:\n" + "\n".join(f"  {line}" for line in missing))


def lacking(state: Installed) -> str:
    """What a host lacks, for a message; empty where it lacks nothing."""
    lack = "this code is damaged" if state.code else "has not this code"
    code = "" if state.code == this_release().code else lack
    env = "" if state.env == "whole" else f"its Python environment is {state.env}"
    return ", ".join(filter(None, (code, env)))


def inspect(host: Host) -> Installed | None:
    """What is installed on the host; None where nothing has to be. Raises HostError where Python can't be run there."""
    place = host.installation
    if place is None:
        return None
    done = host.module("installed", "--code", str(place.code), "--env", str(place.env))
    name, python = host.entry.name, place.base_python
    if done.status in NOT_FOUND:
        raise HostError(f"{name}: there is no {python}: {REMEDY}")
    try:
        state = json_value(done.out)
    except ValueError:
        version = host.run([python, "--version"])
        if version.status in NOT_FOUND:
            raise HostError(f"{name}: there is no {python}: {REMEDY}") from None
        if is_old(version.out.strip().removeprefix("Python ")):
            raise HostError(f"{name}: {python} is {version.out.strip()}: {REMEDY}") from None
        raise HostError(f"{name}: what is installed can't be read with {python}: {_last_lines(done)}") from None
    return host.parsed(Installed, state, "installed")


def is_old(version: str) -> bool:
    """Whether the study can't run on this version of Python, given as `3.11.7`."""
    parts = version.split(".")
    return not (
        len(parts) > 1
        and parts[0].isdecimal()
        and parts[1].isdecimal()
        and (int(parts[0]), int(parts[1])) >= OLDEST_PYTHON
    )


def obstacles(name: str, state: Installed) -> list[str]:
    """Why a deploy to the host can't succeed, each with what to do about it."""
    wrong = []
    if is_old(state.python):
        wrong.append(f"Python {state.python} is too old: install 3.11 or newer, and set ansible_python_interpreter=")
    if lacking(state) and state.obstacle:
        wrong.append(f"can't write to {state.obstacle}: give it to this user, or set remote_dir= elsewhere")
    if lacking(state) and state.env != "whole":
        if not state.venv:
            wrong.append("Python's venv module is missing: apt-get install python3-venv, or what it is called there")
        if state.free_mb < ENV_MB:
            wrong.append(f"no space: {state.free_mb} MiB are free, {ENV_MB} are needed: clear some, or set remote_dir=")
    return [f"{name}: {line}" for line in wrong]


def _install(host: Host, place: Installation, state: Installed, wheels: Path | None) -> list[str]:
    """Bring what is missing; returns the names of the parts."""
    parts = []
    if state.code != this_release().code:
        _bring_code(host, place)
        parts.append("code")
    if state.env != "whole":
        _make_environment(host, place, state, wheels)
        parts.append("environment")
    _try_environment(host, place)
    if parts:
        after = inspect(host)
        if after is not None and (lack := lacking(after)):
            raise HostError(f"{host.entry.name}: after the deploy, {lack}")
    return parts


def _bring_code(host: Host, place: Installation) -> None:
    """Unpack the archive under another name and rename it, so that the place never holds a part of the code."""
    unfinished, packed = place.code.with_name(f".{place.code.name}"), host.directory / "code.tar"
    _must(host, ["rm", "-rf", "--", str(unfinished), str(place.code)])
    with tempfile.NamedTemporaryFile(prefix="code-", suffix=".tar") as file:
        file.write(archive())
        file.flush()
        host.put(Path(file.name), packed)
    _must(host, ["mkdir", "-p", "--", str(unfinished)])
    _must(host, ["tar", "-xf", str(packed), "-C", str(unfinished), "-o"])
    _must(host, ["rm", "-f", "--", str(packed)])
    _must(host, ["mv", "-T", "--", str(unfinished), str(place.code)])


def _make_environment(host: Host, place: Installation, state: Installed, wheels: Path | None) -> None:
    """Make the virtual environment with pip from the lock file, and seal it. `wheels` is a directory to bring along."""
    env, brought = str(place.env), host.directory / "wheels"
    _must(host, ["rm", "-rf", "--", env])
    _must(host, [place.base_python, "-m", "venv", env], INSTALL_S)
    lock = place.env / LOCK.name
    host.put(LOCK, lock)
    source: tuple[str, ...] = ("--retries", "1", "--timeout", "15")
    if wheels is not None:
        host.put(wheels, brought, INSTALL_S)
        source = ("--no-index", "--find-links", str(brought))
    done = host.run(
        [
            *(host.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
            *("--no-cache-dir", "--no-deps", "--require-hashes", "--only-binary", ":all:", *source),
            *("-r", str(lock)),
        ],
        INSTALL_S,
    )
    if wheels is not None:
        _must(host, ["rm", "-rf", "--", str(brought)])
    if done.status:
        machine = f"{state.machine}, Python {state.python}"
        raise HostError(f"{host.entry.name}: {explain_pip(done.err, machine, wheels is not None)}")
    sealed = host.module("installed", "--seal", "--code", str(place.code), "--env", env)
    if sealed.status:
        raise HostError(f"{host.entry.name}: the environment can't be sealed: {_last_lines(sealed)}")


def _try_environment(host: Host, place: Installation) -> None:
    """Import what a run needs, once. Raises HostError: a file system may refuse to map its libraries."""
    done = host.run([host.python, "-c", f"import {', '.join(IMPORTED)}"], IMPORT_S)
    if done.status:
        last = (done.err.strip() or done.out.strip() or f"exit status {done.status}").splitlines()[-1]
        noexec = any(word in done.err for word in NOEXEC_WORDS) or done.status in NOT_FOUND
        hint = f": is {place.env} on a file system mounted noexec? Set remote_dir= elsewhere" if noexec else ""
        raise HostError(f"{host.entry.name}: its environment can't be used: {last}{hint}")


def explain_pip(output: str, machine: str, offline: bool) -> str:
    """Why pip failed, from its error output, and what to do about it."""
    last = "\n".join(output.strip().splitlines()[-3:])
    if "No space left" in output:
        return f"no space left for the environment: clear some, or set remote_dir=\n{last}"
    if not offline and any(word in output for word in UNREACHABLE_WORDS):
        return f"the package index can't be reached from there: `fab deploy --offline` brings the wheels\n{last}"
    if any(word in output for word in NO_WHEEL_WORDS):
        return f"no wheel fits this host ({machine}), or the index lacks it\n{last}"
    return f"pip failed:\n{last}"


def _must(host: Host, argv: Sequence[str], timeout: float = 60.0) -> None:
    """Run a command. Raises HostError where it fails."""
    done = host.run(argv, timeout)
    if done.status:
        raise HostError(f"{host.entry.name}: {' '.join(argv[:3])} ended with {done.status}: {_last_lines(done)}")


def _last_lines(done: Completed) -> str:
    return "\n".join((done.err or done.out).strip().splitlines()[-3:])
