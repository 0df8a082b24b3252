"""One connection of an asyncio loop: a channel that receives and sends through a transport. `asyncio` and `uvloop`
share it; they differ in the event loop that runs it.

The transport sends at once what the kernel takes. Its write buffer's limit is set to 0, so that it calls pause_writing
as soon as anything is left over: an answer counts as sent when the kernel has all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Coroutine
from typing import cast

from servers.core.app import Application, stop_reading
from servers.core.channel import CLOSED, LINGERING, READING, WAITING, WRITING, Channel
from servers.core.counts import Ending
from servers.core.http import MAX_HEAD
from servers.core.listener import Listener

_SWEEPS = 8  # all deadlines are checked at least this often within one timeout, and once a second
_POLL_S = 0.005
_PIECE = 2**18  # bytes


class HttpProtocol(Channel, asyncio.Protocol):
    """One client. `open_connections` is the set of all open ones, which this one joins and leaves."""

    transport: asyncio.Transport
    _writing_paused = False  # the transport holds bytes that the kernel hasn't taken
    _ended = False  # the client has ended its side; an answer may still be due
    _reading_paused = False  # reading is paused: the client pipelines more than MAX_HEAD bytes

    def __init__(self, handle: Application, open_connections: set[HttpProtocol]) -> None:
        self.handle = handle
        self.deadline = time.monotonic() + handle.timeout
        self._open_connections = open_connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(0)
        self._open_connections.add(self)
        if self.handle.stopping:
            self.stop_receiving()

    def stop_receiving(self) -> None:
        """Read end of file after the bytes that have arrived; their requests are still answered."""
        if not self.transport.is_closing():
            stop_reading(self.transport.get_extra_info("socket").fileno())

    def data_received(self, data: bytes) -> None:
        if self.phase in (READING, LINGERING):
            self._step(self._feed, data)
        elif self.phase != CLOSED:
            self._buffer += data
            if len(self._buffer) > MAX_HEAD:
                self._reading_paused = True
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
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        asyncio.get_running_loop().call_soon(self._resumed)  # not now: the transport must not be closed in this call

    def on_deadline(self, now: float) -> None:
        if self.phase != CLOSED:
            self._step(super().on_deadline)

    def _resumed(self) -> None:
        if self.phase == WRITING:
            self._step(self._after_writing)

    def _after_writing(self, now: float) -> None:
        if not self.transport.is_closing() and self._write(self._unsent):
            self._sent(now)
            self._answer(now)

    def _step(self, step, *arguments) -> None:  # type: ignore[no-untyped-def]
        """Run one step of the channel, then schedule what it waits for."""
        now = time.monotonic()
        try:
            step(*arguments, now)
        except OSError:
            self._drop(Ending.DROPPED)
        if self.phase == WAITING:
            asyncio.get_running_loop().call_later(max(self.deadline - now, 0.0), self.on_deadline, self.deadline)
        elif self.phase == READING:
            if self._ended:
                self._drop(Ending.DROPPED)
            elif self._reading_paused:
                self._reading_paused = False
                self.transport.resume_reading()

    def _write(self, wire: bytes | memoryview) -> bool:
        """Hand over a large answer in pieces: the transport copies what the kernel doesn't take at once."""
        if len(wire) <= _PIECE:
            if wire:
                self.transport.write(wire)
            self._unsent = b""
        else:
            self._unsent = memoryview(wire)
            while self._unsent and not self._writing_paused and not self.transport.is_closing():
                self.transport.write(self._unsent[:_PIECE])
                self._unsent = self._unsent[_PIECE:]
        return not self._unsent and not self._writing_paused

    def _end_output(self) -> None:
        self.transport.write_eof()
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()

    def _close(self) -> None:
        self._open_connections.discard(self)
        if self._writing_paused:
            self.transport.abort()
        else:
            self.transport.close()


class Clients:
    """All open connections of one event loop."""

    def __init__(self, handle: Application) -> None:
        self.handle = handle
        self.open: set[HttpProtocol] = set()
        self._connecting: set[asyncio.Task[object]] = set()

    def new(self) -> HttpProtocol:
        """The protocol of a new client."""
        return HttpProtocol(self.handle, self.open)

    def add(self, client: socket.socket) -> None:
        """Hand over a client that the model accepted itself, not the event loop."""
        client.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._connect(client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, client: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self.new, client)
        except OSError:  # the client has closed already
            client.close()
            self.handle.counts.closed(Ending.DROPPED)

    def sweep(self) -> None:
        """End the connections whose deadline has passed; repeats every timeout / _SWEEPS seconds, at most 1 s later."""
        now = time.monotonic()
        for protocol in list(self.open):
            if protocol.deadline <= now and protocol.phase != WAITING:
                protocol.on_deadline(now)
        asyncio.get_running_loop().call_later(min(self.handle.timeout / _SWEEPS, 1.0), self.sweep)

    async def drain(self) -> None:
        """Receive nothing more, answer the requests that have arrived, and return when all connections are closed."""
        for protocol in list(self.open):
            protocol.stop_receiving()
        while self.handle.counts.open:  # includes clients whose transport is still being set up
            await asyncio.sleep(_POLL_S)


# A coroutine function that accepts clients until it is cancelled.
Accept = Callable[[Listener, Clients], Coroutine[None, None, None]]


async def serve(listener: Listener, handle: Application, stop: int, accept: Accept) -> None:
    """Serve until `stop` is readable, then until the last connection is closed."""
    loop = asyncio.get_running_loop()
    clients = Clients(handle)
    stopped = asyncio.Event()
    loop.add_reader(stop, stopped.set)
    clients.sweep()
    async with asyncio.TaskGroup() as group:
        accepting = group.create_task(accept(listener, clients))
        await stopped.wait()
        accepting.cancel()
    loop.remove_reader(stop)
    with contextlib.closing(listener):
        for client in listener.last_clients():
            clients.add(client)
        await clients.drain()
