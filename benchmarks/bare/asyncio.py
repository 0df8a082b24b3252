"""asyncio, a protocol for each connection."""

from __future__ import annotations

import asyncio
import socket

from benchmarks.bare.common import ANSWER, END


class BareProtocol(asyncio.Protocol):
    """Answers with ANSWER once a blank line ends the received bytes, then closes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(END):
            self.transport.write(ANSWER)
            self.transport.close()


async def answer_all(listener: socket.socket) -> None:
    """Run BareProtocol on a listening socket."""
    server = await asyncio.get_running_loop().create_server(BareProtocol, sock=listener, backlog=4096)
    await server.serve_forever()


def serve(listener: socket.socket) -> None:
    """Run on asyncio's event loop."""
    asyncio.run(answer_all(listener))
