"""A greenlet for each connection: code in blocking style over one event loop.

Waits: each greenlet in recv, which switches to the hub; the hub waits in libev, by epoll. Costs: a greenlet with the
part of the C stack that it uses, and two switches for each wait. Breaks: at one core; code that computes, or blocks
outside gevent, delays every other request. Reference: the gevent documentation, Introduction; von Behren et al., Why
Events Are a Bad Idea (HotOS 2003).
"""

from __future__ import annotations

from servers.core.app import Application
from servers.core.conversation import converse
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="gevent", summary="a greenlet for each connection, over one loop", needs=("gevent",))

READABLE = 1  # libev's EV_READ
POLL_S = 0.005  # between two checks for open connections while draining


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Spawn a greenlet for each client. `time.sleep` is patched, and nothing else."""
    import gevent
    from gevent import monkey, socket

    def spawn_conversation(client: socket.socket) -> None:
        client.timeout = handle.timeout
        gevent.spawn_raw(converse, client, handle)

    def accept() -> None:
        while client := listener.accept():
            spawn_conversation(client)
        if pause := listener.pause_left():
            accept_watcher.stop()
            gevent.spawn_later(pause, lambda: handle.stopping or accept_watcher.start(accept))

    monkey.patch_time()
    listener = listener.with_socket_class(socket.socket)
    loop = gevent.get_hub().loop
    accept_watcher = loop.io(listener.fileno(), READABLE)
    accept_watcher.start(accept)
    gevent.get_hub().wait(loop.io(stop, READABLE))
    accept_watcher.stop()
    for client in listener.last_clients():
        spawn_conversation(client)
    while handle.counts.open:
        gevent.sleep(POLL_S)
    listener.close()
