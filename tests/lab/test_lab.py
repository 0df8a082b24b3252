"""The lab itself: machines that SSH tells apart, that reach each other, and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.lab.machines import CONTROL, HOSTS, LOAD, TARGET, Lab, core, remove_abandoned
from cluster.lab.network import tags

ABANDONED = "999999999"  # the tag of a session whose PID nobody has


def ssh(lab: Lab, host: str, *argv: str) -> subprocess.CompletedProcess[str]:
    return lab.run(CONTROL, "ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3", host, *argv)


@pytest.mark.parametrize("host", HOSTS[1:])
def test_each_host_is_a_machine_of_its_own_to_ssh(lab: Lab, host: str) -> None:
    told = ssh(lab, host, "hostname; echo $HOME; nproc; python3 -c 'import os; print(*os.sched_getaffinity(0))'")
    assert told.stdout.split() == [host, str(lab.home(host)), "1", core(host)], told.stderr


def test_an_unknown_host_key_is_refused(lab: Lab) -> None:
    (lab.home(CONTROL) / ".ssh" / "known_hosts").rename(lab.home(CONTROL) / "kept")
    try:
        refused = ssh(lab, TARGET, "true")
    finally:
        (lab.home(CONTROL) / "kept").rename(lab.home(CONTROL) / ".ssh" / "known_hosts")
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_hosts_reach_each_other_and_nothing_else(lab: Lab) -> None:
    for host in HOSTS:
        for other in HOSTS:
            assert connects(lab, host, lab.network.address(other), 22) is (other != CONTROL), f"{host} to {other}"
        routes = lab.run(host, "ip", "route").stdout.splitlines()
        assert len(routes) == 1
        assert routes[0].startswith("198.18.0.0/24 dev eth0")
        assert not connects(lab, host, "192.0.2.1", 80)  # no host has this address: RFC 5737


def connects(lab: Lab, host: str, address: str, port: int) -> bool:
    line = f"import socket; socket.create_connection(({address!r}, {port}), 2).close()"
    return lab.run(host, sys.executable, "-c", line).returncode == 0


def test_a_host_that_is_cut_off_is_reached_again_once_mended(lab: Lab) -> None:
    lab.network.cut(LOAD[0])
    assert ssh(lab, LOAD[0], "true").returncode == 255
    assert ssh(lab, LOAD[1], "true").returncode == 0
    lab.network.mend()
    assert ssh(lab, LOAD[0], "true").returncode == 0


ECHO = """
import socket
with socket.create_server(("", 5000)) as ready, socket.socket(type=socket.SOCK_DGRAM) as echo:
    echo.bind(("", 5000))
    print(flush=True)
    while True:
        echo.sendto(*echo.recvfrom(9))
"""
CALL = """
import socket, sys, time
with socket.socket(type=socket.SOCK_DGRAM) as call:
    call.settimeout(0.5)
    for _ in range(20):  # until both know each other's link address
        call.sendto(b"x", (sys.argv[1], 5000))
        try:
            call.recv(9)
            break
        except TimeoutError:
            pass
    began = time.monotonic()
    for _ in range(200):
        call.sendto(b"x", (sys.argv[1], 5000))
    try:
        while call.recv(9):
            print(time.monotonic() - began)
    except TimeoutError:
        pass
"""


def test_a_slow_host_answers_later_and_loses_frames(lab: Lab) -> None:
    with running(lab, TARGET, ECHO):
        call = (sys.executable, "-c", CALL, lab.network.address(TARGET))
        assert len(lab.run(LOAD[0], *call).stdout.splitlines()) == 200
        lab.network.slow(TARGET, delay_s=0.05, loss=0.3)
        times = [float(line) for line in lab.run(LOAD[0], *call).stdout.splitlines()]
        assert 110 <= len(times) <= 170
        assert 0.05 <= min(times) <= 0.09
        lab.network.mend()
        times = [float(line) for line in lab.run(LOAD[0], *call).stdout.splitlines()]
        assert len(times) == 200
        assert min(times) < 0.05


@contextmanager
def running(lab: Lab, host: str, program: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program on a host, from its first line on."""
    argv = lab.command(host, [sys.executable, "-c", program])
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


LISTEN = "import socket; s = socket.create_server(('', 5000)); print(flush=True); [s.accept() for _ in range(9)]"


def test_control_takes_no_call_but_can_call(lab: Lab) -> None:
    with running(lab, CONTROL, LISTEN):
        address = lab.network.address(CONTROL)
        assert connects(lab, LOAD[0], address, 5000)
        lab.network.only_ssh_out(CONTROL)
        assert not connects(lab, LOAD[0], address, 5000)
        assert ssh(lab, LOAD[0], "true").returncode == 0
        lab.run(LOAD[0], "ip", "neigh", "flush", "all")  # as after a while out of reach
        assert ssh(lab, LOAD[0], "true").returncode == 0


def test_what_runs_and_listens_on_a_host_is_told_and_ends_with_the_lab() -> None:
    with Lab(ABANDONED) as lab, running(lab, TARGET, LISTEN) as process:
        assert [line.endswith(LISTEN) for line in lab.processes(TARGET)] == [True]
        assert lab.listening(TARGET) == ["0.0.0.0:5000"]
        assert (lab.processes(LOAD[0]), lab.listening(LOAD[0])) == ([], [])
        lab.down()
        assert process.wait(timeout=5) == -signal.SIGKILL
    assert ABANDONED not in tags()
    assert not lab.directory.exists()


def test_a_lab_that_a_dead_session_left_is_removed_by_the_next(lab: Lab) -> None:
    left = Lab(ABANDONED)
    left.up()
    remove_abandoned()
    assert ABANDONED not in tags()
    assert not left.directory.exists()
    assert ssh(lab, TARGET, "true").returncode == 0
