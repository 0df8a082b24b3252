"""Inventories that people have: each means here what it means to Ansible, or says what it lacks."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster.hosts import inventory as reader
from cluster.hosts.inventory import HostEntry, load_inventory
from cluster.hosts.inventory_ansible import ansible_inventory
from study.errors import InventoryError

CASES = Path(__file__).resolve().parents[2] / "cases"

# Name, destination, port and user of the target, then of the load hosts.
RIGHT = {
    "inv-children/children_both.ini": ["web 192.0.2.11 0 -", "w1 192.0.2.21 0 -", "w2 192.0.2.22 0 -"],
    "inv-children/children_load.ini": ["web 192.0.2.11 0 -", "e1 192.0.2.21 0 -", "w1 192.0.2.22 0 -"],
    "inv-group-vars-directory/withgroupvars/hosts.ini": [
        "web 192.0.2.11 2222 deploy",
        "load1 192.0.2.12 2222 deploy",
    ],
    "inv-host-port/hostport.ini": [
        "web.example.org web.example.org 2222 -",
        "load1.example.org load1.example.org 2222 -",
    ],
    "inv-ipv6/ipv6.ini": ["web 2001:db8::11 0 -", "load1 2001:db8::12 0 -"],
    "inv-ipv6/ipv6_bracket.ini": ["2001:db8::11 2001:db8::11 22 -", "2001:db8::12 2001:db8::12 0 -"],
    "inv-ipv6/ipv6_local.ini": ["web web 0 -", "l1 l1 0 -"],
    "inv-old-variable-names/oldnames.ini": ["web 192.0.2.11 2222 root", "load1 192.0.2.12 0 root"],
    "inv-own-variables/hostvars.ini": ["web 192.0.2.11 0 -", "load1 192.0.2.12 0 -"],
    "inv-own-variables/ownvars.ini": ["web 192.0.2.11 0 deploy", "load1 192.0.2.12 0 deploy"],
    "inv-ranges/ranges_alpha.ini": ["web web 0 -", *(f"load-{x}.example.org load-{x}.example.org 0 -" for x in "abc")],
    "inv-ranges/ranges_step.ini": [
        "web web 0 -",
        *(f"load0{x}.example.org load0{x}.example.org 0 -" for x in (1, 3, 5, 7, 9)),
    ],
    "inv-ranges/ranges_two.ini": [
        "web web 0 -",
        *(f"rack{x}-load{y}.example.org rack{x}-load{y}.example.org 0 -" for x in (1, 2) for y in (1, 2)),
    ],
    "inv-user-at-host/userat.ini": ["web 192.0.2.11 0 deploy", "load1 192.0.2.12 0 deploy"],
}
REFUSED = {
    "inv-no-group-of-ours-runs-here/prod.ini": "no group [target] (groups: webservers, dbservers)",
    "inv-no-group-of-ours-runs-here/typo.ini": "did you mean [targets]?",
    "inv-no-group-of-ours-runs-here/case.ini": "did you mean [Target]?",
    "inv-ranges/ranges_back.ini": "load[5:1]: the range [5:1] is empty",
    "inv-yaml/dynamic.py": "dynamic.py",
}


def shown(entry: HostEntry) -> str:
    return f"{entry.name} {entry.destination} {entry.port} {entry.user or '-'}"


@pytest.mark.parametrize("case", RIGHT)
def test_an_inventory_is_read_right(case: str) -> None:
    assert [shown(entry) for entry in load_inventory(CASES / case, required=True).hosts] == RIGHT[case]


@pytest.mark.parametrize("case", REFUSED)
def test_an_inventory_that_can_not_be_used_says_why(case: str) -> None:
    with pytest.raises(InventoryError) as caught:
        load_inventory(CASES / case, required=True)
    assert REFUSED[case] in str(caught.value)
    assert caught.value.exit_status == 2


def test_yaml_is_read_where_ansible_is_installed() -> None:
    if ansible_inventory():
        inventory = load_inventory(CASES / "inv-yaml/hosts.yml", required=True)
        assert [shown(entry) for entry in inventory.hosts] == ["web 192.0.2.11 0 -", "load1 192.0.2.12 0 -"]
    else:
        with pytest.raises(InventoryError, match=r"this is YAML.*pip install ansible-core"):
            load_inventory(CASES / "inv-yaml/hosts.yml", required=True)


def test_every_inventory_of_the_cases_has_its_right_value() -> None:
    files = {str(path.relative_to(CASES)) for path in CASES.glob("inv-*/**/*") if path.is_file()}
    assert {path for path in files if "group_vars" not in path} == {*RIGHT, *REFUSED, "inv-yaml/hosts.yml"}


def test_standard_input_is_read_once_for_all_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = iter([b"[target]\nweb\n[load]\na\n", b""])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(read=lambda limit=-1: next(texts))))
    reader._standard_input.cache_clear()
    first = load_inventory(Path("-"), required=True)
    assert load_inventory(Path("-"), required=True) == first
    reader._standard_input.cache_clear()
