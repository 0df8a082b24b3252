"""One thread, one poll: select without its limit.

Waits: in poll, for whoever is ready. The whole list of descriptors goes to the kernel with each wait, and the kernel
looks at every one. Costs: a place in that list, which is made anew after each change. Breaks: by the O(n) scan with
thousands of clients, most of whom are idle; at one core, like every loop. Reference: Stevens, UNIX Network
Programming, 6.10 and 6.11.
"""

from __future__ import annotations

import math
import select

from servers.core.app import Handle
from servers.core.listener import Listener
from servers.core.loop import Loop
from servers.core.model import Model

MODEL = Model(name="poll-loop", summary="one thread, non-blocking, readiness by poll")


class Poll:
    """The set is a list of this process: changing it costs no system call, waiting hands all of it over."""

    limit = math.inf

    def __init__(self) -> None:
        self._poll = select.poll()

    def watch(self, fd: int, before: int, events: int) -> None:
        if events:
            self._poll.register(fd, events)
        else:
            self._poll.unregister(fd)

    def forget(self, fd: int) -> None:
        self._poll.unregister(fd)

    def wait(self, seconds: float | None) -> list[int]:
        return [fd for fd, _ in self._poll.poll(None if seconds is None else seconds * 1000)]


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """One loop over all clients."""
    Loop(Poll(), listener, handle).run(stop)
