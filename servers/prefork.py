"""A pool of processes that share the listening socket (Stevens, UNP ch. 30: preforked, no locking around accept).

Waits: each process like `single`, for a client and then for its bytes; the kernel wakes one of the processes that wait
for clients. Costs: those of `single`, once the pool is forked. Breaks: at as many clients as there are processes: if
all of them wait for silent clients or for a database, the next client stays in the accept queue. The process that
waited last is woken first, so that the processes are not loaded alike. Reference: Stevens, UNIX Network Programming,
30.6; EPOLLEXCLUSIVE in epoll_ctl(2).
"""

from __future__ import annotations

from servers.core.app import Application
from servers.core.children import run_pool
from servers.core.conversation import converse
from servers.core.listener import Listener
from servers.core.model import Model, Option, at_least_one, cores

PROCESSES = Option(
    "processes", "processes in the pool (%(default)s: two per core and one more)", 2 * cores() + 1, at_least_one
)

MODEL = Model(name="prefork", summary="a pool of processes that share accept", options=(PROCESSES,), slots="processes")


def serve(listener: Listener, handle: Application, stop: int, processes: int) -> None:
    """Each process of the pool answers one client at a time."""

    def work(stop: int) -> None:
        for client in listener.clients(stop):
            converse(client, handle)

    run_pool([work] * processes, handle, stop)
