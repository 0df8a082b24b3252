"""A thread for each connection."""

import socket
from threading import Thread

from benchmarks.bare.common import reply


def serve(listener: socket.socket) -> None:
    """Start a thread for each client."""
    while True:
        Thread(target=reply, args=listener.accept()[:1], daemon=True).start()
