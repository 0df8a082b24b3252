"""The yardstick that load generators are calibrated against: the cheapest correct answer. No model of the
study.

Waits: in one epoll loop. Costs: accept, receive, send, close; a request that has the same bytes as the
last one is neither parsed nor answered anew, its answer is remembered. Breaks: at one core. Reference:
Stevens, UNIX Network Programming, 6.2 (I/O multiplexing); epoll(7).
"""

from __future__ import annotations

import heapq
import select
import socket
import time

from servers.core.app import Handle
from servers.core.channel import Channel, Phase
from servers.core.counts import Ending
from servers.core.http import MAX_HEAD, Refusal, encode, parse
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="null", summary="epoll and a remembered answer, to calibrate load generators", measured=False)

AT_ONCE = 16 * 1024  # bytes of an answer that a fresh connection's send buffer always takes whole
_BATCH = 64  # clients accepted in a row before the others get their turn


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """One loop; a client that can't be answered from memory at once becomes a channel."""
    loop = Loop(handle)
    door = listener.fileno()
    loop.epoll.register(stop, select.EPOLLIN)
    loop.epoll.register(door, select.EPOLLIN)
    rest = 0.0
    stopped = False
    while not stopped:
        for fd, _ in loop.epoll.poll(loop.patience(rest)):
            if fd == door:
                for _ in range(_BATCH):
                    if not (client := listener.accept()):
                        break
                    loop.welcome(client)
            elif fd == stop:
                stopped = True
            else:
                loop.ready(fd)
        loop.expire()
        if bool(rest) != bool(now_resting := listener.resting()):
            loop.epoll.modify(door, 0 if now_resting else select.EPOLLIN)
        rest = now_resting
    loop.epoll.unregister(stop)
    loop.epoll.unregister(door)
    for client in listener.last_clients():
        loop.welcome(client)
    loop.finish()


class Memo:
    """The last plain request and its answer, which is good for the second that its Date names."""

    def __init__(self, handle: Handle) -> None:
        work = handle.work
        self.handle = handle
        self.usable = not (handle.keep_alive or work.cpu_ms or work.wait_ms or work.log_requests)
        self.request = b""
        self.answer = b""
        self.second = 0

    def look_up(self, data: bytes) -> bytes:
        """The whole answer, or nothing where these bytes need a closer look."""
        second = int(time.time())
        if data != self.request or second != self.second:
            try:
                request = parse(data) if self.usable else None
            except Refusal:
                return b""
            if request is None or request.bodied or request.size != len(data):
                return b""
            answer = self.handle(request)
            if answer.status != 200:
                return b""
            self.answer = encode(answer.status, answer.body, head_only=request.method == b"HEAD")
            self.request, self.second = data, second
        return self.answer


class Loop:
    """Channels, the epoll that watches them, and their timers: one entry each, put back where its time moved."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.memo = Memo(handle)
        self.epoll = select.epoll()
        self.silent: dict[int, tuple[socket.socket, float]] = {}  # no byte yet; the oldest is first
        self.channels: dict[int, Channel] = {}
        self.timers: list[tuple[float, int, int]] = []

    def welcome(self, client: socket.socket) -> None:
        """A client from the queue; its request is here as a rule, and is waited for where it isn't."""
        try:
            data = client.recv(MAX_HEAD, socket.MSG_DONTWAIT)
        except OSError:  # nothing here yet; a reset tells itself again
            if self.handle.stopping:
                client.close()
                self.handle.counts.closed(Ending.ABORTED)
                return
            fd = client.fileno()
            self.silent[fd] = client, time.monotonic() + self.handle.timeout
            self.epoll.register(fd, select.EPOLLIN)
        else:
            self.first(client, data, 0)

    def first(self, client: socket.socket, data: bytes, watched: int) -> None:
        """The first bytes of a client: answered from memory, or by a channel from now on."""
        if (wire := self.memo.look_up(data)) and len(wire) <= AT_ONCE:
            counts = self.handle.counts
            try:
                client.send(wire, socket.MSG_DONTWAIT)
            except OSError:
                client.close()
                counts.closed(Ending.DROPPED)
                return
            client.close()
            counts.answered(200)
            counts.closed()
            return
        now = time.monotonic()
        channel = Channel(client, self.handle, now)
        channel.watched = watched
        fd = client.fileno()
        channel.feed(data, now)
        self.channels[fd] = channel
        self.time(fd, channel)
        self.settle(fd, channel)

    def ready(self, fd: int) -> None:
        """Something happened on a channel."""
        if silent := self.silent.pop(fd, None):
            try:
                data = silent[0].recv(MAX_HEAD, socket.MSG_DONTWAIT)
            except OSError:
                data = b""
            self.first(silent[0], data, select.EPOLLIN)
        elif channel := self.channels.get(fd):
            channel.on_ready(time.monotonic())
            self.settle(fd, channel)

    def settle(self, fd: int, channel: Channel) -> None:
        """Bring epoll and the timers in line with what the channel waits for now."""
        if channel.phase is Phase.CLOSED:  # closing took it out of epoll
            del self.channels[fd]
            return
        if channel.wants != channel.watched:
            # Without events wanted epoll still tells a hang-up, again and again; so nothing is watched then.
            if not channel.wants:
                self.epoll.unregister(fd)
            elif not channel.watched:
                self.epoll.register(fd, channel.wants)
            else:
                self.epoll.modify(fd, channel.wants)
            channel.watched = channel.wants
        if channel.deadline < channel.timed:
            self.time(fd, channel)

    def time(self, fd: int, channel: Channel) -> None:
        """Wake for this channel at its deadline."""
        channel.timed = channel.deadline
        heapq.heappush(self.timers, (channel.deadline, fd, id(channel)))

    def patience(self, rest: float) -> float | None:
        """Seconds until something is due."""
        times = [rest] if rest else []
        if self.timers:
            times.append(max(self.timers[0][0] - time.monotonic(), 0.0))
        if self.silent:
            times.append(max(next(iter(self.silent.values()))[1] - time.monotonic(), 0.0))
        return min(times, default=None)

    def expire(self) -> None:
        """Call those whose time has come. A timer whose channel is gone is thrown away, an early one set again."""
        while self.silent and next(iter(self.silent.values()))[1] <= time.monotonic():
            client, _ = self.silent.pop(next(iter(self.silent)))
            client.close()
            self.handle.counts.closed(Ending.TIMED_OUT)
        timers = self.timers
        while timers and timers[0][0] <= (now := time.monotonic()):
            _, fd, which = heapq.heappop(timers)
            channel = self.channels.get(fd)
            if channel is None or id(channel) != which:
                continue
            if channel.deadline <= now:
                channel.on_time(now)
                self.settle(fd, channel)
            if channel.phase is not Phase.CLOSED:
                self.time(fd, channel)

    def finish(self) -> None:
        """Answer what has come and what waits, then leave."""
        for fd in list(self.silent):
            client, _ = self.silent.pop(fd)
            self.epoll.unregister(fd)
            self.welcome(client)
        for fd, channel in list(self.channels.items()):
            channel.hang_up(time.monotonic())
            self.settle(fd, channel)
        while self.channels:
            for fd, _ in self.epoll.poll(self.patience(0.0)):
                self.ready(fd)
            self.expire()
