"""Connections over SSH: the only module that makes them, and so the only one that decides whom to trust.

Fabric takes any host's key by default, known or not. Here a key that is not in known_hosts is refused, a gateway's like
a host's, and what settles it is said. Keys and the agent prove who we are; there is no password anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from pathlib import Path

from fabric import Config, Connection
from paramiko import HostKeys, PKey, SSHClient, SSHConfig
from paramiko.client import MissingHostKeyPolicy
from paramiko.ssh_exception import (
    AuthenticationException,
    BadHostKeyException,
    PasswordRequiredException,
    SSHException,
)

from cluster.hosts import ssh_config as openssh
from cluster.hosts.ssh_config import ALIVE_S, CONNECT_S, Route
from study.errors import HostError, UnreachableError

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # what goes wrong is told once, by HostError

BROKEN = (SSHException, EOFError, OSError)
"""What Paramiko raises when a connection can't be made or is lost."""


def connect(name: str, destination: tuple[str, ...], jump: str | None = None) -> Connection:
    """An open connection to a host of the inventory, over its gateways. Raises HostError, or its UnreachableError.

    `destination` is openssh's; `jump` replaces the ProxyJump that OpenSSH's settings name.
    """
    route = openssh.resolve(name, destination)
    *before, last = (route.jump if jump is None else jump).split(",")
    gateway: Connection | str | None = None
    if last:
        gateway = connect(f"{name}, by its gateway {last}", openssh.hop(last), ",".join(before) if before else None)
    elif route.command:
        gateway = f"setsid {route.command}"  # Ctrl-C at the terminal is for fab, which then stops things in order
    connection = Connection(
        route.host,
        user=route.user,
        port=route.port,
        config=Config(ssh_config=SSHConfig(), lazy=True),
        gateway=gateway,
        connect_timeout=CONNECT_S,
        connect_kwargs={
            "key_filename": [path for path in route.identities if Path(path).is_file()],
            "allow_agent": route.use_agent,
            "look_for_keys": False,
            "banner_timeout": CONNECT_S,
            "auth_timeout": 2 * CONNECT_S,
            "channel_timeout": CONNECT_S,
        },
    )
    _trust(connection.client, name, route, bool(gateway))
    try:
        connection.open()
    except BaseException as error:
        connection.close()
        if isinstance(gateway, Connection):
            gateway.close()
        if isinstance(error, BROKEN):
            raise _explained(name, route, bool(gateway), error) from None
        raise
    connection.transport.set_keepalive(ALIVE_S)
    return connection


# -- whom to trust ----------------------------------------------------------------------------------------------------


class _Refuse(MissingHostKeyPolicy):  # type: ignore[misc]
    def __init__(self, name: str, route: Route, behind: bool) -> None:
        self._about = (name, route, behind)

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:
        name, route, behind = self._about
        raise HostError(
            f"{name}: the key of {route.key_name} is not known: {shown(key)}. Where that is the fingerprint that the "
            f"host itself shows (ssh-keygen -lf /etc/ssh/ssh_host_{_kind(key)}_key.pub, there), settle it with\n"
            f"    {keyscan(route, key, behind)}"
        )


def _trust(client: SSHClient, name: str, route: Route, behind: bool) -> None:
    """Give the client the keys that are known for the host, under the name by which Paramiko asks for them."""
    asked = route.host if route.port == 22 else f"[{route.host}]:{route.port}"
    for path in route.known_hosts:
        if not path.is_file():
            continue
        for kind, key in (HostKeys(str(path)).lookup(route.key_name) or {}).items():
            if not _is_revoked(path, key):
                client.get_host_keys().add(asked, kind, key)
    client.set_missing_host_key_policy(_Refuse(name, route, behind))


def _is_revoked(path: Path, key: PKey) -> bool:
    """Paramiko passes over the marker @revoked."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.startswith("@revoked") and key.get_base64() in line for line in lines)


def shown(key: PKey) -> str:
    """Type and fingerprint as ssh-keygen -l shows them."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{_kind(key).upper()} SHA256:{digest}"


def _kind(key: PKey) -> str:
    kind: str = key.get_name().removeprefix("ssh-")
    return "ecdsa" if kind.startswith("ecdsa") else kind


def keyscan(route: Route, key: PKey, behind: bool = False) -> str:
    """The line that makes a host's key known; where only a gateway reaches it, it is to be typed there."""
    port = f"-p {route.port} " if route.port != 22 else ""
    plain = route.host if route.port == 22 else f"[{route.host}]:{route.port}"
    renamed = "" if route.key_name == plain else f" | sed 's/^[^ ]*/{route.key_name}/'"
    line = f"ssh-keyscan -t {_kind(key)} {port}{route.host}{renamed} >> {_own(route)}"
    if behind:
        gateway = route.jump.split(",")[-1] or "GATEWAY"
        line = f"ssh {gateway} {line}"
    return line


def _own(route: Route) -> Path:
    return route.known_hosts[0] if route.known_hosts else Path.home() / ".ssh" / "known_hosts"


def _explained(name: str, route: Route, behind: bool, error: Exception) -> HostError:
    """What went wrong with a connection, and what to do about it."""
    where = f"{route.user}@{route.host}, port {route.port}"
    if isinstance(error, BadHostKeyException):
        return HostError(
            f"{name}: the key of {route.key_name} is another than known_hosts has: {shown(error.key)} instead of "
            f"{shown(error.expected_key)}. Somebody may be in between. Where the host was set up anew, and shows that "
            f"fingerprint itself, forget the old key and take the new one:\n"
            f"    ssh-keygen -R '{route.key_name}' -f {_own(route)}\n"
            f"    {keyscan(route, error.key, behind)}"
        )
    if isinstance(error, PasswordRequiredException):
        return HostError(f"{name}: a private key for {where} has a passphrase: ssh-add it, the study asks for none")
    if isinstance(error, AuthenticationException) or "authentication methods" in str(error):
        tried = ", ".join(path for path in route.identities if Path(path).is_file()) or "none on disk"
        return HostError(
            f"{name}: {where} takes none of our keys (tried: {tried}{', and the agent' * route.use_agent}): "
            "ssh-copy-id, ssh-add, or ansible_ssh_private_key_file= in the inventory"
        )
    said = str(error) or ("no answer" if isinstance(error, TimeoutError) else type(error).__name__)
    if "timed out" in said or isinstance(error, TimeoutError):
        said = f"no answer within {CONNECT_S} s"
    return UnreachableError(f"{name}: {where} can't be reached: {said}. Is it up, and is that its address?")
