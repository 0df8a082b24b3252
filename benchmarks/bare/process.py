"""A process for each connection, by multiprocessing."""

import multiprocessing
import os
import socket

from benchmarks.bare.common import reply


def serve(listener: socket.socket) -> None:
    """Start a multiprocessing child for each client."""
    fork = multiprocessing.get_context("fork")
    while True:
        client, _ = listener.accept()
        fork.Process(target=_child, args=(client,)).start()  # start() also reaps children that have ended
        client.close()


def _child(client: socket.socket) -> None:
    reply(client)
    os._exit(0)
