"""One connection of an asyncio loop: a channel whose bytes come and go through a transport. `asyncio` and `uvloop`
share it; they differ in whose loop it runs on.

A transport sends what it can at once and asks to pause where something is left (its buffer's limit is 0 here), so
that an answer counts as sent when the kernel has all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import cast

from servers.core.app import Handle
from servers.core.channel import CLOSED, LINGERING, READING, WAITING, WRITING, Channel
from servers.core.counts import Ending
from servers.core.http import MAX_HEAD
from servers.core.listener import Listener

_BATCH = 64  # clients accepted in a row before the others get their turn
_SWEEPS = 8  # looks at the deadlines within one timeout


class HttpProtocol(Channel, asyncio.Protocol):
    """One client. `everybody` has all that are open."""

    transport: asyncio.Transport
    _paused = False  # something is left to be sent
    _ended = False  # the client sends no more, and is owed an answer
    _held = False  # reading is paused

    def __init__(self, client: socket.socket, handle: Handle, everybody: set[HttpProtocol]) -> None:
        super().__init__(client, handle, time.monotonic())
        self._everybody = everybody
        everybody.add(self)
        handle.waiting.add(client)  # stopping ends what it may receive; what has come is still answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        if self.phase in (READING, LINGERING):
            self._go_on(self._feed, data)
        elif self.phase != CLOSED:
            self._buffer += data
            if len(self._buffer) > MAX_HEAD:
                self._held = True
                self.transport.pause_reading()

    def eof_received(self) -> bool:
        if self.phase in (READING, LINGERING):
            self._drop(Ending.ABORTED if self.handle.stopping else Ending.DROPPED)
        self._ended = True
        return self.phase != CLOSED

    def connection_lost(self, exc: Exception | None) -> None:
        if self.phase != CLOSED:
            self._drop(Ending.DROPPED)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        asyncio.get_running_loop().call_soon(self._resumed)  # the transport isn't done yet: closing it has to wait

    def on_time(self, now: float) -> None:
        if self.phase != CLOSED:
            self._go_on(super().on_time)

    def _resumed(self) -> None:
        if self.phase == WRITING:
            self._go_on(self._after_writing)

    def _after_writing(self, now: float) -> None:
        self._sent(now)
        self._answer(now)

    def _go_on(self, step, *arguments) -> None:  # type: ignore[no-untyped-def]
        """One step of the channel, and what has to be waited for after it."""
        now = time.monotonic()
        try:
            step(*arguments, now)
        except OSError:
            self._drop(Ending.DROPPED)
        if self.phase == WAITING:
            asyncio.get_running_loop().call_later(max(self.deadline - now, 0.0), self.on_time, self.deadline)
        elif self.phase == READING:
            if self._ended:
                self._drop(Ending.DROPPED)
            elif self._held:
                self._held = False
                self.transport.resume_reading()

    def _write(self, wire: bytes) -> bool:
        self.transport.write(wire)
        return not self._paused

    def _end_output(self) -> None:
        self.transport.write_eof()
        if self._held:
            self._held = False
            self.transport.resume_reading()

    def _close(self) -> None:
        self._everybody.discard(self)
        self.handle.waiting.discard(self.client)
        if self._paused:
            self.transport.abort()
        else:
            self.transport.close()


async def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """Serve until told to stop, then until the last client is gone."""
    loop = asyncio.get_running_loop()
    everybody: set[HttpProtocol] = set()
    stopped = asyncio.Event()
    tasks: set[asyncio.Task[object]] = set()

    def welcome(client: socket.socket) -> None:
        protocol = HttpProtocol(client, handle, everybody)
        task = loop.create_task(connect(protocol))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def connect(protocol: HttpProtocol) -> None:
        try:
            await loop.connect_accepted_socket(lambda: protocol, protocol.client)
        except OSError:  # the client is gone
            everybody.discard(protocol)
            handle.waiting.discard(protocol.client)
            protocol.client.close()
            handle.counts.closed(Ending.DROPPED)

    def accept() -> None:
        for _ in range(_BATCH):
            client = listener.accept()
            if client is None:
                break
            client.setblocking(False)
            welcome(client)
        if rest := listener.resting():
            loop.remove_reader(listener.fileno())
            loop.call_later(rest, open_door)

    def open_door() -> None:
        if not stopped.is_set():
            loop.add_reader(listener.fileno(), accept)

    def sweep() -> None:
        now = time.monotonic()
        for protocol in list(everybody):
            if protocol.deadline <= now and protocol.phase != WAITING:
                protocol.on_time(now)
        loop.call_later(min(handle.timeout / _SWEEPS, 1.0), sweep)

    loop.add_reader(stop, stopped.set)
    open_door()
    sweep()
    await stopped.wait()
    loop.remove_reader(stop)
    loop.remove_reader(listener.fileno())
    with contextlib.closing(listener):
        for client in listener.last_clients():
            client.setblocking(False)
            welcome(client)
        handle.hang_up()
        while everybody:
            await asyncio.sleep(0.005)
