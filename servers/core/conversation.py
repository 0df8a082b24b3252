"""One blocking connection: receive until a head is complete, call the application, send, close.

Shared by all models that block. If the request arrived whole, had no body and nothing follows it, closing at once is
safe: no unread bytes are left. Otherwise close() would send RST, which can destroy the answer before the client has
read it, so the close lingers: shut down our side, discard what still arrives, limited in time and bytes, then close.
"""

from __future__ import annotations

import contextlib
import socket
import time

from servers.core.app import Application, AppSettings, stop_reading
from servers.core.counts import Ending
from servers.core.http import MAX_BODY, MAX_HEAD
from servers.core.reply import Reply, reply_to

LINGER_S = 2.0
LINGER_BYTES = MAX_BODY + MAX_HEAD
_WARM_UP_CALLS = 32  # CPython has specialised a function's bytecode after as many calls


def converse(client: socket.socket, handle: Application) -> None:
    """Serve one connection until it is closed."""
    conversation = Conversation(client, handle)
    while conversation.turn():
        pass


def warm_up(handle: Application) -> None:
    """Serve a few connections from a socket pair before forking a child for each client.

    CPython specialises bytecode in place while a function runs for the first times. In a child each such write copies a
    page; what the parent has specialised already is shared.
    """
    silent = Application(AppSettings(), timeout=handle.timeout, keep_alive=False)
    for _ in range(_WARM_UP_CALLS):
        client, ours = socket.socketpair()
        with client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: warm-up\r\nConnection: close\r\n\r\n")
            converse(ours, silent)


class Conversation:
    """One client. `turn` answers one request and returns whether the connection stays open."""

    __slots__ = ("answers", "buffer", "client", "handle")

    def __init__(self, client: socket.socket, handle: Application) -> None:
        self.client = client
        self.handle = handle
        self.buffer = b""
        self.answers = 0

    def turn(self) -> bool:
        """Receive one request and answer it; returns whether the connection stays open."""
        handle = self.handle
        try:
            reply = self._receive()
            if reply is None:
                return self.end(Ending.ABORTED if handle.stopping else Ending.DROPPED)
            if reply.wait_ms:
                time.sleep(reply.wait_ms / 1000)
            sent = self.client.send(reply.wire)
            if sent < len(reply.wire):  # the answer exceeds the send buffer, or the client doesn't read
                self.client.settimeout(handle.timeout)
                self.client.sendall(memoryview(reply.wire)[sent:])
        except (TimeoutError, BlockingIOError):  # TimeoutError: settimeout; BlockingIOError: SO_RCVTIMEO or SO_SNDTIMEO
            return self.end(Ending.TIMED_OUT)
        except OSError:
            return self.end(Ending.DROPPED)
        if reply.keep_open:
            self.answers += 1
            handle.counts.answered(reply.status)
            return True
        if reply.linger_first:
            linger(self.client)
        self.client.close()
        handle.counts.finished(reply.status)
        return False

    def end(self, ending: Ending) -> bool:
        """Close without an answer. Always returns False, the value that `turn` then returns."""
        self.client.close()
        # Between two requests of a kept connection no answer is due, so that either side may close.
        self.handle.counts.closed(None if self.answers and not self.buffer else ending)
        return False

    def _receive(self) -> Reply | None:
        """The next request's reply, or None where the client ends first.

        `timeout` bounds the silence before the first byte, and again the time from there to the whole head.
        """
        client, handle, buffer = self.client, self.handle, self.buffer
        reply = reply_to(buffer, handle) if buffer else None
        if reply is None:
            if self.answers and client.gettimeout() is not None:
                client.settimeout(handle.timeout)
            deadline = 0.0
            handle.receiving.add(client)
            if handle.stopping:
                stop_reading(client.fileno())
            try:
                while reply is None:
                    data = client.recv(MAX_HEAD)
                    if not data:
                        return None
                    self.buffer = buffer = buffer + data if buffer else data
                    reply = reply_to(buffer, handle)
                    if reply is None:
                        now = time.monotonic()
                        deadline = deadline or now + handle.timeout
                        client.settimeout(max(deadline - now, 1e-6))
            finally:
                handle.receiving.discard(client)
        self.buffer = buffer[reply.size :]
        return reply


def linger(client: socket.socket) -> None:
    """Shut down our side and discard what arrives until the client ends its own, within LINGER_S and LINGER_BYTES."""
    end = time.monotonic() + LINGER_S
    left = LINGER_BYTES
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        while left > 0 and (remaining := end - time.monotonic()) > 0:
            client.settimeout(remaining)
            data = client.recv(65536)
            if not data:
                return
            left -= len(data)
