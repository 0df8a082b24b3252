"""fab check over several hosts: every one is looked at, what is wrong with one is a row, and nothing is changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cluster.lab.machines import CONTROL, LOAD, TARGET, Lab
from tests.lab.control import Control


def rows(shown: str, host: str) -> dict[str, tuple[str, str]]:
    """Level and finding of a host's rows, by what was looked at."""
    cells = [[cell.strip() for cell in line.split("│")] for line in shown.splitlines()]
    return {row[2]: (row[1], row[3]) for row in cells if len(row) == 4 and row[0] == host}


@pytest.fixture
def known_hosts(lab: Lab) -> Path:
    return lab.home(CONTROL) / ".ssh" / "known_hosts"


def test_every_host_is_looked_at_before_anything_is_deployed_and_nothing_is_changed(control: Control) -> None:
    before = {host: sorted(control.lab.home(host).rglob("*")) for host in (TARGET, *LOAD)}
    done = control.fab("check")
    assert done.returncode == 0, done.stdout + done.stderr
    for host in (TARGET, *LOAD):
        found = rows(done.stdout, host)
        everywhere = {"reachable", "python", "cores", "free disk", "other load", "CPU governor", "clock", "descriptors"}
        own = {"accept queue", "port"} if host == TARGET else {"local ports", "tcp_tw_reuse", "memory"}
        assert set(found) >= everywhere | own
        assert found["reachable"][0] == "ok"
    assert before == {host: sorted(control.lab.home(host).rglob("*")) for host in (TARGET, *LOAD)}
    assert control.left() == {}


def refused(control: Control, host: str) -> str:
    """fab check and fab run-campaign refuse because of that host alone; returns what they say."""
    checked, run = control.fab("check"), control.fab("run-campaign")
    for done in (checked, run):
        assert done.returncode == 1
        assert "Traceback" not in done.stdout + done.stderr
        assert f"{host}" in done.stderr
    assert [level for level, _ in rows(checked.stdout, host).values()] == ["stop"]
    others = {TARGET, *LOAD} - {host}
    assert all(rows(checked.stdout, other)["reachable"][0] == "ok" for other in others)
    assert not (control.directory / "results").exists()
    assert control.left() == {}
    return checked.stdout + checked.stderr


def test_an_unknown_key_is_refused_and_the_line_that_settles_it_does(control: Control, known_hosts: Path) -> None:
    kept = known_hosts.read_text(encoding="utf-8")
    address = control.lab.network.address(LOAD[0])
    known_hosts.write_text("".join(line for line in kept.splitlines(True) if address not in line), encoding="utf-8")
    try:
        said = refused(control, LOAD[0])
        assert "is not known" in said
        assert fingerprint(control.lab, LOAD[0]) in said
        settle(control.lab, said)
        assert control.fab("check").returncode == 0
    finally:
        known_hosts.write_text(kept, encoding="utf-8")


def test_a_changed_key_is_refused_and_the_lines_that_settle_it_do(control: Control, known_hosts: Path) -> None:
    kept = known_hosts.read_text(encoding="utf-8")
    lab = control.lab
    address = lab.network.address(LOAD[1])
    other = (lab.directory / TARGET / "host_key.pub").read_text(encoding="utf-8").split()[1]
    own = (lab.directory / LOAD[1] / "host_key.pub").read_text(encoding="utf-8").split()[1]
    known_hosts.write_text(kept.replace(own, other), encoding="utf-8")
    try:
        said = refused(control, LOAD[1])
        assert "another than known_hosts has" in said
        assert fingerprint(lab, LOAD[1]) in said
        assert f"ssh-keygen -R {address} " in said
        settle(lab, said)
        assert control.fab("check").returncode == 0
    finally:
        known_hosts.write_text(kept, encoding="utf-8")


def test_a_blocked_port_of_the_target_is_found_by_the_check(control: Control) -> None:
    """The load host answers over SSH, and its packets to the target are dropped on the way."""
    control.lab.network.unroute(LOAD[0], TARGET)
    done = control.fab("check")
    assert done.returncode == 1, done.stdout
    assert rows(done.stdout, LOAD[0])["way to target"][0] == "stop"
    assert rows(done.stdout, LOAD[1])["way to target"][0] == "ok"
    assert all(rows(done.stdout, host)["tunnel"][0] == "ok" for host in LOAD)
    assert "firewall" in done.stderr
    assert control.left() == {}


def test_a_host_that_cannot_be_reached_is_told_within_15_seconds(control: Control) -> None:
    control.lab.network.cut(TARGET)
    done = control.fab("check", timeout=15)
    assert done.returncode == 1
    assert rows(done.stdout, TARGET)["reachable"][0] == "stop"
    assert "within 10 s" in done.stdout
    assert all(rows(done.stdout, host)["reachable"][0] == "ok" for host in LOAD)


def test_what_a_plan_needs_and_a_host_lacks_stops_the_campaign(control: Control) -> None:
    text = control.inventory.read_text(encoding="utf-8")
    control.inventory.write_text(text.replace("ansible_user=root", "ansible_user=root cpus=63", 1), encoding="utf-8")
    assert "cpus=63 is not there" in refused_by_target(control)


def refused_by_target(control: Control) -> str:
    done = control.fab("run-campaign")
    assert done.returncode == 1
    assert not (control.directory / "results").exists()
    return done.stderr


def fingerprint(lab: Lab, host: str) -> str:
    shown = lab.run(host, "ssh-keygen", "-lf", str(lab.directory / host / "host_key.pub")).stdout
    return shown.split()[1]


def settle(lab: Lab, said: str) -> None:
    """Type the lines that the message gives, on control."""
    lines = list(dict.fromkeys(re.findall(r"^ +(ssh-key.*)$", said, re.MULTILINE)))
    assert lines
    for line in lines:
        done = lab.run(CONTROL, "sh", "-c", line)
        assert done.returncode == 0, done.stderr
