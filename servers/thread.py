"""A thread for each connection (Stevens, UNP ch. 30: one thread per client).

Waits: the main thread in accept, each client's thread in recv. Costs: starting a thread, its stack, and the switches
between threads that share one interpreter lock. Breaks: where threads or memory run out; before that, where many
runnable threads contend for the interpreter lock. Reference: Stevens, UNIX Network Programming, 30.11.
"""

from __future__ import annotations

from threading import Thread

from servers.core.app import Application
from servers.core.conversation import converse
from servers.core.listener import Listener, retry_start
from servers.core.model import Model

MODEL = Model(name="thread", summary="a thread for each connection")


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Start a thread for each client. After this returns, the runner waits for the threads that are still answering."""
    for client in listener.clients(stop):
        retry_start(Thread(target=converse, args=(client, handle), daemon=True).start)
