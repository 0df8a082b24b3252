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
- The hub itself reads such a response, and without think time it sends the next request too, where that needs no
  waiting; the user's greenlet is switched to for everything else. See `_answered`.
- Without think time, all responses that have arrived are read before anything is sent: see `_ask_all`.
- Locust's statistics count successes many at once: see `LocustCounts`.
- Its one task never returns, so that Locust doesn't choose, queue and dispatch a task for each request.

After `Connection: close` the server should close first, or the client's ports fill up with TIME_WAIT. Usually the
server's FIN has arrived with the response; if not, `LingeringClose` keeps the connection and the user continues.
"""

from __future__ import annotations

import errno
import os
from typing import Any, ClassVar

from gevent import GreenletExit, get_hub, getcurrent, sleep
from locust import task
from locust.exception import StopUser
from locust.stats import RequestStats
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from cluster.engine.clocks import now
from cluster.engine.sockets.lingering import LINGER_S
from cluster.engine.sockets.locust_counts import LocustCounts
from cluster.engine.sockets.socket_failures import LATE, RequestFailed, failed
from cluster.engine.sockets.socket_user import ANCILLARY, SocketUser
from cluster.remote.http.http_message import ResponseOutcome, ResponseParser, request_around

SWEEP_S = 0.05
RECEIVE = 64 * 1024

_CONNECTING = (0, errno.EINPROGRESS)
_BEGUN = object()  # what a greenlet gets from the hub that has begun the next request, and couldn't send all of it


class LeanUser(SocketUser):
    """Request and think in turn. `prepare` must be called once a worker, before the first user starts."""

    _request: ClassVar[bytes]
    """The whole request; empty where the path varies."""
    _around: ClassVar[tuple[bytes, bytes]]
    """The request without its path: what comes before it, and after it."""
    _ends_cleanly: bool = True
    """Whether the end of the connection is that of the answer; over TLS it may be cut off."""
    _counts: ClassVar[LocustCounts]
    _due: ClassVar[list[LeanUser]]
    """The users whose responses the hub has read, and whose next requests it sends in this round of the loop."""
    _sweeper: ClassVar[Any]
    _good: ClassVar[tuple[bytes | None, ResponseOutcome]] = (None, ResponseOutcome(None, "", 0, False))
    """The last good response that came in one piece, and its outcome."""

    _unsent: bytes | memoryview
    """What is left to send of the request in flight."""
    _refusal: OSError | None
    """Why it wasn't sent at once, where an error was the reason."""
    _is_due: bool = False
    """Whether it is among `_due`, and has no request in flight."""

    @classmethod
    def prepare(cls, host: str | None, stats: RequestStats) -> bytes:
        """Look up the server's address, start the sweep, return the request.

        `host` is Locust's: http://name:port. `stats` are Locust's statistics of this process.
        """
        asked = cls.request
        name, port = cls._look_up(host)
        cls._around = before, after = request_around(
            name, port, cls.keep_alive, asked.method, asked.fields, asked.body, asked.tls
        )
        request = before + asked.path.encode("ascii") + after
        cls._request = request if asked.draw is None else b""
        cls._counts = LocustCounts(stats, asked.method, asked.label)
        LeanUser._due = []
        cls._sweeper = get_hub().loop.timer(SWEEP_S, SWEEP_S)
        cls._sweeper.start(cls._sweep)
        return request

    @classmethod
    def tell_locust(cls) -> None:
        """Have Locust's statistics count all successes up to now."""
        cls._counts.flush(cls._ahead_s)

    @classmethod
    def _sweep(cls) -> None:
        at = now()
        cls._follow_clock(at)
        cls._lingering.sweep(at - LINGER_S)
        for user in cls.recorder.begun_before(at - cls.timeout):
            # It can be thrown: with a request in flight a user waits only in `_answer`, `_readable` or `_writable`.
            user._running.throw(TimeoutError(LATE))
        cls.tell_locust()

    @task
    def cycle(self) -> None:
        """Request and think until Locust says stop."""
        self._running = getcurrent()
        self._wake = self._running.switch
        self._hub = get_hub()
        try:
            while True:
                self._get()
                if self._state == LOCUST_STATE_STOPPING:
                    raise StopUser
                self._think()
        finally:
            self._close()

    def _get(self) -> None:
        """One request, recorded; without think time also those that follow it, as far as the hub alone can do them.

        Leaves a connection open only if the next request can use it.
        """
        self._ask()
        try:
            received: Any = _BEGUN
            while received is _BEGUN:
                if self._unsent:
                    self._send_later()
                received = self._answer()
            if received is None:
                return
            answer, stamps = self._read_response(*received)
            if self._unsent:
                answer = answer._replace(persistent=False)
            at = self._arrival(stamps)
            if at - self._began > self.timeout:
                answer = ResponseOutcome("timed-out", LATE, answer.size, False)
        except OSError as error:
            at = now()
            self._close()
            answer = failed(error)
        except GreenletExit:
            self._close()
            if self._is_due:
                self._is_due = False
            else:
                self._record(now(), ResponseOutcome("aborted", "the user was ended", 0, False))
            raise
        self._end(at, answer)

    def _ask(self) -> None:
        """Start a request, as far as that needs no waiting. Called by the hub as well."""
        connection = self._connection
        fresh = connection is None or (self.think[1] > 0 and not self._idle(connection))
        failure = self._new_socket() if fresh else None
        rest = request = self._request or self._drawn_request()
        # The time until here is the generator's and counts as lag. The beginning is recorded while the server works.
        self._began = began = now()
        if failure is None:
            try:
                if fresh and (error := self._connection.connect_ex(self._address)) not in _CONNECTING:
                    failure = OSError(error, os.strerror(error))
                else:
                    sent = self._connection.send(request)
                    rest = request[sent:] if sent < len(request) else b""
            except OSError as refusal:
                failure = refusal
        self._unsent, self._refusal = rest, failure
        if self._drawn is not None:
            self.woke(began)
        self.recorder.begin(self, began)

    def _answer(self) -> Any:
        """Wait for the response. Returns what the hub has for this greenlet to do.

        A pair, the first bytes with their ancillary data: read the response. _BEGUN: the hub has recorded the response
        and begun the next request, which isn't sent whole. None: it has recorded the response; think, or stop.
        """
        self._watcher.start(self._answered)
        return self._hub.switch()

    def _answered(self) -> None:
        """The response is there. Called by the hub, which switches to the greenlet only where it has something to do.

        Switching there and back, to read and then to send, takes longer than all else here. The watcher of a connection
        that is used again goes on.
        """
        if self._is_due:  # the server closes, or sends what nobody has asked for: the next request will meet it
            return
        try:
            data, stamps, _, _ = self._connection.recvmsg(RECEIVE, ANCILLARY)
        except OSError as error:
            self._running.throw(error)
            return
        known, answer = LeanUser._good
        at = self._arrival(stamps)
        if data != known or self._unsent or at - self._began > self.timeout:
            self._watcher.stop()
            self._wake((data, stamps))
            return
        self._end(at, answer)
        if self.think[1] or self._state == LOCUST_STATE_STOPPING:
            if self._connection is not None:
                self._watcher.stop()
            self._wake(None)
            return
        if not self._due:
            self._hub.loop.run_callback(LeanUser._ask_all)
        self._due.append(self)
        self._is_due = True

    @staticmethod
    def _ask_all() -> None:
        """Send the next request of all whose responses have been read. Called by the hub.

        Requests sent in a batch find the server running: waking it on another core would take a fifth of the time of a
        connection.
        """
        users, LeanUser._due = LeanUser._due, []
        for user in users:
            if not user._is_due:  # it was ended
                continue
            user._is_due = False
            user._ask()
            user.recorder.turned(user._began - user.answered_at)
            if user._unsent:
                user._wake(_BEGUN)
            elif not user._watcher.active:
                user._watcher.start(user._answered)

    def _end(self, at: float, answer: ResponseOutcome) -> None:
        """The response is complete, or the request has failed."""
        self.answered_at = at
        self._record(at, answer)
        if not self.keep_alive or not answer.persistent:
            self._close_after_response(answer)

    def _record(self, at: float, answer: ResponseOutcome) -> None:
        kind, text, size, _ = answer
        if kind is None:
            self._counts.add(self.recorder.success(self, at, size), at, size)
            return
        self.environment.events.request.fire(
            request_type=self.request.method,
            name=self.request.label,
            response_time=self.recorder.failure(self, at, kind, size) * 1000,
            response_length=size,
            exception=RequestFailed(f"{kind}: {text}"),
            context={},
        )

    def _read_response(self, data: bytes, stamps: Any) -> tuple[ResponseOutcome, Any]:
        """The outcome of the response that begins with `data`, and the ancillary data of the last receive.

        Waits for the rest. Raises OSError where the connection fails.
        """
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
            data, stamps, _, _ = self._connection.recvmsg(RECEIVE, ANCILLARY)
        return parser.end(self._ends_cleanly), stamps

    def _drawn_request(self) -> bytes:
        assert self.request.draw is not None
        before, after = self._around
        return before + self.request.draw().encode("ascii") + after

    def _send_later(self) -> None:
        """Send what is left once the connection is established and takes it.

        Not all of it where the server answers before, and reads no more. Raises OSError where the connection fails.
        """
        failure = self._refusal
        if failure is not None and not isinstance(failure, BlockingIOError):
            raise failure
        whole = self._unsent = memoryview(self._unsent)
        while self._unsent:
            self._writable()
            try:
                self._unsent = self._unsent[self._connection.send(self._unsent) :]
            except BlockingIOError:  # woken since an answer comes
                return
            except (BrokenPipeError, ConnectionResetError):
                if self._unsent is whole and failure is not None:
                    raise
                return  # an answer may have come before

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
