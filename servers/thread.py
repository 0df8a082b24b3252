"""A thread for each connection (Stevens, UNP ch. 30: one thread per client).

Waits: the main thread in accept, each client's thread in receive. Costs: starting a thread, its stack,
and the switches between threads that share one interpreter lock. Breaks: where threads or memory run out,
and, earlier, where so many runnable threads hand the lock around. Reference: Stevens, UNIX Network
Programming, 30.11.
"""

from __future__ import annotations

from threading import Thread

from servers.core.app import Handle
from servers.core.conversation import converse
from servers.core.listener import Listener, persist
from servers.core.model import Model

MODEL = Model(name="thread", summary="a thread for each connection")


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """Give each client to a new thread. The runner waits for those that are at work when this returns."""
    for client in listener.clients(stop):
        persist(Thread(target=converse, args=(client, handle), daemon=True).start)
