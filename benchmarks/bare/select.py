"""select over the waiting clients, a thread for each that is ready."""

import select
import socket
from threading import Thread

from benchmarks.bare.common import reply


def serve(listener: socket.socket) -> None:
    door = listener.fileno()
    clients: dict[int, socket.socket] = {}
    while True:
        for fd in select.select([door, *clients], [], [])[0]:
            if fd == door:
                client, _ = listener.accept()
                clients[client.fileno()] = client
            else:
                Thread(target=reply, args=(clients.pop(fd),), daemon=True).start()
