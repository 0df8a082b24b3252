"""The yardstick that load generators are calibrated against: the cheapest correct answer. No model of the
study.

Waits: in one epoll loop. Costs: accept, receive, send, close; a request that has the same bytes as the
last one is neither parsed nor answered anew, its answer is remembered. Breaks: at one core. Reference:
Stevens, UNIX Network Programming, 6.2 (I/O multiplexing); epoll(7).
"""

from __future__ import annotations

import socket
import time

from servers.core.app import Handle
from servers.core.channel import Channel
from servers.core.http import Refusal, encode, parse
from servers.core.listener import Listener
from servers.core.loop import Loop
from servers.core.model import Model
from servers.core.reply import Reply
from servers.epoll_loop import Epoll

MODEL = Model(name="null", summary="epoll and a remembered answer, to calibrate load generators", measured=False)


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """The loop of `epoll-loop`, over channels that remember."""
    memo = Memo(handle)

    class Null(Loop):
        def new_channel(self, client: socket.socket, now: float) -> Channel:
            return Remembering(client, handle, now, memo)

    Null(Epoll(), listener, handle).run(stop)


class Memo:
    """The last plain request and its answer, which is good for the second that its Date names."""

    def __init__(self, handle: Handle) -> None:
        work = handle.work
        self.handle = handle
        self.usable = not (handle.keep_alive or work.cpu_ms or work.wait_ms or work.log_requests)
        self.request = b""
        self.reply: Reply | None = None
        self.second = 0

    def look_up(self, data: bytes) -> Reply | None:
        """The answer, or nothing where these bytes need a closer look."""
        second = int(time.time())
        if data != self.request or second != self.second:
            try:
                request = parse(data) if self.usable else None
            except Refusal:
                return None
            if request is None or request.bodied or request.size != len(data):
                return None
            answer = self.handle(request)
            if answer.status != 200:
                return None
            wire = encode(answer.status, answer.body, head_only=request.method == b"HEAD")
            self.reply = Reply(wire, answer.status, 0.0, False, False, request.size)
            self.request, self.second = data, second
        return self.reply


class Remembering(Channel):
    """One client, answered from memory where its first bytes are the whole of the last request."""

    def __init__(self, client: socket.socket, handle: Handle, now: float, memo: Memo) -> None:
        super().__init__(client, handle, now)
        self.memo = memo

    def _feed(self, data: bytes, now: float) -> None:
        if not self._buffer and not self.answers and (reply := self.memo.look_up(data)):
            self._reply = reply
            self._send(now)
        else:
            super()._feed(data, now)
