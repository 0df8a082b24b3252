"""Servers that a person brings: where they run already, whether they may be loaded, and what surrounds the others."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from cluster.campaign.own.elsewhere import RunningServers, look_for_servers
from cluster.campaign.own.surroundings import digest_of_surroundings, interpreter
from cluster.hosts.inventory import HostEntry, Inventory
from cluster.hosts.local import LocalHost
from cluster.remote import exec as launch
from cluster.remote.http import outside
from study.errors import PlanError, StudyError, UsageError
from study.plan import Plan, parse_plan


def plan_of(url: str, more: str = "") -> Plan:
    text = f'name = "own"\nmodels = ["mine"]\nusers = [1]\n[[servers]]\nname = "mine"\nurl = "{url}"\n{more}'
    return parse_plan(text, "own.toml", {})


def look(directory: Path, url: str, *allowed: str, target: str = "127.0.0.1") -> tuple[RunningServers, list[str]]:
    inventory = Inventory(HostEntry("target", address=target), (HostEntry("load1"),), "test")
    load = [LocalHost(entry, directory) for entry in inventory.load]
    lines: list[str] = []
    return look_for_servers(plan_of(url), inventory, load, {}, allowed, lines.append), lines


def test_loopback_is_the_targets_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        running, lines = look(tmp_path, f"http://127.0.0.1:{port}")
        assert outside.listener(port) == os.getpid()
    assert running == RunningServers(frozenset(), {"mine": {"load1": ("127.0.0.1",)}})
    assert lines == [f"mine: http://127.0.0.1:{port} is 127.0.0.1"]


def test_a_host_that_is_not_in_the_inventory_is_told_before_it_is_touched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\(192.0.2.9\) is no host of the inventory; .*`--allow-host 192.0.2.9`"):
        look(tmp_path, "http://192.0.2.9:80")


def test_the_target_of_the_inventory_is_no_other_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.campaign.own.elsewhere._connect", lambda *_: None)
    assert look(tmp_path, "http://192.0.2.9:80", target="192.0.2.9") == (
        RunningServers(frozenset(), {"mine": {"load1": ("192.0.2.9",)}}),
        ["mine: http://192.0.2.9:80 is 192.0.2.9"],
    )
    running, lines = look(tmp_path, "http://192.0.2.9:80", "192.0.2.9")
    assert running.elsewhere == {"mine"}
    assert "is not on the target: nobody watches its CPU, and check 8 can't say who was the limit" in lines[1]


def test_nobody_there(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(StudyError, match=r"mine: no connection to .*: load1: Connection refused"):
        look(tmp_path, f"http://127.0.0.1:{port}")
    with pytest.raises(StudyError, match="its name can't be resolved: load1: "):
        look(tmp_path, "http://no-such-name.invalid:80")
    assert outside.listener(port) is None


def test_a_directory_is_made_anew_where_files_or_setup_changed(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.py").write_text("1", encoding="ascii")
    text = 'name = "own"\nmodels = ["mine"]\nusers = [1]\n[[servers]]\nname = "mine"\ncommand = "serve {port}"\n'

    def digest(more: str = 'files = ["app"]\n') -> str:
        return digest_of_surroundings(parse_plan(text + more, "own.toml", {}).server("mine"), tmp_path)

    first = digest()
    assert digest() == first
    (tmp_path / "app" / "a.py").write_text("2", encoding="ascii")
    assert digest() != first
    assert digest('files = ["app"]\nsetup = "make"\n') != digest()
    with pytest.raises(PlanError, match=r"servers.mine.files: .*nowhere isn't there"):
        digest('files = ["nowhere"]\n')
    (tmp_path / "app" / "inside").symlink_to("a.py")
    assert digest() != first
    (tmp_path / "app" / "outside").symlink_to("/etc/hostname")
    with pytest.raises(PlanError, match=r"servers.mine.files: .*/outside is a link to what isn't brought with it"):
        digest()


def test_an_interpreter_is_a_path_a_name_or_the_targets(tmp_path: Path) -> None:
    target = LocalHost(HostEntry("target"), tmp_path)
    text = 'name = "own"\nmodels = ["mine"]\nusers = [1]\n[[servers]]\nname = "mine"\ncommand = "serve {port}"\n'
    asked = {"": target.python, 'python = "/a/b"': "/a/b", 'python = "pypy3"': "pypy3"}
    asked['python = "venv/bin/python"'] = str(target.directory / "brought" / "mine" / "venv/bin/python")
    for more, python in asked.items():
        assert interpreter(parse_plan(text + more, "own.toml", {}).server("mine"), target) == python


def test_a_program_is_run_in_its_directory_with_its_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    (tmp_path / "here").mkdir()
    (tmp_path / "variables").write_text('{"A": "b=c", "D": "\\u00e4"}', encoding="ascii")
    environment = str(tmp_path / "variables")
    words = ["--in", "here", "--environment", environment, "--path", "/first", "--", "program", "--in", "x"]
    assert launch.surround(words) == ["program", "--in", "x"]
    assert Path.cwd() == tmp_path / "here"
    assert (os.environ["A"], os.environ["D"]) == ("b=c", "\u00e4")
    assert os.environ["PATH"].startswith("/first:")
    assert launch.surround(["program", "--"]) == ["program", "--"]
