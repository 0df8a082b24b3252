"""One thread, asyncio's event loop, a protocol for each connection.

Waits: in the loop's selector, epoll on Linux. The loop reads and passes the bytes to the protocol. Costs: a task for
each accepted client, a transport and a protocol, and a callback for each event, all in Python. Breaks: at one core; a
request that blocks or computes delays every other. Reference: PEP 3156; the Python documentation, Transports and
Protocols.
"""

from __future__ import annotations

import asyncio

from servers.core import protocol
from servers.core.app import Application
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="asyncio", summary="one thread, asyncio's own loop and protocols")

_BATCH = 64  # clients accepted in a row before the connected ones are served again


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Run the protocols on the standard library's event loop."""
    with asyncio.Runner() as runner:
        runner.run(protocol.serve(listener, handle, stop, accept))


async def accept(listener: Listener, clients: protocol.Clients) -> None:
    """Accept clients whenever the listening socket is readable, except during the pauses after a shortage."""
    loop, accept_fd = asyncio.get_running_loop(), listener.fileno()
    shortage = asyncio.Event()

    def accept_batch() -> None:
        for _ in range(_BATCH):
            client = listener.accept()
            if client is None:
                break
            clients.add(client)
        if listener.pause_left():
            loop.remove_reader(accept_fd)
            shortage.set()

    try:
        while True:
            loop.add_reader(accept_fd, accept_batch)
            await shortage.wait()
            shortage.clear()
            await asyncio.sleep(listener.pause_left())
    finally:
        loop.remove_reader(accept_fd)
