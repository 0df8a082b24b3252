"""asyncio's protocol on uvloop."""

import socket

import uvloop

from benchmarks.bare.asyncio import answer_all


def serve(listener: socket.socket) -> None:
    uvloop.run(answer_all(listener))
