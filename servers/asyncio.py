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


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """Protocols on the loop of the standard library."""
    with asyncio.Runner() as runner:
        runner.run(protocol.serve(listener, handle, stop))
