"""The least that CPython does for a request: no load generator written in it sends more on this machine.

`python -m benchmarks.bare_client PORT MODE SECONDS` prints requests/s. Connections on one epoll, each with one request
at a time. No deadline, no check, no time, no count but that of the answers: an answer is what one receive gives.
`--sent BYTES` posts a body. `--ca FILE` speaks TLS, by CPython's C objects without the layers of the module ssl, and
checks the certificate as the lean client does. With `--greenlets` each connection is kept and has a greenlet that
gevent's hub wakes, as Locust's users are.
"""

from __future__ import annotations

import _socket
import argparse
import contextlib
import select
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

from benchmarks.peers import CONNECTIONS
from cluster.remote.http.http_message import request_bytes
from cluster.remote.http.tls import client_context

RECEIVE = 64 * 1024
HOST = "127.0.0.1"
READ = 1  # libev's event

GoOn = Callable[[], bool]
"""What a connection does when it is readable; returns whether an answer came."""


def main() -> int:
    """Print the rate of one measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare_client", description="A bare loop's requests/s.")
    parser.add_argument("port", type=int)
    parser.add_argument("mode", choices=("close", "keep-alive"))
    parser.add_argument("seconds", type=float)
    parser.add_argument("--sent", type=int, default=0, help="bytes of a body; without it the request is GET")
    parser.add_argument("--ca", type=Path)
    parser.add_argument("--greenlets", action="store_true")
    asked = parser.parse_args()
    method, keep_alive = "POST" if asked.sent else "GET", asked.mode == "keep-alive"
    tls = asked.ca is not None
    request = request_bytes(HOST, asked.port, keep_alive, method, body=b"x" * asked.sent, tls=tls)
    context = client_context(asked.ca, verify=True) if tls else None
    if asked.greenlets:
        print(f"{greenlets_rate((HOST, asked.port), request, asked.seconds):.0f}")
        return 0
    print(f"{rate((HOST, asked.port), request, keep_alive, context, asked.seconds):.0f}")
    return 0


def rate(
    address: tuple[str, int], request: bytes, keep_alive: bool, context: ssl.SSLContext | None, seconds: float
) -> float:
    """Answers per second."""
    poll, going = select.epoll(), {}
    answers, began = 0, time.monotonic()

    def connect() -> None:
        connection, go_on = opened(address, request, keep_alive, context)
        poll.register(connection.fileno(), select.EPOLLIN)
        going[connection.fileno()] = connection, go_on

    for _ in range(CONNECTIONS):
        connect()
    while time.monotonic() - began < seconds:
        for descriptor, _ in poll.poll():
            connection, go_on = going[descriptor]
            if not go_on():
                continue
            answers += 1
            if not keep_alive:
                with contextlib.suppress(OSError):
                    connection.recv(1)  # usually the server has closed already
                connection.close()
                connect()
    return answers / (time.monotonic() - began)


def greenlets_rate(address: tuple[str, int], request: bytes, seconds: float) -> float:
    """Answers per second where each connection is kept, and has a greenlet."""
    answers = 0

    def ask() -> None:
        nonlocal answers
        connection, _ = opened(address, request, True, None)
        hub: Any = gevent.get_hub()
        watcher, wake = hub.loop.io(connection.fileno(), READ), gevent.getcurrent().switch
        while True:
            watcher.start(wake)
            hub.switch()
            watcher.stop()
            connection.recv(RECEIVE)
            connection.send(request)
            answers += 1

    for _ in range(CONNECTIONS):
        gevent.spawn(ask)
    began = time.monotonic()
    gevent.sleep(seconds)
    return answers / (time.monotonic() - began)


class Connection(_socket.socket):
    """Without the layer of the module socket; OpenSSL's object needs weak references."""

    __slots__ = ("__weakref__",)


def opened(
    address: tuple[str, int], request: bytes, keep_alive: bool, context: ssl.SSLContext | None
) -> tuple[Connection, GoOn]:
    """A connection that has sent its first request, or begun its handshake."""
    connection = Connection(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK)
    connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    connection.connect_ex(address)
    if context is None:
        connection.send(request)
        return connection, plain(connection, request if keep_alive else b"")
    go_on = encrypted(connection, request, keep_alive, context)
    go_on()
    return connection, go_on


def plain(connection: Connection, following: bytes) -> GoOn:
    """Over TCP: receive the answer, and send the following request, if any."""
    receive, send = connection.recv, connection.send

    def go_on() -> bool:
        receive(RECEIVE)
        if following:
            send(following)
        return True

    return go_on


def encrypted(connection: Connection, request: bytes, keep_alive: bool, context: Any) -> GoOn:
    """Over TLS: as far in handshake, request and answer as what was received allows."""
    tls = context._wrap_socket(connection, False, HOST)
    sent = False

    def go_on() -> bool:
        nonlocal sent
        try:
            if not sent:
                tls.do_handshake()
                tls.write(request)
                sent = True
            tls.read(RECEIVE)
        except ssl.SSLWantReadError:
            return False
        if keep_alive:
            tls.write(request)
        return True

    return go_on


if __name__ == "__main__":
    raise SystemExit(main())
