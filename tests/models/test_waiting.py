"""How each model waits: silent and slow clients, many clients, limits of the system, and stopping."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import resource
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.models.serving import (
    REQUEST,
    ROOT,
    TIMEOUT_S,
    ServerProcess,
    balanced,
    body_of,
    echo,
    receive_all,
    status_of,
    wait_for,
)

Start = Callable[..., ServerProcess]

FORKS = ("fork", "process")  # one process per connection
POOLS = ("prefork", "prefork-fdpass", "epoll-reuseport")  # pools of processes


@pytest.fixture(autouse=True)
def descriptors() -> None:
    """Raise the test process's own limit, for its many sockets."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def ask_at_once(server: ServerProcess, clients: int) -> list[bytes]:
    """One request each from clients that are all connected before the first one sends; b'' stands for a reset."""
    answers: dict[int, list[bytes]] = {}
    with selectors.DefaultSelector() as selector:
        socks = [server.connect() for _ in range(clients)]
        for number, sock in enumerate(socks):
            answers[number] = []
            selector.register(sock, selectors.EVENT_READ, number)
        for sock in socks:
            try:
                sock.sendall(REQUEST)
            except OSError:
                continue
        end = time.monotonic() + 2 * TIMEOUT_S
        while selector.get_map():
            assert time.monotonic() < end, f"{len(selector.get_map())} clients without an answer"
            for key, _ in selector.select(1):
                assert isinstance(key.fileobj, socket.socket)
                try:
                    data = key.fileobj.recv(65536)
                except OSError:
                    data = b""
                answers[key.data].append(data)
                if not data:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
    return [b"".join(parts) for parts in answers.values()]


def test_silent_client(model: str, start: Start) -> None:
    server = start(model, "--timeout", "2")
    with server.connect() as silent:
        began = time.monotonic()
        answer = server.ask()
        took = time.monotonic() - began
        assert body_of(answer) == echo(REQUEST)
        if server.slots == 1:  # one client at a time: the silent one came first and has until its timeout
            assert 1.6 < took < 6
        else:
            assert took < 1.6
        assert silent.recv(100) == b""
        assert time.monotonic() - began < 6
    counts = server.stop()
    assert (counts["accepted"], counts["answered"], counts["timed_out"]) == (2, 1, 1)


def test_trickling_client(model: str, start: Start) -> None:
    server = start(model, "--timeout", "0.6")
    with server.connect() as client:
        began = time.monotonic()
        client.settimeout(0.1)
        ended = False
        while not ended:
            assert time.monotonic() - began < 5, "single bytes kept the connection open"
            try:
                client.send(b"G")
                ended = client.recv(100) == b""
            except TimeoutError:
                pass
            except OSError:
                ended = True
    assert status_of(server.ask()) == 200
    assert server.stop()["timed_out"] == 1


def test_2000_clients_at_once(model: str, start: Start) -> None:
    """Each client is answered, or gets 503 for a limit of the model, which must be at least about 1000 clients."""
    server = start(model, "--timeout", "30")
    answers = ask_at_once(server, 2000)
    statuses = [status_of(answer) for answer in answers]
    refused = statuses.count(503)
    assert statuses.count(200) == 2000 - refused
    assert refused < 1000
    assert {body_of(answer) for answer in answers if status_of(answer) == 200} == {echo(REQUEST)}
    counts = server.stop()
    assert (counts["accepted"], counts["answered"], counts["refused"]) == (2000, 2000 - refused, refused)


def test_more_clients_than_the_queue_holds(model: str, start: Start) -> None:
    """TCP retransmits the SYN of clients that a full accept queue dropped, so that all are answered."""
    backlog = 24
    server = start(model, "--backlog", str(backlog))
    wait_for(lambda: answers(server))
    with contextlib.ExitStack() as clients:
        with all_stopped(server):
            socks = [clients.enter_context(socket.socket()) for _ in range((backlog + 9) * len(accept_queues(server)))]
            for sock in socks:
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", server.port))
            wait_for(lambda: max(accept_queues(server)) > backlog)
        for sock in socks:
            wait_for(lambda: connected(sock))  # noqa: B023 - called at once
            sock.settimeout(TIMEOUT_S)
            sock.sendall(REQUEST)
        assert {status_of(receive_all(sock)) for sock in socks} == {200}
    assert server.stop()["answered"] == 1 + len(socks)


