"""One non-blocking connection: the counterpart of `conversation` for models with an event loop.

The loop calls `on_ready` when the descriptor is readable or writable, as `events_wanted` asks, and `on_deadline` when
`deadline` has passed. After each call it reads `events_wanted`, `deadline` and `phase` again. `now` is the time of the
monotonic clock in seconds.

phase      waits for                                    at the deadline             next phases, besides CLOSED
READING    a whole request head                         close, TIMED_OUT if due     WAITING, WRITING, READING, LINGERING
WAITING    the workload's `wait_ms`                     send the answer             WRITING, READING, LINGERING
WRITING    room in the socket's send buffer             close, TIMED_OUT            READING, LINGERING
LINGERING  the client's end of file (conversation.py)   close; the answer counted   -
CLOSED     nothing
"""

from __future__ import annotations

import socket

from servers.core.app import Application
from servers.core.conversation import LINGER_BYTES, LINGER_S
from servers.core.counts import Ending
from servers.core.http import MAX_HEAD
from servers.core.reply import Reply, reply_to

READABLE, WRITABLE = 1, 4  # POLLIN and POLLOUT, equal to EPOLLIN and EPOLLOUT

READING = 0
WAITING = 1
WRITING = 2
LINGERING = 3
CLOSED = 4
_EVENTS = (READABLE, 0, WRITABLE, READABLE, 0)


class Channel:
    """One client of an event loop."""

    phase = READING
    answers = 0
    watched = 0  # set by the loop: the events that its poller waits for now
    _buffer = b""
    _discarded = 0
    _reply: Reply
    _unsent: bytes | memoryview

    def __init__(self, client: socket.socket, handle: Application, now: float) -> None:
        self.client = client
        self.handle = handle
        self.deadline = now + handle.timeout

    @property
    def events_wanted(self) -> int:
        """The events to wait for: READABLE, WRITABLE, or 0 for none."""
        return _EVENTS[self.phase]

    def on_ready(self, now: float) -> None:
        """The descriptor is readable or writable."""
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

    def on_deadline(self, now: float) -> None:
        """The deadline has passed."""
        if self.phase != WAITING:
            self._drop(Ending.TIMED_OUT)
            return
        try:
            self._send(now)
            self._answer(now)
        except OSError:
            self._drop(Ending.DROPPED)

    def drain(self, now: float) -> None:
        """The server is stopping: answer the requests that have arrived, and wait for no more."""
        self.on_ready(now)
        if self.phase == READING:
            self._drop(Ending.ABORTED)

    def _feed(self, data: bytes, now: float) -> None:
        """Process received bytes; none means that the client has ended its side."""
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
                # Restarted at the first byte: the silence before a head and the head itself may each take `timeout`.
                self.deadline = now + self.handle.timeout
            self._answer(now)

    def _answer(self, now: float) -> None:
        """Answer the requests in the buffer in order, until one has to be waited for."""
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
        """Send the current answer, or as much of it as the kernel takes now."""
        if self._write(self._reply.wire):
            self._sent(now)
        else:
            self.phase = WRITING
            self.deadline = now + self.handle.timeout

    def _sent(self, now: float) -> None:
        """The kernel has the whole answer: count it, then keep, linger or close as the reply says."""
        reply = self._reply
        if reply.keep_open:
            self.answers += 1
            self.handle.counts.answered(reply.status)
            self.phase = READING
            self.deadline = now + self.handle.timeout
        elif reply.linger_first:
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
        """Close without an answer.

        An ending is counted only while an answer is due: not between two requests of a kept connection, and not after
        the last answer.
        """
        due = self.phase in (WAITING, WRITING) or self._buffer or not self.answers
        lingered = self.phase == LINGERING
        self.phase = CLOSED
        self._close()
        self.handle.counts.closed(ending if due and not lingered else None)

    def _write(self, wire: bytes | memoryview) -> bool:
        """Send; True when the kernel took all bytes. The rest is kept in `_unsent`, as a view: answers are shared."""
        try:
            sent = self.client.send(wire, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent == len(wire):
            return True
        self._unsent = memoryview(wire)[sent:]
        return False

    def _end_output(self) -> None:
        self.client.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        self.client.close()
