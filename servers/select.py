"""The class report's hybrid: `select` over all who wait, and a thread for each that is ready.

Waits: the main thread in select, for the listening socket and every client that has sent nothing yet; a
thread starts when there is something to read. Costs: a thread for each request, and a select that looks
at every waiting client again. Breaks: at descriptor 1024, which `select` can't hold (the client is
refused and counted), and by the O(n) scan before that. The report's version blocked in accept and in
select in turn, so that one silent client stopped everybody; here the listening socket is in the set.
Reference: Stevens, UNIX Network Programming, 6.3 and 30.11.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections import deque
from threading import Thread

from servers.core.app import Handle
from servers.core.conversation import Conversation
from servers.core.counts import Ending
from servers.core.listener import Listener, persist, turn_away
from servers.core.model import Model

FD_SETSIZE = 1024  # the kernel's fd_set; RLIMIT_NOFILE doesn't change it

MODEL = Model(
    name="select",
    summary="select over the waiting clients, a thread for each that is ready",
    descriptors=FD_SETSIZE,
)

BREATH = 0.01  # seconds between two looks at the threads that are still answering, at the end


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """One select loop; a client leaves the set for a thread, and comes back only to ask again."""
    waiting = Waiting(handle)
    while True:
        rest = listener.resting()
        fixed = [stop, waiting.returns] if rest else [stop, waiting.returns, listener.fileno()]
        ready = select.select([*fixed, *waiting.clients], [], [], waiting.patience(rest))[0]
        if stop in ready:
            break
        for fd in ready:
            if fd == waiting.returns:
                waiting.take_back()
            elif fd in waiting.clients:
                waiting.start(fd)
            elif client := listener.accept():
                waiting.welcome(client)
        waiting.expire()
    for client in listener.last_clients():
        waiting.welcome(client)
    waiting.finish()


class Waiting:
    """The clients that have something to send before anything happens, in order of their deadlines."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.clients: dict[int, tuple[Conversation, float]] = {}
        self.returned: deque[Conversation] = deque()
        self.returns, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def welcome(self, client: socket.socket) -> None:
        """Wait for a new client's request, if the set has room for it."""
        if client.fileno() >= FD_SETSIZE:
            turn_away(client, self.handle, f"select can't wait for descriptors from {FD_SETSIZE} on")
        else:
            self.add(Conversation(client, self.handle))

    def add(self, conversation: Conversation) -> None:
        """Wait for this client's request. All have the same patience, so that the oldest stays first."""
        self.clients[conversation.client.fileno()] = conversation, time.monotonic() + self.handle.timeout

    def start(self, fd: int) -> None:
        """Something came: a thread reads it and answers."""
        conversation = self.clients.pop(fd)[0]
        persist(Thread(target=self._turns, args=(conversation,), daemon=True).start)

    def _turns(self, conversation: Conversation) -> None:
        while conversation.turn():
            if not conversation.buffer:
                self.returned.append(conversation)
                with contextlib.suppress(BlockingIOError):  # a full pipe wakes the loop as well
                    os.write(self._wake, b"r")
                return

    def take_back(self) -> None:
        """Connections that were answered and stay open come back into the set."""
        os.read(self.returns, 4096)
        while self.returned:
            self.add(self.returned.popleft())

    def patience(self, rest: float) -> float | None:
        """Seconds until the first deadline, or until accepting may go on."""
        times = [rest] if rest else []
        for _, deadline in self.clients.values():
            times.append(max(deadline - time.monotonic(), 0.0))
            break
        return min(times, default=None)

    def expire(self) -> None:
        """Close those who sent nothing in time."""
        now = time.monotonic()
        while self.clients:
            fd, (conversation, deadline) = next(iter(self.clients.items()))
            if deadline > now:
                return
            del self.clients[fd]
            conversation.end(Ending.TIMED_OUT)

    def finish(self) -> None:
        """Answer those whose request has come and close the others, until the last is gone."""
        while self.handle.counts.open:
            ready = select.select([self.returns, *self.clients], [], [], 0 if self.clients else BREATH)[0]
            for fd in list(self.clients):
                if fd in ready:
                    self.start(fd)
                else:
                    self.clients.pop(fd)[0].end(Ending.ABORTED)
            if self.returns in ready:
                self.take_back()
