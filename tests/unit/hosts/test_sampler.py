"""The sampler against real processes and sockets: CPU of a tree, its short-lived children, the accept queue."""

import contextlib
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

from cluster.remote import listening as module
from cluster.remote.cores import CoreGroup, by_session, kernel_stat, processes
from cluster.remote.kernel import kernel_counters
from cluster.remote.listening import Listening, QueueWatch, listening_sockets, ports_towards
from cluster.remote.memory import ProcessMemory, process_memory, tree_memory
from cluster.remote.sampler import HostCounters, Tree, Watched
from study.formats.samples_csv import SampleRow

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


# Holds 40 MiB, and always has a child that shares them.
SHARING = """
import os, time
held = bytearray(40 << 20)
print("ready", flush=True)
while True:
    if os.fork() == 0:
        time.sleep(0.002)
        os._exit(0)
    os.wait()
"""


def row_of(tree: Tree, with_memory: bool = False) -> SampleRow | None:
    """The tree's row now, as if a second had passed."""
    members = by_session(processes()).get(tree.process.pid, [])
    return tree.row(members, kernel_stat(), 1.0, with_memory)


@pytest.fixture
def forking() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", FORKING], start_new_session=True)
    yield process.pid
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_children_that_lived_shorter_than_a_second_are_counted(forking: int) -> None:
    tree = Tree("server", "forking", psutil.Process(forking))
    row_of(tree)
    leader = psutil.Process(forking)
    until = time.monotonic() + 20
    while leader.cpu_times().children_user < 0.5:  # by then most of the work was done by children that are gone
        assert time.monotonic() < until
        time.sleep(0.05)
    row = row_of(tree, with_memory=True)
    assert row is not None
    figures = asdict(row)
    assert figures["cpu_cores"] >= 0.4
    assert 0.4 <= figures["ended_cores"] <= figures["cpu_cores"]
    assert 0 < figures["kernel_share"] < 1
    assert figures["processes"] in (1, 2)
    assert figures["fds"] >= 3
    assert figures["memory_mb"] >= figures["pss_mb"] > 1


def test_processes_that_are_started_are_counted(forking: int) -> None:
    host = HostCounters("here", port=1)
    host.row(kernel_stat(), 1.0, with_ports=False)
    leader = psutil.Process(forking)
    before, until = leader.cpu_times().children_user, time.monotonic() + 20
    while leader.cpu_times().children_user < before + 0.2:  # at 20 ms each
        assert time.monotonic() < until
        time.sleep(0.05)
    assert (host.row(kernel_stat(), 1.0, with_ports=False).starts or 0) >= 5


def test_a_process_that_has_ended_has_no_row() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
    tree = Tree("worker", "brief", psutil.Process(process.pid))
    assert row_of(tree) is not None
    process.communicate(b"\n")
    assert row_of(tree) is None


