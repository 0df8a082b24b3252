"""What the study makes of an inventory's hosts and variables; every mistake is in the one message."""

import time
from pathlib import Path

import pytest

from cluster.hosts.inventory import Inventory, load_inventory, parse_cpus, parse_inventory, this_machine
from study.errors import InventoryError

LOCAL = "[all:vars]\nansible_connection=local\n"


def test_groups_ranges_and_variables() -> None:
    text = "[target]\nbig cpus=0\n[load]\nload[1:3] workers=2  # three\n[load:vars]\ncpus=1\n[web]\nother\n" + LOCAL
    inventory = parse_inventory(text, "inventory.ini")
    assert inventory.target.name == "big"
    assert inventory.target.cpus == (0,)
    assert [(entry.name, entry.workers, entry.cpus) for entry in inventory.load] == [
        ("load1", 2, (1,)),
        ("load2", 2, (1,)),
        ("load3", 2, (1,)),
    ]


def test_every_mistake_is_in_one_message() -> None:
    text = "[target]\na\nb\n[load]\nl workers=many cpus=first\nm ansible_port=ssh ansible_password=secret\n" + LOCAL
    with pytest.raises(InventoryError) as caught:
        parse_inventory(text, "inventory.ini")
    message = str(caught.value)
    for part in ("names 2", "like 0,2-4", "never a password"):
        assert part in message
    with pytest.raises(InventoryError) as caught:
        parse_inventory("[target]\na b\n[load\nl\n[load:var]\n[loads:vars]\nx\n" + LOCAL, "inventory.ini")
    message = str(caught.value)
    for part in (
        "line 2: a: not key=value",
        "not a group header",
        ":vars are known",
        "no group loads",
        "key=value: 'x'",
    ):
        assert part in message
    assert caught.value.exit_status == 2
    with pytest.raises(InventoryError, match="only Ansible fills in a template"):
        parse_inventory("[target]\na ansible_host={{ ip }}\n[load]\nl\n" + LOCAL, "inventory.ini")


def test_hosts_over_ssh() -> None:
    text = (
        "[target]\nweb ansible_host=192.0.2.7 ansible_port=2222 ansible_user=me address=10.0.0.7\n"
        "[load]\nload[1:2].lan ansible_ssh_private_key_file=~/key ansible_become=no\nhere ansible_connection=local\n"
        "[all:vars]\nansible_python_interpreter=auto_silent\nremote_dir=/srv/study\n"
    )
    inventory = parse_inventory(text, "far.ini")
    web = inventory.target
    assert (web.connection, web.destination, web.port, web.user, web.address) == (
        "ssh", "192.0.2.7", 2222, "me", "10.0.0.7",
    )  # fmt: skip
    first, _, here = inventory.load
    assert (first.destination, first.address, first.key, first.python) == ("load1.lan", "load1.lan", "~/key", "")
    assert (here.connection, here.address, here.remote_dir) == ("local", "127.0.0.1", "/srv/study")
    assert web.cpus == ()
    assert (inventory.transport, inventory.control.address) == ("tunnel", "127.0.0.1")
    assert "3 hosts over SSH" in inventory.source


