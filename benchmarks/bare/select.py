"""select over the waiting clients, a thread for each that is ready."""

import select
import socket
from threading import Thread

from benchmarks.bare.common import reply


def serve(listener: socket.socket) -> None:
    """One select loop; a thread answers each ready client."""
    accept_fd = listener.fileno()
    clients: dict[int, socket.socket] = {}
    while True:
        for fd in select.select([accept_fd, *clients], [], [])[0]:
            if fd == accept_fd:
                client, _ = listener.accept()
                clients[client.fileno()] = client
            else:
                Thread(target=reply, args=(clients.pop(fd),), daemon=True).start()
