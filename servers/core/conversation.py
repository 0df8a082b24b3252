"""One blocking connection: receive until a head is whole, ask the application, send, close.

Shared by all models that block. Where the request came whole, had no body and nothing follows, closing at
once is safe: nothing unread is left that would turn the close into a reset and cost the client its
answer. Everywhere else the close lingers: end our side, discard what still comes, bounded in time and
bytes, then close.
"""

from __future__ import annotations

import contextlib
import socket
import time

from servers.core.app import Handle, Work, stop_reading
from servers.core.counts import Ending
from servers.core.http import MAX_BODY, MAX_HEAD
from servers.core.reply import Reply, reply_to

LINGER_S = 2.0
LINGER_BYTES = MAX_BODY + MAX_HEAD
_REHEARSALS = 32  # CPython specialises a function's code within as many calls


def converse(client: socket.socket, handle: Handle) -> None:
    """A client's whole stay."""
    conversation = Conversation(client, handle)
    while conversation.turn():
        pass


def rehearse(handle: Handle) -> None:
    """Hold a few conversations before forking for each client.

    The interpreter writes into code that it runs for the first time: in every child, on a copy of every such page.
    What the parent has run is shared instead.
    """
    unpaid = Handle(Work(), timeout=handle.timeout, keep_alive=False)
    for _ in range(_REHEARSALS):
        client, ours = socket.socketpair()
        with client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: rehearsal\r\nConnection: close\r\n\r\n")
            converse(ours, unpaid)


class Conversation:
    """One client. `turn` answers one request and says whether the connection stays open."""

    __slots__ = ("answers", "buffer", "client", "handle")

    def __init__(self, client: socket.socket, handle: Handle) -> None:
        self.client = client
        self.handle = handle
        self.buffer = b""
        self.answers = 0

    def turn(self) -> bool:
        """Receive one request and answer it."""
        handle = self.handle
        try:
            reply = self._receive()
            if reply is None:
                return self.end(Ending.ABORTED if handle.stopping else Ending.DROPPED)
            if reply.wait_ms:
                time.sleep(reply.wait_ms / 1000)
            sent = self.client.send(reply.wire)
            if sent < len(reply.wire):  # more than the kernel's buffer takes, or a client that doesn't read
                self.client.settimeout(handle.timeout)
                self.client.sendall(memoryview(reply.wire)[sent:])
        except (TimeoutError, BlockingIOError):  # from settimeout, or from the limit set on the listening socket
            return self.end(Ending.TIMED_OUT)
        except OSError:
            return self.end(Ending.DROPPED)
        if reply.stays:
            self.answers += 1
            handle.counts.answered(reply.status)
            return True
        if reply.lingers:
            linger(self.client)
        self.client.close()
        handle.counts.finished(reply.status)
        return False

    def end(self, ending: Ending) -> bool:
        """Close without an answer. Always False, for a turn to return."""
        self.client.close()
        # Between two requests of a kept connection both sides may leave; nobody is owed an answer.
        self.handle.counts.closed(None if self.answers and not self.buffer else ending)
        return False

    def _receive(self) -> Reply | None:
        """The next request's answer, or None where the client ends first.

        Silence may last `timeout`, and so may a head.
        """
        client, handle, buffer = self.client, self.handle, self.buffer
        reply = reply_to(buffer, handle) if buffer else None
        if reply is None:
            if self.answers and client.gettimeout() is not None:
                client.settimeout(handle.timeout)
            deadline = 0.0
            handle.waiting.add(client)
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
                handle.waiting.discard(client)
        self.buffer = buffer[reply.size :]
        return reply


def linger(client: socket.socket) -> None:
    """End our side and discard what still comes until the client ends its own, within bounds."""
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
