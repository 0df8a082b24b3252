"""Hosts as they are: login shells, BusyBox's tools, noise, accounts without a shell, directories of others."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.campaign import cleanup
from cluster.campaign.prepare import held, read_facts
from cluster.deploy import deployment
from cluster.hosts import ssh_config as openssh
from cluster.hosts.host import Host
from cluster.hosts.inventory import HostEntry
from cluster.hosts.local import LocalHost
from cluster.hosts.ssh import SshHost
from cluster.remote.supervise import MARK
from study.errors import HostError, UnreachableError
from tests import sshd
from tests.sshd import Sshd
from tests.unit.hosts.test_hosts import NASTY, deploy


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    if sshd.missing() and not os.environ.get("CI"):
        pytest.skip("needs openssh-server and openssh-client")
    with Sshd(tmp_path / "sshd") as running:
        monkeypatch.setenv("HOME", str(running.home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        monkeypatch.setattr(openssh, "CONFIG", tmp_path / "ssh_config")
        yield running


@contextlib.contextmanager
def host_of(there: Sshd, settings: str = "", **changes: str) -> Iterator[SshHost]:
    """The host after sshd was started again with further lines of configuration."""
    there.stop()
    there.start(settings)
    host = SshHost(HostEntry(**{**vars(there.entry(python=sys.executable)), **changes}), "code", "env")
    try:
        yield host
    finally:
        host.close()


def forced(line: str) -> str:
    """sshd's setting for another login shell: it is given the command as a login shell is, after -c."""
    return f"ForceCommand {line}\n"


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "tcsh", "csh", "fish", "zsh", "busybox sh"])
def test_every_login_shell_runs_what_a_campaign_runs(there: Sshd, shell: str, tmp_path: Path) -> None:
    if shutil.which(shell.split()[0]) is None:
        pytest.skip(f"no {shell} here")
    with host_of(there, forced(f'{shell} -c "$SSH_ORIGINAL_COMMAND"')) as host:
        argv = [sys.executable, "-c", "import sys; print(sys.argv[1:])", *NASTY, "a\\", "\\'", "a!b", "%s"]
        assert host.run(argv).out == f"{[*NASTY, 'a' + chr(92), chr(92) + chr(39), 'a!b', '%s']}\n"
        assert host.run(["sh", "-c", "exit 7"]).status == 7
        (tmp_path / "sent").write_bytes(bytes(range(256)))
        host.put(tmp_path / "sent", host.directory / "there")
        host.get(host.directory / "there", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == bytes(range(256))
        assert host.listed() == {}
        assert host.renew() == {}


def test_what_a_login_shell_prints_first_is_passed_over(there: Sshd, tmp_path: Path) -> None:
    noise = 'echo "Welcome!"; printf "no line end"; echo warning >&2; umask 077; eval "$SSH_ORIGINAL_COMMAND"'
    with host_of(there, forced(noise)) as host:
        assert host.run(["printf", "%s", "out"]).out == "out"
        (tmp_path / "sent").write_bytes(b"content")
        host.put(tmp_path / "sent", host.directory / "there")
        host.get(host.directory / "there", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"content"
        assert host.renew() == {}


def test_a_banner_is_passed_over(there: Sshd) -> None:
    (there.directory / "banner").write_text("Authorised use only\n" * 200, encoding="utf-8")
    with host_of(there, f"Banner {there.directory}/banner\n") as host:
        done = host.run(["sh", "-c", "echo out; echo err >&2"])
        assert (done.out, done.err) == ("out\n", "err\n")
        assert host.renew() == {}


def busybox_alone(tmp_path: Path) -> Path:
    """A directory of programs for PATH: BusyBox's, and no other."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("no busybox here")
    programs = tmp_path / "busybox"
    programs.mkdir()
    for name in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
        (programs / name).symlink_to(busybox)
    return programs


def test_a_python_that_no_path_has_is_asked_for_and_works_by_its_name(there: Sshd, tmp_path: Path) -> None:
    """As under pyenv, whose shims only an interactive shell has in its path."""
    programs = busybox_alone(tmp_path)
    shim = there.home / ".pyenv" / "shims" / "python3"
    shim.parent.mkdir(parents=True)
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    line = forced(f'cd {there.home} && PATH={programs} exec {programs}/sh -c "$SSH_ORIGINAL_COMMAND"')
    with host_of(there, line, python="") as host:
        for look in (lambda: deployment.inspect(host), lambda: read_facts(host, None)):
            with pytest.raises(
                HostError, match=r"^far: there is no python3(: |\n)install .* ansible_python_interpreter="
            ):
                look()
    with host_of(there, line, python="~/.pyenv/shims/python3") as host:
        state = deployment.inspect(host)
        assert state is not None
        assert state.python == platform.python_version()
        assert read_facts(host, None).python == platform.python_version()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("/usr/sbin/nologin", "This account is currently not available."),
        ("/bin/false", "printed nothing and ended with 1"),
        ("internal-sftp", "runs no command for this user"),
        ("echo go away", "printed 'go away' and ended with 0"),
    ],
)
def test_an_account_without_a_shell_shows_what_it_printed(there: Sshd, program: str, said: str) -> None:
    if program.startswith("/") and not Path(program).exists():
        pytest.skip(f"no {program} here")
    with host_of(there, forced(program)) as host, pytest.raises(HostError) as refused:
        host.run(["true"])
    assert said in str(refused.value)
    assert str(refused.value).startswith("far: ")
    assert not isinstance(refused.value, UnreachableError)


def test_busybox_has_all_that_is_needed(there: Sshd, tmp_path: Path) -> None:
    programs = busybox_alone(tmp_path)
    with host_of(there, forced(f'PATH={programs} exec {programs}/sh -c "$SSH_ORIGINAL_COMMAND"')) as host:
        host.claim()
        assert "BusyBox" in host.run(["sha256sum", "--status"]).err
        (tmp_path / "sent").mkdir()
        (tmp_path / "sent" / "file").write_bytes(b"content" * 1000)
        host.put(tmp_path / "sent", host.directory / "there")
        host.get(host.directory / "there", tmp_path / "back")
        assert (tmp_path / "back" / "file").read_bytes() == b"content" * 1000
        with pytest.raises(HostError, match="took more than"):
            host.run(["sleep", "60"], timeout=1)
        deployment._bring_code(host, host.installation)
        assert (host.installation.code / "cluster" / "remote" / "probe.py").is_file()
        assert cleanup.clean((host,)) == [f"far: {host.directory}"]
        assert not host.directory.exists()


@pytest.mark.parametrize(
    ("given", "below"), [("~", ""), ("~/", ""), ("~/deep er/x", "deep er/x"), ("rel", "rel"), ("", ".load-study")]
)
def test_remote_dir_may_be_in_the_home(there: Sshd, given: str, below: str) -> None:
    (there.home / "h").mkdir()
    with host_of(there, forced(f'cd {there.home}/h && eval "$SSH_ORIGINAL_COMMAND"'), remote_dir=given) as host:
        assert host.root == there.home / "h" / below


def test_the_interpreter_may_be_named_by_env_or_in_the_home(there: Sshd) -> None:
    with host_of(there, python="/usr/bin/env python3.11") as host:
        assert host.installation.base_python == "python3.11"
    (there.home / "bin").mkdir()
    with host_of(there, forced(f'cd {there.home} && eval "$SSH_ORIGINAL_COMMAND"'), python="~/bin/python") as host:
        assert host.installation.base_python == str(there.home / "bin" / "python")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")
@pytest.mark.parametrize("how", ["owner of remote_dir", "owner of the host's", "writable by all", "above", "group"])
def test_a_directory_that_others_can_change_is_refused(there: Sshd, how: str) -> None:
    root = there.directory / "a remote 'dir'"
    (root / "far").mkdir(parents=True)
    if how.startswith("owner"):
        os.chown(root if "remote_dir" in how else root / "far", 65534, 0)
    elif how == "above":
        there.directory.chmod(0o777)
    else:
        os.chown(root, 0, 65534)
        root.chmod(0o777 if how == "writable by all" else 0o775)
    with host_of(there) as host, pytest.raises(HostError, match=r"far: others can change what is in .*drwx"):
        host.listed()
    os.chown(root, 0, 0)
    os.chown(root / "far", 0, 0)
    root.chmod(0o755)
    there.directory.chmod(0o755)
    with host_of(there) as host:
        assert host.listed() == {}


@pytest.mark.parametrize("kind", ["near", "far"])
def test_clean_removes_what_is_marked_and_nothing_else(there: Sshd, kind: str, tmp_path: Path) -> None:
    """A person's own directory stood where the study's would be: it was removed."""
    with host_of(there) as far:
        host: Host = far if kind == "far" else LocalHost(HostEntry("near"), tmp_path / "near")
        host.directory.mkdir(parents=True)
        (host.directory / "thesis.tex").write_text("years", encoding="utf-8")
        with pytest.raises(HostError, match=r"files that aren't the study's .*set remote_dir= elsewhere"):
            cleanup.clean((host,))
        assert [path.name for path in host.directory.iterdir()] == ["thesis.tex"]
        for take in (host.claim, lambda: host.hold("ann@one:/study")):
            with pytest.raises(HostError, match="aren't the study's"):
                take()
        assert [path.name for path in host.directory.iterdir()] == ["thesis.tex"]
        (host.directory / "thesis.tex").unlink()
        host.claim()
        assert (host.directory / MARK).is_file()
        (host.directory / "later").touch()
        assert cleanup.clean((host,)) == [f"{host.entry.name}: {host.directory}"]
        assert not host.directory.exists()
        assert cleanup.clean((host,)) == []


def test_a_second_checkout_on_the_same_host_is_refused_by_name(there: Sshd) -> None:
    with host_of(there) as host:
        host.claim()
        host.hold("ann@one:/home/ann/study")
        with pytest.raises(HostError, match=r"far: ann@one:/home/ann/study measures on this host"), held((host,)):
            pass
        host.hold("ann@one:/home/ann/study")  # its own checkout may
        host.release("bob@two:/elsewhere")  # another can't
        with pytest.raises(HostError, match="ann@one"):
            host.hold("bob@two:/elsewhere")
        os.utime(host.state / "lease", (time.time(),) * 2)  # as before the last boot: its fab was killed
        host.hold("bob@two:/elsewhere")
        host.release("bob@two:/elsewhere")
        with held((host,)):
            assert (host.state / "holder").is_file()
        assert not (host.state / "holder").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_deploy_to_a_noexec_directory_says_so(there: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs from there: found by the deploy, not by the first run."""
    root = there.directory / "a remote 'dir'"
    root.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec,mode=755", "tmpfs", str(root)], check=False).returncode:
        pytest.skip("can't mount here")
    try:
        with host_of(there) as host:
            deploy(host)
            library = host.installation.code.parent.parent / "module"
            library.mkdir()
            import _json

            if not hasattr(_json, "__file__"):
                pytest.skip("this Python has its modules built in")
            shutil.copy(str(_json.__file__), library / "tried.so")
            monkeypatch.setattr(deployment, "IMPORTED", (f"ctypes; ctypes.CDLL('{library.name}/tried.so')",))
            host.installation.code.unlink()
            host.installation.code.symlink_to(library.parent)
            with pytest.raises(HostError, match=r"is .* on a file system mounted noexec"):
                deployment._try_environment(host, host.installation)
    finally:
        subprocess.run(["umount", str(root)], check=True)


def test_an_environment_that_works_passes(there: Sshd) -> None:
    with host_of(there) as host:
        deploy(host)
        deployment._try_environment(host, host.installation)
