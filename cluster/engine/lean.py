"""A Locust user that costs the load generator little (`client = "lean"`): bare sockets on the hub's own watchers.

What it does for each request is what a browser's first GET does, and no more: connect (or reuse), send, wait until the
socket is readable, judge the answer. What makes it cheap, and why each is sound:

- The server's name is looked up once a worker. A request that was sent is never sent again.
- It sends straight after `connect`, without waiting: on loopback the connection stands by then. Elsewhere the first
  attempt says "not yet", and the socket is waited for.
- One deadline for the whole request, connection included, kept by one sweep a worker over the requests in flight, which
  the recorder has in order of start; no timer is made for a request. An answer that comes after it is a failure too.
- A response time ends when the kernel received the answer's last byte (SO_TIMESTAMPNS), so that a late event loop
  doesn't lengthen it. The stamp comes with the bytes, in one call.
- An answer that equals the last good one byte for byte (the Date field changes once a second) is as good as that one.
- Without think time, all answers that are there are read before anything is sent: see `_think`.
- Its one task never returns: Locust's choosing, queueing and dispatching of a task for each request is left out.

After `Connection: close` the server should close first, or the client's few ports fill up with TIME_WAIT. Mostly the
end lies behind the answer already; where it doesn't, the connection is left to `Parting` and the user goes on.
"""

from __future__ import annotations

import _socket  # socket.socket without the layers that Python and gevent put around it: half the cost of a new one
import errno
import os
import struct
import sys
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit

from gevent import GreenletExit, get_hub, getcurrent, sleep
from locust import task
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from cluster.engine.recorder import now
from cluster.engine.users import Recorded
from cluster.remote.http_message import Answer, Reply, request_bytes

SWEEP_S = 0.05
PART_S = 1.0  # how long the server may take to close first
RECEIVE = 64 * 1024
READ, WRITE = 1, 2  # libev's names for what a watcher watches for

SO_TIMESTAMPNS = 35  # Linux; the socket module has no name for it
TIMESPEC = struct.Struct("@qq")  # what comes with each receive: seconds and nanoseconds, CLOCK_REALTIME
ANCILLARY = _socket.CMSG_SPACE(TIMESPEC.size)

LATE = "no answer in time"
_OWN_LIMITS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


class RequestFailed(Exception):
    """For Locust's statistics, which count failures by this text: so it has no figures of one request in it."""


def failed(error: OSError) -> Answer:
    """A failure by the socket's own word."""
    text = os.strerror(error.errno) if error.errno else str(error)
    if isinstance(error, TimeoutError):
        kind = "timed-out"
    elif isinstance(error, ConnectionRefusedError):
        kind = "refused"
    elif isinstance(error, ConnectionError):
        kind = "reset"
    else:
        kind = "other"
        if error.errno in _OWN_LIMITS:
            text = f"the load generator's own limit: {text}"
    return Answer(kind, text, 0, False)


class Parting:
    """Connections that were answered and that the server has yet to close. One for each worker."""

    def __init__(self) -> None:
        self._open: dict[Any, tuple[_socket.socket, float]] = {}  # by watcher, in order of time

    def take(self, connection: _socket.socket, watcher: Any) -> None:
        """Close the connection when the server has, or after PART_S. `watcher` must watch it, and not be started."""
        self._open[watcher] = (connection, now())
        watcher.start(self._close, watcher)

    def sweep(self, before: float) -> None:
        """Close those that came before that moment."""
        for watcher in [watcher for watcher, (_, since) in self._open.items() if since < before]:
            self._close(watcher)

    def _close(self, watcher: Any) -> None:
        watcher.stop()
        connection, _ = self._open.pop(watcher)
        connection.close()


