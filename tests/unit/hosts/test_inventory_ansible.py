"""Inventories are read as Ansible reads them: held against `ansible-inventory --list`, variable by variable."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from cluster.hosts.inventory import load_inventory
from cluster.hosts.inventory_ansible import PROGRAM, ansible_inventory, read_json
from cluster.hosts.inventory_files import read_text, variable_files
from cluster.hosts.inventory_groups import ALL, UNGROUPED
from cluster.hosts.inventory_ini import read_ini
from study.errors import InventoryError

CASES = Path(__file__).resolve().parents[2] / "cases" / "inventories"
INVENTORIES = sorted([*CASES.glob("*.ini"), *CASES.glob("*/hosts.ini")], key=str)


@pytest.fixture(scope="module")
def oracle() -> str:
    found = ansible_inventory()
    if found is None:
        assert "CI" not in os.environ, f"{PROGRAM} belongs to the development dependencies"
        pytest.skip(f"{PROGRAM} isn't installed")
    return found


def test_there_are_enough_of_them() -> None:
    assert len(INVENTORIES) >= 40


@pytest.mark.slow
@pytest.mark.parametrize("path", INVENTORIES, ids=lambda path: str(path.relative_to(CASES)))
def test_hosts_groups_and_variables_are_those_that_ansible_finds(path: Path, oracle: str) -> None:
    done = subprocess.run([oracle, "-i", str(path), "--list"], capture_output=True, text=True, timeout=60, check=True)
    theirs = read_json(done.stdout)
    ours, mistakes = read_ini(read_text(path))
    assert not mistakes
    files = variable_files(path.parent)
    assert set(ours.hosts) == set(theirs.hosts)
    for host in ours.hosts:
        found = ours.variables(host, files)
        # JSON has no tuples and no sets.
        assert {key: list(each) if isinstance(each, tuple) else each for key, each in found.items()} == (
            theirs.variables(host)
        )
    for group in (set(ours.groups) | set(theirs.groups)) - {ALL, UNGROUPED}:
        assert group in theirs.groups or not ours.members(group), group
        if group in theirs.groups:
            assert sorted(ours.members(group)) == sorted(theirs.members(group)), group


YAML = """
all:
  vars:
    ansible_user: root
  children:
    target:
      hosts:
        web:
          ansible_host: 192.0.2.11
          cpus: 0,2
    load:
      hosts:
        load[1:2]:
          ansible_port: 2200
          owned_by: [a, b]
