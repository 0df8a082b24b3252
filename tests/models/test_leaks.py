"""Many requests leave nothing behind: descriptors, processes, threads, memory."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.models.serving import REQUEST, ServerProcess, wait_for

REQUESTS = 100_000
REQUESTS_OF_FORKS = 20_000  # for the models with a process for each connection
FORKS = ("fork", "process")
CLIENTS = 32
# The allocator's own fluctuations stay below this; a leak of 40 bytes per request is 4 MB.
MARGIN_KB = 3 * 1024
TIMEOUT_S = 240.0


class HeldResources(NamedTuple):
    """What the server and its children hold."""

    descriptors: int
    processes: int
    threads: int
    memory_kb: int  # anonymous memory, summed over the processes; shared pages count once in each


def held_resources(server: ServerProcess) -> HeldResources:
    pids = process_tree(server.pid)
    return HeldResources(
        descriptors=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        processes=len(pids),
        threads=sum(status_field(pid, "Threads") for pid in pids),
        memory_kb=sum(status_field(pid, "RssAnon") for pid in pids),
    )


def process_tree(pid: int) -> list[int]:
    """This process and all its descendants, zombies included."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(each for child in children for each in process_tree(int(child)))]


def status_field(pid: int, field: str) -> int:
    """A number from /proc/PID/status; 0 where the field is missing, as memory is for a zombie."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def steady(server: ServerProcess, most: HeldResources | None = None) -> HeldResources:
    """The held resources once two readings agree and are at most `most`; the last threads and children end with a
    delay.
    """
    readings: list[HeldResources] = []

    def agreed() -> bool:
        with contextlib.suppress(OSError):  # a child ended while it was read
            readings.append(held_resources(server))
        counts = [reading[:3] for reading in readings[-2:]]
        return len(set(counts)) < len(counts) and (
            most is None or all(now <= before for now, before in zip(counts[-1], most[:3], strict=True))
        )

    wait_for(agreed)
    return readings[-1]


def ask_many(port: int, requests: int) -> None:
    """Send this many requests, each on its own connection, CLIENTS at a time; every answer must be a 200."""
    epoll = select.epoll()
    clients: dict[int, socket.socket] = {}
    begun = done = 0
    end = time.monotonic() + TIMEOUT_S
    try:
        while done < requests:
            assert time.monotonic() < end, f"{done} of {requests} requests in {TIMEOUT_S} s"
            while begun < requests and len(clients) < CLIENTS:
                client = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
                client.sendall(REQUEST)
                clients[client.fileno()] = client
                epoll.register(client, select.EPOLLIN)
                begun += 1
            for fd, _ in epoll.poll(1.0):
                with clients.pop(fd) as client:
                    assert client.recv(4096).startswith(b"HTTP/1.1 200 ")  # a small answer arrives in one piece
                    epoll.unregister(fd)
                    assert client.recv(4096) == b""
                done += 1
    finally:
        epoll.close()
        for client in clients.values():
            client.close()


@pytest.mark.slow
@pytest.mark.timeout(2 * TIMEOUT_S)
def test_nothing_leaks(model: str, start: Callable[..., ServerProcess]) -> None:
    server = start(model)
    requests = REQUESTS_OF_FORKS if model in FORKS else REQUESTS
    warm_up = requests // 10
    ask_many(server.port, warm_up)
    before = steady(server)
    ask_many(server.port, requests - warm_up)
    after = steady(server, before)
    assert after.memory_kb <= before.memory_kb + MARGIN_KB * before.processes, (before, after)
    assert server.stop()["answered"] == requests


LOOPS = ("select", "select-loop", "poll-loop", "epoll-loop", "epoll-reuseport", "asyncio", "uvloop", "gevent")
UNREAD_CLIENTS, UNREAD_BYTES, UNREAD_MOST_KB = 30, 10_000_000, 60_000


@pytest.mark.parametrize("loop", LOOPS)
def test_answers_that_nobody_reads_are_not_copied(loop: str, start: Callable[..., ServerProcess]) -> None:
    """A copy of each would be 300 MB; the threads' models hold the one answer that all share."""
    server = start(loop, "--bytes", str(UNREAD_BYTES), "--timeout", "30")
    clients = [server.connect() for _ in range(UNREAD_CLIENTS)]
    try:
        for client in clients:
            client.sendall(REQUEST)
        for client in clients:  # an answer has begun on each
            assert client.recv(1) == b"H"
        held = held_resources(server)
        assert held.memory_kb < UNREAD_MOST_KB * held.processes, held
        assert sum(len(piece) for piece in iter(lambda: clients[0].recv(2**20), b"")) > UNREAD_BYTES
    finally:
        for client in clients:
            client.close()