@contextlib.contextmanager
def all_stopped(server: ServerProcess) -> Iterator[None]:
    """Stop every process of the server by SIGSTOP: the parent first, which then forks no more."""
    stopped = []

    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)
        wait_for(lambda: state(pid) in "TZ")  # a fork in progress is completed first

    try:
        stop(server.pid)
        for pid in server.children():
            stop(pid)
        yield
    finally:
        for pid in reversed(stopped):  # the parent last, so that no child is reaped before
            os.kill(pid, signal.SIGCONT)


def accept_queues(server: ServerProcess) -> list[int]:
    """Lengths of the accept queues of all sockets that listen on the server's port."""
    with Path("/proc/net/tcp").open(encoding="ascii") as table:
        next(table)
        # The kernel lists what listens first; thousands of closed connections may follow.
        listening = itertools.takewhile(lambda at: at[3] == "0A", map(str.split, table))
        return [int(at[4].partition(":")[2], 16) for at in listening if at[1].endswith(f":{server.port:04X}")]


def connected(sock: socket.socket) -> bool:
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    return bool(poller.poll(0))


def test_wait_of_the_workload(model: str, start: Start) -> None:
    server = start(model, "--wait-ms", "300")
    began = time.monotonic()
    assert all(ask_at_once(server, 6))
    took = time.monotonic() - began
    assert took >= 0.3 * math.ceil(6 / server.slots)
    if server.slots > 1:
        assert took < 1.65


class LoadThreads:
    """Client threads that ask again and again until the server is gone; counts answered and failed connections."""

    def __init__(self, server: ServerProcess, clients: int) -> None:
        self.answered = self.failed = 0
        self.lock = threading.Lock()
        self.finished = False
        self.threads = [threading.Thread(target=self._ask, args=(server,)) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self, server: ServerProcess) -> None:
        while not self.finished:
            try:
                good = body_of(server.ask()) == echo(REQUEST)
            except OSError:
                good = False
            with self.lock:
                self.answered += good
                self.failed += not good
            if not good:
                return

    def end(self) -> None:
        self.finished = True
        for thread in self.threads:
            thread.join(TIMEOUT_S)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signal_under_load(model: str, start: Start, signum: signal.Signals) -> None:
    server = start(model, "--wait-ms", "5")
    load = LoadThreads(server, 8)
    wait_for(lambda: load.answered > 20)
    server.signal(signum)
    status, counts, log = server.end()
    load.end()
    assert status == 0, log
    assert "Traceback" not in log, log
    assert balanced(counts), counts
    assert counts["answered"] == load.answered
    assert counts["timed_out"] == counts["refused"] == 0


def test_requests_in_flight_are_answered(model: str, start: Start) -> None:
    server = start(model, "--wait-ms", "150")
    clients = [server.connect() for _ in range(5)]
    silent = server.connect()
    for client in clients:
        client.sendall(REQUEST)
    began = time.monotonic()
    server.signal()
    for client in clients:
        assert body_of(receive_all(client)) == echo(REQUEST)
    assert silent.recv(100) == b""
    status, counts, _ = server.end()
    assert status == 0
    assert time.monotonic() - began < 3, "an idle client delayed the end"
    assert (counts["accepted"], counts["answered"], counts["aborted"]) == (6, 5, 1)


def test_idle_server_ends_at_once(model: str, start: Start) -> None:
    server = start(model)
    with server.connect() as client:
        if server.slots == 1:
            assert status_of(server_answer(client)) == 200
        began = time.monotonic()
        server.signal()
        assert server.end()[0] == 0
        assert time.monotonic() - began < 2


def server_answer(client: socket.socket) -> bytes:
    client.sendall(REQUEST)
    return receive_all(client)


