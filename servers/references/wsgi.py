"""A minimal WSGI application (PEP 3333)."""

from __future__ import annotations

from collections.abc import Callable

from servers.references import BODY

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def app(environ: dict[str, object], start_response: Callable[[str, list[tuple[str, str]]], object]) -> list[bytes]:
    """Answer every request with BODY."""
    start_response("200 OK", HEADERS)
    return [BODY]
