"""Who may ask: only a page of this very address. Another site's name that resolves to 127.0.0.1 is refused."""

from __future__ import annotations

from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Of the page's own answers: nothing from elsewhere, nothing inline."""
FILE_POLICY = (
    "sandbox allow-scripts allow-downloads allow-popups; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Of a campaign's files, which may come from elsewhere: in an origin of their own, and nothing from the network. The
report's own policy, in its head, holds as well."""


class Guard:
    """Refuses every Host but the page's own two (DNS rebinding), and adds headers to each answer."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name: value for name, value in scope["headers"] if name == b"host"}

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                more = {
                    b"content-security-policy": PAGE_POLICY.encode(),
                    b"x-content-type-options": b"nosniff",
                    b"referrer-policy": b"no-referrer",
                    b"cross-origin-resource-policy": b"same-origin",
                    b"cache-control": b"no-store",
                }
                message["headers"] = [*message["headers"], *((k, v) for k, v in more.items() if k not in names)]
            await send(message)

        if headers.get(b"host", b"").lower() not in self._hosts:
            refused = PlainTextResponse("this page is for 127.0.0.1 and localhost alone\n", status_code=403)
            await refused(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)
