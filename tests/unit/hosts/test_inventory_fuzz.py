"""Whatever an inventory's text holds, it is an inventory or one InventoryError: soon, and in little memory."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cluster.hosts.inventory import parse_inventory
from cluster.hosts.inventory_settings import READ
from study.errors import InventoryError
from tests.bounds import Bounds

BOUNDS = Bounds()

_names = st.sampled_from(
    ["target", "load", "all", "ungrouped", "web", "load1", "x", "a-b", "é", "control", "2001:db8::1"]
)
_keys = st.one_of(
    st.sampled_from([*sorted(READ), "ansible_become", "ansible_password", "ansible_group_priority", "colour"]),
    st.text(max_size=5),
)
_values = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "0-999999999",
            "0,2-4",
            "local",
            "ssh",
            "yes",
            "{{ x }}",
            "[1, 2]",
            "{'a': 1}",
            "::1",
            "a@b",
            "'",
            '"',
            "\0",
            "1e999",
        ]
    ),
    st.integers().map(str),
    st.integers(min_value=100, max_value=9000).map(lambda length: "9" * length),
    st.integers(min_value=10, max_value=3000).map(lambda depth: "[" * depth + "]" * depth),
    st.integers(min_value=10, max_value=3000).map(lambda depth: "-" * depth + "1"),
    st.integers(min_value=10, max_value=2000).map(lambda depth: "+".join("1" * depth)),
)
_bounds = st.one_of(
    st.integers(-5, 300).map(str), st.sampled_from(["", "a", "c", "Z", "01", "999999999", "9" * 30, "x y"])
)
_ranges = st.lists(_bounds, min_size=1, max_size=4).map(lambda bounds: f"[{':'.join(bounds)}]")
_patterns = st.lists(
    st.one_of(_names, _ranges, st.sampled_from([":22", "@", ":", "[", "]", "."])), min_size=1, max_size=5
).map("".join)
_assignments = st.lists(st.tuples(_keys, _values).map("=".join), max_size=4).map(" ".join)
_hosts = st.tuples(_patterns, _assignments).map(" ".join)
_headers = st.tuples(_names, st.sampled_from(["", "", ":vars", ":children", ":children", ":x"])).map(
    lambda pair: f"[{pair[0]}{pair[1]}]"
)
_lines = st.one_of(_hosts, _headers, _names, st.tuples(_keys, _values).map("=".join), st.text(max_size=30))
_start = st.sampled_from(["", "[target]\nweb\n[load]\nload1\n", "[all:vars]\nansible_connection=local\n"])
_inis = st.tuples(_start, st.lists(_lines, max_size=12).map("\n".join)).map("".join)
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), _names),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(_names, _keys, st.sampled_from(["_meta", "hostvars", "hosts", "children", "vars"])), inner
        ),
    ),
    max_leaves=20,
)


@pytest.fixture(scope="module", autouse=True)
def reported() -> Iterator[None]:
    yield
    print(f"\n{__name__}: {BOUNDS}")


def check(text: str) -> None:
    with BOUNDS.kept():
        tried(text)


def tried(text: str) -> None:
    try:
        inventory = parse_inventory(text, "fuzz.ini")
    except InventoryError as error:
        message = str(error)
        assert message.startswith("inventory fuzz.ini:")
        assert len(message) < 20_000
        assert all(character.isprintable() or character == "\n" for character in message)
    else:
        assert inventory.load
        for entry in (*inventory.hosts, inventory.control):
            assert entry.name
            assert entry.address
            assert len(entry.cpus) <= 8192
            words = (
                entry.name,
                entry.address,
                entry.destination,
                entry.user,
                entry.key,
                entry.python,
                entry.remote_dir,
            )
            assert not any(character in word for word in words for character in "\0\n\r\x1b")
            assert not any(word.startswith("-") for word in (entry.destination, entry.user, entry.address))


@settings(max_examples=150)
@given(_inis)
@example("[target]\nweb\n[load]\nx[1:999999999]\n")
@example("[target]\nweb\n[load]\n" + "x[1:9999]\n" * 1000)
@example("[target]\nweb\n[load]\n" + "[1:10]" * 100 + "\n")
@example("[target]\nweb cpus=0-999999999\n[load]\nload1\n")
@example("[target]\nweb remote_dir=/a\0b\n[load]\nload1\n")
@example("".join(f"[g{number}:children]\ng{number + 1}\n" for number in range(5000)) + "[g5000]\nx\n")
@example("".join(f"[g{number}]\nx\n" for number in range(20_000)))
@example("a\n" * 200_000)
@example("[target]\nweb\n[load]\nx[1:9990]\n")
@example("[target]\nweb\n[load]\n" + "a" * 500_000 + "\n")
@example("a=" + "'" * 500_000)
@example("".join(f"h{number} a=1 b=[2]\n" for number in range(9_990)) + "[target]\nh1\n[load]\nh2\n")
def test_an_inventory_is_a_value_or_one_inventory_error(text: str) -> None:
    check(text)


@settings(max_examples=80)
@given(st.text(max_size=500))
def test_any_text_is_a_value_or_one_inventory_error(text: str) -> None:
    check(text)


@settings(max_examples=80)
@given(st.dictionaries(st.one_of(_names, st.just("_meta")), _json).map(json.dumps))
@example('{"a": ' * 100_000)
@example('{"target": ["web"], "load": ["a"], "_meta": {"hostvars": {"a": {"ansible_port": ' + "9" * 5000 + "}}}}")
@example('{"target": ["web"], "load": ["a"], "all": {"vars": {"cpus": ' + "[" * 500 + "]" * 500 + "}}}")
@example('{"load": {"children": ["load"]}}')
def test_any_json_is_a_value_or_one_inventory_error(text: str) -> None:
    check(text)
