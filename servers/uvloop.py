"""One thread, libuv's event loop in the place of asyncio's, a protocol for each connection.

Waits: in libuv, by epoll. Costs: as with `asyncio`, but loop and transports are compiled. Breaks: at one core; where
something blocks or computes, everybody waits. Reference: Selivanov, uvloop: Blazing fast Python networking (2016);
the libuv documentation, Design overview.
"""

from __future__ import annotations

import asyncio

from servers.core import protocol
from servers.core.app import Handle
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="uvloop", summary="asyncio's protocols on libuv's loop", needs=("uvloop",))


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """The same protocols on another loop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(protocol.serve(listener, handle, stop))
