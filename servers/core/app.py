"""The application: takes a request and returns what to do about it. It does no I/O and is the same for every model."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from typing import NamedTuple

from servers.core.counts import Counts
from servers.core.http import Request


class Answer(NamedTuple):
    """What to do about a request: burn `cpu_ms` of CPU time, wait `wait_ms` (a stand-in for a database), then send the
    body.
    """

    status: int
    body: bytes
    cpu_ms: float
    wait_ms: float


class AppSettings(NamedTuple):
    """What the application does for each request: body of `size` bytes (None: echo the request), CPU time to burn and
    time to wait in milliseconds, and whether to log the request line.
    """

    size: int | None = None
    cpu_ms: float = 0.0
    wait_ms: float = 0.0
    log_requests: bool = False


class Application:
    """The `handle` of every model: called with a request, it returns the Answer.

    Also holds what the connections share: `timeout` in seconds, counts, and `receiving`, the sockets on which blocking
    conversations wait for bytes, so that `drain` can end those waits.
    """

    def __init__(self, settings: AppSettings, *, timeout: float, keep_alive: bool) -> None:
        self.settings = settings
        self.timeout = timeout
        self.keep_alive = keep_alive
        self.counts = Counts()
        self.stopping = False
        self.receiving: set[socket.socket] = set()
        self._logged: set[str] = set()
        self._fixed = (
            None if settings.size is None else Answer(200, b"x" * settings.size, settings.cpu_ms, settings.wait_ms)
        )

    def __call__(self, request: Request) -> Answer:
        settings = self.settings
        try:
            if settings.log_requests:
                print(request.head.decode("latin-1").partition("\r\n")[0], file=sys.stderr, flush=True)
            return self._fixed or Answer(200, escape(request.head), settings.cpu_ms, settings.wait_ms)
        except Exception:  # an error in the application fails this request and never ends the server
            sys.excepthook(*sys.exc_info())
            return Answer(500, b"", 0.0, 0.0)

    def keeps_open(self, request: Request) -> bool:
        """Whether the connection stays open after this request's answer."""
        return self.keep_alive and request.persistent and not request.has_body and not self.stopping

    def log_once(self, message: str) -> None:
        """Log a message on stderr the first time only."""
        if message not in self._logged:
            self._logged.add(message)
            print(f"servers: {message}", file=sys.stderr, flush=True)

    def drain(self) -> None:
        """Stop waiting for requests: a blocked recv returns the bytes that have arrived, then end of file."""
        self.stopping = True
        for client in tuple(self.receiving):
            stop_reading(client.fileno())


def stop_reading(fd: int) -> None:
    """Shut down the receiving side of a connection: recv returns the bytes that have arrived, then end of file.

    Works on the bare descriptor: gevent's `shutdown` cancels the greenlets that wait on the socket, and uvloop's
    sockets don't offer it. A client that is gone already is no error.
    """
    with contextlib.suppress(OSError, ValueError):
        client = socket.socket(fileno=fd)
        try:
            client.shutdown(socket.SHUT_RD)
        finally:
            client.detach()


def escape(head: bytes) -> bytes:
    """The request as HTML text. Works byte by byte, since every byte is one character in ISO 8859-1."""
    return (
        head.replace(b"&", b"&amp;")
        .replace(b"<", b"&lt;")
        .replace(b">", b"&gt;")
        .replace(b'"', b"&quot;")
        .replace(b"'", b"&#x27;")
    )


def burn(cpu_ms: float) -> None:
    """Spend this much CPU time in milliseconds, by this thread's CPU clock: time in which other threads ran doesn't
    count.
    """
    end = time.thread_time() + cpu_ms / 1000
    while time.thread_time() < end:
        pass
