"""A pool of processes that share the listening socket (Stevens, UNP ch. 30: preforked, no locking around accept).

Waits: each process like `single`, for a client and then for its bytes; of those that wait for clients the kernel
wakes one. Costs: no more than `single`, once the pool is forked. Breaks: at as many clients as there are processes:
one more, silent or waiting for a database, and the next stands in the queue. Whoever was woken last is woken first,
so that the processes are not loaded alike. Reference: Stevens, UNIX Network Programming, 30.6; EPOLLEXCLUSIVE in
epoll_ctl(2).
"""

from __future__ import annotations

from servers.core.app import Handle
from servers.core.children import keep_pool
from servers.core.conversation import converse
from servers.core.listener import Listener
from servers.core.model import Model, Option, at_least_one, cores

PROCESSES = Option(
    "processes", "processes in the pool (%(default)s: 2 for each core and 1)", 2 * cores() + 1, at_least_one
)

MODEL = Model(name="prefork", summary="a pool of processes that share accept", options=(PROCESSES,), slots="processes")


def serve(listener: Listener, handle: Handle, stop: int, processes: int) -> None:
    """Each process of the pool answers one client at a time."""

    def work(stop: int) -> None:
        for client in listener.clients(stop):
            converse(client, handle)

    keep_pool([work] * processes, handle, stop)
