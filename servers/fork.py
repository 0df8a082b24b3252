"""A process for each connection, by fork itself (Stevens, UNP ch. 30: one child per client).

Waits: the parent for clients and for the ends of its children, each child in receive. Costs: a fork and an exit, and
in the parent a descriptor while the child lives. Breaks: at some hundreds of connections a second, since a fork
copies the page tables of the whole interpreter; and where processes or memory run out. Reference: Stevens, UNIX
Network Programming, 30.5.
"""

from __future__ import annotations

import select
import socket
import time

from servers.core.app import Handle
from servers.core.children import Children
from servers.core.conversation import converse, rehearse
from servers.core.http import warm_date
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="fork", summary="a process for each connection (fork)")


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """Give each client to a new child; reap each child as it ends, whether or not another client comes."""
    rehearse(handle)
    children = Children(handle.counts)

    def give(client: socket.socket) -> None:
        warm_date()
        children.start(lambda: converse(client, handle), owed=1, meanwhile=children.reap_ended)
        client.close()

    children.poller.register(stop, select.EPOLLIN)
    children.poller.register(listener.fileno(), select.EPOLLIN)
    while (ready := children.poller.poll(maxevents=1)[0][0]) != stop:  # one at a time: starting may reap another
        if ready in children.living:
            children.reap(ready)
        elif client := listener.accept():
            give(client)
        elif rest := listener.resting():
            time.sleep(rest)
    children.poller.unregister(stop)
    children.poller.unregister(listener.fileno())
    for client in listener.last_clients(meanwhile=children.reap_ended):
        give(client)
    children.hang_up()
    children.wait()
