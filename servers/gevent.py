"""A greenlet for each connection: code that reads as if it blocked, over one event loop.

Waits: each greenlet in receive, which hands over to the hub; the hub waits in libev, by epoll. Costs: a greenlet with
the part of the C stack that it uses, and two switches for each wait. Breaks: at one core; where something blocks that
knows nothing of gevent, or computes, everybody waits. Reference: the gevent documentation, Introduction; von Behren
et al., Why Events Are a Bad Idea (HotOS 2003).
"""

from __future__ import annotations

from servers.core.app import Handle
from servers.core.conversation import converse
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="gevent", summary="a greenlet for each connection, over one loop", needs=("gevent",))

READABLE = 1
BREATH = 0.005


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """Give each client to a new greenlet. Of this process, `time.sleep` alone is patched."""
    import gevent
    from gevent import monkey, socket

    def welcome(client: socket.socket) -> None:
        client.timeout = handle.timeout
        gevent.spawn_raw(converse, client, handle)

    def accept() -> None:
        while client := listener.accept():
            welcome(client)
        if rest := listener.resting():
            door.stop()
            gevent.spawn_later(rest, lambda: handle.stopping or door.start(accept))

    monkey.patch_time()
    listener = listener.over(socket.socket)
    loop = gevent.get_hub().loop
    door = loop.io(listener.fileno(), READABLE)
    door.start(accept)
    gevent.get_hub().wait(loop.io(stop, READABLE))
    door.stop()
    for client in listener.last_clients():
        welcome(client)
    while handle.counts.open:
        gevent.sleep(BREATH)
    listener.close()