def test_a_parents_memory_is_not_halved_by_a_child_that_nobody_could_read() -> None:
    """The children live 2 ms: one is born after the processes were listed, and lives while the parent is read."""
    process = subprocess.Popen(
        [sys.executable, "-c", SHARING], stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        alone: list[ProcessMemory] = []
        until = time.monotonic() + 20
        while not any(memory.pss < memory.rss - 15 for memory in alone):  # half of 40 MiB is missing
            assert time.monotonic() < until
            memory = process_memory(process.pid)
            assert memory is not None
            alone.append(memory)
        assert min(tree_memory(memory, ()) for memory in alone) >= 40
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_pages_that_children_share_among_themselves_are_counted_once() -> None:
    """Four children map 10 MiB that the parent doesn't have any more: PSS has them, and the other bound doesn't."""
    parent = ProcessMemory(rss=20, pss=18, private=15)
    children = [ProcessMemory(rss=14, pss=4, private=1)] * 4
    assert tree_memory(parent, children) == 18 + 4 * 4
    assert tree_memory(parent, ()) == 20


def test_a_process_that_has_ended_has_no_memory() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie
    assert process_memory(process.pid) is None
    process.wait()
    assert process_memory(process.pid) is None


BUSY = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
print("ready", flush=True)
end = time.process_time() + float(sys.argv[2])
while time.process_time() < end:
    pass
print("done", flush=True)
input()
"""


@pytest.mark.parametrize("own", [True, False])
def test_other_programs_on_a_group_of_cores_are_what_is_busy_and_not_own(own: bool) -> None:
    """A process burns 0.6 s of a core: it is the study's own or a stranger. Both are seen, whatever else runs there."""
    core = min(os.sched_getaffinity(0))
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(core), "0.6"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    group = CoreGroup(frozenset({core}), (process.pid,) if own else ())
    assert group.figures(processes(), kernel_stat()) == {}
    spent_before = psutil.Process(process.pid).cpu_times().user
    assert process.stdout.readline() == "done\n"
    figures = group.figures(processes(), kernel_stat())
    process.communicate("\n")
    burnt = 0.6 - spent_before
    assert figures["group_cores"] == 1
    assert figures["group_busy_s"] >= burnt - 0.1
    # This process itself is the sampler here, and may run on the core.
    assert (figures["group_own_s"] >= burnt - 0.1) is own
    assert figures["group_steal_s"] >= 0


def test_own_processes_on_other_cores_are_not_of_the_group() -> None:
    group = CoreGroup(frozenset({100_000}), (os.getpid(),))
    group.figures(processes(), kernel_stat())
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    assert group.figures(processes(), kernel_stat())["group_own_s"] == 0


def test_the_row_of_the_server_has_its_group_and_its_queue_and_that_of_a_load_host_its_workers(forking: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for role, holder in (("server", "server"), ("worker", "host")):
            watched = Watched(
                [Tree(role, "forking", psutil.Process(forking))],
                HostCounters("here", port),
                CoreGroup(frozenset(os.sched_getaffinity(forking)), (forking,)),
                QueueWatch(port) if role == "server" else None,
                backlog=None,
            )
            list(watched.rows(0, 1.0))
            watched.wait(time.monotonic() + 0.3)
            rows = {row.role: row for row in watched.rows(1, 0.3)}
            assert rows.keys() == {role, "host"}
            assert {name for name, row in rows.items() if row.group_busy_s is not None} == {holder}
            assert rows["host"].ports_used == (0 if role == "worker" else None)
            if role == "server":
                server = rows["server"]
                assert (server.accept_queue, server.accept_queue_mean, server.listen_socket_drops) == (0, 0, 0)
                assert server.accept_queue_looks in range(2, 8)  # 0.05 to 0.15 s apart, and one for the row


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_accept_queue_and_the_local_ports_are_the_kernels(
    family: socket.AddressFamily, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen(16)
        port = listener.getsockname()[1]
        before = listening_sockets(port)
        assert before is not None
        assert before.queue == 0
        clients = [socket.create_connection((address, port)) for _ in range(5)]
        assert listening_sockets(port) == Listening(5, before.drops)
        with monkeypatch.context() as patch:  # a kernel without sock_diag
            patch.setattr(module, "NETLINK_SOCK_DIAG", 31)
            assert listening_sockets(port) == Listening(5, None)
            assert ports_towards(port) == 5
        assert ports_towards(port) == 5
        for client in clients:
            client.close()
            listener.accept()[0].close()
        assert ports_towards(port) == 5  # the client closed first: TIME_WAIT
        assert ports_towards(0xFFFF) == 0  # the largest port is none of the kernel's own choice
    assert listening_sockets(port) is None


def test_a_queue_is_a_mean_of_many_looks_and_has_its_own_drops() -> None:
    """The queue holds 3 of 2 + 1 places for part of the time; connections beyond are dropped, by this socket alone."""
    with socket.create_server(("127.0.0.1", 0), backlog=2) as listener, contextlib.ExitStack() as stack:
        port = listener.getsockname()[1]
        watch = QueueWatch(port)
        first = watch.take()
        assert first is not None
        assert (first.now, first.mean, first.looks, first.drops) == (0, 0.0, 1, None)
        watch.look()
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        knocking = stack.enter_context(socket.socket())
        knocking.setblocking(False)
        knocking.connect_ex(("127.0.0.1", port))
        watch.look()
        second = watch.take()
        assert second is not None
        assert (second.now, second.looks) == (3, 3)
        assert second.mean == 2.0  # 0, 3 and 3
        assert second.drops is not None
        assert second.drops >= 1
    assert watch.take() is None


def test_the_kernels_counters_are_named_by_group() -> None:
    names = {"Tcp.RetransSegs", "TcpExt.ListenOverflows", "TcpExt.ListenDrops", "TcpExt.SyncookiesSent"}
    assert names <= kernel_counters().keys()
