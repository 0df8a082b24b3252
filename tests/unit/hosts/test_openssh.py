"""Whatever `ssh HOST` connects to is reached: each case beside plain ssh, against a real sshd."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.hosts import ssh_config as openssh
from cluster.hosts import tunnel
from cluster.hosts.host import PROJECT, Spawn
from cluster.hosts.inventory import SSH, HostEntry
from cluster.hosts.local import LocalHost
from cluster.hosts.ssh import SshHost, shell_line
from study.errors import HostError, UnreachableError
from tests import sshd
from tests.sshd import Sshd, make_key

CASES = PROJECT / "tests" / "cases"
OUTCOMES: list[tuple[str, str, str]] = []
"""Test, what plain ssh came to, what the study's connection came to; printed at the end."""


@pytest.fixture(scope="module", autouse=True)
def reported() -> Iterator[None]:
    yield
    rows = [f"| {case} | {plain} | {ours} |" for case, plain, ours in OUTCOMES]
    print("\n| case | plain ssh | the study |\n| --- | --- | --- |", *rows, sep="\n")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    if sshd.missing() and not os.environ.get("CI"):
        pytest.skip("needs openssh-server and openssh-client")
    with Sshd(tmp_path / "sshd") as running:
        monkeypatch.setenv("HOME", str(running.home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        monkeypatch.setattr(openssh, "CONFIG", tmp_path / "ssh_config")
        yield running


def configure(there: Sshd, text: str) -> None:
    """Write the person's ~/.ssh/config; a port and a user are added, which the cases leave to the default."""
    common = f"Host *\n Port {there.port}\n UserKnownHostsFile {there.known_hosts}\n"
    (there.home / ".ssh" / "config").write_text(text + common, encoding="utf-8")


def case(there: Sshd, name: str, **replaced: str) -> None:
    """Configure as a folder of tests/cases does; paths of its home and others are replaced."""
    text = (CASES / name / "config").read_text(encoding="utf-8").replace("~/", f"{there.home}/")
    for before, after in replaced.items():
        text = text.replace(before, after)
    configure(there, text)


def plain_ssh(there: Sshd, name: str = "far") -> subprocess.CompletedProcess[str]:
    """What a person's own ssh says, without a question."""
    argv = ["ssh", "-F", str(there.home / ".ssh" / "config"), "-o", "BatchMode=yes", name, "echo plain"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


def tried(there: Sshd, name: str) -> HostError | None:
    """Connect as the study does, after plain ssh, and note both outcomes; returns why the study doesn't connect."""
    plain = plain_ssh(there, name)
    host = SshHost(HostEntry(name, SSH, destination=name), "code", "env")
    refused: HostError | None = None
    try:
        assert host.run(["echo", "ours"]).out == "ours\n"
    except HostError as error:
        refused = error
    finally:
        host.close()
    case = os.environ["PYTEST_CURRENT_TEST"].rpartition("::")[2].removeprefix("test_").partition(" (")[0]
    said = (plain.stderr.strip().splitlines() or ["nothing"])[-1]
    theirs = "connects" if plain.stdout == "plain\n" else f"{plain.returncode}: {said}"
    OUTCOMES.append((case, theirs, "connects" if refused is None else str(refused).partition("\n")[0]))
    return refused


def both_connect(there: Sshd, name: str = "far") -> None:
    refused = tried(there, name)
    assert OUTCOMES[-1][1:] == ("connects", "connects"), refused


def both_refuse(there: Sshd, name: str = "far") -> HostError:
    refused = tried(there, name)
    assert refused is not None
    assert OUTCOMES[-1][1].startswith("255: ")
    return refused


@pytest.fixture
def agent(tmp_path: Path, there: Sshd) -> Iterator[Path]:
    """An agent that holds the user's key, which is on disk no more."""
    path = Path(f"/tmp/agent-{os.getpid()}")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    key = there.directory / "user_key"
    adding, until = ["ssh-add", "-q", str(key)], time.monotonic() + 10
    environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
    while subprocess.run(adding, env=environment, capture_output=True, check=False).returncode:
        assert time.monotonic() < until
        time.sleep(0.02)
    key.rename(there.directory / "kept")
    yield path
    process.terminate()
    process.wait()
    path.unlink(missing_ok=True)


IDENTITY = "Host far\n HostName 127.0.0.1\n IdentityFile {directory}/user_key\n"
OTHERS = {
    "a mark about other hosts": (CASES / "ssh-known-hosts-marker" / "known_hosts").read_text(encoding="utf-8"),
    "a key that is revoked, of another host": "@revoked * ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIOBLi9cxub+fn/Z6INO6Zho2jNOOyqMkf86CpGA366fG\n",
    "a key cut short": "other ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOBLi9cxub+fn\n",
    "two blanks": "other  ssh-ed25519   AAAAC3NzaC1lZDI1NTE5AAAAIOBLi9cxub+fn/Z6INO6Zho2jNOOyqMkf86CpGA366fG\n",
    "no fields": "what is this\n\n   \n",
}


@pytest.mark.parametrize("line", OTHERS)
def test_a_line_of_known_hosts_about_others_is_passed_over(there: Sshd, line: str) -> None:
    configure(there, IDENTITY.format(directory=there.directory))
    known = there.known_hosts.read_text(encoding="utf-8")
    there.known_hosts.write_text(OTHERS[line] + known, encoding="utf-8")
    both_connect(there)


def test_a_line_that_is_no_utf_8_is_passed_over(there: Sshd) -> None:
    configure(there, IDENTITY.format(directory=there.directory))
    known = there.known_hosts.read_bytes()
    there.known_hosts.write_bytes(b"# B\xfcro\nm\xfcller ssh-ed25519 AAAA\n" + known)
    both_connect(there)


def test_a_host_certificate_of_a_known_authority_is_enough(there: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "ca")
    sign(tmp_path / "ca", there.directory / "host_key.pub", "-h", "-n", "127.0.0.1")
    authority = (tmp_path / "ca.pub").read_text(encoding="utf-8")
    with certified(there):
        configure(there, IDENTITY.format(directory=there.directory))
        there.known_hosts.write_text(f"@cert-authority * {authority}", encoding="utf-8")
        both_connect(there)
        there.known_hosts.write_text(f"@cert-authority *.other {authority}", encoding="utf-8")
        assert "is not known: ED25519 SHA256:" in str(both_refuse(there))


def sign(authority: Path, public_key: Path, *how: str) -> None:
    argv = ["ssh-keygen", "-q", "-s", str(authority), "-I", "it", *how, str(public_key)]
    subprocess.run(argv, check=True, capture_output=True)


@contextlib.contextmanager
def certified(there: Sshd) -> Iterator[None]:
    """The same sshd, started again with its host certificate."""
    there.stop()
    there.start(f"HostCertificate {there.directory}/host_key-cert.pub\n")
    yield


def test_a_revoked_key_is_refused_by_name(there: Sshd) -> None:
    configure(there, IDENTITY.format(directory=there.directory))
    known = there.known_hosts.read_text(encoding="utf-8")
    there.known_hosts.write_text(f"{known}@revoked * {' '.join(known.split()[1:])}\n", encoding="utf-8")
    message = str(both_refuse(there))
    assert "is marked @revoked in known_hosts" in message
    line = message.splitlines()[-1].strip()
    assert subprocess.run(line, shell=True, capture_output=True, check=False).returncode == 0


def test_known_hosts_that_a_setting_hides_are_named(there: Sshd) -> None:
    text = (CASES / "ssh-known-hosts-dev-null" / "config").read_text(encoding="utf-8")
    configure(there, IDENTITY.format(directory=there.directory) + text)
    refused = str(tried(there, "far"))
    assert OUTCOMES[-1][1] == "connects"  # since it takes any key: the one case in which the study doesn't
    assert "UserKnownHostsFile /dev/null, so that no key is ever known" in refused
    assert refused.splitlines()[-1].endswith(f" >> {there.home}/.ssh/known_hosts")


def test_a_certificate_elsewhere_than_beside_its_key(there: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "ca")
    make_key(there.home / ".ssh" / "id_ed25519")
    user = there.entry().user
    sign(tmp_path / "ca", there.home / ".ssh" / "id_ed25519.pub", "-n", user)
    (there.home / ".ssh" / "certs").mkdir()
    (there.home / ".ssh" / "id_ed25519-cert.pub").rename(there.home / ".ssh" / "certs" / "mine-cert.pub")
    there.stop()
    there.start(f"TrustedUserCAKeys {tmp_path}/ca.pub\n")
    case(there, "ssh-certificate-file")
    both_connect(there)


def test_a_key_of_an_agent_that_the_settings_name(there: Sshd, agent: Path) -> None:
    case(there, "ssh-identity-agent", **{"/run/user/1000/keyring/agent.sock": str(agent)})
    both_connect(there)


@pytest.mark.parametrize("left", ["public", "encrypted"])
def test_a_key_that_the_agent_holds_and_the_settings_name(
    there: Sshd, agent: Path, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IdentitiesOnly with a .pub, or with an encrypted key."""
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    name = there.directory / "user_key.pub"
    if left == "encrypted":
        key = there.directory / "kept"
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(key)], check=True, capture_output=True)
        key.rename(there.directory / "user_key")
        name = there.directory / "user_key"
    configure(there, f"Host far\n HostName 127.0.0.1\n IdentitiesOnly yes\n IdentityFile {name}\n")
    both_connect(there)


@pytest.mark.parametrize("name", ["far", "far2"])
def test_tokens_and_variables_in_identity_file(there: Sshd, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYDIR", str(there.directory / "keys"))
    (there.directory / "keys").mkdir()
    user = there.entry().user
    shutil.copy(there.directory / "user_key", there.directory / "keys" / "id")
    (there.directory / "user_key").rename(there.home / ".ssh" / f"127.0.0.1_{user}")
    case(there, "ssh-tokens")
    both_connect(there, name)


@pytest.mark.parametrize("name", ["far", "far2"])
def test_a_proxy_command_is_a_line_of_shell(there: Sshd, name: str) -> None:
    relay = there.home / "bin" / "nc"
    relay.parent.mkdir()
    relay.write_text(f"#!{sys.executable}\n{RELAY}", encoding="utf-8")
    relay.chmod(0o755)
    proxy = relay.with_name("proxy")
    proxy.write_text(f'#!/bin/sh\ntest "$1" = {name} && exec {relay} 127.0.0.1 "$2"\n', encoding="utf-8")
    proxy.chmod(0o755)
    text = (CASES / "ssh-proxycommand" / "config").read_text(encoding="utf-8").replace("nc ", f"{relay} ")
    keys = f"Host far*\n HostName 127.0.0.1\n IdentityFile {there.directory}/user_key\n"
    configure(there, text.replace("$HOME", '"$HOME"') + keys)
    both_connect(there, name)


RELAY = """
import os, socket, sys, threading
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def back():
    while data := sock.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    sock.sendall(data)
"""


def test_two_tunnels_open_no_forward_but_their_own(there: Sshd, tmp_path: Path) -> None:
    """The person has a LocalForward and a RemoteForward, and a session that holds their ports."""
    with socket.create_server(("127.0.0.1", 0)) as held, socket.create_server(("127.0.0.1", 0)) as master:
        port = held.getsockname()[1]
        case(there, "ssh-own-forwards", **{"18888": str(port), "52698": str(port)})
        with (there.home / ".ssh" / "config").open("a", encoding="utf-8") as config:
            config.write(f" IdentityFile {there.directory}/user_key\n HostName 127.0.0.1\n")
        control = LocalHost(HostEntry("control"), tmp_path / "control")
        both_connect(there, "one")
        try:
            for name in ("one", "two"):
                entry = HostEntry(name, SSH, destination=name)
                argv = SshHost(entry, "code", "env").tunnel()
                spawn = Spawn(tunnel.process_name(entry), argv, tmp_path / "logs")
                control.start(spawn)
                inside = tunnel.open_forward(control, entry, master.getsockname()[1], spawn.err)
                with socket.create_connection(("127.0.0.1", inside), 5) as worker:
                    accepted, _ = master.accept()
                    worker.sendall(b"hello")
                    assert accepted.recv(5) == b"hello"
                    accepted.close()
            assert list(control.listed().values()) == [None, None]
        finally:
            for name in control.listed():
                control.stop(name)


def test_a_host_without_remote_forwarding_says_so(there: Sshd, tmp_path: Path) -> None:
    there.stop()
    there.start("AllowTcpForwarding no\n")
    configure(there, IDENTITY.format(directory=there.directory))
    entry = HostEntry("far", SSH, destination="far")
    control = LocalHost(HostEntry("control"), tmp_path / "control")
    spawn = Spawn(tunnel.process_name(entry), SshHost(entry, "code", "env").tunnel(), tmp_path / "logs")
    control.start(spawn)
    try:
        with pytest.raises(HostError, match="AllowTcpForwarding, PermitListen"):
            tunnel.open_forward(control, entry, 9, spawn.err)
    finally:
        control.stop(spawn.name)


# -- what is refused, or lost ------------------------------------------------------------------------------------------


def test_an_encrypted_key_that_no_agent_holds_is_named(there: Sshd) -> None:
    key = there.directory / "user_key"
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(key)], check=True, capture_output=True)
    configure(there, IDENTITY.format(directory=there.directory))
    message = str(both_refuse(there))
    assert f"the private key {key} for " in message
    assert "has a passphrase" in message


def test_a_mistake_in_the_persons_config_is_shown(there: Sshd) -> None:
    configure(there, "Host far\n NoSuchSetting yes\n")
    assert "Bad configuration option: nosuchsetting" in str(both_refuse(there))


@pytest.mark.parametrize("name", ["nobody.invalid", "127.0.0.1"])
def test_what_does_not_answer_is_unreachable(there: Sshd, name: str) -> None:
    (there.home / ".ssh" / "config").write_text("Host *\n Port 1\n", encoding="utf-8")
    error = both_refuse(there, name)
    assert isinstance(error, UnreachableError)
    assert re.search(r"can't be reached: (Name or service not known|Connection refused|Temporary failure)", str(error))


def test_no_connection_outlives_its_process(there: Sshd) -> None:
    """A fab that ends, by an error too, closes its connections; its sockets' directory is gone."""
    configure(there, IDENTITY.format(directory=there.directory))
    code = (
        "from cluster.hosts.ssh import SshHost; from cluster.hosts.inventory import HostEntry\n"
        "from cluster.hosts.connection import sockets\n"
        "SshHost(HostEntry('far', 'ssh', destination='far'), 'code', 'env').run(['true'])\n"
        "print(sockets(), flush=True); raise SystemExit(3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3
    directory = Path(done.stdout.strip())
    assert not directory.exists()
    masters = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(directory).encode() in read(path)]
    until = time.monotonic() + 5
    while any(str(directory).encode() in read(path) for path in masters):
        assert time.monotonic() < until
        time.sleep(0.02)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


# -- login shells ------------------------------------------------------------------------------------------------------

NASTY = "it's a\\ \\' \"b\" $HOME `id` !! ! %s %% ü\nline\\\\ ~ * {a,b} #"


@pytest.mark.parametrize("shell", ["sh", "bash", "busybox sh", "tcsh", "csh", "fish", "zsh", "dash", "ksh"])
def test_every_login_shell_reads_a_command_the_same(shell: str) -> None:
    program, *option = shell.split()
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")
    script = f"printf %s {shlex.quote(NASTY)}; printf '\\n%d' 7; cat"
    done = subprocess.run([program, *option, "-c", shell_line(script)], input=b" in", capture_output=True, check=True)
    assert done.stdout.decode() == f"{NASTY}\n7 in"
    assert done.stderr == b""
