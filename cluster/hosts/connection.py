"""Opens SSH connections, and is the only module that does: host keys are checked here.

By default Fabric accepts any host key. Here a key that is not in known_hosts is refused, for gateways as well, and the
error gives the command that adds it. Authentication is by keys and the SSH agent; passwords are never used.
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

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # HostError reports each failure, once

BROKEN = (SSHException, EOFError, OSError)
"""What Paramiko raises when a connection can't be made or is lost."""


def connect(name: str, destination: tuple[str, ...], jump: str | None = None) -> Connection:
    """Open a connection to a host, through its gateways. Raises HostError; UnreachableError where nothing answers.

    `destination` is arguments of `ssh`; `jump` replaces the ProxyJump of OpenSSH's settings.
    """
    route = openssh.resolve(name, destination)
    *before, last = (route.jump if jump is None else jump).split(",")
    gateway: Connection | str | None = None
    if last:
        gateway = connect(f"{name}, by its gateway {last}", openssh.hop(last), ",".join(before) if before else None)
    elif route.command:
        gateway = f"setsid {route.command}"  # Ctrl-C must reach fab alone, which then stops everything in order
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


# -- host keys --------------------------------------------------------------------------------------------------------


class _Refuse(MissingHostKeyPolicy):  # type: ignore[misc]
    """Refuse an unknown host key, and say how to add it."""

    def __init__(self, name: str, route: Route, behind: bool) -> None:
        self._about = (name, route, behind)

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:
        name, route, behind = self._about
        raise HostError(
            f"{name}: the key of {route.key_name} is not known: {fingerprint(key)}. Where that is the fingerprint "
            f"that the host itself shows (there: ssh-keygen -lf /etc/ssh/ssh_host_{_kind(key)}_key.pub), add it with\n"
            f"    {keyscan(route, key, behind)}"
        )


def _trust(client: SSHClient, name: str, route: Route, behind: bool) -> None:
    """Add the host's keys from known_hosts to the client, under the name by which Paramiko looks them up."""
    name_for_paramiko = route.host if route.port == 22 else f"[{route.host}]:{route.port}"
    for path in route.known_hosts:
        if not path.is_file():
            continue
        for kind, key in (HostKeys(str(path)).lookup(route.key_name) or {}).items():
            if not _is_revoked(path, key):
                client.get_host_keys().add(name_for_paramiko, kind, key)
    client.set_missing_host_key_policy(_Refuse(name, route, behind))


def _is_revoked(path: Path, key: PKey) -> bool:
    """Whether known_hosts marks the key @revoked, which Paramiko ignores."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.startswith("@revoked") and key.get_base64() in line for line in lines)


def fingerprint(key: PKey) -> str:
    """Type and SHA-256 fingerprint, as `ssh-keygen -l` prints them."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
    return f"{_kind(key).upper()} SHA256:{digest}"


def _kind(key: PKey) -> str:
    kind: str = key.get_name().removeprefix("ssh-")
    return "ecdsa" if kind.startswith("ecdsa") else kind


def keyscan(route: Route, key: PKey, behind: bool = False) -> str:
    """Command that adds a host's key to known_hosts; `behind` a gateway, the gateway fetches the key."""
    port = f"-p {route.port} " if route.port != 22 else ""
    plain = route.host if route.port == 22 else f"[{route.host}]:{route.port}"
    renamed = "" if route.key_name == plain else f" | sed 's/^[^ ]*/{route.key_name}/'"
    line = f"ssh-keyscan -t {_kind(key)} {port}{route.host}{renamed} >> {_user_file(route)}"
    if behind:
        gateway = route.jump.split(",")[-1] or "GATEWAY"
        line = f"ssh {gateway} {line}"
    return line


def _user_file(route: Route) -> Path:
    """The known_hosts file that new keys go to."""
    return route.known_hosts[0] if route.known_hosts else Path.home() / ".ssh" / "known_hosts"


def _explained(name: str, route: Route, behind: bool, error: Exception) -> HostError:
    """The error for a connection that failed: why, and what to do about it."""
    where = f"{route.user}@{route.host}, port {route.port}"
    if isinstance(error, BadHostKeyException):
        return HostError(
            f"{name}: the key of {route.key_name} is another than known_hosts has: {fingerprint(error.key)} instead "
            f"of {fingerprint(error.expected_key)}. Somebody may intercept the connection. If the host was "
            f"reinstalled, and itself shows the new fingerprint, replace the key:\n"
            f"    ssh-keygen -R '{route.key_name}' -f {_user_file(route)}\n"
            f"    {keyscan(route, error.key, behind)}"
        )
    if isinstance(error, PasswordRequiredException):
        return HostError(
            f"{name}: a private key for {where} has a passphrase: ssh-add it, the study never asks for one"
        )
    if isinstance(error, AuthenticationException) or "authentication methods" in str(error):
        tried = ", ".join(path for path in route.identities if Path(path).is_file()) or "none on disk"
        return HostError(
            f"{name}: {where} takes none of our keys (tried: {tried}{', and the agent' * route.use_agent}): "
            "ssh-copy-id, ssh-add, or ansible_ssh_private_key_file= in the inventory"
        )
    why = str(error) or ("no answer" if isinstance(error, TimeoutError) else type(error).__name__)
    if "timed out" in why or isinstance(error, TimeoutError):
        why = f"no answer within {CONNECT_S} s"
    return UnreachableError(f"{name}: {where} can't be reached: {why}. Is it up, and is that its address?")
