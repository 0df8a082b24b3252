"""The event loop of the models that wait for readiness in one thread. How they wait is the poller, and that is
each model's own file.

A client is read as soon as it is accepted, since its request has come by then as a rule, and is watched
only where something has to be waited for.
"""

from __future__ import annotations

import heapq
import socket
import time
from collections.abc import Iterable
from typing import Protocol

from servers.core.app import Handle
from servers.core.channel import CLOSED, READABLE, READING, WAITING, Channel
from servers.core.listener import Listener, turn_away

_BATCH = 64  # clients accepted in a row before the others get their turn
_SWEEPS = 8  # looks at the deadlines within one timeout


class Poller(Protocol):
    """What the models differ in. Events are READABLE, WRITABLE or 0 for none."""

    limit: float
    """Descriptors from this one on can't be watched."""

    def watch(self, fd: int, before: int, events: int) -> None:
        """Wait for these events from now on, instead of those before."""

    def forget(self, fd: int) -> None:
        """The descriptor was watched, and has been closed."""

    def wait(self, seconds: float | None) -> Iterable[int]:
        """The descriptors that are ready; none once the time has passed."""


class Loop:
    """The clients that something is awaited from, and their deadlines.

    The waits that the workload asks for are kept in a heap, to the millisecond. The other deadlines only end what
    takes too long: a sweep over all clients a few times within a timeout finds them, and costs a request nothing.
    """

    def __init__(self, poller: Poller, listener: Listener, handle: Handle) -> None:
        self.poller = poller
        self.listener = listener
        self.handle = handle
        self.channels: dict[int, Channel] = {}
        self._waits: list[tuple[float, int]] = []
        self._every = min(handle.timeout / _SWEEPS, 1.0)
        self._sweep_at = 0.0

    def run(self, stop: int) -> None:
        """Serve until told to stop, then answer what has come and what waits."""
        poller, door = self.poller, self.listener.fileno()
        poller.watch(stop, 0, READABLE)
        poller.watch(door, 0, READABLE)
        rest = 0.0
        stopped = False
        while not stopped:
            for fd in poller.wait(self._patience(rest)):
                if fd == door:
                    self._accept()
                elif fd == stop:
                    stopped = True
                else:
                    self._ready(fd)
            self._expire()
            before, rest = rest, self.listener.resting()
            if bool(before) != bool(rest):
                poller.watch(door, *((READABLE, 0) if rest else (0, READABLE)))
        poller.watch(stop, READABLE, 0)
        if not rest:
            poller.watch(door, READABLE, 0)
        for client in self.listener.last_clients(meanwhile=self._turn):
            self._welcome(client)
        for fd, channel in list(self.channels.items()):
            if channel.phase == READING:
                channel.hang_up(time.monotonic())
                self._settle(fd, channel)
        while self.channels:
            self._turn()

    def new_channel(self, client: socket.socket, now: float) -> Channel:
        """The connection of a client that was just accepted."""
        return Channel(client, self.handle, now)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            client = self.listener.accept()
            if client is None:
                return
            self._welcome(client)

    def _welcome(self, client: socket.socket) -> None:
        fd = client.fileno()
        if fd >= self.poller.limit:
            turn_away(client, self.handle, f"descriptors from {self.poller.limit} on can't be watched here")
            return
        now = time.monotonic()
        channel = self.new_channel(client, now)
        channel.on_ready(now)
        if channel.phase != CLOSED:
            self.channels[fd] = channel
            self._settle(fd, channel)

    def _ready(self, fd: int) -> None:
        channel = self.channels.get(fd)
        if channel is not None and channel.watched:  # an event can be that of the client who had the descriptor before
            channel.on_ready(time.monotonic())
            self._settle(fd, channel)

    def _settle(self, fd: int, channel: Channel) -> None:
        """Bring the poller and the waits in line with what the channel waits for now."""
        phase = channel.phase
        if phase == CLOSED:
            del self.channels[fd]
            if channel.watched:
                self.poller.forget(fd)
            return
        wants = channel.wants
        if wants != channel.watched:
            self.poller.watch(fd, channel.watched, wants)
            channel.watched = wants
        if phase == WAITING:
            heapq.heappush(self._waits, (channel.deadline, fd))

    def _turn(self) -> None:
        """What is ready or due next, without accepting."""
        for fd in self.poller.wait(self._patience(self.listener.resting())):
            self._ready(fd)
        self._expire()

    def _patience(self, rest: float) -> float | None:
        """Seconds until something is due; None where nothing is."""
        times = [rest] if rest else []
        if self.channels:
            times.append(max(self._sweep_at - time.monotonic(), 0.0))
        if self._waits:
            times.append(max(self._waits[0][0] - time.monotonic(), 0.0))
        return min(times, default=None)

    def _expire(self) -> None:
        """Go on with those who have waited, and end those whose time is over."""
        now = time.monotonic()
        while self._waits and self._waits[0][0] <= now:
            _, fd = heapq.heappop(self._waits)
            self._due(fd)  # nothing else can end a wait, so that the descriptor is still this client's
        if now >= self._sweep_at:
            self._sweep_at = now + self._every
            for fd, channel in list(self.channels.items()):
                if channel.deadline <= now and channel.phase != WAITING:
                    self._due(fd)

    def _due(self, fd: int) -> None:
        channel = self.channels[fd]
        channel.on_time(time.monotonic())
        self._settle(fd, channel)
