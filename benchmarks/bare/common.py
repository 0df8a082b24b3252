"""Shared by the twins: a listening socket, and a fixed answer to anything that ends in a blank line."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

BODY = b"x" * 64
END = b"\r\n\r\n"
# The same fields as a model's answer, so that both send equally many bytes.
ANSWER = b"\r\n".join(
    (
        b"HTTP/1.1 200 OK",
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
        b"Content-Type: text/html; charset=iso-8859-1",
        b"Content-Length: %d" % len(BODY),
        b"Connection: close",
        b"",
        BODY,
    )
)


def listen(port: int) -> socket.socket:
    """A listening socket with the models' options, without their timeouts."""
    listener = socket.create_server(("127.0.0.1", port), backlog=4096, reuse_port=True)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def reply(client: socket.socket) -> None:
    """Serve a whole connection: receive, send, close."""
    with client:
        data = client.recv(8192)
        while data and not data.endswith(END):
            data += client.recv(8192)
        client.send(ANSWER)


def reply_at_once(client: socket.socket) -> bool:
    """Serve a whole connection for an event loop; False where nothing has arrived yet. What arrives must be a whole
    request.
    """
    try:
        data = client.recv(8192, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    if data.endswith(END):
        client.send(ANSWER, socket.MSG_DONTWAIT)
    client.close()
    return True


def accepted(listener: socket.socket, most: int = 64) -> Iterator[socket.socket]:
    """Accept from a non-blocking listener until its queue is empty, at most `most` clients."""
    for _ in range(most):
        try:
            yield listener.accept()[0]
        except BlockingIOError:
            return


def in_processes(serve: Callable[[], None], processes: int) -> None:
    """Call `serve` in this many processes, this one included. The caller ends the process group."""
    for _ in range(processes - 1):
        if os.fork() == 0:
            break
    serve()


def cores() -> int:
    """Number of cores that this process may use; the pools have the same default sizes as the models."""
    return len(os.sched_getaffinity(0))
