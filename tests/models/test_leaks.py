"""Nothing is left behind by many requests: descriptors, processes, threads, memory."""

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

from tests.models.serving import REQUEST, Server, wait_for

REQUESTS = 100_000
REQUESTS_OF_FORKS = 20_000  # for the models with a process for each connection
FORKS = ("fork", "process")
CLIENTS = 32
# Below this nothing can be told from the allocator's own ups and downs; 40 bytes lost in each request are 4 MB.
MARGIN_KB = 3 * 1024
PATIENCE_S = 240.0


class Held(NamedTuple):
    """What the server and its children hold."""

    descriptors: int
    processes: int
    threads: int
    memory_kb: int  # anonymous memory of all, that which is shared counted in each


def held(server: Server) -> Held:
    pids = family(server.pid)
    return Held(
        descriptors=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        processes=len(pids),
        threads=sum(number(pid, "Threads") for pid in pids),
        memory_kb=sum(number(pid, "RssAnon") for pid in pids),
    )


def family(pid: int) -> list[int]:
    """This process and all that descend from it; zombies among them."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(each for child in children for each in family(int(child)))]


def number(pid: int, field: str) -> int:
    """A field of /proc/PID/status; 0 where it is missing, as memory is of a process that has ended."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0


def steady(server: Server, most: Held | None = None) -> Held:
    """What is held once two looks agree and it is no more than `most`: the last threads and children end first."""
    looks: list[Held] = []

    def agreed() -> bool:
        with contextlib.suppress(OSError):  # a child ended while it was looked at
            looks.append(held(server))
        counts = [look[:3] for look in looks[-2:]]
        return len(set(counts)) < len(counts) and (
            most is None or all(now <= before for now, before in zip(counts[-1], most[:3], strict=True))
        )

    wait_for(agreed)
    return looks[-1]


def ask_many(port: int, requests: int) -> None:
    """So many requests, each on a connection of its own, CLIENTS at a time; every answer must be a 200."""
    epoll = select.epoll()
    clients: dict[int, socket.socket] = {}
    begun = done = 0
    end = time.monotonic() + PATIENCE_S
    try:
        while done < requests:
            assert time.monotonic() < end, f"{done} of {requests} requests in {PATIENCE_S} s"
            while begun < requests and len(clients) < CLIENTS:
                client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
                client.sendall(REQUEST)
                clients[client.fileno()] = client
                epoll.register(client, select.EPOLLIN)
                begun += 1
            for fd, _ in epoll.poll(1.0):
                with clients.pop(fd) as client:
                    assert client.recv(4096).startswith(b"HTTP/1.1 200 ")  # a small answer comes in one piece
                    epoll.unregister(fd)
                    assert client.recv(4096) == b""
                done += 1
    finally:
        epoll.close()
        for client in clients.values():
            client.close()


@pytest.mark.slow
@pytest.mark.timeout(2 * PATIENCE_S)
def test_nothing_leaks(model: str, start: Callable[..., Server]) -> None:
    server = start(model)
    requests = REQUESTS_OF_FORKS if model in FORKS else REQUESTS
    warm_up = requests // 10
    ask_many(server.port, warm_up)
    before = steady(server)
    ask_many(server.port, requests - warm_up)
    after = steady(server, before)
    assert after.memory_kb <= before.memory_kb + MARGIN_KB * before.processes, (before, after)
    assert server.stop()["answered"] == requests