def test_drain_deadline(model: str, start: Start) -> None:
    server = start(model, "--wait-ms", "60000", "--drain", "0.3")
    with server.connect() as client:
        client.sendall(REQUEST)
        wait_for(lambda: busy(server))
        children = server.children()
        began = time.monotonic()
        server.signal()
        status, counts, _ = server.end()
        assert status == 0
        assert 0.2 < time.monotonic() - began < 3
        assert counts["aborted"] == counts["accepted"] == 1
    wait_for(lambda: not any(alive(pid) for pid in children), 3)


def test_second_signal_ends_at_once(model: str, start: Start) -> None:
    server = start(model, "--wait-ms", "60000", "--drain", "60")
    with server.connect() as client:
        client.sendall(REQUEST)
        wait_for(lambda: busy(server))
        children = server.children()
        server.signal()
        wait_for(lambda: refuses(server) or server.slots == 1)
        wait_for(lambda: ended_after_another_signal(server))
        status, counts, _ = server.end()
        assert status == 128 + signal.SIGTERM
        assert balanced(counts)
    wait_for(lambda: not any(alive(pid) for pid in children), 3)


@pytest.mark.parametrize("name", [*FORKS, *POOLS])
def test_killed_server_leaves_no_child(name: str, start: Start) -> None:
    server = start(name, "--wait-ms", "60000")
    with server.connect() as client:
        client.sendall(REQUEST)
        wait_for(server.children)
        children = server.children()
        server.kill()
        wait_for(lambda: not any(alive(pid) for pid in children), 3)


def busy(server: ServerProcess) -> bool:
    """Whether the server has read everything that was sent to it."""
    hexport = f":{server.port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(hexport) and fields[3] == "01":
            return fields[4].endswith(":00000000") and fields[9] != "0"
    return False


def refuses(server: ServerProcess) -> bool:
    try:
        server.connect().close()
    except OSError:
        return True
    return False


def ended_after_another_signal(server: ServerProcess) -> bool:
    """Send the signal again and return whether the server has ended: Python merges two signals that arrive at almost
    the same time into one.
    """
    server.signal()
    return server.process.poll() is not None


def alive(pid: int) -> bool:
    return state(pid) not in "ZX"


