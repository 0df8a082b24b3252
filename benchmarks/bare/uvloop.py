"""asyncio's protocol on uvloop."""

import socket

import uvloop

from benchmarks.bare.asyncio import answer_all


def serve(listener: socket.socket) -> None:
    """Run asyncio's twin on uvloop."""
    uvloop.run(answer_all(listener))
