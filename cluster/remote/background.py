"""Clients beside the load, which cost a server something without asking much: `python -m cluster.remote.background`.

Idle ones ask once, are answered, and stay; before the server's patience ends they ask again. Slow ones send their
request a byte a second, and begin anew when the server has had enough of them. One process on a load host, one thread,
standard library only. Once a second it writes what became of them: bystanders.csv in docs/results.md.
"""

from __future__ import annotations

import argparse
import csv
import errno
import heapq
import os
import random
import select
import signal
import socket
import sys
import time
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from cluster.remote.http_message import Answer, Reply, request_bytes
from servers.core.runner import TIMEOUT_S, raise_descriptor_limit

EVENTS = ("opened", "answered", "refused", "reset", "timed_out")
COLUMNS = ("time", "kind", "seconds", "wanted", "held", "waiting", *EVENTS)
STARTS_PER_S = 1000.0
BYTE_S = 1.0
AGAIN_S = {"idle": 5.0, "slow": 1.0}  # before the next try: who comes again at once is a load, not a bystander
RENEW = (0.6, 0.9)  # of the server's patience, drawn anew each time so that they don't come together
OWN_LIMITS = (errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM)
READY_S = 10.0  # the load begins then, even if some have not been answered yet
ROW_S = 1.0


class State(Enum):
    AWAY = 0
    CONNECTING = 1
    SENDING = 2  # slow ones alone: a byte a second
    WAITING = 3  # for an answer
    HELD = 4  # idle ones alone: answered, and open


class Asked(NamedTuple):
    """What every bystander does. Times in seconds."""

    family: int
    address: Any
    request: bytes
    bodiless: bool
    status: int
    timeout: float


