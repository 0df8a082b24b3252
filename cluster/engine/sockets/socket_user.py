"""The connection of a lean user: a bare socket on a watcher of gevent's hub, opened, waited for and closed."""

from __future__ import annotations

import _socket  # without the layers of Python's and gevent's socket.socket, a new socket costs half
import struct
import sys
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit

import gevent.socket

from cluster.engine.clocks import now
from cluster.engine.sockets.lingering import LingeringClose
from cluster.engine.users import Recorded
from cluster.remote.http.http_message import DEFAULT_PORTS, ResponseOutcome

READ, WRITE = 1, 2  # libev's events

SO_TIMESTAMPNS = 35  # Linux; the socket module has no name for it
TIMESPEC = struct.Struct("@qq")  # the stamp of a receive: seconds and nanoseconds, CLOCK_REALTIME
ANCILLARY = _socket.CMSG_SPACE(TIMESPEC.size)


class SocketUser(Recorded):
    """A user with one connection at a time. Waiting for it is switching to the hub, whose watcher switches back."""

    abstract = True
    _family: ClassVar[int]
    _address: ClassVar[Any]
    _lingering: ClassVar[LingeringClose]
    _stamping: ClassVar[_socket.socket]
    """Never connected: the kernel stamps packets only while some socket asks for it, and takes a moment to begin."""
    _ahead_s: ClassVar[float]
    """How far the wall clock, which stamps are of, is ahead of `now`."""

    _connection: Any = None
    """A `_socket.socket`, or None where none is open. Any: an assertion at each use would cost time."""
    _watcher: Any = None
    _hub: Any
    _wake: Any
    """Switches to this user's greenlet."""
    _began: float
    """When the last request started, a value of `now`."""

    @classmethod
    def _look_up(cls, host: str | None) -> tuple[str, int]:
        """Look up the server's address; returns its name and port. `host` is Locust's: http://name:port."""
        url, asked = urlsplit(host or ""), cls.request
        scheme = "https" if asked.tls else "http"
        if url.scheme != scheme or not url.hostname:
            sys.exit(f"--host {host}: {scheme}://NAME:PORT is wanted")
        port = url.port or DEFAULT_PORTS[asked.tls]
        try:
            addresses = gevent.socket.getaddrinfo(url.hostname, port, 0, _socket.SOCK_STREAM)
        except _socket.gaierror as error:
            sys.exit(f"--host {host}: {error}")
        cls._family, _, _, _, cls._address = addresses[0]  # servers, too, use a name's first address
        cls._lingering = LingeringClose()
        cls._stamping = _socket.socket(cls._family, _socket.SOCK_STREAM)
        cls._stamping.setsockopt(_socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        cls._follow_clock(now())
        return url.hostname, port

    @classmethod
    def _follow_clock(cls, at: float) -> None:
        """The wall clock may be set. `at` is this moment."""
        cls._ahead_s = time.time() - at

    def _arrival(self, stamps: Any) -> float:
        """When the bytes of the last receive arrived: the kernel's stamp, where it is plausible."""
        at = now()
        if stamps:  # (level, type, data)
            seconds, nanoseconds = TIMESPEC.unpack(stamps[0][2])
            arrived: float = seconds + nanoseconds / 1e9 - self._ahead_s
            if self._began < arrived < at:
                return arrived
        return at

    def _new_socket(self) -> OSError | None:
        """Replace the connection by an unconnected socket. Returns why there is none, where there is none."""
        if self._connection is not None:
            self._close()
        try:
            connection = _socket.socket(self._family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK)
            self._connection = connection
            connection.setsockopt(_socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            if self.keep_alive:  # without keep-alive the only segment is the first, which is never delayed
                connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        except OSError as error:
            return error
        if self._watcher is None:
            self._watcher = self._hub.loop.io(connection.fileno(), READ)
        else:
            self._watcher.fd = connection.fileno()
        return None

    def _readable(self) -> None:
        self._watcher.start(self._wake)
        self._hub.switch()
        self._watcher.stop()

    def _writable(self) -> None:
        """Wait until the connection is established and takes more, or has something to read."""
        self._watcher.stop()
        self._watcher.events = READ | WRITE
        self._watcher.start(self._wake)
        try:
            self._hub.switch()
        finally:
            self._watcher.stop()
            self._watcher.events = READ

    def _idle(self, connection: _socket.socket) -> bool:
        """Whether a connection that was kept open is still open, and nothing has arrived on it."""
        try:
            connection.recv(1, _socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def _close_after_response(self, answer: ResponseOutcome) -> None:
        """Close a connection after its last response, the server first if it does so within LINGER_S."""
        connection = self._connection
        if connection is None:
            return
        self._watcher.stop()
        try:
            connection.recv(1)  # usually the FIN, which arrived with the response
        except BlockingIOError:
            if not answer.persistent:
                self._lingering.take(connection, self._watcher)
                self._connection = self._watcher = None
                return
        except OSError:
            pass
        connection.close()
        self._connection = None

    def _close(self) -> None:
        if self._connection is not None:
            if self._watcher is not None:
                self._watcher.stop()
            self._connection.close()
            self._connection = None