def state(pid: int) -> str:
    """The process's state letter in proc(5); X where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def test_few_descriptors(model: str, start: Start) -> None:
    """64 descriptors and 200 silent clients: no busy loop, no exit, and service afterwards."""
    server = start(model, "--timeout", "4", nofile=64)
    assert server.ready["nofile"] == 64
    clients = [server.connect() for _ in range(200)]
    if server.slots == math.inf:
        wait_for(lambda: out_of_descriptors(server))
    before, began = server.cpu_seconds(), time.monotonic()
    time.sleep(1.0)  # the measured window
    used = (server.cpu_seconds() - before) / (time.monotonic() - began)
    assert used < 0.3, f"{used:.0%} of a core while idle"
    for client in clients:
        client.close()
    wait_for(lambda: answers(server))
    counts = server.stop()
    assert counts["answered"] >= 1
    assert balanced(counts)


def out_of_descriptors(server: ServerProcess) -> bool:
    """Whether a process uses nearly all its descriptors, or too many to open two more pipes for another child."""
    return any(len(os.listdir(f"/proc/{pid}/fd")) >= 60 for pid in (server.pid, *server.children()))


def answers(server: ServerProcess) -> bool:
    try:
        return status_of(server.ask()) == 200
    except (OSError, IndexError):
        return False


def test_few_descriptors_all_answered(model: str, start: Start) -> None:
    server = start(model, nofile=64)
    assert [status_of(answer) for answer in ask_at_once(server, 200)] == [200] * 200
    assert server.stop()["answered"] == 200


@pytest.mark.parametrize("name", ["select", "select-loop"])
def test_select_beyond_fd_setsize(name: str, start: Start) -> None:
    server = start(name, "--timeout", "30")
    clients = [server.connect() for _ in range(1100)]
    refused = [client for client in clients if ended(client)]
    wait_for(lambda: len(os.listdir(f"/proc/{server.pid}/fd")) <= 1024)
    assert len(refused) > 50
    assert body_of(server_answer(clients[0])) == echo(REQUEST)
    for client in clients:
        client.close()
    wait_for(lambda: answers(server))
    server.signal()
    status, counts, log = server.end()
    assert status == 0
    assert log.count("1024") == 1, "logged once"
    assert counts["refused"] >= len(refused)
    assert counts["peak_connections"] >= 1000
    assert balanced(counts)


def ended(client: socket.socket) -> bool:
    """Whether the server answers 503 soon; clients within the set get nothing, since they have sent nothing."""
    client.settimeout(0.002)
    try:
        return b"503" in receive_all(client)
    except TimeoutError:
        return False
    finally:
        client.settimeout(TIMEOUT_S)


@pytest.mark.parametrize("name", FORKS)
def test_no_zombie(name: str, start: Start) -> None:
    server = start(name)
    ask_at_once(server, 20)
    wait_for(lambda: not server.children())  # without a new connection


@pytest.mark.parametrize("name", [*FORKS, *POOLS])
def test_a_child_that_is_killed_is_counted_and_replaced(name: str, start: Start) -> None:
    server = start(name)
    with server.connect() as client:
        client.sendall(b"GET")
        wait_for(lambda: server.children() and busy(server))
        killed = server.children()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""
    wait_for(lambda: not set(killed) & set(server.children()))
    assert body_of(server.ask()) == echo(REQUEST)
    counts = server.stop()
    assert (counts["accepted"], counts["answered"], counts["aborted"]) == (2, 1, 1)


def test_a_child_killed_before_it_received_its_client(start: Start) -> None:
    server = start("prefork-fdpass", "--processes", "1")
    wait_for(server.children)
    (child,) = server.children()
    os.kill(child, signal.SIGSTOP)
    with server.connect() as client:
        client.sendall(REQUEST)
        wait_for(lambda: accept_queues(server) == [0])
        os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""
    assert body_of(server.ask()) == echo(REQUEST)
    counts = server.stop()
    assert (counts["accepted"], counts["answered"], counts["aborted"]) == (2, 1, 1)


def test_a_child_killed_just_after_it_reported_free(start: Start) -> None:
    server = start("prefork-fdpass", "--processes", "2", "--wait-ms", "1500")
    wait_for(lambda: len(server.children()) == 2)
    with server.connect() as client:
        client.sendall(REQUEST)
        wait_for(lambda: busy(server))
        os.kill(server.pid, signal.SIGSTOP)
        assert body_of(receive_all(client)) == echo(REQUEST)
    wait_for(lambda: all(state(pid) == "S" for pid in server.children()))  # the message has been sent
    for pid in server.children():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: all(state(pid) == "Z" for pid in server.children()))
    os.kill(server.pid, signal.SIGCONT)
    assert body_of(server.ask()) == echo(REQUEST)
    counts = server.stop()
    assert (counts["accepted"], counts["answered"], counts["aborted"]) == (2, 2, 0)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "servers", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S
    )


def test_port_in_use(model: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command(model, "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"servers: can't listen on 127.0.0.1 port {port}: Address already in use\n"


def test_address_of_another_machine() -> None:
    done = command("single", "--host", "192.0.2.1", "--port", "0")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nosuch",),
        ("__main__",),
        ("single", "--nosuch"),
        ("single", "--port", "70000"),
        ("single", "--port", "-1"),
        ("single", "--timeout", "0"),
        ("single", "--timeout", "nan"),
        ("single", "--bytes", "-1"),
        ("single", "--cpu-ms", "x"),
        ("single", "--connection", "open"),
        ("single", "extra"),
    ],
)
def test_mistakes_in_the_arguments(arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_list() -> None:
    done = command("--list")
    assert done.returncode == 0
    listed: dict[str, Any] = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
    assert {"single", "process", "thread", "select"} <= set(listed)
    assert "null" not in listed
