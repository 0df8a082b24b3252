"""A process for each connection, by fork itself (Stevens, UNP ch. 30: one child per client).

Waits: the parent for clients and for the end of its children, each child in recv. Costs: a fork and an exit, and in the
parent a descriptor while the child lives. Breaks: at some hundreds of connections a second, since a fork copies the
page tables of the whole interpreter; and where processes or memory run out. Reference: Stevens, UNIX Network
Programming, 30.5.
"""

from __future__ import annotations

import select
import socket
import time

from servers.core.app import Application
from servers.core.children import Children
from servers.core.conversation import converse, warm_up
from servers.core.http import precompute_date
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="fork", summary="a process for each connection (fork)")


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Fork a child for each client, and reap each child when it ends, whether or not another client comes."""
    warm_up(handle)
    children = Children(handle.counts)

    def start_child(client: socket.socket) -> None:
        precompute_date()
        children.start(lambda: converse(client, handle), assigned=1, during_pause=children.reap_ended)
        client.close()

    children.poller.register(stop, select.EPOLLIN)
    children.poller.register(listener.fileno(), select.EPOLLIN)
    # One event at a time: a start may reap a child, whose event would then be stale.
    while (ready := children.poller.poll(maxevents=1)[0][0]) != stop:
        if ready in children.living:
            children.reap(ready)
        elif client := listener.accept():
            start_child(client)
        elif pause := listener.pause_left():
            time.sleep(pause)
    children.poller.unregister(stop)
    children.poller.unregister(listener.fileno())
    for client in listener.last_clients(during_pause=children.reap_ended):
        start_child(client)
    children.terminate()
    children.wait()
