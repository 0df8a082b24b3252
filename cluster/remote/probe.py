"""The readiness probe, `python -m cluster.remote.probe`: one request, whose response must be what the plan says.

It runs on a load host before the load starts, so that no run measures only errors, and judges a response as the lean
client does. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import NamedTuple

from cluster.remote.http.http_message import (
    BEGINNING,
    Fields,
    ResponseParser,
    Wanted,
    echo_body,
    head_fields,
    request_bytes,
)
from cluster.remote.http.tls import client_context, tls_problem

POLL_S = 0.05
PIECE = 2**16
NOT_READY = 2  # exit status; 1 is for a wrong response


class Asked(NamedTuple):
    """One request. `context` is None without TLS."""

    method: str = "GET"
    path: str = "/"
    keep_alive: bool = False
    fields: Fields = ()
    body: bytes = b""
    context: ssl.SSLContext | None = None

    def encoded(self, address: tuple[str, int]) -> bytes:
        """As bytes, for the server at that address."""
        host, port = address
        tls = self.context is not None
        return request_bytes(host, port, self.keep_alive, self.method, self.path, self.fields, self.body, tls)


def problem(address: tuple[str, int], timeout: float, wanted: Wanted, asked: Asked) -> str | None:
    """Send one request; returns what is wrong with the response, None where nothing is. `timeout` in s."""
    parser = ResponseParser(wanted, bodiless=asked.method == "HEAD")
    outcome = None
    try:
        with contextlib.ExitStack() as opened:
            connection = opened.enter_context(socket.create_connection(address, timeout=timeout))
            if asked.context is not None:
                wrapped = asked.context.wrap_socket(connection, server_hostname=address[0])
                connection = opened.enter_context(wrapped)
            until = time.monotonic() + timeout
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # an answer may come before all is sent
                connection.sendall(asked.encoded(address))
            while outcome is None:
                connection.settimeout(max(until - time.monotonic(), POLL_S / 10))
                piece = connection.recv(PIECE)
                outcome = parser.feed(piece) if piece else parser.end()
    except ssl.SSLError as error:
        return f"no connection over TLS: {tls_problem(error)}"
    except OSError as error:
        return f"no answer: {type(error).__name__}: {error}"
    if outcome.kind == "bad-status":
        return f"{outcome.text} instead of {wanted.status}"
    if outcome.kind == "wrong-body" and wanted.body is not None and parser.beginning != wanted.body[:BEGINNING]:
        return f"the body is {parser.beginning!r} instead of {wanted.body[:BEGINNING]!r}"
    if outcome.kind == "wrong-body" and wanted.body is not None and outcome.size != len(wanted.body):
        return f"{outcome.size} bytes of body instead of {len(wanted.body)}"
    return f"no good answer: {outcome.text}" if outcome.kind is not None else None


def wait_until_ready(
    address: tuple[str, int], path: str | None, seconds: float, context: ssl.SSLContext | None = None
) -> str | None:
    """Wait until the port accepts, or until GET of `path` is answered with 200; None once that is so.

    Returns after `seconds` what was wrong at the last attempt.
    """
    until = time.monotonic() + seconds
    while True:
        if path is not None:
            asked = Asked(path=path, context=context)
            wrong = problem(address, max(until - time.monotonic(), POLL_S), Wanted(), asked)
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
    parser.add_argument("--headers-file", type=Path, help="fields of the request's head, a line NAME: VALUE for each")
    parser.add_argument("--body-file", type=Path, help="the request's body")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--ca", type=Path, help="trusted certificates, in place of the system's")
    parser.add_argument("--no-verify", action="store_true", help="any certificate is good")
    parser.add_argument("--status", type=int, default=200)
    parser.add_argument("--echo", action="store_true", help="the body must be the request, escaped")
    parser.add_argument("--bytes", type=int, help="the body must be that of a model: so many x")
    parser.add_argument("--body", help="the body must be this text")
    parser.add_argument("--contains", default="", help="the body must have this text in it")
    parser.add_argument("--wanted-field", action="append", default=[], help="NAME: VALUE of the answer's head")
    options = parser.parse_args()
    address = (options.host, options.port)
    context = client_context(options.ca, not options.no_verify) if options.tls else None
    asked = Asked(
        options.method,
        options.path,
        options.connection == "keep-alive",
        head_fields(options.headers_file.read_bytes()) if options.headers_file else (),
        options.body_file.read_bytes() if options.body_file else b"",
        context,
    )
    body = None if options.body is None else options.body.encode()
    if options.bytes is not None:
        body = b"x" * options.bytes
    if options.echo:
        body = echo_body(asked.encoded(address))
    lines = (line.partition(": ") for line in options.wanted_field)
    fields = tuple((name.lower().encode(), value.encode("latin-1")) for name, _, value in lines)
    wanted = Wanted(options.status, body, options.contains.encode(), fields)
    if options.wait is not None and (late := wait_until_ready(address, options.ready, options.wait, context)):
        print(late, file=sys.stderr)
        return NOT_READY
    wrong = problem(address, options.timeout, wanted, asked)
    if wrong:
        print(wrong, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
