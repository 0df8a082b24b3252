"""One thread, one select: the oldest way to wait for many connections.

Waits: in select, for any ready connection. Three sets of 1024 bits are passed to the kernel with each wait; the kernel
and then the caller check every descriptor in them. Costs: a bit per client. Breaks: at descriptor 1024, which the sets
can't hold, whatever RLIMIT_NOFILE is (the client is refused with 503 and counted); before that by the O(n) scan; at one
core, like every loop. Reference: Stevens, UNIX Network Programming, 6.3 and 6.8.
"""

from __future__ import annotations

import select

from servers.core.app import Application
from servers.core.channel import READABLE, WRITABLE
from servers.core.event_loop import Loop
from servers.core.listener import Listener
from servers.core.model import Model

FD_SETSIZE = 1024  # size of the kernel's fd_set, whatever RLIMIT_NOFILE is

MODEL = Model(name="select-loop", summary="one thread, non-blocking, readiness by select", descriptors=FD_SETSIZE)


class Select:
    """A Poller whose sets are in this process: a change costs no system call, each wait passes all of them."""

    limit: float = FD_SETSIZE

    def __init__(self) -> None:
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    def watch(self, fd: int, old: int, events: int) -> None:
        """See Poller."""
        for event, fds in (READABLE, self._readers), (WRITABLE, self._writers):
            if events & event:
                fds.add(fd)
            else:
                fds.discard(fd)

    def forget(self, fd: int) -> None:
        """See Poller."""
        self.watch(fd, 0, 0)

    def wait(self, seconds: float | None) -> list[int]:
        """See Poller."""
        readable, writable, _ = select.select(self._readers, self._writers, (), seconds)
        return readable + writable


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Run one loop over all clients."""
    Loop(Select(), listener, handle).run(stop)
