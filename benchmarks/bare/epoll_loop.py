"""One thread, epoll over all clients; each is read as soon as it is accepted."""

import select
import socket

from benchmarks.bare.common import accepted, reply_at_once


def serve(listener: socket.socket) -> None:
    """One epoll loop over all clients."""
    listener.setblocking(False)
    accept_fd = listener.fileno()
    clients: dict[int, socket.socket] = {}
    poller = select.epoll()
    poller.register(accept_fd, select.EPOLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd == accept_fd:
                for client in accepted(listener):
                    if not reply_at_once(client):
                        clients[client.fileno()] = client
                        poller.register(client, select.EPOLLIN)
            else:
                reply_at_once(clients.pop(fd))