def test_the_master_is_reached_through_ssh_or_on_the_one_address_named() -> None:
    text = "[target]\nweb\n[load]\nload1\n[all:vars]\ntransport=direct\n"
    with pytest.raises(InventoryError, match="needs control_address="):
        parse_inventory(text, "far.ini")
    assert parse_inventory(text + "control_address=192.0.2.1\n", "far.ini").control.address == "192.0.2.1"
    with pytest.raises(InventoryError, match="tunnel or direct"):
        parse_inventory(text.replace("direct", "pigeon"), "far.ini")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("load1 ansible_password=secret", "never a password"),
        ("load1 ansible_ssh_pass=secret", "never a password"),
        ("load1 ansible_become_password=secret", "never a password"),
        ("load1 ansible_become=yes", "becomes no other user"),
        ("load1 ansible_become=true", "becomes no other user"),
        ("load1 ansible_host='{{ inventory_hostname }}'", "ansible_host: .* is a template"),
        ("load1 ansible_host='{% if x %}y{% endif %}'", "is a template"),
        ("load1 ansible_shell_type=powershell", "'powershell'"),
        ("load1 ansible_connection=winrm", "'winrm'"),
        ("load1 ansible_connection=community.docker.docker", "community.docker.docker"),
        ("load1 ansible_ssh_executable=/opt/ssh", "belong in ~/.ssh/config"),
        ("load1 ansible_host=", "ansible_host is empty"),
        ("load1 ansible_host=192.0.2.7:22", "its port belongs in ansible_port"),
        ("load1 ansible_host=[2001:db8::1]:22", "its port belongs in ansible_port"),
        ("load1 ansible_host=[2001:db8::1]", "without brackets"),
        ("load1 ansible_host=-oProxyCommand=x", "a host's name or address"),
        ("load1 ansible_host=a@b ansible_user=c", "leave one"),
        ("load1 ansible_user='root # me'", "no user's name"),
        ("load1 ansible_port=65536", "up to 65535"),
        ("load1 workers=1e3", "workers is a whole number"),
        ("load1 workers=\"{'a':1}\"", "workers is one word"),
        ("load1 cpus=0-999999999", "from 0 to 8191"),
        ("load1 cpus=4-2", "the smaller one first"),
        ("load1 remote_dir='\"\\x00\"'", "control character"),
        ("load1 remote_dir=/a\x00b", "control character"),
        ("load1 remote_dir=/a\x1b[31m", "control character"),
        ("load/1", "a host's name has"),
        ("load1 ansible_ssh_common_args=-J", "belong in ~/.ssh/config"),
        ("load1 transport=direct", r"belongs in \[all:vars\]"),
        ("load1 ansible_connection=docker", "'docker'"),
        ("load1 ansible_port=ssh", "ansible_port is a whole number"),
    ],
)
def test_what_an_inventory_can_not_ask_for(line: str, part: str) -> None:
    with pytest.raises(InventoryError, match=part) as caught:
        parse_inventory(f"[target]\nweb\n[load]\n{line}\n", "far.ini")
    assert "secret" not in str(caught.value)


def test_a_target_on_loopback_is_out_of_reach_for_other_hosts() -> None:
    with pytest.raises(InventoryError, match="set address="):
        parse_inventory("[target]\nhere ansible_connection=local\n[load]\nload1\n", "far.ini")


@pytest.mark.parametrize("name", ["control", "load1"])
def test_names_are_unique_and_control_is_taken(name: str) -> None:
    with pytest.raises(InventoryError, match=name):
        parse_inventory(f"[target]\n{name}\n[load]\nload1\nload2\n{LOCAL}", "inventory.ini")


def test_without_an_inventory_the_study_runs_here(tmp_path: Path) -> None:
    assert "this machine alone" in load_inventory(tmp_path / "inventory.ini", required=False).source
    with pytest.raises(InventoryError, match="No such file"):
        load_inventory(tmp_path / "absent.ini", required=True)


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[web]\nsomebody\n", r"no group \[target\] \(groups: web\)"),
        ("", r"\(groups: none\)"),
        ("# nothing\n", r"no group \[load\]"),
        ("[targets]\na\n[load]\nb\n", r"did you mean \[targets\]\?"),
        ("[TARGET]\na\n[load]\nb\n", r"did you mean \[TARGET\]\?"),
        ("[target]\n[load]\nb\n", r"\[target\] names no host"),
        ("[target:children]\nweb\n[web]\n[load]\nb\n", r"\[target\] names no host"),
        ("localhost ansible_connection=local\n", r"no group \[target\]"),
    ],
)
def test_an_inventory_without_target_or_load_is_a_mistake(tmp_path: Path, text: str, part: str, required: bool) -> None:
    (tmp_path / "inventory.ini").write_text(text, encoding="utf-8")
    with pytest.raises(InventoryError, match=part):
        load_inventory(tmp_path / "inventory.ini", required=required)


