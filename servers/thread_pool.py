"""A pool of threads that share the listening socket (Stevens, UNP ch. 30: prethreaded, each calls accept).

Waits: each thread like `single`, for a client and then for its bytes; the kernel wakes one of the threads that wait for
clients. Costs: those of `single`, and the switches between threads that share one interpreter lock. Breaks: at as many
clients as there are threads: if all of them wait for silent clients or for a database, the next client stays in the
accept queue; and at one core, because of the lock. Reference: Stevens, UNIX Network Programming, 30.12.
"""

from __future__ import annotations

from threading import Thread

from servers.core.app import Application
from servers.core.conversation import converse
from servers.core.listener import RECHECK_S, Listener, retry_start
from servers.core.model import Model, Option, at_least_one, cores

THREADS = Option(
    "threads", "threads in the pool (%(default)s: cores + 4, at most 32)", min(32, cores() + 4), at_least_one
)

MODEL = Model(name="thread-pool", summary="a pool of threads that share accept", options=(THREADS,), slots="threads")


def serve(listener: Listener, handle: Application, stop: int, threads: int) -> None:
    """Each thread of the pool answers one client at a time."""

    def work() -> None:
        for client in listener.clients(stop):
            converse(client, handle)

    pool = [Thread(target=work, daemon=True) for _ in range(threads)]
    for thread in pool:
        retry_start(thread.start)
    for thread in pool:
        while thread.is_alive():
            thread.join(RECHECK_S)
