"""One connection that never blocks: the counterpart of `conversation` for models with an event loop.

The loop calls `on_ready` when the descriptor is readable or writable as `wants` says, and `on_time` when
`deadline` has passed; after each call it looks at `wants`, `deadline` and `phase` again. Time comes in as
a monotonic `now`.
"""

from __future__ import annotations

import contextlib
import select
import socket
from enum import Enum

from servers.core.app import Handle, burn
from servers.core.conversation import LINGER_BYTES, LINGER_S
from servers.core.counts import Ending
from servers.core.http import MAX_HEAD, Refusal, encode, encode_refusal, parse


class Phase(Enum):
    """What the connection waits for, and the events that tell."""

    READING = select.EPOLLIN  # a request head
    WAITING = 0  # the database that the workload stands for
    WRITING = select.EPOLLOUT  # room for the rest of an answer
    LINGERING = select.EPOLLIN + 0x10000  # the client's end, after an answer that left something unread
    CLOSED = -1


class Channel:
    """One client of an event loop."""

    __slots__ = (
        "_buffer",
        "_discarded",
        "_lingers",
        "_status",
        "_stays",
        "_wire",
        "answers",
        "client",
        "deadline",
        "handle",
        "phase",
        "timed",
        "watched",
    )

    def __init__(self, client: socket.socket, handle: Handle, now: float) -> None:
        self.client = client
        self.handle = handle
        self.answers = 0
        self._buffer = b""
        self._discarded = 0
        self._lingers = False
        self._stays = False
        self.watched = 0  # the loop's note: the events it waits for
        self.timed = 0.0  # the loop's note: when it will look at the deadline
        self.phase: Phase
        self.deadline: float
        self._read_from(now)

    @property
    def wants(self) -> int:
        """The events to wait for."""
        return self.phase.value & 0xFFFF

    def on_ready(self, now: float) -> None:
        """The descriptor can be read or written."""
        try:
            if self.phase is Phase.READING:
                self.feed(self.client.recv(MAX_HEAD, socket.MSG_DONTWAIT), now)
            elif self.phase is Phase.WRITING:
                self._send(now)
                self._answer(now)
            elif self.phase is Phase.LINGERING:
                self._discard()
        except BlockingIOError:
            pass
        except OSError:
            self._drop(Ending.DROPPED)

    def on_time(self, now: float) -> None:
        """The deadline has passed."""
        if self.phase is Phase.WAITING:
            try:
                self._send(now)
                self._answer(now)
            except OSError:
                self._drop(Ending.DROPPED)
        else:
            self._drop(Ending.TIMED_OUT)

    def feed(self, data: bytes, now: float) -> None:
        """Bytes have come, or none: the client sends no more."""
        if data:
            self._buffer += data
            self._answer(now)
        else:
            self._drop(Ending.DROPPED)

    def send_last(self, wire: bytes, status: int, now: float) -> None:
        """Send an answer that was ready before the channel was, and close."""
        self._wire, self._status = wire, status
        try:
            self._send(now)
        except OSError:
            self._drop(Ending.DROPPED)

    def hang_up(self, now: float) -> None:
        """The server stops: answer what has come, wait for nothing more."""
        if self.phase is Phase.READING:
            self.on_ready(now)
        if self.phase is Phase.READING:
            self._drop(Ending.ABORTED)

    def _answer(self, now: float) -> None:
        """Answer what the buffer holds, in order, until something has to be waited for."""
        handle = self.handle
        while self.phase is Phase.READING:
            try:
                request = parse(self._buffer)
            except Refusal as refusal:
                self._status, self._wire = refusal.status, encode_refusal(refusal)
                self._stays, self._lingers = False, True
                self._send(now)
                continue
            if request is None:
                if handle.stopping:
                    self._drop(Ending.ABORTED)
                return
            self._buffer = self._buffer[request.size :]
            answer = handle(request)
            if answer.cpu_ms:
                burn(answer.cpu_ms)
            self._stays = handle.keeps(request)
            self._lingers = request.bodied or bool(self._buffer)
            self._status = answer.status
            self._wire = encode(answer.status, answer.body, persistent=self._stays, head_only=request.method == b"HEAD")
            if answer.wait_ms:
                self.phase = Phase.WAITING
                self.deadline = now + answer.wait_ms / 1000
            else:
                self._send(now)

    def _send(self, now: float) -> None:
        if self.phase is not Phase.WRITING:
            self.phase = Phase.WRITING
            self.deadline = now + self.handle.timeout
        try:
            sent = self.client.send(self._wire, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if sent < len(self._wire):
            self._wire = self._wire[sent:]
            return
        self.answers += 1
        self.handle.counts.answered(self._status)
        if self._stays:
            self._read_from(now)
        elif self._lingers:
            self.phase = Phase.LINGERING
            self.deadline = now + LINGER_S
            self.client.shutdown(socket.SHUT_WR)
        else:
            self._close(None)

    def _read_from(self, now: float) -> None:
        self.phase = Phase.READING
        self.deadline = now + self.handle.timeout

    def _discard(self) -> None:
        data = self.client.recv(65536, socket.MSG_DONTWAIT)
        self._discarded += len(data)
        if not data or self._discarded > LINGER_BYTES:
            self._close(None)

    def _drop(self, ending: Ending) -> None:
        """Close; between two requests of a kept connection, and after the last answer, nobody is owed one."""
        owed = self.phase in (Phase.WAITING, Phase.WRITING) or bool(self._buffer) or not self.answers
        self._close(ending if owed and self.phase is not Phase.LINGERING else None)

    def _close(self, ending: Ending | None) -> None:
        self.phase = Phase.CLOSED
        with contextlib.suppress(OSError):
            self.client.close()
        self.handle.counts.closed(ending)
