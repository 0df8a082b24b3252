"""The application: a request in, what to do out. It does no I/O and knows nothing of the model that calls it."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from typing import NamedTuple

from servers.core.counts import Counts
from servers.core.http import Request


class Answer(NamedTuple):
    """What to do about a request: burn CPU time, wait as if for a database, then send the body."""

    status: int
    body: bytes
    cpu_ms: float
    wait_ms: float


class Work(NamedTuple):
    """What each request is made to cost. `size` None means the request is echoed."""

    size: int | None = None
    cpu_ms: float = 0.0
    wait_ms: float = 0.0
    log_requests: bool = False


class Handle:
    """The application with the rules that every model keeps: called with a request, it says what to do.

    `waiting` holds the sockets on which a blocking conversation waits for bytes, so that stopping can end the wait.
    """

    def __init__(self, work: Work, *, timeout: float, keep_alive: bool) -> None:
        self.work = work
        self.timeout = timeout
        self.keep_alive = keep_alive
        self.counts = Counts()
        self.stopping = False
        self.waiting: set[socket.socket] = set()
        self._said: set[str] = set()
        self._same = None if work.size is None else Answer(200, b"x" * work.size, work.cpu_ms, work.wait_ms)

    def __call__(self, request: Request) -> Answer:
        work = self.work
        try:
            if work.log_requests:
                print(request.head.decode("latin-1").partition("\r\n")[0], file=sys.stderr, flush=True)
            return self._same or Answer(200, escape(request.head), work.cpu_ms, work.wait_ms)
        except Exception:  # a fault here is one request's, and never the server's
            sys.excepthook(*sys.exc_info())
            return Answer(500, b"", 0.0, 0.0)

    def keeps(self, request: Request) -> bool:
        """Whether the connection stays open after this request's answer."""
        return self.keep_alive and request.persistent and not request.bodied and not self.stopping

    def say_once(self, message: str) -> None:
        """One line on stderr, however often it would be true."""
        if message not in self._said:
            self._said.add(message)
            print(f"servers: {message}", file=sys.stderr, flush=True)

    def hang_up(self) -> None:
        """Stop waiting for requests: a blocked receive takes what has already come, then sees the end."""
        self.stopping = True
        for client in tuple(self.waiting):
            stop_reading(client.fileno())


def stop_reading(fd: int) -> None:
    """Let every receive on this connection take what has come, then see the end. The client may be gone already.

    By the descriptor, since libraries have notions of their own of what a shutdown means to those who wait.
    """
    with contextlib.suppress(OSError, ValueError):
        client = socket.socket(fileno=fd)
        try:
            client.shutdown(socket.SHUT_RD)
        finally:
            client.detach()


def escape(head: bytes) -> bytes:
    """The request as HTML text, byte by byte: in ISO 8859-1 every byte is a character."""
    return (
        head.replace(b"&", b"&amp;")
        .replace(b"<", b"&lt;")
        .replace(b">", b"&gt;")
        .replace(b'"', b"&quot;")
        .replace(b"'", b"&#x27;")
    )


def burn(cpu_ms: float) -> None:
    """Spend CPU time of this thread; time in which others ran doesn't count."""
    end = time.thread_time() + cpu_ms / 1000
    while time.thread_time() < end:
        pass