def test_the_shipped_inventory_is_this_machine_alone() -> None:
    path = Path(__file__).resolve().parents[3] / "inventory.ini"
    inventory = load_inventory(path, required=True)
    assert [(entry.connection, entry.name, entry.workers) for entry in inventory.hosts] == [
        ("local", "target", 0),
        ("local", "load1", 2),
    ]


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        ("x[1:999999999]", "may have 10000"),
        ("x[1:99999999999999999999999999]", "may have 10000"),
        ("x[1:200]-[1:200]", "may have 10000"),
        ("x[5:1]", "is empty"),
        ("x[c:a]", "is empty"),
        ("x[1:4:0]", "numbers or of single letters"),
        ("x[a:4]", "numbers or of single letters"),
        ("x[01:4]", "same number of digits"),
        ("x[1]", r"\[FIRST:LAST\]"),
        ("x[1:4", r"\[FIRST:LAST\]"),
        (f"x[1:{'9' * 5000}]", "numbers or of single letters"),
        ("web:", "not a host's name"),
    ],
)
def test_ranges_are_bounded_and_refused_at_once(pattern: str, part: str) -> None:
    began = time.monotonic()
    with pytest.raises(InventoryError, match=part):
        parse_inventory(f"[target]\nweb\n[load]\n{pattern}\n", "far.ini")
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[a:children]\nb\n[b:children]\na\n", "contain each other: "),
        ("[a:children]\na\n", "contain each other: a < a"),
        ("[a:children]\nb\n", r"\[a:children\]: there is no group b"),
        ("[a:children]\nall\n", "contains every other"),
        ("[a]\n[a:vars]\nansible_group_priority=high\n", "whole number"),
        ("[load]\nx a='b\n", "no closing quotation"),
    ],
)
def test_what_ansible_refuses_is_refused(text: str, part: str) -> None:
    with pytest.raises(InventoryError, match=part):
        parse_inventory("[target]\nweb\n[load]\nload1\n" + text, "far.ini")


def _hosts(inventory: Inventory) -> list[tuple[str, str, int, str]]:
    return [(entry.name, entry.destination, entry.port, entry.user) for entry in inventory.hosts]


def test_json_as_ansible_inventory_and_scripts_print_it() -> None:
    listed = """{"_meta": {"hostvars": {"web": {"ansible_host": "192.0.2.1"}, "a": {"ansible_port": 2200}}},
        "all": {"children": ["ungrouped", "target", "load"]}, "target": {"hosts": ["web"]},
        "load": {"children": ["rack"]}, "rack": {"hosts": ["a", "b"]}}"""
    assert _hosts(parse_inventory(listed, "-")) == [
        ("web", "192.0.2.1", 0, ""),
        ("a", "a", 2200, ""),
        ("b", "b", 0, ""),
    ]
    script = '{"target": ["web"], "load": {"hosts": ["a"], "vars": {"ansible_user": "me"}}}'
    assert _hosts(parse_inventory(script, "-")) == [("web", "web", 0, ""), ("a", "a", 0, "me")]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not valid JSON"),
        ("{}", r"no group \[target\]"),
        ('{"a":' * 100_000, "not valid JSON"),
        ('{"target": 1}', "neither an object nor a list"),
        ('{"target": {"hosts": [1]}}', "lists of names"),
        ('{"_meta": []}', "hostvars"),
        ('{"target": {"hosts": {"web": {}}}}', "YAML inventories"),
        ('{"a": {"children": ["b"]}, "b": {"children": ["a"]}}', "contain each other"),
        ("---\nall:\n", "this is YAML"),
        ("all:\n  hosts:\n", "this is YAML"),
        ("#!/bin/sh\n", "this is a script"),
        ("$ANSIBLE_VAULT;1.1;AES256\n3834\n", "encrypted by ansible-vault"),
    ],
)
def test_what_is_piped_must_be_ini_or_json(text: str, part: str) -> None:
    with pytest.raises(InventoryError, match=part):
        parse_inventory(text, "standard input")


def test_passwords_and_templates_of_other_variables_are_passed_over() -> None:
    text = "[target]\nweb mysql_root_password=x greeting='{{ hello }}'\n[load]\nload1 ansible_become_method=su\n"
    assert _hosts(parse_inventory(text, "far.ini"))[0] == ("web", "web", 0, "")


def test_on_a_system_without_cpu_affinity_control_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity")
    assert this_machine("here").target.cpus == ()
    assert parse_inventory("[target]\nweb\n[load]\nload1\n", "far.ini").control.cpus == ()


def test_server_and_generator_get_disjoint_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})
    inventory = this_machine("here")
    assert inventory.target.cpus == (0, 1)
    assert {entry.cpus for entry in inventory.load} == {(2, 3)}
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {5})
    assert this_machine("here").target.cpus == ()


def test_cpus_are_numbers_and_ranges() -> None:
    assert parse_cpus("0,2-4,3") == (0, 2, 3, 4)
    with pytest.raises(ValueError, match="like 0,2-4"):
        parse_cpus("first")
