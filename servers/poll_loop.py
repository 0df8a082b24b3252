"""One thread, one poll: select without its limit of 1024 descriptors.

Waits: in poll, for any ready connection. The whole list of descriptors is passed to the kernel with each wait, and the
kernel checks every one. Costs: an entry in that list, which is rebuilt after each change. Breaks: by the O(n) scan with
thousands of mostly idle clients; at one core, like every loop. Reference: Stevens, UNIX Network Programming, 6.10 and
6.11.
"""

from __future__ import annotations

import math
import select

from servers.core.app import Application
from servers.core.event_loop import Loop
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="poll-loop", summary="one thread, non-blocking, readiness by poll")


class Poll:
    """A Poller whose list is in this process: a change costs no system call, each wait passes the whole list."""

    limit = math.inf

    def __init__(self) -> None:
        self._poll = select.poll()

    def watch(self, fd: int, old: int, events: int) -> None:
        """See Poller."""
        if events:
            self._poll.register(fd, events)
        else:
            self._poll.unregister(fd)

    def forget(self, fd: int) -> None:
        """See Poller."""
        self._poll.unregister(fd)

    def wait(self, seconds: float | None) -> list[int]:
        """See Poller."""
        return [fd for fd, _ in self._poll.poll(None if seconds is None else seconds * 1000)]


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Run one loop over all clients."""
    Loop(Poll(), listener, handle).run(stop)
