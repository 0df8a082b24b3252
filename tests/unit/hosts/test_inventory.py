"""The inventory is Ansible's INI, and every mistake in it is in the one message."""

from pathlib import Path

import pytest

from cluster.hosts.inventory import load_inventory, parse_cpus, parse_inventory, this_machine
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
    text = "stray\n[target]\na\nb\n[load]\nl workers=many colour=red\n[unclosed\n" + LOCAL
    with pytest.raises(InventoryError) as caught:
        parse_inventory(text, "inventory.ini")
    message = str(caught.value)
    for part in ("before the first", "not a group header", "names 2", "'many'", "unknown variable colour"):
        assert part in message
    assert caught.value.exit_status == 2


def test_hosts_over_ssh() -> None:
    text = (
        "[target]\nweb ansible_host=192.0.2.7 ansible_port=2222 ansible_user=me address=10.0.0.7\n"
        "[load]\nload[1:2].lan ansible_ssh_private_key_file=~/key ansible_become=yes\nhere ansible_connection=local\n"
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
    (tmp_path / "inventory.ini").write_text("[web]\nsomebody\n", encoding="utf-8")
    assert "this machine alone" in load_inventory(tmp_path / "inventory.ini", required=True).source
    with pytest.raises(InventoryError, match="No such file"):
        load_inventory(tmp_path / "absent.ini", required=True)


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
