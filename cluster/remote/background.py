"""Background clients, which occupy a server without asking much of it: `python -m cluster.remote.background`.

Idle clients ask once, are answered, and stay connected; before the server's keep-alive timeout they ask again. Slow
clients send their request a byte a second. One process on a load host, one thread, one epoll loop; standard library
only. Once a second it writes a row for each kind: bystanders.csv in docs/results.md.

The states of a client. Each change of state sets `due`, the time of the next timeout.

    state       kind  event                          counted    next state   due after
    ----------  ----  -----------------------------  ---------  -----------  -----------------------------
    AWAY        both  due                                       CONNECTING   timeout
    CONNECTING  idle  connected; sends the request   opened     WAITING      timeout
    CONNECTING  slow  connected                      opened     SENDING      now
    CONNECTING  both  ECONNREFUSED                   refused    AWAY         AGAIN_S
    CONNECTING  both  another error                  reset      AWAY         AGAIN_S
    CONNECTING  both  due, or ETIMEDOUT              timed_out  AWAY         AGAIN_S
    SENDING     slow  due; sends a byte                         SENDING      BYTE_S
    SENDING     slow  due; sends the last byte                  WAITING      timeout
    SENDING     slow  closed by the server           reset      AWAY         AGAIN_S
    SENDING     slow  response, before the last byte            as for WAITING
    WAITING     idle  good, persistent response      answered   HELD         RENEW of the keep-alive timeout
    WAITING     both  any other good response        answered   AWAY         AGAIN_S
    WAITING     both  another status                 refused    AWAY         AGAIN_S
    WAITING     both  closed by the server           reset      AWAY         AGAIN_S
    WAITING     both  due                            timed_out  AWAY         AGAIN_S
    HELD        idle  due; sends the request                    WAITING      timeout
    HELD        idle  closed by the server, or data  reset      AWAY         AGAIN_S
"""

from __future__ import annotations

import argparse
import errno
import heapq
import os
import random
import resource
import select
import signal
import socket
import sys
import time
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from cluster.remote.http.http_message import ResponseOutcome, ResponseParser, Wanted, head_fields, request_bytes
from study.formats.background_csv import EVENTS, BackgroundRow
from study.formats.csv_rows import RowWriter

STARTS_PER_S = 1000.0
BYTE_S = 1.0
AGAIN_S = {"idle": 5.0, "slow": 1.0}  # pause before the next attempt: without it, rejected clients would be a load
RENEW = (0.6, 0.9)  # share of the server's keep-alive timeout, drawn anew each time so that requests are spread
OWN_LIMITS = (errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM)
READY_S = 10.0  # the load begins after this time even if some clients have had no response yet
ROW_S = 1.0


class State(Enum):
    """State of a client; the table of changes is at the top of this file."""

    AWAY = 0
    CONNECTING = 1
    SENDING = 2
    WAITING = 3
    HELD = 4


class ClientSettings(NamedTuple):
    """What all background clients have in common. Times in seconds."""

    family: int
    address: Any
    request: bytes
    bodiless: bool
    status: int
    timeout: float
    keep_alive_s: float
    """After so long without a request the server closes a connection."""


