"""One thread, one select: the oldest way to wait for many.

Waits: in select, for whoever is ready. Three sets of 1024 bits go to the kernel with each wait; the kernel and then
the caller look at every descriptor in them. Costs: a bit. Breaks: at descriptor 1024, which the set can't hold,
whatever RLIMIT_NOFILE says (the client is refused with 503 and counted); by the O(n) scan before that; at one
core, like every loop. Reference: Stevens, UNIX Network Programming, 6.3 and 6.8.
"""

from __future__ import annotations

import select

from servers.core.app import Handle
from servers.core.channel import READABLE, WRITABLE
from servers.core.listener import Listener
from servers.core.loop import Loop
from servers.core.model import Model

FD_SETSIZE = 1024  # the kernel's fd_set; RLIMIT_NOFILE doesn't change it

MODEL = Model(name="select-loop", summary="one thread, non-blocking, readiness by select", descriptors=FD_SETSIZE)


class Select:
    """The sets are this process's: changing them costs no system call, waiting hands all of them over."""

    limit: float = FD_SETSIZE

    def __init__(self) -> None:
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    def watch(self, fd: int, before: int, events: int) -> None:
        for event, fds in (READABLE, self._readers), (WRITABLE, self._writers):
            if events & event:
                fds.add(fd)
            else:
                fds.discard(fd)

    def forget(self, fd: int) -> None:
        self.watch(fd, 0, 0)

    def wait(self, seconds: float | None) -> list[int]:
        readable, writable, _ = select.select(self._readers, self._writers, (), seconds)
        return readable + writable


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """One loop over all clients."""
    Loop(Select(), listener, handle).run(stop)
