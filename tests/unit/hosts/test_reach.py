"""`fab check` tries the way that a run will take: from the load hosts to the target's port, and the tunnels."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.campaign import reach
from cluster.hosts import ssh_config as openssh
from cluster.hosts.inventory import DIRECT, HostEntry, this_machine
from cluster.hosts.local import LocalHost
from cluster.hosts.ssh import SshHost
from study.plan import parse_plan
from tests import sshd
from tests.running import free_ports
from tests.sshd import Sshd


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    if sshd.missing() and not os.environ.get("CI"):
        pytest.skip("needs openssh-server and openssh-client")
    with Sshd(tmp_path / "sshd") as running:
        monkeypatch.setenv("HOME", str(running.home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        monkeypatch.setattr(openssh, "CONFIG", tmp_path / "ssh_config")
        yield running


def levels(
    there: Sshd, tmp_path: Path, settings: str = "", transport: str = "ssh", blocked: bool = False
) -> dict[str, str]:
    """The level of each check, by what was looked at."""
    there.stop()
    there.start(settings)
    port, master_port = free_ports(2)
    text = f'name = "p"\nmodels = ["single"]\nusers = [1]\nport = {port}\nmaster_port = {master_port}\n'
    target = LocalHost(HostEntry("target", address="127.0.0.1"), tmp_path / "target")
    if blocked:  # the load host's packets go elsewhere, where nobody answers
        target = LocalHost(HostEntry("target", address="127.0.0.2"), tmp_path / "target")
        target.module = lambda *arguments, **more: LocalHost.run(target, ["true"])  # type: ignore[method-assign]
    load = SshHost(there.entry(python=sys.executable), "code", "env")
    inventory = replace(this_machine("here"), target=target.entry, load=(load.entry,), transport=transport)
    try:
        return {check.what: check.level for check in reach.way_checks(inventory, parse_plan(text, "p"), target, [load])}
    finally:
        load.close()


def test_what_is_open_is_ok(there: Sshd, tmp_path: Path) -> None:
    assert levels(there, tmp_path) == {"way to target": "ok", "tunnel": "ok"}
    assert levels(there, tmp_path, transport=DIRECT) == {"way to target": "ok"}


@pytest.mark.parametrize(
    "setting", ["AllowTcpForwarding local", "AllowTcpForwarding no", "PermitListen none", "DisableForwarding yes"]
)
def test_a_forbidden_tunnel_stops(there: Sshd, tmp_path: Path, setting: str) -> None:
    assert levels(there, tmp_path, f"{setting}\n") == {"way to target": "ok", "tunnel": "stop"}


def test_a_blocked_port_stops(there: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "CONNECT_S", 0.5)
    assert levels(there, tmp_path, transport=DIRECT, blocked=True) == {"way to target": "stop"}