class BackgroundClient:
    """One client. The loop calls `on_ready` and `on_time`, and reads `socket`, `state` and `due` afterwards."""

    def __init__(self, kind: str, settings: ClientSettings, counts: Counter[str], due: float) -> None:
        self.kind = kind
        self.settings = settings
        self.counts = counts
        self.due = due
        self.state = State.AWAY
        self.tried = False
        self.answered = False
        self.socket: socket.socket | None = None
        self._sent = 0
        self._parser = ResponseParser(Wanted())

    @property
    def held(self) -> bool:
        """Whether it is connected; an idle client also must have been answered on this connection."""
        connected = self.state in (State.SENDING, State.WAITING, State.HELD)
        return connected and (self.answered or self.kind == "slow")

    def on_time(self, now: float) -> None:
        """`due` has come."""
        if self.state is State.AWAY:
            self._connect(now)
        elif self.state is State.SENDING:
            self._send_byte(now)
        elif self.state is State.HELD:
            self._ask(now)
        else:
            self._leave("timed_out", now)

    def on_ready(self, now: float) -> None:
        """The socket is writable where the client is connecting, else readable."""
        assert self.socket is not None
        try:
            if self.state is State.CONNECTING:
                self._connected(now)
                return
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            self._leave("reset", now)
            return
        if self.state is State.HELD or (self.state is State.SENDING and not data):
            self._leave("reset", now)  # no request is pending
            return
        outcome = self._parser.feed(data) if data else self._parser.end()
        if outcome is not None:
            self._responded(outcome, now)

    def _connect(self, now: float) -> None:
        self.socket = socket.socket(self.settings.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        error = self.socket.connect_ex(self.settings.address)
        self.state, self.due = State.CONNECTING, now + self.settings.timeout
        if error not in (0, errno.EINPROGRESS):
            self._failed(error, now)

    def _connected(self, now: float) -> None:
        assert self.socket is not None
        if error := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._failed(error, now)
            return
        self.counts["opened"] += 1
        if self.kind == "idle":
            self._ask(now)
        else:
            self.tried = True
            self._sent = 0
            self._parser = self._new_parser()
            self.state, self.due = State.SENDING, now

    def _failed(self, error: int, now: float) -> None:
        """The connection failed. Raises OSError where a limit of this host was the reason."""
        if error in OWN_LIMITS:
            raise OSError(error, os.strerror(error))
        self._leave({errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timed_out"}.get(error, "reset"), now)

    def _new_parser(self) -> ResponseParser:
        return ResponseParser(Wanted(self.settings.status), self.settings.bodiless)

    def _ask(self, now: float) -> None:
        assert self.socket is not None
        self._parser = self._new_parser()
        self.state, self.due = State.WAITING, now + self.settings.timeout
        try:
            self.socket.send(self.settings.request)
        except OSError:
            self._leave("reset", now)

    def _send_byte(self, now: float) -> None:
        assert self.socket is not None
        try:
            self._sent += self.socket.send(self.settings.request[self._sent : self._sent + 1])
        except OSError:
            self._leave("reset", now)
            return
        whole = self._sent == len(self.settings.request)
        self.state = State.WAITING if whole else State.SENDING
        self.due = now + (self.settings.timeout if whole else BYTE_S)

    def _responded(self, outcome: ResponseOutcome, now: float) -> None:
        if outcome.kind == "reset":
            self._leave("reset", now)
        elif outcome.kind is not None:
            self._leave("refused", now)
        elif self.kind == "idle" and outcome.persistent:
            self.counts["answered"] += 1
            self.tried = self.answered = True
            self.state, self.due = State.HELD, now + self.settings.keep_alive_s * random.uniform(*RENEW)
        else:
            self._leave("answered", now)

    def _leave(self, event: str, now: float) -> None:
        assert self.socket is not None
        self.counts[event] += 1
        self.tried = True
        self.answered = False
        self.socket.close()  # which also removes it from the epoll set
        self.socket = None
        self.state, self.due = State.AWAY, now + AGAIN_S[self.kind]


class ClientLoop:
    """All background clients, in one epoll loop."""

    def __init__(self, idle: int, slow: int, settings: ClientSettings, stop: int) -> None:
        """`stop` is a descriptor that becomes readable when the loop is to end."""
        self.counts = {kind: Counter[str]() for kind, wanted in (("idle", idle), ("slow", slow)) if wanted}
        now = time.monotonic()
        kinds = ["idle"] * idle + ["slow"] * slow
        self.clients = [
            BackgroundClient(kind, settings, self.counts[kind], now + number / STARTS_PER_S)
            for number, kind in enumerate(kinds)
        ]
        self.timers = [(client.due, number) for number, client in enumerate(self.clients)]  # ascending, hence a heap
        self.by_fd: dict[int, int] = {}
        self.watched: dict[int, tuple[int, int]] = {}  # descriptor and events of each client that has a socket
        self.epoll = select.epoll()
        self.epoll.register(stop, select.EPOLLIN)
        self.stop = stop

    def settled(self) -> bool:
        """Whether each client has had its first response or failure."""
        return all(client.tried for client in self.clients)

    def turn(self, until: float) -> bool:
        """Wait for the first event or timeout, at most until that monotonic time, and handle it. False once stopped."""
        first = min(until, self.timers[0][0] if self.timers else until)
        for fd, _ in self.epoll.poll(max(first - time.monotonic(), 0.0)):
            if fd == self.stop:
                return False
            self._handle(self.by_fd[fd], ready=True)
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            due, number = heapq.heappop(self.timers)
            if self.clients[number].due == due:
                self._handle(number, ready=False)
        return True

    def _handle(self, number: int, ready: bool) -> None:
        """Call the client, then watch what it waits for. Timers are never removed: an old one is ignored when due."""
        client = self.clients[number]
        before, fd = client.due, client.socket.fileno() if client.socket is not None else -1
        now = time.monotonic()
        if ready:
            client.on_ready(now)
        else:
            client.on_time(now)
        if client.due != before or not ready:
            heapq.heappush(self.timers, (client.due, number))
        if client.socket is None:
            self.by_fd.pop(fd, None)
            self.watched.pop(number, None)
            return
        events = select.EPOLLOUT if client.state is State.CONNECTING else select.EPOLLIN
        wanted = (client.socket.fileno(), events)
        if (watched := self.watched.get(number)) != wanted:
            (self.epoll.register if watched is None else self.epoll.modify)(*wanted)
            self.watched[number] = wanted
            self.by_fd[wanted[0]] = number

    def rows(self, seconds: float) -> list[BackgroundRow]:
        """One row for each kind, with the events since the last call, `seconds` ago."""
        rows = []
        for kind, counts in self.counts.items():
            clients = [client for client in self.clients if client.kind == kind]
            row = BackgroundRow(
                time=time.time(),
                kind=kind,
                seconds=seconds,
                wanted=len(clients),
                held=sum(client.held for client in clients),
                waiting=sum(client.state is State.WAITING for client in clients),
                **{event: counts[event] for event in EVENTS},
            )
            counts.clear()
            rows.append(row)
        return rows


def main() -> int:
    """Run the clients until SIGTERM; returns 1 where a limit of this host ended them."""
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.background", description=__doc__.partition("\n")[0])
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--address", help="the server's, where it isn't to be looked up")
    parser.add_argument("--idle", type=int, default=0, help="how many connections are held open")
    parser.add_argument("--slow", type=int, default=0, help="how many clients send a byte a second")
    parser.add_argument("--timeout", type=float, required=True, help="seconds to wait for a response")
    parser.add_argument("--keep-alive", type=float, required=True, help="seconds until the server closes a connection")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--path", default="/")
    parser.add_argument("--headers-file", type=Path, help="fields of the request's head, a line NAME: VALUE for each")
    parser.add_argument("--body-file", type=Path, help="the request's body")
    parser.add_argument("--status", type=int, default=200, help="that of a good response")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stop, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    where = (options.address or options.host, options.port)
    family, _, _, _, address = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)[0]
    fields = head_fields(options.headers_file.read_bytes()) if options.headers_file else ()
    body = options.body_file.read_bytes() if options.body_file else b""
    request = request_bytes(options.host, options.port, True, options.method, options.path, fields, body)
    settings = ClientSettings(
        family, address, request, options.method == "HEAD", options.status, options.timeout, options.keep_alive
    )
    try:
        run_until_stopped(ClientLoop(options.idle, options.slow, settings, stop), options.out)
    except OSError as error:
        print(f"background clients: this host's own limit: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def run_until_stopped(loop: ClientLoop, out: Path) -> None:
    """Write a row a second and kind to `out`, and print "ready" once the clients have settled or READY_S are over."""
    with out.open("w", encoding="utf-8", newline="", buffering=1) as stream:
        writer = RowWriter(stream, BackgroundRow)
        began = last = time.monotonic()
        ready, stopped = False, False
        while not stopped:
            stopped = not loop.turn(last + ROW_S)
            now = time.monotonic()
            if not ready and (loop.settled() or now - began > READY_S):
                ready = True
                print("ready", flush=True)
            if stopped or now - last >= ROW_S:
                for row in loop.rows(now - last):
                    writer.write(row)
                last = now


if __name__ == "__main__":
    sys.exit(main())
