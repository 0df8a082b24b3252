"""What OpenSSH makes of a host: one ssh_config for its own tunnels and for Fabric's connections.

Fabric reads no `Include`, no HostKeyAlias and no known_hosts, so OpenSSH is asked (`ssh -G`) what holds for a host, and
Fabric is given the answer. The person's own ~/.ssh/config is part of it; what trust rests on stands before it.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from cluster.hosts.host import STATE
from cluster.hosts.inventory import HostEntry
from study.errors import HostError
from study.formats.json_files import write_whole

CONFIG = STATE / "ssh_config"
CONNECT_S = 10
ALIVE_S = 5

TEXT = """# Written by the study before it connects, for Fabric's connections and OpenSSH's tunnels alike.
Host *
    StrictHostKeyChecking yes
    UpdateHostKeys no
    BatchMode yes
    PasswordAuthentication no
    KbdInteractiveAuthentication no
    ForwardAgent no
    ControlMaster no
    ControlPath none
    ConnectTimeout {connect}
    ServerAliveInterval {alive}
    ServerAliveCountMax 3
    LogLevel INFO
Include "{home}/.ssh/config"
Include /etc/ssh/ssh_config
Host *
    UserKnownHostsFile "{home}/.ssh/known_hosts" "{home}/.ssh/known_hosts2"
"""


@dataclass(frozen=True)
class Route:
    """How OpenSSH would reach a host. `jump` is ProxyJump's list; `command` is ProxyCommand, its tokens filled in."""

    host: str
    port: int
    user: str
    identities: tuple[str, ...]
    use_agent: bool
    key_name: str
    """Under which its key stands in known_hosts."""
    known_hosts: tuple[Path, ...]
    """The person's file, then others that may be absent."""
    jump: str = ""
    command: str = ""


def arguments(entry: HostEntry) -> tuple[str, ...]:
    """What `ssh` is called with to reach a host of the inventory, after the config; its destination is the last."""
    port = ("-p", str(entry.port)) if entry.port else ()
    user = ("-l", entry.user) if entry.user else ()
    key = ("-i", str(Path(entry.key).expanduser())) if entry.key else ()
    return (*port, *user, *key, "--", entry.destination)


def hop(jump: str) -> tuple[str, ...]:
    """The same for one gateway of a ProxyJump: [user@]host[:port] or a URI."""
    return ("--", jump if jump.startswith("ssh://") else f"ssh://{jump}")


def write_config() -> Path:
    """The ssh_config; -F makes OpenSSH read this one alone, with what it includes."""
    text = TEXT.format(home=Path.home(), connect=CONNECT_S, alive=ALIVE_S)
    if not CONFIG.exists() or CONFIG.read_text(encoding="utf-8") != text:
        write_whole(CONFIG, text)
    return CONFIG


def resolve(name: str, destination: tuple[str, ...]) -> Route:
    """Ask OpenSSH. Raises HostError where there is no ssh here, or the person's config has a mistake."""
    argv = ["ssh", "-G", "-F", str(write_config()), *destination]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False, process_group=0)
    except FileNotFoundError:
        raise HostError(f"{name}: there is no ssh here: install OpenSSH's client (openssh-client)") from None
    except subprocess.TimeoutExpired:
        raise HostError(f"{name}: ssh -G took more than 10 s; look into ~/.ssh/config") from None
    if done.returncode:
        raise HostError(f"{name}: ssh refuses its configuration: {done.stderr.strip()}")
    return parse(done.stdout)


def parse(said: str) -> Route:
    """Read the answer of `ssh -G`."""
    settings: dict[str, list[str]] = {}
    for line in said.splitlines():
        key, _, value = line.partition(" ")
        settings.setdefault(key, []).append(value)

    def one(key: str, default: str = "") -> str:
        value = settings.get(key, [default])[0]
        return "" if value == "none" else value

    host, port, user, alias = one("hostname"), int(one("port", "22")), one("user"), one("hostkeyalias")
    files = [*one("userknownhostsfile").split(), *one("globalknownhostsfile").split()]
    command = one("proxycommand")
    for token, value in {"%h": host, "%p": str(port), "%r": user, "%%": "%"}.items():
        command = command.replace(token, value)
    return Route(
        host=host,
        port=port,
        user=user,
        identities=tuple(str(Path(name).expanduser()) for name in settings.get("identityfile", [])),
        use_agent=one("identitiesonly") != "yes",
        key_name=alias or (host if port == 22 else f"[{host}]:{port}"),
        known_hosts=tuple(Path(name).expanduser() for name in files),
        jump=one("proxyjump"),
        command=command,
    )
