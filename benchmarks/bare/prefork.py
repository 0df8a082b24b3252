"""A pool of processes that share accept."""

import socket

from benchmarks.bare.common import cores, in_processes, reply


def serve(listener: socket.socket) -> None:
    """Fork a pool whose processes all accept."""

    def work() -> None:
        while True:
            reply(listener.accept()[0])

    in_processes(work, 2 * cores() + 1)
