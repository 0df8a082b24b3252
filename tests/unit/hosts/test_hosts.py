"""What holds for every kind of host: this machine, and one over SSH by a real sshd on loopback."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.hosts import ssh_config as openssh
from cluster.hosts.connection import control
from cluster.hosts.host import PROJECT, Host, Spawn, at_once
from cluster.hosts.inventory import HostEntry
from cluster.hosts.local import LocalHost
from cluster.hosts.ssh import SshHost
from cluster.remote.process_table import start_time
from study.errors import HostError, UnreachableError
from tests import sshd
from tests.sshd import Sshd, make_key

NASTY = ["two words", "it's", '"quoted"', "$HOME", "`id`", "a;b|c&d", "*", "", "-n", "ü\nnew line", "\\"]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if sshd.missing() and not os.environ.get("CI"):
        pytest.skip("needs openssh-server and openssh-client")
    with Sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def far(daemon: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SshHost]:
    monkeypatch.setenv("HOME", str(daemon.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(openssh, "CONFIG", tmp_path / "ssh_config")
    daemon.know(daemon.directory / "host_key.pub")
    host = SshHost(daemon.entry(python=sys.executable), "code", "env")
    yield host
    host.close()
    daemon.know(daemon.directory / "host_key.pub")
    host.entry = daemon.entry(python=sys.executable)
    for name in host.listed():
        host.stop(name)
    host.close()
    shutil.rmtree(host.root, ignore_errors=True)


@pytest.fixture
def near(tmp_path: Path) -> Iterator[LocalHost]:
    host = LocalHost(HostEntry("near"), tmp_path)
    yield host
    host.close()
    for name in host.listed():
        host.stop(name)


@pytest.fixture(params=["near", "far"])
def host(request: pytest.FixtureRequest) -> Host:
    found: Host = request.getfixturevalue(request.param)
    return found


def test_every_argument_arrives_as_it_was_given(host: Host) -> None:
    argv = [sys.executable, "-c", "import sys; print(sys.argv[1:])", *NASTY]
    assert host.run(argv).out == f"{NASTY}\n"


def test_status_and_both_outputs_come_back(host: Host) -> None:
    done = host.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.status, done.out, done.err) == (7, "out\n", "err\n")


def test_an_output_in_another_encoding_is_no_error(host: Host) -> None:
    """The last lines of a server's log are shown in a message, whatever they hold."""
    done = host.run(["printf", r"caf\351\n\000"])
    assert (done.status, done.out) == (0, "caf\ufffd\n\0")


def test_a_command_that_takes_too_long_is_ended_there(host: Host, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="took more than"):
        host.run(["sh", "-c", f"echo $$ > '{tmp_path}/pid'; exec sleep 60"], timeout=0.5)
    pid = int((tmp_path / "pid").read_text(encoding="utf-8"))
    assert not Path(f"/proc/{pid}").exists()


