"""One thread, asyncio's event loop, a protocol for each connection.

Waits: in the loop's selector, epoll here. The loop reads, and calls the protocol with what came. Costs: a task to
take a client in, a transport and a protocol, and a callback for each event, all of it in Python. Breaks: at one core;
where something blocks or computes, everybody waits. Reference: PEP 3156; the Python documentation, Transports and
Protocols.
"""

from __future__ import annotations

import asyncio

from servers.core import protocol
from servers.core.app import Handle
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="asyncio", summary="one thread, asyncio's own loop and protocols")

_BATCH = 64  # clients accepted in a row before the others get their turn


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """Protocols on the loop of the standard library."""
    with asyncio.Runner() as runner:
        runner.run(protocol.serve(listener, handle, stop, accept))


async def accept(listener: Listener, clients: protocol.Clients) -> None:
    """Take clients in whenever the listening socket is readable, but for the rests that a shortage asks for."""
    loop, door = asyncio.get_running_loop(), listener.fileno()
    short = asyncio.Event()

    def take() -> None:
        for _ in range(_BATCH):
            client = listener.accept()
            if client is None:
                break
            clients.welcome(client)
        if listener.resting():
            loop.remove_reader(door)
            short.set()

    try:
        while True:
            loop.add_reader(door, take)
            await short.wait()
            short.clear()
            await asyncio.sleep(listener.resting())
    finally:
        loop.remove_reader(door)
