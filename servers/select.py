"""The class report's hybrid: `select` over all waiting clients, and a thread for each that is ready.

Waits: the main thread in select, for the listening socket and every client that has sent nothing yet; a thread starts
when there is something to read. Costs: a thread for each request, and a select that checks every waiting client again.
Breaks: at descriptor 1024, which `select` can't watch (the client is refused with 503 and counted), and before that by
the O(n) scan. The report's version blocked in accept and in select in turn, so that one silent client stopped all
others; here the listening socket is in the set. Reference: Stevens, UNIX Network Programming, 6.3 and 30.11.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections import deque
from threading import Thread

from servers.core.app import Application
from servers.core.conversation import Conversation
from servers.core.counts import Ending
from servers.core.listener import Listener, refuse, retry_start
from servers.core.model import Model

FD_SETSIZE = 1024  # size of the kernel's fd_set, whatever RLIMIT_NOFILE is

MODEL = Model(
    name="select",
    summary="select over the waiting clients, a thread for each ready one",
    descriptors=FD_SETSIZE,
)

POLL_S = 0.01  # between two checks for threads that are still answering, while draining


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Run one select loop; a ready client leaves the set for a thread, and returns if its connection stays open."""
    waiting = WaitingClients(handle)
    while True:
        pause = listener.pause_left()
        fixed = [stop, waiting.wake_fd] if pause else [stop, waiting.wake_fd, listener.fileno()]
        ready = select.select([*fixed, *waiting.clients], [], [], waiting.wait_limit(pause))[0]
        if stop in ready:
            break
        for fd in ready:
            if fd == waiting.wake_fd:
                waiting.take_back()
            elif fd in waiting.clients:
                waiting.start_thread(fd)
            elif client := listener.accept():
                waiting.add_client(client)
        waiting.expire()
    for client in listener.last_clients():
        waiting.add_client(client)
    waiting.drain()


class WaitingClients:
    """The clients whose next bytes are awaited, in order of their deadlines."""

    def __init__(self, handle: Application) -> None:
        self.handle = handle
        self.clients: dict[int, tuple[Conversation, float]] = {}
        self.kept_open: deque[Conversation] = deque()
        self.wake_fd, self._wake_writing_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def add_client(self, client: socket.socket) -> None:
        """Wait for a new client's request, or refuse it where select can't watch its descriptor."""
        if client.fileno() >= FD_SETSIZE:
            refuse(client, self.handle, f"select can't wait for descriptors from {FD_SETSIZE} on")
        else:
            self.add(Conversation(client, self.handle))

    def add(self, conversation: Conversation) -> None:
        """Wait for the next request of this connection. All have the same timeout, so that the oldest stays first."""
        self.clients[conversation.client.fileno()] = conversation, time.monotonic() + self.handle.timeout

    def start_thread(self, fd: int) -> None:
        """The client is readable: a thread receives and answers."""
        conversation = self.clients.pop(fd)[0]
        retry_start(Thread(target=self._turns, args=(conversation,), daemon=True).start)

    def _turns(self, conversation: Conversation) -> None:
        while conversation.turn():
            if not conversation.buffer:
                self.kept_open.append(conversation)
                with contextlib.suppress(BlockingIOError):  # a full pipe is readable as well
                    os.write(self._wake_writing_fd, b"r")
                return

    def take_back(self) -> None:
        """Wait again for the connections that were answered and stay open."""
        os.read(self.wake_fd, 4096)
        while self.kept_open:
            self.add(self.kept_open.popleft())

    def wait_limit(self, pause: float) -> float | None:
        """Seconds until the first deadline or the end of a pause; None where there is neither."""
        times = [pause] if pause else []
        for _, deadline in self.clients.values():
            times.append(max(deadline - time.monotonic(), 0.0))
            break
        return min(times, default=None)

    def expire(self) -> None:
        """Close the clients that sent nothing in time."""
        now = time.monotonic()
        while self.clients:
            fd, (conversation, deadline) = next(iter(self.clients.items()))
            if deadline > now:
                return
            del self.clients[fd]
            conversation.end(Ending.TIMED_OUT)

    def drain(self) -> None:
        """Answer the requests that have arrived and close the other clients, until no connection is open."""
        while self.handle.counts.open:
            ready = select.select([self.wake_fd, *self.clients], [], [], 0 if self.clients else POLL_S)[0]
            for fd in list(self.clients):
                if fd in ready:
                    self.start_thread(fd)
                else:
                    self.clients.pop(fd)[0].end(Ending.ABORTED)
            if self.wake_fd in ready:
                self.take_back()
