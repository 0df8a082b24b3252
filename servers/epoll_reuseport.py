"""An epoll loop for each core, each with a listening socket of its own on the same port.

Waits: in each process like `epoll-loop`. The kernel deals new clients to the listening sockets by a hash of their
address and port. Costs: what `epoll-loop` costs, and a process for each core. Breaks: where one loop is held up,
those dealt to it wait though others are idle; the deal is even in number only. Reference: Kerrisk, The SO_REUSEPORT
socket option (LWN 2013); Pariag et al., Comparing the Performance of Web Server Architectures
(EuroSys 2007), on N copies.
"""

from __future__ import annotations

from functools import partial

from servers.core.app import Handle
from servers.core.children import keep_pool
from servers.core.listener import Listener
from servers.core.loop import Loop
from servers.core.model import Model, Option, at_least_one, cores
from servers.epoll_loop import Epoll

LOOPS = Option("loops", "processes with a loop each (%(default)s: 1 for each core)", cores(), at_least_one)

MODEL = Model(name="epoll-reuseport", summary="an epoll loop for each core, SO_REUSEPORT", options=(LOOPS,))


def serve(listener: Listener, handle: Handle, stop: int, loops: int) -> None:
    """One loop in each process, with a listening socket of its own."""

    def work(own: Listener, stop: int) -> None:
        Loop(Epoll(), own, handle).run(stop)

    keep_pool([partial(work, own) for own in listener.siblings(loops)], handle, stop)
