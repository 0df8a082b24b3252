"""What a plan needs of its load hosts, for few users and for a million."""

from __future__ import annotations

import math

import pytest

from cluster.show.needs import LoadNeed, load_needs, needs_text
from study.formats.facts_json import Facts
from study.plan import Plan, parse_plan

pytestmark = pytest.mark.quick

HOST = Facts(
    cores=(0, 1), fds_hard=1_048_576, ephemeral_ports=(32_768, 60_999), memory_available_mb=8_192, tcp_tw_reuse=2
)


def plan(users: int, **changes: object) -> Plan:
    text = f'name = "asked"\nmodels = ["single"]\nusers = [{users}]\n'
    return parse_plan(text, "asked").model_copy(update=changes)


def by_name(asked: Plan, workers: int = 2) -> dict[str, LoadNeed]:
    return {need.what: need for need in load_needs(asked, (HOST,), workers)}


def test_one_host_is_enough_for_400_users() -> None:
    needs = load_needs(plan(400), (HOST,), 2)
    assert {need.hosts for need in needs} == {1}
    assert needs_text(needs).startswith("1 is enough: local ports decide (400, a host has room for 28,032)")


def test_a_million_users_need_36_such_hosts_for_their_ports() -> None:
    needs = load_needs(plan(1_000_000), (HOST,), 2)
    assert needs[0].what == "local ports"
    assert needs[0].hosts == math.ceil(1_000_000 / 28_032) == 36
    assert needs_text(needs).startswith("36 like these: local ports decide (1,000,000, a host has room for 28,032)")


def test_memory_decides_where_the_client_needs_much_of_it() -> None:
    small = load_needs(plan(100_000, client="http"), (HOST, Facts(**{**vars(HOST), "memory_available_mb": 2_000})), 2)
    memory = next(need for need in small if need.what == "MiB of memory")
    assert (memory.total, memory.each) == (15_000, 2_000 - 512 - 300)


def test_ports_that_wait_count_for_clients_that_close_first_alone() -> None:
    assert by_name(plan(6_000))["local ports"].total == 6_000
    assert by_name(plan(6_000, client="fast"))["local ports"].total == 6_000 / 3 * 60
    assert by_name(plan(6_000, client="fast", connection="keep-alive"))["local ports"].total == 6_000


def test_a_host_without_room_is_never_enough() -> None:
    full = Facts(**{**vars(HOST), "memory_available_mb": 100})
    assert load_needs(plan(400), (full,), 2)[0].hosts == math.inf
