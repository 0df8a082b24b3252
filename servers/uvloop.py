"""One thread, libuv's event loop in the place of asyncio's, a protocol for each connection.

Waits: in libuv, by epoll; libuv accepts and reads. Costs: a protocol and a callback for each event; loop and
transports are compiled. Breaks: at one core; where something blocks or computes, everybody waits. Reference:
Selivanov, uvloop: Blazing fast Python networking (2016); the libuv documentation, Design overview.
"""

from __future__ import annotations

import asyncio
import os
import resource

from servers.core import protocol
from servers.core.app import Handle
from servers.core.listener import REST, Listener
from servers.core.model import Model

MODEL = Model(name="uvloop", summary="asyncio's protocols on libuv's loop", needs=("uvloop",))

_SPARE = 3  # descriptors that are left to everything else


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """The same protocols on another loop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(protocol.serve(listener, handle, stop, accept))


async def accept(listener: Listener, clients: protocol.Clients) -> None:
    """Let libuv accept. Out of descriptors, it would close on whoever stands in the queue: so it rests before that."""
    loop = asyncio.get_running_loop()
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = max(1, limit - len(os.listdir("/proc/self/fd")) - _SPARE)
    full = asyncio.Event()

    def welcome() -> protocol.HttpProtocol:
        clients.handle.counts.opened()
        if len(clients.open) >= room:
            full.set()
        return clients.new()

    while True:
        server = await loop.create_server(welcome, sock=listener.dup(), backlog=listener.backlog)
        try:
            await full.wait()
        finally:
            server.close()  # its own descriptor alone: the queue stays
        while len(clients.open) >= room:
            await asyncio.sleep(REST)
        full.clear()
