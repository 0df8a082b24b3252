"""A Locust user that uses little CPU (`client = "lean"`): bare sockets on the watchers of gevent's hub.

For each request it does what a browser's first GET does, and no more: connect (or reuse), send, wait until the socket
is readable, check the response. Why it is cheap, and why each shortcut is sound:

- The server's name is looked up once a worker. A request is never sent twice.
- It sends immediately after `connect`, without waiting: on loopback the connection is established by then. Elsewhere
  the first attempt fails with EAGAIN, and it waits until the socket is writable.
- The deadline of a request, connection included, is enforced by one sweep a worker over the requests in flight, which
  the recorder has in order of start; there is no timer per request. A response after the deadline is a failure too.
- A response time ends when the kernel received the response's last byte (SO_TIMESTAMPNS), so that a late event loop
  doesn't lengthen it. The stamp comes with the bytes, in one call.
- A response that equals the last good one byte for byte (the Date field changes once a second) isn't parsed again.
- Without think time, all responses that have arrived are read before anything is sent: see `_think`.
- Its one task never returns, so that Locust doesn't choose, queue and dispatch a task for each request.

After `Connection: close` the server should close first, or the client's ports fill up with TIME_WAIT. Usually the
server's FIN has arrived with the response; if not, `LingeringClose` keeps the connection and the user continues.
"""

from __future__ import annotations

import _socket  # without the layers of Python's and gevent's socket.socket, a new socket costs half
import errno
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlsplit

from gevent import GreenletExit, get_hub, getcurrent, sleep
from locust import task
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from cluster.engine.clocks import now
from cluster.engine.sockets.lingering import LINGER_S, LingeringClose
from cluster.engine.sockets.socket_failures import LATE, RequestFailed, failed
from cluster.engine.users import Recorded
from cluster.remote.http.http_message import DEFAULT_PORTS, ResponseOutcome, ResponseParser, request_around

SWEEP_S = 0.05
RECEIVE = 64 * 1024
READ, WRITE = 1, 2  # libev's events

SO_TIMESTAMPNS = 35  # Linux; the socket module has no name for it
TIMESPEC = struct.Struct("@qq")  # the stamp of a receive: seconds and nanoseconds, CLOCK_REALTIME
ANCILLARY = _socket.CMSG_SPACE(TIMESPEC.size)

_CONNECTING = (0, errno.EINPROGRESS)


