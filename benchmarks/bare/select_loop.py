"""One thread, select over all clients; each is read as soon as it is accepted."""

import select
import socket

from benchmarks.bare.common import accepted, reply_at_once


def serve(listener: socket.socket) -> None:
    """One select loop over all clients."""
    listener.setblocking(False)
    accept_fd = listener.fileno()
    clients: dict[int, socket.socket] = {}
    while True:
        for fd in select.select([accept_fd, *clients], [], [])[0]:
            if fd == accept_fd:
                for client in accepted(listener):
                    if not reply_at_once(client):
                        clients[client.fileno()] = client
            else:
                reply_at_once(clients.pop(fd))
