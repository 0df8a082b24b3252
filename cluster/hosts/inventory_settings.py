"""What the variables of one host mean to the study, and which of them it refuses, since they would change that meaning.

A variable that is neither read nor refused belongs to somebody's playbooks and is passed over.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

LOCAL, SSH = "local", "ssh"
CONNECTIONS = {
    **dict.fromkeys(("ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh"), SSH),
    **dict.fromkeys(("ansible.builtin.paramiko_ssh", "ansible.netcommon.paramiko_ssh"), SSH),
    **dict.fromkeys(("local", "ansible.builtin.local"), LOCAL),
}
"""Ansible's names of the two ways to a host that the study has."""
HOST = ("ansible_ssh_host", "ansible_host")  # in each of these, the first that is set counts, as in Ansible
PORT = ("ansible_ssh_port", "ansible_port")
USER = ("ansible_ssh_user", "ansible_user")
KEY = ("ansible_ssh_private_key_file", "ansible_private_key_file")
READ = {
    *HOST, *PORT, *USER, *KEY, "ansible_connection", "ansible_python_interpreter",
    "remote_dir", "cpus", "workers", "address", "transport", "control_address",
}  # fmt: skip
MAX_WORKERS = 1000
MAX_CPU = 8191  # Linux has no more (NR_CPUS)

_PASSWORD = re.compile(r"ansible_(?:\w+_)?pass(?:word|phrase)?")
_BECOME = re.compile(r"ansible_(?:become|sudo|su)")
_SSH_ARGUMENTS = re.compile(
    r"ansible_(?:ssh_(?:args|common_args|extra_args|executable|proxy_command)|paramiko_\w+|psrp_\w+|winrm_\w+)"
)
_SHELLS = ("", "sh", "bash", "csh", "fish")
_FALSE = ("", "false", "no", "off", "0", "none", "n", "f")
_TEMPLATE = re.compile(r"\{[{%#]")
_HOST_NAME = re.compile(r"\w(?:[\w.-]*\w)?\.?")


def refusals(settings: Mapping[str, object]) -> Iterator[str]:
    """Why the variables of a host can't be followed, each with its name. Never shows a password."""
    for key, value in settings.items():
        if _PASSWORD.fullmatch(key):
            yield f"{key}: the study uses keys and the SSH agent, never a password"
        elif _BECOME.fullmatch(key):
            if str(value).lower() not in _FALSE:
                yield f"{key}: the study becomes no other user: let ansible_user be the one, or remove it"
        elif _SSH_ARGUMENTS.fullmatch(key):
            if str(value).strip():
                yield f"{key}: not read: settings of ssh belong in ~/.ssh/config, which is read"
        elif key == "ansible_shell_type":
            if str(value) not in _SHELLS:
                yield f"{key}: the study starts its commands with a POSIX shell, not with {_shown(value)}"
        elif key in READ:
            yield from _unreadable(key, value)


def _unreadable(key: str, value: object) -> Iterator[str]:
    if isinstance(value, dict) and value.keys() & {"__ansible_vault", "__ansible_unsafe"}:
        yield f"{key}: is encrypted by ansible-vault"
    elif _TEMPLATE.search(str(value)):
        yield f"{key}: {_shown(value)} is a template, which only Ansible fills in: write the value itself"
    elif any(ord(character) < 32 or ord(character) == 127 for character in str(value)):
        yield f"{key}: {_shown(value)} has a control character"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:76]}..."


def text(settings: Mapping[str, object], *keys: str) -> str:
    """The first of those variables that is set, as text; empty where none is. Raises ValueError."""
    for key in keys:
        value = settings.get(key)
        if isinstance(value, list | tuple) and all(type(each) in (int, str) for each in value):
            return ",".join(map(str, value))  # Ansible reads cpus=0,2 as a Python tuple; make it text again
        if value is not None and not isinstance(value, str | int | float):
            raise ValueError(f"{key} is one word, not {_shown(value)}")
        if value is not None and value != "":
            return str(value)
    return ""


def whole(settings: Mapping[str, object], most: int, *keys: str) -> int:
    """The first of those variables that is set, as a whole number up to `most`; 0 where none is. Raises ValueError."""
    value = text(settings, *keys)
    if not value:
        return 0
    if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) > most:
        key = next(key for key in keys if text(settings, key))
        raise ValueError(f"{key} is a whole number up to {most}, not {_shown(value)}")
    return int(value)


def connection(settings: Mapping[str, object]) -> str:
    """LOCAL or SSH. Raises ValueError for any other of Ansible's connections."""
    name = text(settings, "ansible_connection") or SSH
    if name not in CONNECTIONS:
        raise ValueError(f"ansible_connection is {SSH} or {LOCAL}, not {_shown(name)}")
    return CONNECTIONS[name]


class Destination(NamedTuple):
    """Where SSH goes; `user` and `port` are empty and 0 where its own configuration decides."""

    host: str
    port: int
    user: str


def destination(name: str, settings: Mapping[str, object]) -> Destination:
    """From the host's name and its variables; both may be USER@HOST, as ssh takes it. Raises ValueError."""
    given = text(settings, *HOST) or name
    for key in HOST:
        if settings.get(key) == "":
            raise ValueError(f"{key} is empty")
    before, at, host = given.rpartition("@")
    user = text(settings, *USER)
    if at and (not before or user not in ("", before)):
        raise ValueError(f"{_shown(given)} names the user {_shown(before)}, ansible_user {_shown(user)}: leave one")
    user = user or before
    if re.search(r"[\s@:]", user) or user.startswith("-"):
        raise ValueError(f"ansible_user is no user's name: {_shown(user)}")
    return Destination(checked_host(host, "ansible_host"), whole(settings, 65535, *PORT), user)


def checked_host(host: str, key: str) -> str:
    """A name or an IP address, without brackets and port. Raises ValueError."""
    if is_address(host) or _HOST_NAME.fullmatch(host):
        return host
    bare, _, rest = host.removeprefix("[").partition("]") if host.startswith("[") else host.partition(":")
    if (is_address(bare) or _HOST_NAME.fullmatch(bare)) and rest.strip(":").isdigit():
        raise ValueError(f"{key} is {bare}; its port belongs in ansible_port")
    if is_address(bare) and not rest:
        raise ValueError(f"{key} is {bare}: an IPv6 address stands without brackets there")
    raise ValueError(f"{key} is a host's name or address, not {_shown(host)}")


def is_address(host: str) -> bool:
    """Whether it is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only the machine itself reaches it."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_link_local(host: str) -> bool:
    """Whether the address means nothing without the name of an interface, which differs from host to host."""
    return is_address(host) and ipaddress.ip_address(host).is_link_local


def parse_cpus(text: str) -> tuple[int, ...]:
    """CPU numbers as taskset writes them: `0,2-4`. Raises ValueError."""
    cpus: set[int] = set()
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        if match is None:
            raise ValueError(f"cpus are numbers and ranges like 0,2-4, not {_shown(text)}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last > MAX_CPU or first > last:
            raise ValueError(f"cpus are from 0 to {MAX_CPU}, the smaller one first, not {_shown(text)}")
        cpus.update(range(first, last + 1))
    return tuple(sorted(cpus))
