"""One client at a time."""

import socket

from benchmarks.bare.common import reply


def serve(listener: socket.socket) -> None:
    """Answer one client after the other."""
    while True:
        reply(listener.accept()[0])
