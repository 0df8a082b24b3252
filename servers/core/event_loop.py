"""The event loop of the models that wait for readiness in one thread. Each model's own file supplies the poller.

A client is read as soon as it is accepted, since its request has usually arrived by then. It is registered with the
poller only if it has to be waited for.
"""

from __future__ import annotations

import heapq
import socket
import time
from collections.abc import Iterable
from typing import Protocol

from servers.core.app import Application
from servers.core.channel import CLOSED, READABLE, READING, WAITING, Channel
from servers.core.listener import Listener, refuse

_BATCH = 64  # clients accepted in a row before the connected ones are served again
_SWEEPS = 8  # all deadlines are checked at least this often within one timeout, and once a second


class Poller(Protocol):
    """What differs between the models. Events are READABLE, WRITABLE, or 0 for none."""

    limit: float
    """The least descriptor that can't be watched; inf where there is none."""

    def watch(self, fd: int, old: int, events: int) -> None:
        """Wait for `events` from now on instead of `old`. 0 means that the descriptor is not watched."""

    def forget(self, fd: int) -> None:
        """The descriptor was watched and has been closed."""

    def wait(self, seconds: float | None) -> Iterable[int]:
        """Return the descriptors that are ready; none after `seconds` (None: wait without limit)."""


class Loop:
    """The open connections and their deadlines.

    Waits of the workload (`wait_ms`) are kept in a heap, exact to the millisecond. The other deadlines only end what
    takes too long: a sweep over all connections checks them every timeout / _SWEEPS seconds, and at least every second,
    so that they cost nothing per request.
    """

    def __init__(self, poller: Poller, listener: Listener, handle: Application) -> None:
        self.poller = poller
        self.listener = listener
        self.handle = handle
        self.channels: dict[int, Channel] = {}
        self._waits: list[tuple[float, int]] = []
        self._sweep_interval = min(handle.timeout / _SWEEPS, 1.0)
        self._sweep_at = 0.0

    def run(self, stop: int) -> None:
        """Serve until `stop` is readable, then answer the requests that have arrived and end."""
        poller, accept_fd = self.poller, self.listener.fileno()
        poller.watch(stop, 0, READABLE)
        poller.watch(accept_fd, 0, READABLE)
        pause = 0.0
        stopped = False
        while not stopped:
            for fd in poller.wait(self._wait_limit(pause)):
                if fd == accept_fd:
                    self._accept()
                elif fd == stop:
                    stopped = True
                else:
                    self._ready(fd)
            self._expire()
            was_paused, pause = pause, self.listener.pause_left()
            if bool(was_paused) != bool(pause):
                poller.watch(accept_fd, *((READABLE, 0) if pause else (0, READABLE)))
        poller.watch(stop, READABLE, 0)
        if not pause:
            poller.watch(accept_fd, READABLE, 0)
        for client in self.listener.last_clients(during_pause=self._serve_ready):
            self._add(client)
        for fd, channel in list(self.channels.items()):
            if channel.phase == READING:
                channel.drain(time.monotonic())
                self._update(fd, channel)
        while self.channels:
            self._serve_ready()

    def new_channel(self, client: socket.socket, now: float) -> Channel:
        """The Channel of a newly accepted client."""
        return Channel(client, self.handle, now)

    def _accept(self) -> None:
        for _ in range(_BATCH):
            client = self.listener.accept()
            if client is None:
                return
            self._add(client)

    def _add(self, client: socket.socket) -> None:
        fd = client.fileno()
        if fd >= self.poller.limit:
            refuse(client, self.handle, f"descriptors from {self.poller.limit} on can't be watched here")
            return
        now = time.monotonic()
        channel = self.new_channel(client, now)
        channel.on_ready(now)
        if channel.phase != CLOSED:
            self.channels[fd] = channel
            self._update(fd, channel)

    def _ready(self, fd: int) -> None:
        channel = self.channels.get(fd)
        # An event can be stale: its client was closed in this round, and a new one has the descriptor, not watched yet.
        if channel is not None and channel.watched:
            channel.on_ready(time.monotonic())
            self._update(fd, channel)

    def _update(self, fd: int, channel: Channel) -> None:
        """After a channel was called: register the events that it waits for now, or drop it if it is closed."""
        phase = channel.phase
        if phase == CLOSED:
            del self.channels[fd]
            if channel.watched:
                self.poller.forget(fd)
            return
        events = channel.events_wanted
        if events != channel.watched:
            self.poller.watch(fd, channel.watched, events)
            channel.watched = events
        if phase == WAITING:
            heapq.heappush(self._waits, (channel.deadline, fd))

    def _serve_ready(self) -> None:
        """Wait once and serve what is ready or due, without accepting."""
        for fd in self.poller.wait(self._wait_limit(self.listener.pause_left())):
            self._ready(fd)
        self._expire()

    def _wait_limit(self, pause: float) -> float | None:
        """Seconds until the next deadline or the end of a pause; None where there is neither."""
        times = [pause] if pause else []
        if self.channels:
            times.append(max(self._sweep_at - time.monotonic(), 0.0))
        if self._waits:
            times.append(max(self._waits[0][0] - time.monotonic(), 0.0))
        return min(times, default=None)

    def _expire(self) -> None:
        """Send the answers whose `wait_ms` has passed; at each sweep, end the connections whose deadline has passed."""
        now = time.monotonic()
        while self._waits and self._waits[0][0] <= now:
            _, fd = heapq.heappop(self._waits)
            self._deadline_passed(fd)  # the descriptor still is this client's: nothing else ends a wait
        if now >= self._sweep_at:
            self._sweep_at = now + self._sweep_interval
            for fd, channel in list(self.channels.items()):
                if channel.deadline <= now and channel.phase != WAITING:
                    self._deadline_passed(fd)

    def _deadline_passed(self, fd: int) -> None:
        channel = self.channels[fd]
        channel.on_deadline(time.monotonic())
        self._update(fd, channel)
