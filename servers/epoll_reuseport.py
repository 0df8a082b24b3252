"""An epoll loop for each core, each with a listening socket of its own on the same port.

Waits: in each process like `epoll-loop`. The kernel assigns each new client to a listening socket by a hash of its
address and port. Costs: those of `epoll-loop`, and a process for each core. Breaks: where one loop is held up, the
clients assigned to it wait although others are idle; the hash evens out numbers of clients, not their load. Reference:
Kerrisk, The SO_REUSEPORT socket option (LWN 2013); Pariag et al., Comparing the Performance of Web Server Architectures
(EuroSys 2007), on N copies.
"""

from __future__ import annotations

from functools import partial

from servers.core.app import Application
from servers.core.children import run_pool
from servers.core.event_loop import Loop
from servers.core.listener import Listener
from servers.core.model import Model, Option, at_least_one, cores
from servers.epoll_loop import Epoll

LOOPS = Option("loops", "processes, each with one loop (%(default)s: one per core)", cores(), at_least_one)

MODEL = Model(name="epoll-reuseport", summary="an epoll loop for each core, SO_REUSEPORT", options=(LOOPS,))


def serve(listener: Listener, handle: Application, stop: int, loops: int) -> None:
    """Run one loop in each process, on a listening socket of its own."""

    def work(group_listener: Listener, stop: int) -> None:
        Loop(Epoll(), group_listener, handle).run(stop)

    run_pool([partial(work, each) for each in listener.reuseport_group(loops)], handle, stop)