class LeanUser(Recorded):
    """Request and think in turn. `prepare` must be called once a worker, before the first user starts."""

    _family: ClassVar[int]
    _address: ClassVar[Any]
    _request: ClassVar[bytes]
    """The whole request; not used where the path varies."""
    _around: ClassVar[tuple[bytes, bytes]]
    """The request without its path: what comes before it, and after it."""
    _ends_cleanly: bool = True
    """Whether the end of the connection is that of the answer; over TLS it may be cut off."""
    _lingering: ClassVar[LingeringClose]
    _sweeper: ClassVar[Any]
    _stamping: ClassVar[_socket.socket]
    """Never connected: the kernel stamps packets only while some socket asks for it, and takes a moment to begin."""
    _ahead_s: ClassVar[float]
    """How far the wall clock, which stamps are of, is ahead of `now`. Updated by each sweep: the clock may be set."""
    _good: ClassVar[tuple[bytes | None, ResponseOutcome]] = (None, ResponseOutcome(None, "", 0, False))
    """The last good response that came in one piece, and its outcome."""

    _connection: Any = None
    """A `_socket.socket`, or None where none is open. Any: an assertion at each use would cost time."""
    _watcher: Any = None

    @classmethod
    def prepare(cls, host: str | None) -> bytes:
        """Look up the server's address, start the sweep, return the request. `host` is Locust's: http://name:port."""
        url, asked = urlsplit(host or ""), cls.request
        scheme = "https" if asked.tls else "http"
        if url.scheme != scheme or not url.hostname:
            sys.exit(f"--host {host}: {scheme}://NAME:PORT is wanted")
        port = url.port or DEFAULT_PORTS[asked.tls]
        try:
            addresses = _socket.getaddrinfo(url.hostname, port, 0, _socket.SOCK_STREAM)
        except _socket.gaierror as error:
            sys.exit(f"--host {host}: {error}")
        cls._family, _, _, _, cls._address = addresses[0]  # servers, too, use a name's first address
        cls._around = before, after = request_around(
            url.hostname, port, cls.keep_alive, asked.method, asked.fields, asked.body, asked.tls
        )
        cls._request = before + asked.path.encode("ascii") + after
        cls._lingering = LingeringClose()
        cls._stamping = _socket.socket(cls._family, _socket.SOCK_STREAM)
        cls._stamping.setsockopt(_socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        cls._ahead_s = time.time() - now()
        cls._sweeper = get_hub().loop.timer(SWEEP_S, SWEEP_S)
        cls._sweeper.start(cls._sweep)
        return cls._request

    @classmethod
    def _sweep(cls) -> None:
        at = now()
        cls._ahead_s = time.time() - at
        cls._lingering.sweep(at - LINGER_S)
        for user in cls.recorder.begun_before(at - cls.timeout):
            # It can be thrown: with a request in flight a user waits only in `_readable` or `_writable`.
            user._running.throw(TimeoutError(LATE))

    @task
    def cycle(self) -> None:
        """Request and think until Locust says stop."""
        self._running = getcurrent()
        self._wake = self._running.switch
        self._hub = get_hub()
        self._tell = self.environment.events.request.fire
        try:
            while True:
                self._get()
                if self._state == LOCUST_STATE_STOPPING:
                    raise StopUser
                self._think()
        finally:
            self._close()

    def _get(self) -> None:
        """One request, recorded. Leaves a connection open only if the next request can use it."""
        connection = self._connection
        fresh = connection is None or (self.think[1] > 0 and not self._idle(connection))
        failure = self._new_socket() if fresh else None
        rest = request = self._request if self.request.draw is None else self._drawn_request(self.request.draw)
        # The time until here is the generator's and counts as lag. The beginning is recorded while the server works.
        began = now()
        if failure is None:
            try:  # both without waiting
                if fresh and (error := self._connection.connect_ex(self._address)) not in _CONNECTING:
                    failure = OSError(error, os.strerror(error))
                else:
                    sent = self._connection.send(request)
                    rest = request[sent:] if sent < len(request) else b""
            except OSError as refusal:
                failure = refusal
        self.woke(began)
        self.recorder.begin(self, began)
        try:
            whole = not rest or self._send_later(rest, failure)
            answer, stamps = self._receive_response()
            if not whole:
                answer = answer._replace(persistent=False)
            at = now()
            if stamps:  # (level, type, data): the kernel's stamp of the last byte, used where it is plausible
                seconds, nanoseconds = TIMESPEC.unpack(stamps[0][2])
                arrived = seconds + nanoseconds / 1e9 - self._ahead_s
                if began < arrived < at:
                    at = arrived
            if at - began > self.timeout:
                answer = ResponseOutcome("timed-out", LATE, answer.size, False)
        except OSError as error:
            at = now()
            self._close()
            answer = failed(error)
        except GreenletExit:
            self._close()
            self._record(now(), ResponseOutcome("aborted", "the user was ended", 0, False))
            raise
        self.answered_at = at
        self._record(at, answer)
        if not self.keep_alive or not answer.persistent:
            self._close_after_response(answer)

    def _record(self, at: float, answer: ResponseOutcome) -> None:
        kind, text, size, _ = answer
        if kind is None:
            elapsed = self.recorder.success(self, at, size)
            error = None
        else:
            elapsed = self.recorder.failure(self, at, kind, size)
            error = RequestFailed(f"{kind}: {text}")
        self._tell(
            request_type=self.request.method,
            name=self.request.label,
            response_time=elapsed * 1000,
            response_length=size,
            exception=error,
            context={},
        )

    def _receive_response(self) -> tuple[ResponseOutcome, Any]:
        """Wait for the response; returns its outcome and the ancillary data of the last receive.

        Raises OSError where the connection fails.
        """
        connection = self._connection
        self._readable()
        data, stamps, _, _ = connection.recvmsg(RECEIVE, ANCILLARY)
        known, answer = LeanUser._good
        if data == known:
            return answer, stamps
        parser = ResponseParser(self.wanted, bodiless=self.request.method == "HEAD")
        first = data
        while data:
            came = parser.feed(data)
            if came is not None:
                if came.kind is None and data is first:
                    LeanUser._good = (data, came)
                return came, stamps
            self._readable()
            data, stamps, _, _ = connection.recvmsg(RECEIVE, ANCILLARY)
        return parser.end(self._ends_cleanly), stamps

    def _drawn_request(self, draw: Callable[[], str]) -> bytes:
        before, after = self._around
        return before + draw().encode("ascii") + after

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

    def _send_later(self, rest: bytes, failure: OSError | None) -> bool:
        """Send what is left once the connection is established and takes it; `failure` is why it wasn't sent at once.

        Returns whether all was sent: a server may answer before, and read no more. Raises OSError where the connection
        fails.
        """
        if failure is not None and not isinstance(failure, BlockingIOError):
            raise failure
        unsent = memoryview(rest)
        while unsent:
            self._writable()
            try:
                unsent = unsent[self._connection.send(unsent) :]
            except BlockingIOError:  # woken since an answer comes
                return False
            except (BrokenPipeError, ConnectionResetError):
                if len(unsent) == len(rest) and failure is not None:
                    raise
                return False  # an answer may have come before
        return True

    def _readable(self) -> None:
        self._watcher.start(self._wake)
        self._hub.switch()
        self._watcher.stop()

    def _writable(self) -> None:
        """Wait until the connection is established and takes more, or has something to read."""
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
        try:
            connection.recv(1)  # usually the FIN, which arrived with the response
        except BlockingIOError:
            if not answer.persistent:
                self._lingering.take(connection, self._watcher)
                self._connection = self._watcher = None
                return
        except OSError:
            pass
        connection.close()  # its watcher was stopped when the response came
        self._connection = None

    def _think(self) -> None:
        """Do what Locust does between two tasks: wait, or without think time let the other greenlets run.

        Thus all responses that have arrived are read before the next requests are sent. Requests sent in a batch find
        the server running: waking it on another core would take a fifth of the time of a connection.
        """
        seconds = self.wait_time()
        self._state = LOCUST_STATE_WAITING
        if seconds > 0:
            sleep(max(seconds - (now() - self.answered_at), 0.0))
        else:
            self._let_others_run()
        self._state = LOCUST_STATE_RUNNING

    def _let_others_run(self) -> None:
        """gevent's `sleep(0)`, at half its cost."""
        callback = self._hub.loop.run_callback(self._wake)
        try:
            self._hub.switch()
        except BaseException:
            callback.stop()  # the user was ended meanwhile: the callback must not wake it from a later wait
            raise

    def _close(self) -> None:
        if self._connection is not None:
            if self._watcher is not None:
                self._watcher.stop()
            self._connection.close()
            self._connection = None
