"""How OpenSSH would reach a host: one ssh_config for OpenSSH's tunnels and for Fabric's connections.

Fabric ignores `Include`, HostKeyAlias and known_hosts, so `ssh -G` resolves the settings for each host and Fabric gets
the result. The person's ~/.ssh/config is included after the settings that host key checking and authentication depend
on: OpenSSH uses the first value that it reads.
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
    """How OpenSSH would reach a host. `jump`: ProxyJump's list; `command`: ProxyCommand with its tokens replaced."""

    host: str
    port: int
    user: str
    identities: tuple[str, ...]
    use_agent: bool
    key_name: str
    """Name under which the host's key is looked up in known_hosts."""
    known_hosts: tuple[Path, ...]
    """The person's file first; any of them may be absent."""
    jump: str = ""
    command: str = ""


def arguments(entry: HostEntry) -> tuple[str, ...]:
    """Arguments of `ssh` for a host of the inventory, the destination last."""
    port = ("-p", str(entry.port)) if entry.port else ()
    user = ("-l", entry.user) if entry.user else ()
    key = ("-i", str(Path(entry.key).expanduser())) if entry.key else ()
    return (*port, *user, *key, "--", entry.destination)


def hop(jump: str) -> tuple[str, ...]:
    """Arguments of `ssh` for one gateway of a ProxyJump: [user@]host[:port] or a URI."""
    return ("--", jump if jump.startswith("ssh://") else f"ssh://{jump}")


def write_config() -> Path:
    """Write the ssh_config for `ssh -F`, which then reads no other file but those included."""
    text = TEXT.format(home=Path.home(), connect=CONNECT_S, alive=ALIVE_S)
    if not CONFIG.exists() or CONFIG.read_text(encoding="utf-8") != text:
        write_whole(CONFIG, text)
    return CONFIG


def resolve(name: str, destination: tuple[str, ...]) -> Route:
    """The route by `ssh -G`. Raises HostError where there is no ssh here, or the person's config has a mistake."""
    argv = ["ssh", "-G", "-F", str(write_config()), *destination]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False, process_group=0)
    except FileNotFoundError:
        raise HostError(f"{name}: there is no ssh here: install OpenSSH's client (openssh-client)") from None
    except subprocess.TimeoutExpired:
        raise HostError(f"{name}: ssh -G took more than 10 s; check ~/.ssh/config") from None
    if done.returncode:
        raise HostError(f"{name}: ssh refuses its configuration: {done.stderr.strip()}")
    return parse(done.stdout)


def parse(output: str) -> Route:
    """A route from the output of `ssh -G`."""
    settings: dict[str, list[str]] = {}
    for line in output.splitlines():
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
