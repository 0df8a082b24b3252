"""Wrappers around Locust's HTTP clients and its users' waits: they report to the recorder, and change nothing else.

Three things are added where the locustfile says nothing: the plan's timeout, the refusal of another server's address,
and of a proxy, whose figures the server's would be taken for.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from gevent import GreenletExit, getcurrent
from locust import FastHttpUser, TaskSet, User
from locust.clients import HttpSession, LocustHttpAdapter
from locust.contrib.fasthttp import FastHttpSession, FastRequest
from locust.env import Environment
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from cluster.engine.clocks import now
from cluster.engine.own.own_recorder import OTHER, OwnRecorder
from cluster.remote.http.http_message import DEFAULT_PORTS

current: Any = getcurrent
MARK = "study_received"  # an attribute of a response that a `with` block reports later
USERS_RUN = (TaskSet.run.__code__,)  # the functions that wait between tasks; another caller of `wait` is in a task


class OtherServerError(Exception):
    """A locustfile turns to another server than the one that is measured."""


def install(environment: Environment, recorder: OwnRecorder, timeout_s: float) -> None:
    """Wrap the clients and the waits of this process, once and before any user starts."""
    host = environment.host
    assert host is not None
    only_this_server(host)
    for session in (HttpSession, FastHttpSession):
        _wrap_request(session, recorder, host, timeout_s if session is HttpSession else None)
    _wrap_redirects(recorder, host)
    # Classes that set timeouts of their own keep them.
    FastHttpUser.network_timeout = FastHttpUser.connection_timeout = timeout_s
    _wrap_waits(recorder)
    _listen(environment, recorder)


def only_this_server(host: str) -> None:
    """Have sessions raise OtherServerError for another server's base URL and for a proxy."""
    for session in (HttpSession, FastHttpSession):
        _wrap_init(session, host)


def _wrap_init(session: Any, host: str) -> None:
    original = session.__init__

    def __init__(self: Any, base_url: Any, *arguments: Any, **options: Any) -> None:
        if base_url is not None:
            _refuse_other("a client for", str(base_url), host)
        if options.get("proxy_host"):
            _refuse_proxy(host)
        original(self, base_url, *arguments, **options)
        if isinstance(self, HttpSession):  # it would take a proxy, a password and certificates from where it runs
            self.trust_env = False

    session.__init__ = __init__


def _wrap_request(session: Any, recorder: OwnRecorder, host: str, timeout_s: float | None) -> None:
    """A request is in flight by the greenlet that sends it; it has one at a time, but for one inside another."""
    original, sends, receives, exchanges = session.request, recorder.sends, recorder.receives, recorder.exchanges

    def request(self: Any, method: Any, url: Any, *arguments: Any, **options: Any) -> Any:
        if url[:1] != "/" or self.base_url != host:
            _refuse_other("a request to", self._build_url(url), host)
        if timeout_s is not None:
            options.setdefault("timeout", timeout_s)
            if self.proxies or options.get("proxies"):
                _refuse_proxy(host)
        else:
            exchanges()
        token = current()
        outer = sends(token, now())
        try:
            response = original(self, method, url, *arguments, **options)
            if receives(token, now()):  # not reported yet: catch_response
                setattr(response.request_meta["response"], MARK, True)
        except BaseException as error:
            recorder.broke_off(token, now(), "aborted" if isinstance(error, GreenletExit) else OTHER)
            raise
        finally:
            if outer is not None:
                recorder.renamed(outer, token)
        return response

    session.request = request


def _wrap_redirects(recorder: OwnRecorder, host: str) -> None:
    """Count the HTTP requests that the clients send, and look where those go that follow a redirect.

    Each of HttpUser's goes through `send`; FastHttpUser's first one is that of `request`.
    """
    fast: Any = FastRequest
    adapter: Any = LocustHttpAdapter
    redirect, send, exchanges, below = fast.redirect, adapter.send, recorder.exchanges, f"{host}/"

    def checked_redirect(self: Any, code: int, location: str) -> None:
        redirect(self, code, location)
        _refuse_other("a redirect to", self.url, host)
        exchanges()

    def checked_send(self: Any, request: Any, **options: Any) -> Any:
        if not request.url.startswith(below):
            _refuse_other("a redirect to", request.url, host)
        exchanges()
        return send(self, request, **options)

    fast.redirect, adapter.send = checked_redirect, checked_send


def _refuse_other(what: str, url: str, host: str) -> None:
    """Raise OtherServerError where the URL is not one of the measured server, `host`."""
    if _place(url) != _place(host):
        raise OtherServerError(f"{what} {url}: the plan measures one server, {host}")


def _refuse_proxy(host: str) -> None:
    raise OtherServerError(f"a proxy: its figures would be taken for those of the server, {host}")


def _place(url: str) -> tuple[str, str | None, int]:
    """Scheme, name and port of a URL, whatever user, path and spelling it has."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        return "", None, 0  # nobody's
    return parts.scheme, parts.hostname, port or DEFAULT_PORTS[parts.scheme == "https"]


def _wrap_waits(recorder: OwnRecorder) -> None:
    """A user's iteration ends where `TaskSet.run` waits; its `wait_time` says for how long."""
    taskset: Any = TaskSet
    user_class: Any = User
    wait, run = taskset.wait, user_class.run
    frame, waits, woke = sys._getframe, recorder.waits, recorder.woke  # looked up once: each wait needs them

    def timed_wait(self: Any) -> None:
        """As Locust's own, between the recorder's two calls."""
        if frame(1).f_code not in USERS_RUN:  # a task that waits: part of its iteration
            wait(self)
            return
        user = self._user
        waits(user, now())
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
        woke(user, seconds, now())

    def timed_run(self: Any) -> None:
        recorder.user_began(self, now())
        try:
            run(self)
        finally:
            recorder.user_ended(self, now())

    taskset.wait, user_class.run = timed_wait, timed_run


def _listen(environment: Environment, recorder: OwnRecorder) -> None:
    """What Locust is told of requests and of exceptions."""
    receives, reported = recorder.receives, recorder.reported

    def on_request(
        request_type: str,
        name: str,
        response_time: float,
        response_length: int,
        exception: Exception | None = None,
        response: Any = None,
        context: Any = None,  # what both clients tell has names here: a dictionary of it would cost more
        start_time: Any = None,
        url: Any = None,
        **_: Any,
    ) -> None:
        inside = receives(current(), now()) or hasattr(response, MARK)
        seconds = response_time / 1000 if response_time else 0.0
        reported(request_type, name, seconds, response_length or 0, exception, response, not inside)

    def on_error(exception: BaseException, tb: TracebackType | None = None, **_: Any) -> None:
        recorder.raised(exception, tb)

    events: Any = environment.events
    events.request.add_listener(on_request)
    events.user_error.add_listener(on_error)
