"""One thread, libuv's event loop instead of asyncio's, a protocol for each connection.

Waits: in libuv, by epoll; libuv accepts and reads. Costs: a protocol and a callback for each event; loop and transports
are compiled. Breaks: at one core; a request that blocks or computes delays every other. Reference: Selivanov, uvloop:
Blazing fast Python networking (2016); the libuv documentation, Design overview.
"""

from __future__ import annotations

import asyncio
import os
import resource

from servers.core import protocol
from servers.core.app import Application
from servers.core.listener import PAUSE_S, Listener
from servers.core.model import Model

MODEL = Model(name="uvloop", summary="asyncio's protocols on libuv's loop", needs=("uvloop",))

_SPARE = 3  # descriptors kept free for everything else


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Run the protocols on libuv's event loop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(protocol.serve(listener, handle, stop, accept))


async def accept(listener: Listener, clients: protocol.Clients) -> None:
    """Let libuv accept.

    Without a free descriptor libuv accepts the queued clients and closes them at once, so accepting pauses before that.
    """
    loop = asyncio.get_running_loop()
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = max(1, limit - len(os.listdir("/proc/self/fd")) - _SPARE)
    full = asyncio.Event()

    def new_connection() -> protocol.HttpProtocol:
        clients.handle.counts.opened()
        if len(clients.open) >= room:
            full.set()
        return clients.new()

    while True:
        server = await loop.create_server(new_connection, sock=listener.dup(), backlog=listener.backlog)
        try:
            await full.wait()
        finally:
            server.close()  # closes its own duplicate only: the accept queue remains
        while len(clients.open) >= room:
            await asyncio.sleep(PAUSE_S)
        full.clear()
