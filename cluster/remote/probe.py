"""The readiness probe, `python -m cluster.remote.probe`: one request, whose response must be what the plan says.

It runs on a load host before the load starts, so that no run measures only errors, and judges a response as the lean
client does. Standard library only.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from typing import NamedTuple

from cluster.remote.http_message import ResponseParser, echo_body, request_bytes, response_body

POLL_S = 0.05
PIECE = 2**16
NOT_READY = 2  # exit status; 1 is for a wrong response


class Wanted(NamedTuple):
    """A good response. `body` None: any, of `size` bytes where that is known; `echo`: the request as HTML text."""

    status: int = 200
    body: bytes | None = None
    size: int | None = None
    echo: bool = False


def problem(
    address: tuple[str, int], timeout: float, wanted: Wanted, method: str, path: str, keep_alive: bool
) -> str | None:
    """Send one request; returns what is wrong with the response, None where nothing is. `timeout` in s."""
    host, port = address
    request = request_bytes(host, port, keep_alive, method, path)
    parser = ResponseParser(None, wanted.status, bodiless=method == "HEAD")
    received = bytearray()
    outcome = None
    try:
        with socket.create_connection(address, timeout=timeout) as connection:
            connection.sendall(request)
            until = time.monotonic() + timeout
            while outcome is None:
                connection.settimeout(max(until - time.monotonic(), POLL_S / 10))
                piece = connection.recv(PIECE)
                received += piece
                outcome = parser.feed(piece) if piece else parser.end()
    except OSError as error:
        return f"no answer: {type(error).__name__}: {error}"
    if outcome.kind == "bad-status":
        return f"{outcome.text} instead of {wanted.status}"
    if outcome.kind is not None:
        return f"no good answer: {outcome.text}"
    if method == "HEAD":
        return None
    body = response_body(bytes(received))
    if wanted.echo and body != echo_body(request):
        return "the body is not the request, escaped"
    if wanted.size is not None and len(body) != wanted.size:
        return f"{len(body)} bytes of body instead of {wanted.size}"
    if wanted.body is not None and body != wanted.body:
        return f"the body is {body[:60]!r} instead of {wanted.body[:60]!r}"
    return None


def wait_until_ready(address: tuple[str, int], path: str | None, seconds: float) -> str | None:
    """Wait until the port accepts, or until GET of `path` is answered with 200; None once that is so.

    Returns after `seconds` what was wrong at the last attempt.
    """
    until = time.monotonic() + seconds
    while True:
        if path is not None:
            wrong = problem(address, max(until - time.monotonic(), POLL_S), Wanted(), "GET", path, keep_alive=False)
        else:
            wrong = _refusal(address)
        if wrong is None or time.monotonic() > until:
            return wrong
        time.sleep(POLL_S)


def _refusal(address: tuple[str, int]) -> str | None:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError as error:
        return f"nobody accepts on {address[0]} port {address[1]}: {error.strerror or error}"
    return None


def main() -> int:
    """Probe as the command line says; returns the exit status: 0, 1 for a wrong response, NOT_READY."""
    parser = argparse.ArgumentParser(prog="python -m cluster.remote.probe", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--timeout", type=float, required=True)
    parser.add_argument("--connection", choices=("close", "keep-alive"), default="close")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--path", default="/")
    parser.add_argument("--wait", type=float, help="seconds within which the server must become ready")
    parser.add_argument("--ready", help="it is ready when this path is answered with 200, not when its port accepts")
    parser.add_argument("--status", type=int, default=200)
    parser.add_argument("--echo", action="store_true", help="the body must be the request, escaped")
    parser.add_argument("--bytes", type=int, help="the body must be so long")
    parser.add_argument("--body", help="the body must be this text")
    asked = parser.parse_args()
    address = (asked.host, asked.port)
    body = None if asked.body is None else asked.body.encode()
    wanted = Wanted(asked.status, body, asked.bytes, asked.echo)
    if asked.wait is not None and (late := wait_until_ready(address, asked.ready, asked.wait)):
        print(late, file=sys.stderr)
        return NOT_READY
    keep_alive = asked.connection == "keep-alive"
    wrong = problem(address, asked.timeout, wanted, asked.method, asked.path, keep_alive)
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