class Bystander:
    """One client: `on_ready` and `on_time` are called by the crowd, which looks at `state` and `due` afterwards."""

    def __init__(self, kind: str, asked: Asked, counts: Counter[str], due: float) -> None:
        self.kind = kind
        self.asked = asked
        self.counts = counts
        self.due = due
        self.state = State.AWAY
        self.tried = False
        self.answered = False
        self.socket: socket.socket | None = None
        self._sent = 0
        self._reply = Reply(None)

    @property
    def held(self) -> bool:
        """An idle one was answered and stays connected; a slow one is connected."""
        connected = self.state in (State.SENDING, State.WAITING, State.HELD)
        return connected and (self.answered or self.kind == "slow")

    def on_time(self, now: float) -> None:
        if self.state is State.AWAY:
            self._connect(now)
        elif self.state is State.SENDING:
            self._send_byte(now)
        elif self.state is State.HELD:
            self._ask(now)
        else:
            self._leave("timed_out", now)

    def on_ready(self, now: float) -> None:
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
            self._leave("reset", now)  # nothing was asked
            return
        answer = self._reply.feed(data) if data else self._reply.end()
        if answer is not None:
            self._came(answer, now)

    def _connect(self, now: float) -> None:
        self.socket = socket.socket(self.asked.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        error = self.socket.connect_ex(self.asked.address)
        self.state, self.due = State.CONNECTING, now + self.asked.timeout
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
            self._reply = self._new_reply()
            self.state, self.due = State.SENDING, now

    def _failed(self, error: int, now: float) -> None:
        """No connection. Raises OSError where this host's own limit was the reason."""
        if error in OWN_LIMITS:
            raise OSError(error, os.strerror(error))
        self._leave({errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timed_out"}.get(error, "reset"), now)

    def _new_reply(self) -> Reply:
        return Reply(None, self.asked.status, self.asked.bodiless)

    def _ask(self, now: float) -> None:
        assert self.socket is not None
        self._reply = self._new_reply()
        self.state, self.due = State.WAITING, now + self.asked.timeout
        try:
            self.socket.send(self.asked.request)
        except OSError:
            self._leave("reset", now)

    def _send_byte(self, now: float) -> None:
        assert self.socket is not None
        try:
            self._sent += self.socket.send(self.asked.request[self._sent : self._sent + 1])
        except OSError:
            self._leave("reset", now)
            return
        whole = self._sent == len(self.asked.request)
        self.state = State.WAITING if whole else State.SENDING
        self.due = now + (self.asked.timeout if whole else BYTE_S)

    def _came(self, answer: Answer, now: float) -> None:
        if answer.kind == "reset":
            self._leave("reset", now)
        elif answer.kind is not None:
            self._leave("refused", now)
        elif self.kind == "idle" and answer.persistent:
            self.counts["answered"] += 1
            self.tried = self.answered = True
            self.state, self.due = State.HELD, now + TIMEOUT_S * random.uniform(*RENEW)
        else:
            self._leave("answered", now)

    def _leave(self, how: str, now: float) -> None:
        assert self.socket is not None
        self.counts[how] += 1
        self.tried = True
        self.answered = False
        self.socket.close()  # which takes it out of the epoll set as well
        self.socket = None
        self.state, self.due = State.AWAY, now + AGAIN_S[self.kind]


class Crowd:
    """All bystanders, in one epoll loop."""

    def __init__(self, idle: int, slow: int, asked: Asked, stop: int) -> None:
        self.counts = {kind: Counter[str]() for kind, wanted in (("idle", idle), ("slow", slow)) if wanted}
        now = time.monotonic()
        kinds = ["idle"] * idle + ["slow"] * slow
        self.all = [
            Bystander(kind, asked, self.counts[kind], now + number / STARTS_PER_S) for number, kind in enumerate(kinds)
        ]
        self.timers = [(each.due, number) for number, each in enumerate(self.all)]  # ascending, hence a heap
        self.by_fd: dict[int, int] = {}
        self.watched: dict[int, tuple[int, int]] = {}  # of each: descriptor and events
        self.epoll = select.epoll()
        self.epoll.register(stop, select.EPOLLIN)
        self.stop = stop

    def settled(self) -> bool:
        """Each has had its first answer, or knows that it gets none."""
        return all(each.tried for each in self.all)

    def turn(self, until: float) -> bool:
        """Wait for what comes first and see to it. False once told to stop."""
        first = min(until, self.timers[0][0] if self.timers else until)
        for fd, _ in self.epoll.poll(max(first - time.monotonic(), 0.0)):
            if fd == self.stop:
                return False
            self._see_to(self.by_fd[fd], ready=True)
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            due, number = heapq.heappop(self.timers)
            if self.all[number].due == due:
                self._see_to(number, ready=False)
        return True

    def _see_to(self, number: int, ready: bool) -> None:
        one = self.all[number]
        before, fd = one.due, one.socket.fileno() if one.socket is not None else -1
        now = time.monotonic()
        if ready:
            one.on_ready(now)
        else:
            one.on_time(now)
        if one.due != before or not ready:
            heapq.heappush(self.timers, (one.due, number))
        if one.socket is None:
            self.by_fd.pop(fd, None)
            self.watched.pop(number, None)
            return
        events = select.EPOLLOUT if one.state is State.CONNECTING else select.EPOLLIN
        wanted = (one.socket.fileno(), events)
        if (had := self.watched.get(number)) != wanted:
            (self.epoll.register if had is None else self.epoll.modify)(*wanted)
            self.watched[number] = wanted
            self.by_fd[wanted[0]] = number

    def rows(self, seconds: float) -> list[dict[str, Any]]:
        """One row for each kind, with what happened since the last call."""
        made = []
        for kind, counts in self.counts.items():
            these = [each for each in self.all if each.kind == kind]
            held = sum(each.held for each in these)
            waiting = sum(each.state is State.WAITING for each in these)
            row: dict[str, Any] = {
                "time": f"{time.time():.3f}",
                "kind": kind,
                "seconds": f"{seconds:.4f}",
                "wanted": len(these),
            }
            made.append({**row, "held": held, "waiting": waiting, **{name: counts[name] for name in COLUMNS[6:]}})
            counts.clear()
        return made


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.background", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--idle", type=int, default=0, help="how many connections are held open")
    parser.add_argument("--slow", type=int, default=0, help="how many clients send a byte a second")
    parser.add_argument("--timeout", type=float, required=True, help="seconds to wait for an answer")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--path", default="/")
    parser.add_argument("--status", type=int, default=200, help="that of a good answer")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    raise_descriptor_limit()
    stop, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    family, _, _, _, address = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
    request = request_bytes(options.host, options.port, True, options.method, options.path)
    asked = Asked(family, address, request, options.method == "HEAD", options.status, options.timeout)
    crowd = Crowd(options.idle, options.slow, asked, stop)
    try:
        watch(crowd, options.out)
    except OSError as error:
        print(f"bystanders: this host's own limit: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def watch(crowd: Crowd, out: Path) -> None:
    """Until told to stop: a row a second and kind, and the ready line once the crowd has settled."""
    with out.open("w", encoding="utf-8", newline="", buffering=1) as stream:
        sheet = csv.DictWriter(stream, COLUMNS)
        sheet.writeheader()
        began = last = time.monotonic()
        ready, stopped = False, False
        while not stopped:
            stopped = not crowd.turn(last + ROW_S)
            now = time.monotonic()
            if not ready and (crowd.settled() or now - began > READY_S):
                ready = True
                print("ready", flush=True)
            if stopped or now - last >= ROW_S:
                sheet.writerows(crowd.rows(now - last))
                last = now


if __name__ == "__main__":
    sys.exit(main())
