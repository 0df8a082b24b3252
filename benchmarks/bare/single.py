"""One client at a time."""

import socket

from benchmarks.bare.common import reply


def serve(listener: socket.socket) -> None:
    while True:
        reply(listener.accept()[0])
