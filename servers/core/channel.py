"""One connection that never blocks: the counterpart of `conversation` for models with an event loop.

The loop calls `on_ready` when the descriptor is readable or writable as `wants` says, and `on_time` when
`deadline` has passed; after each call it looks at `wants`, `deadline` and `phase` again. Time comes in as
a monotonic `now`.
"""

from __future__ import annotations

import socket

from servers.core.app import Handle
from servers.core.conversation import LINGER_BYTES, LINGER_S
from servers.core.counts import Ending
from servers.core.http import MAX_HEAD
from servers.core.reply import Reply, reply_to

READABLE, WRITABLE = 1, 4  # POLLIN and POLLOUT; epoll's are the same

READING = 0  # waits for a request head
WAITING = 1  # for the database that the workload stands for
WRITING = 2  # for room for the rest of an answer
LINGERING = 3  # for the client's end, after an answer that left something unread
CLOSED = 4
_EVENTS = (READABLE, 0, WRITABLE, READABLE, 0)


class Channel:
    """One client of an event loop."""

    phase = READING
    answers = 0
    watched = 0  # the loop's note: the events it waits for
    _buffer = b""
    _discarded = 0
    _reply: Reply
    _unsent: bytes

    def __init__(self, client: socket.socket, handle: Handle, now: float) -> None:
        self.client = client
        self.handle = handle
        self.deadline = now + handle.timeout

    @property
    def wants(self) -> int:
        """The events to wait for."""
        return _EVENTS[self.phase]

    def on_ready(self, now: float) -> None:
        """The descriptor can be read or written."""
        try:
            if self.phase == WRITING:
                if self._write(self._unsent):
                    self._sent(now)
                    self._answer(now)
            else:
                self._feed(self.client.recv(MAX_HEAD, socket.MSG_DONTWAIT), now)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(Ending.DROPPED)

    def on_time(self, now: float) -> None:
        """The deadline has passed."""
        if self.phase != WAITING:
            self._drop(Ending.TIMED_OUT)
            return
        try:
            self._send(now)
            self._answer(now)
        except OSError:
            self._drop(Ending.DROPPED)

    def hang_up(self, now: float) -> None:
        """The server stops while a request is awaited: answer what has come, wait for nothing more."""
        self.on_ready(now)
        if self.phase == READING:
            self._drop(Ending.ABORTED)

    def _feed(self, data: bytes, now: float) -> None:
        """Bytes have come, or none: the client sends no more."""
        if not data:
            self._drop(Ending.DROPPED)
        elif self.phase == LINGERING:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self._drop(Ending.DROPPED)
        else:
            if self._buffer:
                self._buffer += data
            else:
                self._buffer = data
                self.deadline = now + self.handle.timeout  # a head may take as long as the silence before it
            self._answer(now)

    def _answer(self, now: float) -> None:
        """Answer what the buffer holds, in order, until something has to be waited for."""
        while self.phase == READING:
            reply = reply_to(self._buffer, self.handle) if self._buffer else None
            if reply is None:
                if self.handle.stopping:
                    self._drop(Ending.ABORTED)
                return
            self._buffer = self._buffer[reply.size :]
            self._reply = reply
            if reply.wait_ms:
                self.phase = WAITING
                self.deadline = now + reply.wait_ms / 1000
            else:
                self._send(now)

    def _send(self, now: float) -> None:
        if self._write(self._reply.wire):
            self._sent(now)
        else:
            self.phase = WRITING
            self.deadline = now + self.handle.timeout

    def _sent(self, now: float) -> None:
        """The answer is on its way whole; what becomes of the connection."""
        reply = self._reply
        if reply.stays:
            self.answers += 1
            self.handle.counts.answered(reply.status)
            self.phase = READING
            self.deadline = now + self.handle.timeout
        elif reply.lingers:
            self.answers += 1
            self.handle.counts.answered(reply.status)
            self.phase = LINGERING
            self.deadline = now + LINGER_S
            self._end_output()
        else:
            self.phase = CLOSED
            self._close()
            self.handle.counts.finished(reply.status)

    def _drop(self, ending: Ending) -> None:
        """Close; between two requests of a kept connection, and after the last answer, nobody is owed one."""
        owed = self.phase in (WAITING, WRITING) or self._buffer or not self.answers
        lingered = self.phase == LINGERING
        self.phase = CLOSED
        self._close()
        self.handle.counts.closed(ending if owed and not lingered else None)

    def _write(self, wire: bytes) -> bool:
        """Whether the kernel took all of it."""
        try:
            sent = self.client.send(wire, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent == len(wire):
            return True
        self._unsent = wire[sent:]
        return False

    def _end_output(self) -> None:
        self.client.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        self.client.close()
