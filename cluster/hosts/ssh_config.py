"""OpenSSH's configuration for the study's connections, and why OpenSSH refused one.

The person's ~/.ssh/config is included after the settings that host key checking and authentication depend on: OpenSSH
uses the first value that it reads. OpenSSH alone reads it; `ssh -G` is asked only to explain a failure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cluster.hosts.host import STATE
from cluster.hosts.inventory import HostEntry
from study.errors import HostError, UnreachableError
from study.formats.json_files import write_whole

CONFIG = STATE / "ssh_config"
CONNECT_S = 10
ALIVE_S = 5
MOST_GATEWAYS = 8

TEXT = """# Written by the study before it connects. ssh's options on the command line go before these.
Host *
    StrictHostKeyChecking yes
    UpdateHostKeys no
    BatchMode yes
    PasswordAuthentication no
    KbdInteractiveAuthentication no
    ForwardAgent no
    ForwardX11 no
    ClearAllForwardings yes
    Tunnel no
    ControlMaster no
    ControlPath none
    ControlPersist no
    PermitLocalCommand no
    RemoteCommand none
    RequestTTY no
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
    """Where OpenSSH would connect to. `jump`: ProxyJump's list; `has_command`: it has a ProxyCommand."""

    host: str
    port: int
    user: str
    key_name: str
    """Name under which the host's key is looked up in known_hosts."""
    known_hosts: tuple[Path, ...]
    """The person's files; any of them may be absent."""
    jump: str = ""
    has_command: bool = False

    @property
    def is_behind(self) -> bool:
        """Whether it is reached through something else."""
        return bool(self.jump) or self.has_command


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
    """The route by `ssh -G`. Raises HostError where the person's config has a mistake."""
    argv = ["ssh", "-G", "-F", str(write_config()), *destination]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", timeout=10, check=False, process_group=0
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"{name}: ssh -G took more than 10 s; check ~/.ssh/config") from None
    if done.returncode:
        raise HostError(f"{name}: ssh refuses its configuration: {done.stderr.strip()}")
    return parse(done.stdout)


def parse(output: str) -> Route:
    """A route from the output of `ssh -G`."""
    settings: dict[str, str] = {}
    for line in output.splitlines():
        key, _, value = line.partition(" ")
        settings.setdefault(key, "" if value == "none" else value)

    def one(key: str, default: str = "") -> str:
        return settings.get(key, default)

    host, port, alias = one("hostname"), int(one("port", "22")), one("hostkeyalias")
    return Route(
        host=host,
        port=port,
        user=one("user"),
        key_name=alias or (host if port == 22 else f"[{host}]:{port}"),
        known_hosts=tuple(Path(name).expanduser() for name in one("userknownhostsfile").split()),
        jump=one("proxyjump"),
        has_command=bool(one("proxycommand")),
    )


# -- why a connection was refused --------------------------------------------------------------------------------------

_UNKNOWN = re.compile(r"^No \S+ host key is known for (\S+) and you have requested", re.MULTILINE)
_CHANGED = re.compile(r"^Host key for (\S+) has changed and you have requested", re.MULTILINE)
_REVOKED = re.compile(r"^\S+ host key for (\S+) was revoked and you have requested", re.MULTILINE)
_SENT_KEY = re.compile(r"^debug1: Server host (?:key|certificate): (\S+) (SHA256:[^\s,]+)", re.MULTILINE)
_OFFENDING = re.compile(r"^Offending \S+ key in (.+):([0-9]+)$", re.MULTILINE)
_DENIED = re.compile(r"Permission denied \(|Too many authentication failures")
_OFFERED = re.compile(
    r"^debug1: (?:Offering public key|Trying private key): (.+?)(?: \S+ SHA256:\S+(.*))?$", re.MULTILINE
)
_ACCEPTED = re.compile(r"^debug1: Server accepts key: (.+?) \S+ SHA256:", re.MULTILINE)
_NO_ANSWER = re.compile(
    r"connect to host|resolve hostname|Connection (?:closed|reset|refused|timed out)|exchange_identification"
    r"|timed out|No route to host|Broken pipe|stdio forwarding failed"
)


def explained(name: str, destination: tuple[str, ...], log: str, status: int) -> HostError:
    """The error for a connection that failed: why, and what to do about it. `log` is what `ssh -v` printed.

    `status` is its exit status, -1 where it was ended since it took too long.
    """
    log = log.replace("\r", "")
    route = resolve(name, destination)
    where = f"{route.user}@{route.host}, port {route.port}"
    for pattern, explain in ((_UNKNOWN, _unknown), (_CHANGED, _changed), (_REVOKED, _revoked)):
        if match := pattern.search(log):
            said_by, whose = _whose_key(name, destination, match[1])
            return explain(said_by, whose, log[: match.end()])
    if _DENIED.search(log):
        return _denied(name, where, log)
    lines = [line for line in log.splitlines() if line and not re.match(r"debug\d: |OpenSSH_|Authenticated to ", line)]
    if status < 0 or any(_NO_ANSWER.search(line) for line in lines) or not lines:
        why = lines[0].rpartition(": ")[2] if lines else f"no answer within {CONNECT_S} s"
        if "timed out" in why or status < 0:
            why = f"no answer within {CONNECT_S} s"
        return UnreachableError(f"{name}: {where} can't be reached: {why}. Is it up, and is that its address?")
    return HostError(f"{name}: {where}: ssh says: " + "\n".join(lines[-5:]))


