"""Locust users on Locust's own clients: `client = "http"`, as in the class report, and `client = "fast"`.

Both send one request, think, and send the next. Their times go into the worker's recorder; Locust's clients themselves
report to Locust's statistics.
"""

from __future__ import annotations

from random import random
from typing import Any, ClassVar

import geventhttpclient.client
from gevent import GreenletExit
from locust import FastHttpUser, HttpUser, User, task

from cluster.engine.clocks import now
from cluster.engine.recorder import Recorder
from cluster.engine.user_request import UserRequest
from cluster.remote.http.http_message import Wanted

# geventhttpclient silently repeats idempotent requests, which would hide that a server drops connections.
geventhttpclient.client.IDEMPOTENT_METHODS = frozenset()


class Recorded(User):
    """A user whose think times and requests the worker's recorder counts. The class attributes come from the plan.

    `think` alone changes within a run: the idle step has no think time.
    """

    abstract = True
    recorder: ClassVar[Recorder]
    think: ClassVar[tuple[float, float]]
    keep_alive: ClassVar[bool]
    timeout: ClassVar[float]
    request: ClassVar[UserRequest]
    wanted: ClassVar[Wanted]
    """What every answer must have."""

    answered_at: float
    """When the last response came, a value of `now`; before the first one, when the user started."""
    _drawn: float | None = None
    """The think time (s) drawn since the last response; 0 where the plan has none, None before the first response."""

    def on_start(self) -> None:
        """Called by Locust before the first task."""
        self.answered_at = now()

    def wait_time(self) -> float:
        """Draw a think time (s), uniformly between the plan's bounds. Called by Locust."""
        low, high = self.think
        if high:
            self._drawn = drawn = low + (high - low) * random()  # random.uniform without its call
            self.recorder.drew(drawn)
            return drawn
        self._drawn = 0.0
        return 0.0

    def woke(self, at: float) -> None:
        """End the think time or the turnaround, if any: the next request started at `at`, a value of `now`."""
        drawn = self._drawn
        if drawn is not None:
            self._drawn = None
            if drawn:
                self.recorder.thought(drawn, at - self.answered_at)
            else:
                self.recorder.turned(at - self.answered_at)


class _LocustClientUser(Recorded):
    """The part that both of Locust's clients share: their responses have the same attributes."""

    abstract = True

    @task
    def index(self) -> None:
        """Send one request and record it."""
        began = now()
        self.woke(began)
        self.recorder.begin(self, began)
        try:
            kind, size = self.get()
        except GreenletExit:
            self.recorder.failure(self, now(), "aborted")
            raise
        self.answered_at = at = now()
        if kind is None:
            self.recorder.success(self, at, size)
        else:
            self.recorder.failure(self, at, kind, size)

    def get(self) -> tuple[str | None, int]:
        """Send one request; returns what `judge` does."""
        raise NotImplementedError

    def judge(self, response: Any) -> tuple[str | None, int]:
        """Kind of failure (None for a good answer) and body size in bytes; reports to Locust's statistics as well."""
        if response.status_code == 0:
            return kind_of(response.error), 0
        body, wanted = response.content or b"", self.wanted
        kind = text = None
        if response.status_code != wanted.status:
            kind, text = "bad-status", f"status {response.status_code}"
        elif _is_short(response, body, self.request.method):
            kind = text = "short-body"
        elif (wanted.body is not None and body != wanted.body) or wanted.contains not in body:
            kind = text = "wrong-body"
        elif any(_field(response, name) != value for name, value in wanted.fields):
            kind = text = "wrong-header"
        if kind is None:
            response.success()  # Locust would count a status of 400 and above as a failure
        else:
            response.failure(text)
        return kind, len(body)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of both clients' `request`."""
        asked = self.request
        # Without a field of the plan's own, an answer is asked for as the lean client does: not compressed.
        headers = dict(asked.fields)
        if not any(name.lower() == "accept-encoding" for name in headers):
            headers["Accept-Encoding"] = "identity"
        if not self.keep_alive:
            headers["Connection"] = "close"
        path = asked.path if asked.draw is None else asked.draw()
        return {
            "method": asked.method,
            "url": path,
            "name": asked.label,
            "headers": headers,
            "data": asked.body or None,
            "catch_response": True,
        }


def _is_short(response: Any, body: bytes, method: str) -> bool:
    """Whether less than the announced body came; of a decoded body nobody knows the length here."""
    headers = response.headers
    if method == "HEAD" or "Content-Encoding" in headers:
        return False
    return len(body) != int(headers.get("Content-Length", len(body)))


def _field(response: Any, name: bytes) -> bytes:
    return str(response.headers.get(name.decode("latin-1"), "")).encode("latin-1", "replace")


class QuickstartUser(_LocustClientUser, HttpUser):
    """The class report's user, on the requests library."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)  # type: ignore[no-untyped-call]
        self.client.trust_env = False  # no proxy, password or certificates of the load host's environment

    def get(self) -> tuple[str | None, int]:
        with self.client.request(**self.arguments, timeout=self.timeout, allow_redirects=False) as response:
            return self.judge(response)


class FastQuickstartUser(_LocustClientUser, FastHttpUser):
    """The same on Locust's faster client, geventhttpclient, without retries and redirects."""

    max_retries = 0
    max_redirects = 0

    def __init__(self, environment: Any) -> None:
        self.connection_timeout = self.network_timeout = self.timeout
        super().__init__(environment)

    def get(self) -> tuple[str | None, int]:
        with self.client.request(**self.arguments) as response:
            return self.judge(response)


_KINDS = {
    "refused": ("refused",),
    "timed-out": ("timed out", "timeout"),
    "reset": ("reset", "broken pipe", "closed", "aborted", "without response", "eof", "disconnected"),
    "short-body": ("incompleteread", "incomplete"),
}


def kind_of(error: object) -> str:
    """The failure's kind from a client's exception: both clients wrap the socket's error in their own text."""
    words = f"{type(error).__name__} {error!r} {error}".lower()
    for kind in ("short-body", "timed-out", "refused", "reset"):
        if any(word in words for word in _KINDS[kind]):
            return kind
    return "other"