def stamped(connection: _socket.socket) -> None:
    """Let the kernel note when each byte of the connection came."""
    connection.setsockopt(_socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


class LeanUser(Recorded):
    """One request, think, again. `prepare` is called once a worker, before the first user starts."""

    _family: ClassVar[int]
    _address: ClassVar[Any]
    _request: ClassVar[bytes]
    _parting: ClassVar[Parting]
    _sweeper: ClassVar[Any]
    _stamping: ClassVar[_socket.socket]
    """Never connected. The kernel stamps packets as long as some socket asks for it, and takes a moment to begin."""
    _ahead_s: ClassVar[float]
    """How far the wall clock, which stamps are of, is ahead of `now`; followed, since the wall clock may be set."""
    _good: ClassVar[tuple[bytes | None, Answer]] = (None, Answer(None, "", 0, False))
    """The last good answer that came in one piece, and what it was worth."""

    _connection: _socket.socket | None = None
    _watcher: Any = None
    _stamp: bytes | None = None
    """When the last bytes came, as the kernel wrote it; None where it wrote nothing."""

    @classmethod
    def prepare(cls, host: str | None) -> bytes:
        """Look up the server's address, start the sweep, return the request. `host` is Locust's: http://name:port."""
        url = urlsplit(host or "")
        if url.scheme != "http" or not url.hostname:
            sys.exit(f"--host {host}: http://NAME:PORT is wanted")
        port = url.port or 80
        try:
            found = _socket.getaddrinfo(url.hostname, port, 0, _socket.SOCK_STREAM)
        except _socket.gaierror as error:
            sys.exit(f"--host {host}: {error}")
        cls._family, _, _, _, cls._address = found[0]  # the servers listen on a name's first address, too
        cls._request = request_bytes(url.hostname, port, cls.keep_alive, cls.method, cls.path)
        cls._parting = Parting()
        cls._stamping = _socket.socket(cls._family, _socket.SOCK_STREAM)
        stamped(cls._stamping)
        cls._ahead_s = time.time() - now()
        cls._sweeper = get_hub().loop.timer(SWEEP_S, SWEEP_S)
        cls._sweeper.start(cls._sweep)
        return cls._request

    @classmethod
    def _sweep(cls) -> None:
        at = now()
        cls._ahead_s = time.time() - at
        cls._parting.sweep(at - PART_S)
        for user in cls.recorder.begun_before(at - cls.timeout):
            # A user with a request in flight waits in `_readable` or `_writable` and nowhere else.
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
        """One request from its beginning to its entry in the records. Leaves a connection only for the next one."""
        fresh = self._connection is None or (self.think[1] > 0 and not self._idle(self._connection))
        failure = self._new_socket() if fresh else None
        # All until here is the generator's own time, and counts as lag. What is recorded of the request's beginning is
        # recorded while the server works.
        began = now()
        if failure is None:
            failure = self._send(fresh)
        self.woke(began)
        self.recorder.begin(self, began)
        try:
            if failure is not None:
                self._send_later(failure)
            answer = self._exchange()
            at = self._arrival(began)
            if at - began > self.timeout:
                answer = Answer("timed-out", LATE, answer.size, False)
        except OSError as error:
            at = now()
            self._close()
            answer = failed(error)
        except GreenletExit:
            self._close()
            self._record(now(), Answer("aborted", "the user was ended", 0, False))
            raise
        self.answered_at = at
        self._record(at, answer)
        if not self.keep_alive or not answer.persistent:
            self._part(answer)

    def _arrival(self, began: float) -> float:
        """When the answer's last byte came, by the kernel's stamp; now, where there is none or it can't be."""
        at = now()
        if self._stamp is not None:
            seconds, nanoseconds = TIMESPEC.unpack(self._stamp)
            arrived: float = seconds + nanoseconds / 1e9 - self._ahead_s
            if began < arrived < at:
                return arrived
        return at

    def _record(self, at: float, answer: Answer) -> None:
        kind, text, size, _ = answer
        if kind is None:
            elapsed = self.recorder.success(self, at, size)
            error = None
        else:
            elapsed = self.recorder.failure(self, at, kind, size)
            error = RequestFailed(f"{kind}: {text}")
        self._tell(
            request_type=self.method,
            name=self.path,
            response_time=elapsed * 1000,
            response_length=size,
            exception=error,
            context={},
        )

    def _exchange(self) -> Answer:
        """Wait for the answer to a request that was sent. Raises OSError where the connection fails."""
        connection = self._connection
        assert connection is not None
        self._stamp = None
        self._readable()
        data = self._receive(connection)
        known, answer = LeanUser._good
        if data == known:
            return answer
        reply = Reply(self.body, self.status, bodiless=self.method == "HEAD")
        while data:
            came = reply.feed(data)
            if came is not None:
                if came.kind is None:
                    LeanUser._good = (data, came)
                return came
            self._readable()
            data = self._receive(connection)
        return reply.end()

    def _receive(self, connection: _socket.socket) -> bytes:
        data, ancillary, _, _ = connection.recvmsg(RECEIVE, ANCILLARY)
        if ancillary:
            self._stamp = ancillary[0][2]
        return data

    def _new_socket(self) -> OSError | None:
        """Replace the connection by a socket that is not connected yet. Returns why there is none to be had."""
        self._close()
        try:
            connection = _socket.socket(self._family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK)
            self._connection = connection
            stamped(connection)
            if self.keep_alive:  # a connection's first segment is never held back, and without it there is no second
                connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        except OSError as error:
            return error
        if self._watcher is None:
            self._watcher = self._hub.loop.io(connection.fileno(), READ)
        else:
            self._watcher.fd = connection.fileno()
        return None

    def _send(self, fresh: bool) -> OSError | None:
        """Connect where the socket is fresh, and send, without waiting. Returns why the request was not sent."""
        connection = self._connection
        assert connection is not None
        try:
            if fresh and (error := connection.connect_ex(self._address)) not in (0, errno.EINPROGRESS):
                return OSError(error, os.strerror(error))
            connection.send(self._request)
        except OSError as refusal:
            return refusal
        return None

    def _send_later(self, failure: OSError) -> None:
        """Send once the connection stands, where that is all that was lacking. Raises OSError, `failure` or another."""
        if not isinstance(failure, BlockingIOError):
            raise failure
        assert self._connection is not None
        self._writable()
        self._connection.send(self._request)

    def _readable(self) -> None:
        self._watcher.start(self._wake)
        self._hub.switch()
        self._watcher.stop()

    def _writable(self) -> None:
        self._watcher.events = WRITE
        self._watcher.start(self._wake)
        try:
            self._hub.switch()
        finally:
            self._watcher.stop()
            self._watcher.events = READ

    def _idle(self, connection: _socket.socket) -> bool:
        """Whether a connection that was kept open is still open, and nothing has come that nobody asked for."""
        try:
            connection.recv(1, _socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def _part(self, answer: Answer) -> None:
        """End an answered connection that carries no other request, the server first if it will."""
        connection = self._connection
        if connection is None:
            return
        try:
            connection.recv(1)  # mostly the end, which came with the answer
        except BlockingIOError:
            if not answer.persistent:
                self._parting.take(connection, self._watcher)
                self._connection = self._watcher = None
                return
        except OSError:
            pass
        connection.close()  # whose watcher was stopped when the answer came
        self._connection = None

    def _think(self) -> None:
        """What Locust does between two tasks: wait, or without think time let the others run.

        So the answers that are there are all read before the next requests are sent. Sent in one go, these find a
        server that is awake: waking one that sleeps on another core costs the sender a fifth of a connection's time.
        """
        seconds = self.wait_time()
        self._state = LOCUST_STATE_WAITING
        if seconds > 0:
            assert self.answered_at is not None  # a request came before
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
            callback.stop()  # ended meanwhile: nothing may wake the user out of another wait
            raise

    def _close(self) -> None:
        if self._connection is not None:
            if self._watcher is not None:
                self._watcher.stop()
            self._connection.close()
            self._connection = None
