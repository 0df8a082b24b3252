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
    method: ClassVar[str]
    path: ClassVar[str]
    status: ClassVar[int]
    """The status that every answer must have."""
    body: ClassVar[bytes | None]
    """The body that every answer must have, where it is known beforehand."""

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
        body = response.content or b""
        if response.status_code != self.status:
            response.failure(f"status {response.status_code}")
            return "bad-status", len(body)
        if self.method != "HEAD" and len(body) != int(response.headers.get("Content-Length", len(body))):
            response.failure("short body")
            return "short-body", len(body)
        if self.body is not None and body != self.body:
            response.failure("wrong body")
            return "wrong-body", len(body)
        response.success()  # Locust would count a status of 400 and above as a failure
        return None, len(body)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of both clients' `request`."""
        headers = {} if self.keep_alive else {"Connection": "close"}
        return {"method": self.method, "url": self.path, "headers": headers, "catch_response": True}


class QuickstartUser(_LocustClientUser, HttpUser):
    """The class report's user, on the requests library."""

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
