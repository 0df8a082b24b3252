"""A server over TLS that echoes bodies: `python -m tests.local.tls_server CERTIFICATE KEY --port N`."""

from __future__ import annotations

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Echo(BaseHTTPRequestHandler):
    """201 with the body that came; 200 for GET."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201, body)

    def do_GET(self) -> None:
        self.answer(200, b"hello\n")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class TlsServer(ThreadingHTTPServer):
    """The handshake is each thread's own: a slow one delays nobody else."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(("127.0.0.1", port), Echo)

    def finish_request(self, request: Any, client_address: Any) -> None:
        wrapped = self._context.wrap_socket(request, server_side=True)
        super().finish_request(wrapped, client_address)

    def handle_error(self, *_: object) -> None: ...


def main() -> None:
    certificate, key, _, port = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    TlsServer(int(port), context).serve_forever()


if __name__ == "__main__":
    main()
