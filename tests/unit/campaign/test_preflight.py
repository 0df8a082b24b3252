"""Only what makes a step impossible stops a campaign; every check that isn't fine says what to do."""

import re
from dataclasses import replace
from typing import Any

import pytest

from cluster.campaign import preflight
from cluster.campaign.preflight import MOST_PORTS, SPARE_FDS, HostCheck, examine, stop_if_impossible
from cluster.hosts.inventory import CONTROL, this_machine
from cluster.remote.facts import collect_facts
from study.errors import HostError, StudyError, UnreachableError
from study.formats.facts_json import Facts
from study.plan import Plan, parse_plan
from study.reading import parse_as

PLAN = 'name = "p"\nmodels = ["process", "thread"]\nusers = [100, 10000]\nclient = "http"\n'


@pytest.fixture
def sound(tmp_path: Any) -> Facts:
    """The facts of a machine that can do it all: this one's, with the figures that matter set."""
    known = collect_facts("127.0.0.1", (), tmp_path) | {
        "python": "3.11.7",
        "cores": [0, 1],
        "fds_hard": 100_000,
        "memory_available_mb": 64_000,
        "disk_free_mb": 50_000,
        "directory": "/srv/study",
        "tcp_tw_reuse": 1,
        "writable": True,
        "load_1min": 0.0,
        "clock_s": (-0.2, 0.1),
        "governor": "",
        "ports": {"8070": "", "5557": ""},
        "somaxconn": 4096,
        "pid_max": 4_000_000,
        "threads_max": 400_000,
        "processes_hard": -1,
        "max_map_count": 1_000_000,
        "file_max": 10_000_000,
        "ephemeral_ports": [32768, 60999],
    }
    return parse_as(Facts, known, "facts")


def checks(known: Facts, text: str = PLAN) -> list[HostCheck]:
    inventory = this_machine("here")
    elsewhere = replace(inventory.load[0], connection="ssh")
    inventory = replace(inventory, load=(elsewhere,))
    plan: Plan = parse_plan(text, "p.toml")
    return examine(inventory, plan, dict.fromkeys(("target", "load1", CONTROL), known))


def names(known: Facts, level: str) -> set[str]:
    return {check.what for check in checks(known) if check.level == level}