def _whose_key(name: str, destination: tuple[str, ...], key_name: str) -> tuple[str, Route]:
    """The host or the gateway whose key has that name in known_hosts, with its route."""
    first = route = resolve(name, destination)
    said_by, jump = name, route.jump
    for _ in range(MOST_GATEWAYS):
        if route.key_name.lower() == key_name.lower() or not jump:
            break
        before, _, last = jump.rpartition(",")
        said_by, route = f"{said_by}, by its gateway {last}", resolve(name, hop(last))
        jump = before or route.jump
    return (said_by, route) if route.key_name.lower() == key_name.lower() else (name, first)


def _sent_key(log: str) -> tuple[str, str]:
    """Type and fingerprint of the key that the host sent last, such as ed25519 and SHA256:..."""
    sent = _SENT_KEY.findall(log)
    kind, digest = sent[-1] if sent else ("ssh-ed25519", "")
    kind = kind.partition("-cert-")[0].removeprefix("ssh-").removeprefix("rsa-sha2-")
    return "ecdsa" if kind.startswith("ecdsa") else "rsa" if kind in ("256", "512") else kind, digest


def _unknown(name: str, route: Route, log: str) -> HostError:
    kind, digest = _sent_key(log)
    hidden = ""
    if not _files(route):
        hidden = (
            "ssh's settings for it have UserKnownHostsFile /dev/null, so that no key is ever known: "
            "take that setting away, then "
        )
    return HostError(
        f"{name}: the key of {route.key_name} is not known: {kind.upper()} {digest}. {hidden}"
        f"{'where' if hidden else 'Where'} that is the fingerprint that the host itself shows "
        f"(there: ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub), add it with\n"
        f"    {keyscan(route, kind)}"
    )


def _changed(name: str, route: Route, log: str) -> HostError:
    kind, digest = _sent_key(log)
    stored = [(Path(file), _stored_fingerprint(Path(file), int(line))) for file, line in _OFFENDING.findall(log)]
    file, before = stored[-1] if stored else (_user_file(route), "another")
    return HostError(
        f"{name}: the key of {route.key_name} is another than known_hosts has: {kind.upper()} {digest} instead of "
        f"{before}. Somebody may intercept the connection. If the host was reinstalled, and itself shows the new "
        f"fingerprint, replace the key:\n"
        f"    ssh-keygen -R {shlex.quote(route.key_name)} -f {shlex.quote(str(file))}\n"
        f"    {keyscan(route, kind)}"
    )


def _revoked(name: str, route: Route, log: str) -> HostError:
    kind, digest = _sent_key(log)
    return HostError(
        f"{name}: the key of {route.key_name}, {kind.upper()} {digest}, is marked @revoked in known_hosts: whoever "
        f"answers with it isn't to be trusted. Give the host another key, or find out who revoked it:\n"
        f"    grep -n '^@revoked' {' '.join(shlex.quote(str(path)) for path in route.known_hosts)}"
    )


def _denied(name: str, where: str, log: str) -> HostError:
    """The host took no key; an encrypted one that no agent holds is a case of its own."""
    last = log.rpartition("\nAuthenticated to ")[2]
    if accepted := _ACCEPTED.findall(last):
        return HostError(
            f"{name}: the private key {accepted[-1]} for {where} has a passphrase, or can't be used: ssh-add it, the "
            "study never asks for one"
        )
    tried = list(dict.fromkeys(f"{key}{' (agent)' if 'agent' in how else ''}" for key, how in _OFFERED.findall(last)))
    unfit = re.findall(r"^(?:Load key|Permissions \d+ for|Certificate) .*$", last, re.MULTILINE)
    return HostError(
        f"{name}: {where} takes none of our keys (tried: {', '.join(tried) or 'none, there is none'}): "
        "ssh-copy-id, ssh-add, or ansible_ssh_private_key_file= in the inventory"
        + "".join(f"\n{line}" for line in unfit)
    )


def _stored_fingerprint(known_hosts: Path, number: int) -> str:
    """Type and fingerprint of the key in a line of known_hosts, as `ssh-keygen -l` prints them."""
    try:
        words = known_hosts.read_text(encoding="utf-8", errors="replace").splitlines()[number - 1].split()
        kind, key = words[-2:] if words[-1].startswith("AAAA") else words[1:3]
        digest = hashlib.sha256(base64.b64decode(key)).digest()
    except (OSError, IndexError, ValueError, binascii.Error):
        return "another"
    return f"{kind.removeprefix('ssh-').upper()} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def keyscan(route: Route, kind: str) -> str:
    """Command that adds a host's key to known_hosts; behind a gateway, the gateway fetches the key."""
    port = f"-p {route.port} " if route.port != 22 else ""
    plain = route.host if route.port == 22 else f"[{route.host}]:{route.port}"
    renamed = "" if route.key_name == plain else f" | sed {shlex.quote(f's/^[^ ]*/{route.key_name}/')}"
    line = f"ssh-keyscan -t {kind} {port}{shlex.quote(route.host)}{renamed} >> {shlex.quote(str(_user_file(route)))}"
    if route.is_behind:
        line = f"ssh {shlex.quote(route.jump.split(',')[-1] or 'GATEWAY')} {line}"
    return line


def _files(route: Route) -> list[Path]:
    """The person's known_hosts files that can hold a key."""
    return [path for path in route.known_hosts if path != Path("/dev/null")]


def _user_file(route: Route) -> Path:
    """The known_hosts file that new keys go to."""
    return next(iter(_files(route)), Path.home() / ".ssh" / "known_hosts")
