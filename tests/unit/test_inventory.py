"""The inventory is Ansible's INI, and every mistake in it is in the one message."""

from pathlib import Path

import pytest

from cluster.errors import InventoryError
from cluster.inventory import load_inventory, parse_cpus, parse_inventory, this_machine

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


def test_a_host_over_ssh_is_refused_and_not_taken_for_this_machine() -> None:
    with pytest.raises(InventoryError, match="hosts over SSH are not supported yet"):
        parse_inventory("[target]\nfar\n[load]\nnear ansible_connection=local\n", "inventory.ini")


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
