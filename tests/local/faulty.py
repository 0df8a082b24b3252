"""The models of servers/ with one thing wrong: `python -m tests.local.faulty FAULT MODEL options`.

Only the application is replaced. Sockets, counts and the ready line are the project's own, so that the counts are
honest: they say what the server did, and nothing of what it should have done. The first request, which is the
campaign's own probe, is answered well by all of them.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from unittest import mock

import servers.__main__
from servers.core import http, runner
from servers.core.app import Answer, Application
from servers.core.http import Request

LEFT_HANGING = 20
FOR_EVER_MS = 3_600_000.0
SLOW_EVERY, SLOW_MS = 800, 5000.0
"""A little more than one in a thousand: at one in a thousand exactly, p99.9 lies on the border between the two."""
CLOG_MOST, CLOG_MS = 150, 200.0
STALL_EVERY_S, STALL_AT_S, STALL_S = 20.0, 14.0, 2.0


class OneShort(bytes):
    """A body that claims a byte more than it has; the Content-Length is made of the claim."""

    def __len__(self) -> int:
        return super().__len__() + 1


class Faulty(Application):
    """Counts requests; threads share it."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self._numbers = itertools.count(1)


class Fails(Faulty):
    """Of six connections it closes one without a word, and sends one byte too few on another."""

    def __call__(self, request: Request) -> Answer:
        number = next(self._numbers) % 6
        if number == 0:
            raise ConnectionAbortedError
        answer = super().__call__(request)
        return answer._replace(body=OneShort(answer.body[:-1])) if number == 3 else answer


class Hangs(Faulty):
    """Never answers twenty requests: those that come next once the file `trigger` is there."""

    trigger = ""

    def __call__(self, request: Request) -> Answer:
        answer = super().__call__(request)
        hangs = os.path.exists(self.trigger) and next(self._numbers) <= LEFT_HANGING
        return answer._replace(wait_ms=FOR_EVER_MS) if hangs else answer


class Slow(Faulty):
    """Answers one request in 800 after five seconds."""

    def __call__(self, request: Request) -> Answer:
        answer = super().__call__(request)
        slow = next(self._numbers) % SLOW_EVERY == 0
        return answer._replace(wait_ms=SLOW_MS) if slow else answer


class Clogs(Faulty):
    """Once more than CLOG_MOST requests came within a second, it answers each after CLOG_MS, until its end."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self._times: deque[float] = deque(maxlen=CLOG_MOST + 1)
        self._clogged = False

    def __call__(self, request: Request) -> Answer:
        answer = super().__call__(request)
        self._times.append(time.monotonic())
        self._clogged = self._clogged or (len(self._times) > CLOG_MOST and self._times[-1] - self._times[0] < 1.0)
        return answer._replace(wait_ms=CLOG_MS) if self._clogged else answer


class Stalls(Faulty):
    """Answers nobody for two seconds in every twenty, counted from the first request after the probe."""

    _began = 0.0

    def __call__(self, request: Request) -> Answer:
        if next(self._numbers) == 2:
            self._began = time.monotonic()
        if self._began:
            into = (time.monotonic() - self._began) % STALL_EVERY_S - STALL_AT_S
            if 0 <= into < STALL_S:
                time.sleep(STALL_S - into)
        return super().__call__(request)


FAULTS: dict[str, Callable[..., Application]] = {
    "none": Faulty,
    "fails": Fails,
    "hangs": Hangs,
    "slow": Slow,
    "clogs": Clogs,
    "stalls": Stalls,
}


def main() -> int:
    fault, _, Hangs.trigger = sys.argv[1].partition("=")
    # The models answer GET and HEAD; a locustfile that logs in and posts needs POST.
    methods = mock.patch.object(http, "METHODS", (*http.METHODS, b"POST"))
    with methods, mock.patch.object(runner, "Application", FAULTS[fault]):
        return servers.__main__.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
