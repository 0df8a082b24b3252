"""The lean user over TLS. Only the connection is another one: OpenSSL on memory buffers, so that the hub's watchers,
the deadline and the kernel's receive stamps are those of the plain client.

Every connection has a handshake of its own, as that of a new user: no session is resumed. It is part of the response
time, and recorded apart as well.
"""

from __future__ import annotations

import _socket
import ssl
from typing import Any, ClassVar
from urllib.parse import urlsplit

from locust.stats import RequestStats

from cluster.engine.clocks import now
from cluster.engine.sockets.lean import RECEIVE, LeanUser
from cluster.engine.sockets.socket_user import ANCILLARY
from cluster.remote.http.http_message import ResponseOutcome

RECORD = 16 * 1024  # bytes of plain text in the largest record of TLS


class TlsConnection:
    """One connection: the methods of a socket that LeanUser calls, with plain text inside and TLS outside."""

    def __init__(self, connection: _socket.socket, context: ssl.SSLContext, name: str) -> None:
        """`connection` doesn't block, and isn't connected yet; `name` is the one that the certificate must have."""
        self._socket = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # The C object by itself: ssl.SSLObject around it would encode the name again for each connection.
        self._tls: Any = context._wrap_bio(self._incoming, self._outgoing, False, name)  # type: ignore[attr-defined]
        self._unsent = b""
        self._plain = b""
        self._stamps: Any = []
        self._ended = False
        self.established = False
        self.ends_cleanly = False
        """Whether the server said that it has sent all."""
        self.opened_at = 0.0
        """When `connect_ex` was called, a value of `now`."""
        self.setsockopt, self.fileno, self.close = connection.setsockopt, connection.fileno, connection.close

    def connect_ex(self, address: Any) -> int:
        """As the socket's."""
        self.opened_at = now()
        return self._socket.connect_ex(address)

    def shake(self) -> bool:
        """Go on with the handshake as far as what was received allows; whether it is complete. Raises OSError.

        Its last message goes out with the first of `send`.
        """
        try:
            self._tls.do_handshake()
            self.established = True
        except ssl.SSLWantReadError:
            self.flush()
        return self.established

    def send(self, data: bytes | memoryview) -> int:
        """Send the next record of `data`; its length in plain text, 0 within the handshake, which it begins.

        Raises OSError, BlockingIOError where it can't.
        """
        if not self.established:
            self.shake()
            return 0
        if self._unsent and not self.flush():
            raise BlockingIOError
        sent: int = self._tls.write(data[:RECORD])
        self.flush()
        return sent

    def flush(self) -> bool:
        """Send what is encrypted already; whether all of it went out. Raises OSError."""
        if self._outgoing.pending:
            self._unsent += self._outgoing.read()
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return False
        return True

    def fill(self) -> bool:
        """Receive, and decrypt; whether there is plain text, or the end. Raises OSError."""
        data, stamps, _, _ = self._socket.recvmsg(RECEIVE, ANCILLARY)
        if stamps:
            self._stamps = stamps
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return self.established and self._decrypt()

    @property
    def is_at_end(self) -> bool:
        """Whether all was read, and nothing more will come."""
        return self._ended and not self._plain

    def recvmsg(self, size: int, ancillary: int) -> tuple[bytes, Any, int, Any]:
        """What `fill` has left: plain text, or nothing at the end, and the stamps of the bytes that it came in."""
        data, self._plain = self._plain, b""
        stamps, self._stamps = self._stamps, []
        return data, stamps, 0, None

    def recv(self, size: int, flags: int = 0) -> bytes:
        """What is left of the encrypted bytes: first those that say that the server ends, then nothing."""
        data = self._socket.recv(RECEIVE, flags)
        return self._socket.recv(RECEIVE) if data and not flags else data

    def _decrypt(self) -> bool:
        parts = []
        try:
            while part := self._tls.read(RECEIVE):
                parts.append(part)
                if not self._incoming.pending and not self._tls.pending():
                    break  # without the exception that one more read would cost
            else:
                self._ended = self.ends_cleanly = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._ended = self.ends_cleanly = True
        except ssl.SSLEOFError:
            self._ended = True
        self._plain = parts[0] if len(parts) == 1 else b"".join(parts)
        return self._ended or bool(parts)


class TlsLeanUser(LeanUser):
    """Request and think in turn, over TLS."""

    _context: ClassVar[ssl.SSLContext]
    _name: ClassVar[str]
    _connect_s: float | None = None
    """How long the connection of the request in flight took; None where it was kept, or isn't established yet."""

    @classmethod
    def prepare(cls, host: str | None, stats: RequestStats) -> bytes:
        """As LeanUser's, with the context of all connections."""
        request = super().prepare(host, stats)
        cls._context = cls.request.context()
        cls._name = urlsplit(host or "").hostname or ""
        return request

    @property
    def _ends_cleanly(self) -> bool:  # type: ignore[override]
        return bool(self._connection.ends_cleanly)

    def _new_socket(self) -> OSError | None:
        if (failure := super()._new_socket()) is not None:
            return failure
        self._connection = TlsConnection(self._connection, self._context, self._name)
        return None

    def _send_later(self) -> None:
        connection, failure = self._connection, self._refusal
        if not connection.established:
            if failure is not None and not isinstance(failure, BlockingIOError):
                raise failure
            self._shake_hands()
        unsent = self._unsent = memoryview(self._unsent)
        while True:
            while unsent:
                try:
                    unsent = unsent[connection.send(unsent) :]
                except BlockingIOError:
                    break
            if not unsent and connection.flush():
                self._unsent = b""
                return
            left = len(unsent)
            self._writable()
            if not connection.flush() and left == len(unsent):
                return  # woken since an answer comes

    def _shake_hands(self) -> None:
        """Raises OSError where it fails."""
        connection = self._connection
        while not connection.flush():  # it isn't connected yet
            self._writable()
        while not connection.established:
            super()._readable()
            connection.fill()
            connection.shake()
        self._connect_s = now() - connection.opened_at

    def _record(self, at: float, answer: ResponseOutcome) -> None:
        """With the time that its connection took, of a success alone: it is a part of that response time."""
        seconds, self._connect_s = self._connect_s, None
        if seconds is not None and answer.kind is None:
            self.recorder.connected(seconds)
        super()._record(at, answer)

    def _answered(self) -> None:
        """As LeanUser's, once there is plain text, or the end."""
        try:
            if not self._connection.fill():
                return
        except OSError as error:
            self._running.throw(error)
            return
        super()._answered()

    def _readable(self) -> None:
        """Wait until there is plain text to read, or the end, which may have come with what was read last."""
        while not self._connection.is_at_end:
            super()._readable()
            if self._connection.fill():
                return
