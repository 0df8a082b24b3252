"""The sampler against real processes and sockets: CPU of a tree, its short-lived children, the accept queue."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict

import psutil
import pytest

from cluster.remote.kernel import kernel_counters
from cluster.remote.sampler import HostCounters, Tree, accept_queue, ports_towards, sessions

# Burns CPU in children that are reaped at once, as a fork server does.
FORKING = """
import os, time
until = time.monotonic() + 60
while time.monotonic() < until:
    if os.fork() == 0:
        end = time.process_time() + 0.02
        while time.process_time() < end:
            pass
        os._exit(0)
    os.wait()
"""


@pytest.fixture
def forking() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", FORKING], start_new_session=True)
    yield process.pid
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_children_that_lived_shorter_than_a_second_are_counted(forking: int) -> None:
    tree = Tree("server", "forking", psutil.Process(forking))
    tree.row(sessions()[forking], 1.0, with_pss=False)
    leader = psutil.Process(forking)
    until = time.monotonic() + 20
    while leader.cpu_times().children_user < 0.5:  # by then most of the work was done by children that are gone
        assert time.monotonic() < until
        time.sleep(0.05)
    row = tree.row(sessions()[forking], 1.0, with_pss=True)
    assert row is not None
    figures = asdict(row)
    assert figures["cpu_cores"] >= 0.4
    assert 0.4 <= figures["ended_cores"] <= figures["cpu_cores"]
    assert 0 < figures["kernel_share"] < 1
    assert figures["processes"] in (1, 2)
    assert figures["fds"] >= 3
    assert figures["pss_mb"] > 1


def test_processes_that_are_started_are_counted(forking: int) -> None:
    host = HostCounters("here", port=1)
    host.row(1.0, with_ports=False)
    leader = psutil.Process(forking)
    before, until = leader.cpu_times().children_user, time.monotonic() + 20
    while leader.cpu_times().children_user < before + 0.2:  # at 20 ms each
        assert time.monotonic() < until
        time.sleep(0.05)
    assert (host.row(1.0, with_ports=False).starts or 0) >= 5


def test_a_process_that_has_ended_has_no_row() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    tree = Tree("worker", "brief", psutil.Process(process.pid))
    assert tree.row(sessions()[process.pid], 1.0, with_pss=False) is not None
    process.communicate(b"\n")
    assert tree.row(sessions().get(process.pid, []), 1.0, with_pss=False) is None


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_accept_queue_and_the_local_ports_are_the_kernels(family: socket.AddressFamily, address: str) -> None:
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen(16)
        port = listener.getsockname()[1]
        assert accept_queue(port) == 0
        clients = [socket.create_connection((address, port)) for _ in range(5)]
        assert accept_queue(port) == 5
        assert ports_towards(port) == 5
        for client in clients:
            client.close()
    assert accept_queue(port) is None


def test_the_kernels_counters_are_named_by_group() -> None:
    names = {"Tcp.RetransSegs", "TcpExt.ListenOverflows", "TcpExt.ListenDrops", "TcpExt.SyncookiesSent"}
    assert names <= kernel_counters().keys()
