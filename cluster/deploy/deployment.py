"""Deploy: bring the code and the Python environment to every host over SSH, at once, and only what is missing there.

Both lie in a directory named by a digest. The code is unpacked beside its place and moved there whole. An environment
can't be moved, so it is made in its place and sealed last; what isn't sealed, or isn't as it was sealed, is made anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cluster.deploy.release import LOCK, archive, release
from cluster.deploy.wheels import Platform, download
from cluster.hosts.host import Completed, Host, at_once
from cluster.hosts.ssh import SshHost
from study.errors import HostError, StudyError

OLDEST_PYTHON = (3, 11)
ENV_MB = 300  # what an environment takes, and pip while it makes it
INSTALL_S = 600.0
NOT_FOUND = (126, 127)  # the shell's words for a program that isn't there or can't be run
UNREACHABLE_WORDS = ("NewConnectionError", "ConnectTimeoutError", "ConnectionError", "ProxyError", "name resolution")
NO_WHEEL_WORDS = ("No matching distribution", "is not a supported wheel", "Could not find a version")

State = dict[str, Any]
"""What cluster/remote/installed.py says of a host."""


def deploy(hosts: Sequence[Host], offline: bool, say: Callable[[str], None]) -> None:
    """Make every host as this checkout wants it. Raises HostError or StudyError with all hosts where that fails."""
    far = [host for host in hosts if isinstance(host, SshHost)]
    states = at_once(far, look)
    if wrong := [line for host in far for line in obstacles(host.entry.name, states[host.entry.name])]:
        raise StudyError("\n".join(wrong))
    wheels: dict[str, Path] = {}
    for host in far if offline else ():
        state = states[host.entry.name]
        if state["env"] != "whole":
            platform = Platform.of(state["machine"], state["libc"], state["python"])
            say(f"{host.entry.name}: wheels for {platform}")
            wheels[host.entry.name] = download(platform)

    def install(host: Host) -> None:
        assert isinstance(host, SshHost)
        began = time.monotonic()
        made = _install(host, states[host.entry.name], wheels.get(host.entry.name))
        if made:
            say(f"{host.entry.name}: {' and '.join(made)} deployed in {time.monotonic() - began:.1f} s")
        else:
            say(f"{host.entry.name}: has all of it, nothing to copy")

    at_once(far, install)


def require(hosts: Sequence[Host]) -> None:
    """Raises StudyError unless every host has this code and its environment, whole."""
    far = [host for host in hosts if isinstance(host, SshHost)]
    states = at_once(far, look)
    if missing := [f"{name}: {lack}" for name, state in states.items() if (lack := lacking(state))]:
        raise StudyError("`fab deploy` first:\n" + "\n".join(f"  {line}" for line in missing))


def lacking(state: State) -> str:
    """What a host has not, in words; empty where it has all."""
    code = "" if state["code"] == release().code else "this code is damaged" if state["code"] else "has not this code"
    env = "" if state["env"] == "whole" else f"its Python environment is {state['env']}"
    return ", ".join(filter(None, (code, env)))


def look(host: Host) -> State:
    """What is on the host. Raises HostError where it has no Python that could say."""
    assert isinstance(host, SshHost)
    return _state(host, host.module("installed", "--code", str(host.code), "--env", str(host.env)))


def _state(host: SshHost, done: Completed) -> State:
    name, python = host.entry.name, host.base_python
    remedy = "install Python 3.11 or newer, and name it in the inventory with ansible_python_interpreter= if need be"
    if done.status in NOT_FOUND:
        raise HostError(f"{name}: there is no {python}: {remedy}")
    try:
        found: State = json.loads(done.out)
    except ValueError:
        version = host.run([python, "--version"])
        if version.status in NOT_FOUND:
            raise HostError(f"{name}: there is no {python}: {remedy}") from None
        if is_old(version.out.strip().removeprefix("Python ")):
            raise HostError(f"{name}: {python} is {version.out.strip()}: {remedy}") from None
        raise HostError(f"{name}: can't be looked at with {python}: {_last(done)}") from None
    return found


def is_old(version: str) -> bool:
    """Whether the study can't run on this version of Python."""
    parts = version.split(".")
    return not (parts[0].isdigit() and parts[1].isdigit() and (int(parts[0]), int(parts[1])) >= OLDEST_PYTHON)


def obstacles(name: str, state: State) -> list[str]:
    """Why a deploy can't succeed, each with what to do about it."""
    found = []
    if is_old(state["python"]):
        found.append(f"Python {state['python']} is too old: install 3.11 or newer, and set ansible_python_interpreter=")
    if not lacking(state):
        return [f"{name}: {what}" for what in found]
    if state["obstacle"]:
        found.append(f"can't write to {state['obstacle']}: give it to this user, or set remote_dir= elsewhere")
    if state["env"] != "whole":
        if not state["venv"]:
            found.append("Python's venv module is missing: apt-get install python3-venv, or what it is called there")
        if state["free_mb"] < ENV_MB:
            found.append(
                f"no space: {state['free_mb']} MiB are free, {ENV_MB} are needed: clear some, or set remote_dir="
            )
    return [f"{name}: {what}" for what in found]


def _install(host: SshHost, state: State, wheels: Path | None) -> list[str]:
    """Bring what is missing; returns what that was."""
    made = []
    if state["code"] != release().code:
        unfinished = host.code.with_name(f".{host.code.name}")
        _must(host, ["rm", "-rf", "--", str(unfinished), str(host.code)])
        host.put_archive(archive(), unfinished)
        _must(host, ["mv", "-T", "--", str(unfinished), str(host.code)])
        made.append("code")
    if state["env"] != "whole":
        _make_environment(host, state, wheels)
        made.append("environment")
    if made and (lack := lacking(look(host))):
        raise HostError(f"{host.entry.name}: after the deploy, {lack}")
    return made


def _make_environment(host: SshHost, state: State, wheels: Path | None) -> None:
    env, brought = str(host.env), host.directory / "wheels"
    _must(host, ["rm", "-rf", "--", env])
    _must(host, [host.base_python, "-m", "venv", env], INSTALL_S)
    lock = host.env / LOCK.name
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
        machine = f"{state['machine']}, Python {state['python']}"
        raise HostError(f"{host.entry.name}: {explained(done.err, machine, wheels is not None)}")
    sealed = host.module("installed", "--seal", "--code", str(host.code), "--env", env)
    if sealed.status:
        raise HostError(f"{host.entry.name}: the environment can't be sealed: {_last(sealed)}")


def explained(said: str, machine: str, offline: bool) -> str:
    """What pip's last words mean, and what to do."""
    last = "\n".join(said.strip().splitlines()[-3:])
    if "No space left" in said:
        return f"no space left for the environment: clear some, or set remote_dir=\n{last}"
    if not offline and any(word in said for word in UNREACHABLE_WORDS):
        return f"the package index can't be reached from there: `fab deploy --offline` brings the wheels\n{last}"
    if any(word in said for word in NO_WHEEL_WORDS):
        return f"no wheel fits this host ({machine}), or the index lacks it\n{last}"
    return f"pip failed:\n{last}"


def _must(host: Host, argv: Sequence[str], timeout: float = 60.0) -> None:
    done = host.run(argv, timeout)
    if done.status:
        raise HostError(f"{host.entry.name}: {' '.join(argv[:3])} ended with {done.status}: {_last(done)}")


def _last(done: Completed) -> str:
    return "\n".join((done.err or done.out).strip().splitlines()[-3:])
