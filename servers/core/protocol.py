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
from collections.abc import Callable, Coroutine
from typing import cast

from servers.core.app import Handle, stop_reading
from servers.core.channel import CLOSED, LINGERING, READING, WAITING, WRITING, Channel
from servers.core.counts import Ending
from servers.core.http import MAX_HEAD
from servers.core.listener import Listener

_SWEEPS = 8  # looks at the deadlines within one timeout
_BREATH = 0.005


class HttpProtocol(Channel, asyncio.Protocol):
    """One client. `everybody` has all that are open."""

    transport: asyncio.Transport
    _paused = False  # something is left to be sent
    _ended = False  # the client sends no more, and is owed an answer
    _held = False  # reading is paused

    def __init__(self, handle: Handle, everybody: set[HttpProtocol]) -> None:
        self.handle = handle
        self.deadline = time.monotonic() + handle.timeout
        self._everybody = everybody

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(0)
        self._everybody.add(self)
        if self.handle.stopping:
            self.stop_receiving()

    def stop_receiving(self) -> None:
        """What has come is still answered; then the end is read."""
        if not self.transport.is_closing():
            stop_reading(self.transport.get_extra_info("socket").fileno())

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
        if self._paused:
            self.transport.abort()
        else:
            self.transport.close()


class Clients:
    """All that are open on one loop."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.open: set[HttpProtocol] = set()
        self._coming: set[asyncio.Task[object]] = set()

    def new(self) -> HttpProtocol:
        """The protocol of another client."""
        return HttpProtocol(self.handle, self.open)

    def welcome(self, client: socket.socket) -> None:
        """One that was accepted by us, not by the loop."""
        client.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._connect(client))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    async def _connect(self, client: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self.new, client)
        except OSError:  # the client is gone
            client.close()
            self.handle.counts.closed(Ending.DROPPED)

    def sweep(self) -> None:
        """End those whose time is over, now and from now on."""
        now = time.monotonic()
        for protocol in list(self.open):
            if protocol.deadline <= now and protocol.phase != WAITING:
                protocol.on_time(now)
        asyncio.get_running_loop().call_later(min(self.handle.timeout / _SWEEPS, 1.0), self.sweep)

    async def drain(self) -> None:
        """Take nothing more from anybody, and answer what has come."""
        for protocol in list(self.open):
            protocol.stop_receiving()
        while self.handle.counts.open:  # those too who are just being taken in
            await asyncio.sleep(_BREATH)


# Accepts until it is cancelled.
Accept = Callable[[Listener, Clients], Coroutine[None, None, None]]


async def serve(listener: Listener, handle: Handle, stop: int, accept: Accept) -> None:
    """Serve until told to stop, then until the last client is gone."""
    loop = asyncio.get_running_loop()
    clients = Clients(handle)
    stopped = asyncio.Event()
    loop.add_reader(stop, stopped.set)
    clients.sweep()
    async with asyncio.TaskGroup() as group:
        door = group.create_task(accept(listener, clients))
        await stopped.wait()
        door.cancel()
    loop.remove_reader(stop)
    with contextlib.closing(listener):
        for client in listener.last_clients():
            clients.welcome(client)
        await clients.drain()