"""


def test_yaml_is_read_through_ansible(tmp_path: Path, oracle: str) -> None:
    path = tmp_path / "hosts.yml"
    path.write_text(YAML, encoding="utf-8")
    inventory = load_inventory(path, required=True)
    assert [(host.name, host.destination, host.port, host.user) for host in inventory.hosts] == [
        ("web", "192.0.2.11", 0, "root"),
        ("load1", "load1", 2200, "root"),
        ("load2", "load2", 2200, "root"),
    ]
    assert inventory.target.cpus == (0, 2)


def test_so_are_scripts_directories_plugins_and_files_beside_that_are_not_plain(tmp_path: Path, oracle: str) -> None:
    script = tmp_path / "dynamic"
    script.write_text('#!/bin/sh\necho \'{"target": ["web"], "load": ["a", "b"]}\'\n', encoding="utf-8")
    script.chmod(0o755)
    assert [host.name for host in load_inventory(script, required=True).hosts] == ["web", "a", "b"]
    several = tmp_path / "several"
    several.mkdir()
    (several / "one").write_text("[target]\nweb\n", encoding="utf-8")
    (several / "two.yml").write_text("load: {hosts: {a: , b: }}\n", encoding="utf-8")
    assert [host.name for host in load_inventory(several, required=True).hosts] == ["web", "a", "b"]
    (several / "three.yml").write_text(
        "plugin: constructed\nstrict: true\ngroups:\n  load: inventory_hostname == 'web2'\n", encoding="utf-8"
    )
    (several / "one").write_text("[target]\nweb\n[others]\nweb2\n", encoding="utf-8")
    assert {host.name for host in load_inventory(several, required=True).load} == {"a", "b", "web2"}
    plain = tmp_path / "plain" / "hosts.ini"
    (plain.parent / "group_vars").mkdir(parents=True)
    plain.write_text("[target]\nweb\n[load]\na\n", encoding="utf-8")
    (plain.parent / "group_vars" / "all.yml").write_text("ansible_port: 2200\nntp:\n  - x\n", encoding="utf-8")
    assert [host.port for host in load_inventory(plain, required=True).hosts] == [2200, 2200]


def test_what_changes_its_meaning_is_refused_there_too(tmp_path: Path, oracle: str) -> None:
    path = tmp_path / "hosts.yml"
    for line, part in {
        "ansible_host: '{{ address }}'": "is a template",
        "ansible_become: true": "becomes no other user",
        "ansible_connection: docker": "'docker'",
        "ansible_password: secret": "never a password",
    }.items():
        path.write_text(YAML.replace("cpus: 0,2", line).replace("ansible_host: 192.0.2.11", "x: 1"), encoding="utf-8")
        with pytest.raises(InventoryError, match=part) as caught:
            load_inventory(path, required=True)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("bad.yml", "all: [\n", "refuses it: "),
        ("empty.yml", "", r"no group \[target\] \(groups: none\)"),
        ("failing", "#!/bin/sh\necho no cloud today >&2\nexit 3\n", "no cloud today"),
        ("vault.yml", "$ANSIBLE_VAULT;1.1;AES256\n3834\n", "refuses it: .*[Vv]ault"),
        ("other.yml", "all: {children: {targets: {hosts: {web: }}}}\n", r"did you mean \[targets\]\?"),
    ],
)
def test_its_errors_are_one_message(tmp_path: Path, oracle: str, name: str, text: str, part: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755 if text.startswith("#!") else 0o644)
    with pytest.raises(InventoryError, match=part) as caught:
        load_inventory(path, required=True)
    assert caught.value.exit_status == 2
    assert "Traceback" not in str(caught.value)


def test_an_inventory_that_never_answers_is_given_up(
    tmp_path: Path, oracle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.hosts.inventory_ansible.TIMEOUT_S", 3.0)
    path = tmp_path / "endless"
    path.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n", encoding="utf-8")
    path.chmod(0o755)
    with pytest.raises(InventoryError, match="took more than 3 s"):
        load_inventory(path, required=True)
    script = Path("/proc", (tmp_path / "pid").read_text().strip(), "exe")
    until = time.monotonic() + 10
    while script.exists():  # killed, but perhaps not gone yet
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("name", "text"), [("hosts.yml", YAML), ("hosts", YAML), ("hosts.toml", "[target]\n"), ("script", "#!/bin/sh\n")]
)
def test_without_ansible_one_line_says_what_to_install(
    tmp_path: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.hosts.inventory_ansible.ansible_inventory", lambda: None)
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InventoryError, match="pip install ansible-core") as caught:
        load_inventory(tmp_path / name, required=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("ntp:\n  - x\n", "line 2"),
        ("list: [a, b]\n", "line 1"),
        ("when: 2020-01-01\n", "line 1"),
        ("mode: 0644\n", "line 1"),
        ("time: 12:30\n", "line 1"),
        ("a: &x b\n", "line 1"),
        ("a: |\n  text\n", "line 1"),
        ('a: "\\x41"\n', "line 1"),
        ("a: b: c\n", "line 1"),
        ("a: b:\n", "line 1"),
        ("a: b\n  c\n", "line 2"),
        ("a: !vault |\n  x\n", "line 1"),
        ("$ANSIBLE_VAULT;1.1;AES256\n", "encrypted by ansible-vault"),
        ("{", "not valid JSON"),
        ("a: \x01\n", "line 1"),
    ],
)
def test_without_ansible_files_beside_that_are_not_plain_are_refused_by_name(
    tmp_path: Path, text: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.hosts.inventory_ansible.ansible_inventory", lambda: None)
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "load.yml").write_text(text, encoding="utf-8")
    (tmp_path / "hosts.ini").write_text("[target]\nweb\n[load]\na\n", encoding="utf-8")
    with pytest.raises(InventoryError, match=f"group_vars/load.yml: .*{part}"):
        load_inventory(tmp_path / "hosts.ini", required=True)
