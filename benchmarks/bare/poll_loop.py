"""One thread, poll over all clients; each is read as soon as it is accepted."""

import select
import socket

from benchmarks.bare.common import accepted, reply_at_once


def serve(listener: socket.socket) -> None:
    listener.setblocking(False)
    door = listener.fileno()
    clients: dict[int, socket.socket] = {}
    poller = select.poll()
    poller.register(door, select.POLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd == door:
                for client in accepted(listener):
                    if not reply_at_once(client):
                        clients[client.fileno()] = client
                        poller.register(client, select.POLLIN)
            else:
                poller.unregister(fd)
                reply_at_once(clients.pop(fd))
