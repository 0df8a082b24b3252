"""The server against which load generators are calibrated: the cheapest correct answer. Not a model of the study.

Waits: in one epoll loop. Costs: accept, recv, send, close; a request with the same bytes as the last one is answered
from a cache, without parsing or encoding. Breaks: at one core. Reference: Stevens, UNIX Network Programming, 6.2 (I/O
multiplexing); epoll(7).
"""

from __future__ import annotations

import socket
import time

from servers.core.app import Application
from servers.core.channel import Channel
from servers.core.event_loop import Loop
from servers.core.http import Refusal, encode, parse
from servers.core.listener import Listener
from servers.core.model import Model
from servers.core.reply import Reply
from servers.epoll_loop import Epoll

MODEL = Model(name="null", summary="epoll and a cached answer, to calibrate load generators", measured=False)


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Run the loop of `epoll-loop` over channels with a cached answer."""
    cache = ReplyCache(handle)

    class NullLoop(Loop):
        def new_channel(self, client: socket.socket, now: float) -> Channel:
            return CachingChannel(client, handle, now, cache)

    NullLoop(Epoll(), listener, handle).run(stop)


class ReplyCache:
    """The last plain request and its answer, which is valid within the second of its Date."""

    def __init__(self, handle: Application) -> None:
        settings = handle.settings
        self.handle = handle
        self.usable = not (handle.keep_alive or settings.cpu_ms or settings.wait_ms or settings.log_requests)
        self.request = b""
        self.reply: Reply | None = None
        self.second = 0

    def look_up(self, data: bytes) -> Reply | None:
        """The answer to these bytes, or None where they have to be parsed by the channel."""
        second = int(time.time())
        if data != self.request or second != self.second:
            try:
                request = parse(data) if self.usable else None
            except Refusal:
                return None
            if request is None or request.has_body or request.size != len(data):
                return None
            answer = self.handle(request)
            if answer.status != 200:
                return None
            wire = encode(answer.status, answer.body, head_only=request.method == b"HEAD")
            self.reply = Reply(wire, answer.status, 0.0, False, False, request.size)
            self.request, self.second = data, second
        return self.reply


class CachingChannel(Channel):
    """One client, answered from the cache where the first bytes received are the whole of the last request."""

    def __init__(self, client: socket.socket, handle: Application, now: float, cache: ReplyCache) -> None:
        super().__init__(client, handle, now)
        self.cache = cache

    def _feed(self, data: bytes, now: float) -> None:
        if not self._buffer and not self.answers and (reply := self.cache.look_up(data)):
            self._reply = reply
            self._send(now)
        else:
            super()._feed(data, now)