def test_files_and_directories_go_there_and_come_back(host: Host, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    (sent / "deep er").mkdir(parents=True)
    (sent / "deep er" / "bytes").write_bytes(bytes(range(256)) * 4000)
    (sent / "empty").touch()
    host.put(sent, host.directory / "all of it")
    host.get(host.directory / "all of it", tmp_path / "back")
    assert (tmp_path / "back" / "deep er" / "bytes").read_bytes() == bytes(range(256)) * 4000
    assert (tmp_path / "back" / "empty").read_bytes() == b""
    host.put(sent / "deep er" / "bytes", host.directory / "named" / "anew")
    host.get(host.directory / "named" / "anew", tmp_path / "one" / "file")
    assert (tmp_path / "one" / "file").stat().st_size == 1024000


def test_a_link_is_copied_as_what_it_points_to(host: Host, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("content", encoding="ascii")
    for name, target in (("file", "real/file"), ("directory", "real")):
        (tmp_path / name).symlink_to(target)
        host.put(tmp_path / name, host.directory / "there" / name)
    assert host.run(["cat", str(host.directory / "there" / "file")]).out == "content"
    assert host.run(["cat", str(host.directory / "there" / "directory" / "file")]).out == "content"
    assert host.run(["test", "-L", str(host.directory / "there" / "file")]).status == 1


def test_what_is_not_there_can_not_be_got(host: Host, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="absent"):
        host.get(host.directory / "absent", tmp_path / "back")


def test_what_can_not_be_written_says_so(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError, match=r"Not a directory|File exists"):
        host.put(tmp_path / "file", tmp_path / "file" / "below")


def deploy(host: Host) -> None:
    """Links in place of the code and the environment that a deploy copies: processes are started with them."""
    if isinstance(host, SshHost):
        for path, source in ((host.installation.code, PROJECT), (host.installation.env, Path(sys.prefix))):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(source)


def test_a_process_is_started_renewed_listed_and_stopped(host: Host) -> None:
    deploy(host)
    argv = (sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)")
    handle = host.start(Spawn("it", argv, host.directory / "logs", lease_s=20, ready_s=10))
    assert handle.ready == "here"
    assert host.renew() == host.listed() == {"it": None}
    assert host.renew() == {"it": None}
    assert host.stop("it").how == "stopped"
    assert host.renew() == host.listed() == {}
    assert start_time(handle.pid) is None


def test_a_lease_is_renewed_by_renewing_and_by_nothing_else(host: Host) -> None:
    deploy(host)
    host.start(Spawn("it", ("sleep", "60"), host.directory / "logs", lease_s=1))
    until = time.monotonic() + 2
    while time.monotonic() < until:
        assert host.renew() == {"it": None}
        time.sleep(0.2)
    until = time.monotonic() + 10
    while (ended := host.listed()["it"]) is None and time.monotonic() < until:
        time.sleep(0.1)
    assert ended is not None
    assert ended.how == "lease"


def keepers(host: Host) -> list[int]:
    """PIDs of the processes that answer the host's renewals."""
    lines = [*(b"keep", b"--state"), str(host.state).encode()]
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            if lines == [word for word in path.read_bytes().split(b"\0") if word in lines]:
                found.append(int(path.parent.name))
    return found


def test_one_process_answers_all_renewals_and_is_started_again_where_it_has_ended(host: Host) -> None:
    host.renew()
    (first,) = keepers(host)
    host.renew()
    assert keepers(host) == [first]
    os.kill(first, signal.SIGKILL)
    assert host.renew() == {}
    (second,) = keepers(host)
    assert second != first
    host.end_renewals()
    until = time.monotonic() + 5
    while keepers(host) and time.monotonic() < until:
        time.sleep(0.02)
    assert keepers(host) == []


# -- over SSH only ----------------------------------------------------------------------------------------------------


def test_a_dead_connection_is_made_again(far: SshHost) -> None:
    far.renew()
    assert far._connection is not None
    checked = control(far._connection._socket, "-O", "check").stderr
    os.kill(int(re.findall(r"pid=([0-9]+)", checked)[0]), signal.SIGKILL)
    assert far.run(["echo", "back"]).out == "back\n"
    assert far.renew() == {}


def test_an_unknown_key_is_refused_with_its_fingerprint_and_the_line_that_settles_it(
    far: SshHost, daemon: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.known_hosts.write_text("", encoding="utf-8")
    with pytest.raises(HostError) as refused:
        far.run(["true"])
    message = str(refused.value)
    shown = far_fingerprint(daemon.directory / "host_key.pub")
    assert shown in message
    line = message.splitlines()[-1].strip()
    assert line.startswith("ssh-keyscan -t ed25519 -p ")
    assert os.system(f"{line} 2>/dev/null") == 0
    assert far.run(["echo", "known"]).out == "known\n"


def test_a_changed_key_is_refused_with_both_fingerprints(far: SshHost, daemon: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    daemon.know(tmp_path / "other.pub")
    with pytest.raises(HostError, match="another than known_hosts has") as refused:
        far.run(["true"])
    message = str(refused.value)
    for key in (daemon.directory / "host_key.pub", tmp_path / "other.pub"):
        assert far_fingerprint(key) in message
    for line in message.splitlines()[-2:]:
        assert os.system(f"({line.strip()}) >/dev/null 2>&1") == 0, line
    assert far.run(["echo", "known"]).out == "known\n"


def test_the_persons_own_ssh_config_is_honoured(far: SshHost, daemon: Sshd) -> None:
    daemon.know(daemon.directory / "host_key.pub", name="an-alias")
    (daemon.home / ".ssh" / "config").write_text(
        f"Host web\n HostName 127.0.0.1\n Port {daemon.port}\n HostKeyAlias an-alias\n"
        f" IdentityFile {daemon.directory}/user_key\n",
        encoding="utf-8",
    )
    try:
        far.entry = HostEntry("web", "ssh", destination="web")
        assert far.run(["echo", "by alias"]).out == "by alias\n"
    finally:
        (daemon.home / ".ssh" / "config").unlink()


def test_a_gateway_is_gone_through_and_its_key_is_looked_at(far: SshHost, daemon: Sshd) -> None:
    config = daemon.home / ".ssh" / "config"
    config.write_text(
        f"Host gate\n HostName 127.0.0.1\n Port {daemon.port}\n HostKeyAlias gate\n"
        f" IdentityFile {daemon.directory}/user_key\n"
        f"Host behind\n HostName 127.0.0.1\n ProxyJump gate\n",
        encoding="utf-8",
    )
    key = daemon.known_hosts.read_text(encoding="utf-8")
    try:
        far.entry = HostEntry("behind", "ssh", destination="behind", port=daemon.port, key=daemon.entry().key)
        with pytest.raises(HostError, match="by its gateway gate: the key of gate is not known"):
            far.run(["true"])
        with daemon.known_hosts.open("a", encoding="utf-8") as known:
            known.write(f"gate {' '.join(key.split()[1:])}\n")
        assert far.run(["echo", "behind it"]).out == "behind it\n"
    finally:
        config.unlink()


def test_without_a_key_that_the_host_takes_it_says_which_were_tried(far: SshHost, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    far.entry = HostEntry("far", "ssh", destination="127.0.0.1", port=far.entry.port, key=str(tmp_path / "stranger"))
    with pytest.raises(HostError, match="takes none of our keys") as refused:
        far.run(["true"])
    assert str(tmp_path / "stranger") in str(refused.value)


def test_all_hosts_that_can_not_be_reached_are_in_one_message(far: SshHost) -> None:
    nobody = [
        SshHost(HostEntry(name, "ssh", destination="127.0.0.1", port=1), "code", "env") for name in ("one", "two")
    ]
    with pytest.raises(HostError) as caught:
        at_once([far, *nobody], lambda host: host.run(["true"]))
    assert "one: " in str(caught.value)
    assert "two: " in str(caught.value)
    assert "far: " not in str(caught.value)
    with pytest.raises(UnreachableError, match="can't be reached"):
        nobody[0].renew()


def far_fingerprint(public_key: Path) -> str:
    with os.popen(f"ssh-keygen -lf {public_key}") as said:
        return said.read().split()[1]
