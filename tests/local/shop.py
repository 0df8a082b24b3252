"""The application that the locustfiles of these tests ask: `python shop.py HOST PORT`, standard library only."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Shop(BaseHTTPRequestHandler):
    """Answers every GET but those that need a key, a cookie or another path."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one packet

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/old":
            self._answer(302, b"", {"Location": "/new"})
        elif path == "/absent":
            self._answer(404, b"no such page")
        elif path == "/needs-key" and self.headers.get("X-Key") != "secret":
            self._answer(401, b"a key is wanted")
        else:
            self._answer(200, b"well")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/login":
            good = body == {"user": "foo", "password": "bar"}
            self._answer(200 if good else 403, b"", {"Set-Cookie": "session=1"})
        else:
            self._answer(201 if "session=1" in self.headers.get("Cookie", "") else 403, b"posted")

    def _answer(self, status: int, body: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class ShopServer(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    ShopServer((sys.argv[1], int(sys.argv[2])), Shop).serve_forever()