def test_a_sound_machine_has_nothing_to_mend(sound: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    assert {(check.what, check.level) for check in checks(sound) if check.level != "ok"} == set()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"python": "3.9.2"}, "python"),
        ({"ports": {"8070": "Address already in use", "5557": ""}}, "port"),
        ({"ports": {"8070": "", "5557": "Permission denied"}}, "master_port"),
        ({"disk_free_mb": 10}, "free disk"),
        ({"memory_available_mb": 100}, "memory"),
        ({"ephemeral_ports": [60000, 60999]}, "local ports"),
        ({"system": "Darwin"}, "system"),
        ({"writable": False}, "directory"),
    ],
)
def test_what_makes_a_step_impossible_stops(sound: Facts, change: dict[str, Any], what: str) -> None:
    assert what in names(replace(sound, **change), "stop")
    with pytest.raises(StudyError, match=what):
        stop_if_impossible(checks(replace(sound, **change)))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"fds_hard": 1024}, "descriptors"),
        ({"somaxconn": 128}, "accept queue"),
        ({"load_1min": 9.0}, "other load"),
        ({"cores": [0]}, "cores"),
        ({"max_map_count": 10_000}, "threads"),
        ({"pid_max": 5_000}, "processes"),
        ({"governor": "powersave"}, "CPU governor"),
        ({"clock_s": (1.5, 1.9)}, "clock"),
        ({"clock_s": (-9.0, -1.5)}, "clock"),
        ({"tcp_tw_reuse": 2}, "tcp_tw_reuse"),
    ],
)
def test_what_may_mislead_warns(
    sound: Facts, change: dict[str, Any], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
    assert what in names(replace(sound, **change), "warn")
    stop_if_impossible([check for check in checks(replace(sound, **change)) if check.level == "warn"])


def test_descriptors_for_held_connections_must_suffice(sound: Facts) -> None:
    kept = PLAN + 'connection = "keep-alive"\n'
    with pytest.raises(StudyError, match="descriptors"):
        stop_if_impossible(checks(replace(sound, fds_hard=1024), kept))


@pytest.mark.parametrize(
    ("users", "background", "part"),
    [
        (50_000, 0, "ip_local_port_range='1024 65000', or use more load hosts"),
        (200_000, 0, "use at least 4 load hosts: one address gives 63977 ports at most"),
        (100_000, 40_000, "use at least 5 load hosts"),
        (100, 70_000, "lower idle_connections and slow_clients"),
    ],
)
def test_the_remedy_for_too_few_ports_suffices(sound: Facts, users: int, background: int, part: str) -> None:
    text = f"{PLAN}idle_connections = {background // 2}\nslow_clients = {background - background // 2}\n"
    text = re.sub(r"users = .*", f"users = [{users}]", text)
    known = replace(sound, fds_hard=10**7)
    (row,) = [check for check in checks(known, text) if check.what == "local ports"]
    assert part in row.remedy
    if found := re.search(r"at least (\d+) load hosts", row.remedy):
        each = -(-users // int(found[1])) + background + SPARE_FDS
        assert each <= MOST_PORTS < -(-users // (int(found[1]) - 1)) + background + SPARE_FDS


def test_each_check_that_is_not_fine_says_what_to_do(sound: Facts) -> None:
    busy = dict.fromkeys(("8070", "5557"), "Address already in use")
    bad = replace(sound, fds_hard=10, load_1min=99.0, disk_free_mb=1, somaxconn=1, ports=busy)
    assert all(check.remedy for check in checks(bad) if check.level != "ok")


def test_a_host_that_cannot_be_looked_at_is_a_row_with_its_remedy_beside_the_others(sound: Facts) -> None:
    failures: dict[str, HostError] = {"load1": UnreachableError("load1: its key is not known\n  ssh-keyscan load1")}
    inventory = this_machine("here")
    rows = examine(inventory, parse_plan(PLAN, "p.toml"), {"target": sound, CONTROL: sound}, failures)
    (row,) = [row for row in rows if row.host == "load1"]
    assert row == HostCheck("load1", "stop", "reachable", "its key is not known", "\n  ssh-keyscan load1")
    assert {row.host for row in rows} == {"target", "load1", CONTROL}


def test_the_line_that_shows_why_a_host_is_out_of_reach_can_be_pasted(sound: Facts) -> None:
    inventory = this_machine("here")
    far = replace(inventory.load[0], connection="ssh", destination="192.0.2.7", port=2222, user="me", key="/a key")
    failures: dict[str, HostError] = {"load1": UnreachableError("load1: it is down")}
    known = dict.fromkeys(("target", CONTROL), sound)
    rows = examine(replace(inventory, load=(far,)), parse_plan(PLAN, "p.toml"), known, failures)
    (row,) = [row for row in rows if row.host == "load1"]
    assert row.remedy == "see what `ssh -p 2222 -l me -i '/a key' 192.0.2.7` says"


def test_what_a_command_needs_is_looked_up_on_the_target() -> None:
    wanted = {"mine": ("serve", "a_module"), "other": ("python3",), "model": ()}
    assert preflight.programs("target", wanted, ["serve"]) == [
        HostCheck(
            "target",
            "warn",
            "command of mine",
            "serve: not there",
            "install it, or `fab deploy` if it is of the study's environment; no shell reads a command",
        ),
        HostCheck("target", "ok", "command of other", "python3: there"),
    ]


def test_a_target_where_nothing_is_started_needs_no_port_and_no_descriptors(sound: Facts) -> None:
    known = replace(sound, fds_hard=10, ports={"8070": "in use", "5557": ""})
    started = {(check.host, check.what) for check in checks(known) if check.level == "stop"}
    assert {("target", "port")} <= started
    url = 'name = "p"\nmodels = ["far"]\nusers = [5]\n[[servers]]\nname = "far"\nurl = "http://192.0.2.1"\n'
    assert not {check.what for check in checks(known, url) if check.host == "target"} & {"port", "descriptors"}


def test_an_address_that_the_machine_has_not_is_no_port_in_use(sound: Facts) -> None:
    lacking = replace(sound, ports={"8070": "Cannot assign requested address", "5557": ""})
    (found,) = [check for check in checks(lacking) if check.level == "stop"]
    assert "has no such address: set address=" in found.remedy
