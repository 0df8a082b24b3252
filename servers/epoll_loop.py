"""One thread, one epoll (younger than Stevens's book, made for thousands of clients).

Waits: in epoll_wait, for any ready connection. The kernel keeps the set of watched descriptors, so that a wait costs
time for those that are ready and not for those that are watched. Costs: a system call for each change of what is
watched. Breaks: at one core; a request that computes delays every other. Reference: epoll(7); Kegel, The C10K problem;
Gammo et al., Comparing and Evaluating epoll, select, and poll Event Mechanisms (OLS 2004).
"""

from __future__ import annotations

import math
import select

from servers.core.app import Application
from servers.core.event_loop import Loop
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="epoll-loop", summary="one thread, non-blocking, readiness by epoll")


class Epoll:
    """A Poller whose set of descriptors is in the kernel: each change is a system call."""

    limit = math.inf

    def __init__(self) -> None:
        self._epoll = select.epoll()

    def watch(self, fd: int, old: int, events: int) -> None:
        """See Poller."""
        if not old:
            self._epoll.register(fd, events)
        elif events:
            self._epoll.modify(fd, events)
        else:  # with an empty mask epoll would still report EPOLLHUP, at every wait
            self._epoll.unregister(fd)

    def forget(self, fd: int) -> None:
        """See Poller. Nothing to do: the kernel removes a closed descriptor from the set."""

    def wait(self, seconds: float | None) -> list[int]:
        """See Poller."""
        return [fd for fd, _ in self._epoll.poll(seconds)]


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Run one loop over all clients."""
    Loop(Epoll(), listener, handle).run(stop)
