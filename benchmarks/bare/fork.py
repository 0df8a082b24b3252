"""os.fork for each connection."""

import contextlib
import os
import socket

from benchmarks.bare.common import reply


def serve(listener: socket.socket) -> None:
    """Fork a child for each client."""
    while True:
        client, _ = listener.accept()
        if os.fork() == 0:
            reply(client)
            os._exit(0)
        client.close()
        with contextlib.suppress(ChildProcessError):  # no child is left
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
