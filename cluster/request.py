"""The one request of the study, as it goes over the wire."""

from __future__ import annotations


def request_bytes(host: str, port: int, keep_alive: bool, method: str = "GET", path: str = "/") -> bytes:
    """Known to the byte, so that an echo's body can be known beforehand."""
    name = f"[{host}]" if ":" in host else host
    connection = "" if keep_alive else "Connection: close\r\n"
    empty = "Content-Length: 0\r\n" if method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {name}:{port}\r\n{connection}{empty}\r\n".encode("ascii")
