"""One epoll loop for each core, each with a listening socket of its own."""

import socket

from benchmarks.bare import epoll_loop
from benchmarks.bare.common import cores, in_processes, listen


def serve(listener: socket.socket) -> None:
    """An epoll loop in each of as many processes as there are cores."""
    port: int = listener.getsockname()[1]
    listener.close()
    in_processes(lambda: epoll_loop.serve(listen(port)), cores())
