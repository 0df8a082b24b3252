"""Lingering close: a connection is kept until the server has closed it, so that TIME_WAIT is on the server's side."""

from __future__ import annotations

import _socket
from typing import Any

from cluster.engine.clocks import now

LINGER_S = 1.0  # how long the server may take to close first


class LingeringClose:
    """Connections whose response is complete and that the server has yet to close. One for each worker."""

    def __init__(self) -> None:
        self._open: dict[Any, tuple[_socket.socket, float]] = {}  # by watcher: connection, when taken over

    def take(self, connection: _socket.socket, watcher: Any) -> None:
        """Close the connection when the server has, or after LINGER_S. `watcher` is that connection's, and stopped."""
        self._open[watcher] = (connection, now())
        watcher.start(self._close, watcher)

    def sweep(self, before: float) -> None:
        """Close the connections that were taken before that moment."""
        for watcher in [watcher for watcher, (_, since) in self._open.items() if since < before]:
            self._close(watcher)

    def _close(self, watcher: Any) -> None:
        watcher.stop()
        connection, _ = self._open.pop(watcher)
        connection.close()
