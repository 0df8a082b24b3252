"""A greenlet for each connection."""

import socket

from gevent import socket as green
from gevent.server import StreamServer

from benchmarks.bare.common import reply


def serve(listener: socket.socket) -> None:
    """Run gevent's StreamServer."""
    StreamServer(green.socket(fileno=listener.detach()), lambda client, _: reply(client)).serve_forever()
