"""One thread, one epoll (what came after Stevens, for thousands of clients).

Waits: in epoll_wait, for whoever is ready. The kernel keeps the set of watched descriptors, so that a wait costs what
is ready and not what is watched. Costs: a system call for each change of what a client is watched for. Breaks: at
one core; and one request that computes stops all others meanwhile. Reference: epoll(7); Kegel, The C10K
problem; Gammo et al., Comparing and Evaluating epoll, select, and poll Event Mechanisms (OLS 2004).
"""

from __future__ import annotations

import math
import select

from servers.core.app import Handle
from servers.core.listener import Listener
from servers.core.loop import Loop
from servers.core.model import Model

MODEL = Model(name="epoll-loop", summary="one thread, non-blocking, readiness by epoll")


class Epoll:
    """The set is the kernel's: each change is a system call."""

    limit = math.inf

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def watch(self, fd: int, before: int, events: int) -> None:
        if not before:
            self._epoll.register(fd, events)
        elif events:
            self._epoll.modify(fd, events)
        else:  # without events epoll would still tell a hang-up, again and again
            self._epoll.unregister(fd)

    def forget(self, fd: int) -> None:
        pass  # closing took it out of the set

    def wait(self, seconds: float | None) -> list[int]:
        return [fd for fd, _ in self._epoll.poll(seconds)]


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """One loop over all clients."""
    Loop(Epoll(), listener, handle).run(stop)
