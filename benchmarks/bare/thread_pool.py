"""Threads that share accept."""

import socket
from threading import Thread

from benchmarks.bare.common import cores, reply


def serve(listener: socket.socket) -> None:
    """Start a pool of threads that all accept."""

    def work() -> None:
        while True:
            reply(listener.accept()[0])

    threads = [Thread(target=work) for _ in range(min(32, cores() + 4))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
