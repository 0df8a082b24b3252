"""Wrappers around Locust's HTTP clients and its users' waits: they report to the recorder, and change nothing else.

Two things are added where the locustfile says nothing: the plan's timeout, and the refusal of another server's address.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from gevent import GreenletExit, getcurrent
from locust import FastHttpUser, TaskSet, User
from locust.clients import HttpSession, LocustHttpAdapter
from locust.contrib.fasthttp import FastHttpSession, LocustUserAgent
from locust.env import Environment
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from cluster.engine.clocks import now
from cluster.engine.own.own_recorder import OTHER, OwnRecorder

current: Any = getcurrent
MARK = "study_received"  # an attribute of a response that a `with` block reports later
USERS_RUN = (TaskSet.run.__code__,)  # the functions that wait between tasks; another caller of `wait` is in a task


class OtherServerError(Exception):
    """A locustfile turns to another server than the one that is measured."""


def install(environment: Environment, recorder: OwnRecorder, timeout_s: float) -> None:
    """Wrap the clients and the waits of this process, once and before any user starts."""
    assert environment.host is not None
    only_this_server(environment.host)
    for session in (HttpSession, FastHttpSession):
        _wrap_request(session, recorder, timeout_s if session is HttpSession else None)
    for kind, name in ((LocustHttpAdapter, "send"), (LocustUserAgent, "_urlopen")):
        _count_calls(kind, name, recorder)
    # Classes that set timeouts of their own keep them.
    FastHttpUser.network_timeout = FastHttpUser.connection_timeout = timeout_s
    _wrap_waits(recorder)
    _listen(environment, recorder)


def only_this_server(host: str) -> None:
    """Have sessions raise OtherServerError for another base URL, and for a request to another server."""
    for session in (HttpSession, FastHttpSession):
        _wrap_init(session, host)


def _wrap_init(session: Any, host: str) -> None:
    original = session.__init__

    def __init__(self: Any, base_url: Any, *arguments: Any, **options: Any) -> None:
        if base_url is not None and str(base_url).rstrip("/") != host:
            raise OtherServerError(f"a client for {base_url}: the plan measures one server, {host}")
        original(self, base_url, *arguments, **options)

    session.__init__ = __init__


def _wrap_request(session: Any, recorder: OwnRecorder, timeout_s: float | None) -> None:
    """A request is in flight by the greenlet that sends it; it has one at a time, but for one inside another."""
    original = session.request

    def request(self: Any, method: Any, url: Any, *arguments: Any, **options: Any) -> Any:
        if url[:4] in ("http", b"http") and not _is_below(url, self.base_url):
            raise OtherServerError(f"a request to {url!r}: the plan measures one server, {self.base_url}")
        if timeout_s is not None and "timeout" not in options:
            options["timeout"] = timeout_s
        token = current()
        outer = recorder.sends(token, now())
        try:
            response = original(self, method, url, *arguments, **options)
            if recorder.receives(token, now()):  # not reported yet: catch_response
                setattr(response.request_meta["response"], MARK, True)
        except BaseException as error:
            recorder.broke_off(token, now(), "aborted" if isinstance(error, GreenletExit) else OTHER)
            raise
        finally:
            if outer is not None:
                recorder.renamed(outer, token)
        return response

    session.request = request


def _is_below(url: Any, base: Any) -> bool:
    text = url.decode("latin-1") if isinstance(url, bytes) else url
    return bool(text == base or text.startswith((f"{base}/", f"{base}?")))


def _count_calls(kind: Any, name: str, recorder: OwnRecorder) -> None:
    original, exchanges = getattr(kind, name), recorder.exchanges

    def counted(self: Any, request: Any, **options: Any) -> Any:
        exchanges()
        return original(self, request, **options)

    setattr(kind, name, counted)


def _wrap_waits(recorder: OwnRecorder) -> None:
    """A user's iteration ends where `TaskSet.run` waits; its `wait_time` says for how long."""
    taskset: Any = TaskSet
    user_class: Any = User
    wait, run = taskset.wait, user_class.run

    def timed_wait(self: Any) -> None:
        """As Locust's own, between the recorder's two calls."""
        if sys._getframe(1).f_code not in USERS_RUN:  # a task that waits: part of its iteration
            wait(self)
            return
        user = self.user
        recorder.waits(user, now())
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser()
        user._state = LOCUST_STATE_WAITING
        seconds = 0.0 if recorder.idle else max(0.0, self.wait_time())
        if seconds:
            recorder.drew(seconds)
        self._sleep(seconds)
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser()
        user._state = LOCUST_STATE_RUNNING
        recorder.woke(user, seconds, now())

    def timed_run(self: Any) -> None:
        recorder.user_began(self, now())
        try:
            run(self)
        finally:
            recorder.user_ended(self, now())

    taskset.wait, user_class.run = timed_wait, timed_run


def _listen(environment: Environment, recorder: OwnRecorder) -> None:
    """What Locust is told of requests and of exceptions."""

    def on_request(
        request_type: str,
        name: str,
        response_time: float,
        response_length: int,
        exception: Exception | None = None,
        response: Any = None,
        **_: Any,
    ) -> None:
        inside = recorder.receives(current(), now()) or hasattr(response, MARK)
        seconds = (response_time or 0.0) / 1000
        recorder.reported(request_type, name, seconds, response_length or 0, exception, response, not inside)

    def on_error(exception: BaseException, tb: TracebackType | None = None, **_: Any) -> None:
        recorder.raised(exception, tb)

    events: Any = environment.events
    events.request.add_listener(on_request)
    events.user_error.add_listener(on_error)
