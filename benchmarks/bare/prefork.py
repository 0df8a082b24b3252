"""A pool of processes that share accept."""

import socket

from benchmarks.bare.common import cores, each_core, reply


def serve(listener: socket.socket) -> None:
    def work() -> None:
        while True:
            reply(listener.accept()[0])

    each_core(work, 4 * cores())
