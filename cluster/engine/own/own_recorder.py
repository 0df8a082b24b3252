"""The recorder for user classes that come from a locustfile of one's own.

The recorder's requests are those of Locust's HTTP clients: in flight from `sends` to `receives`, and counted as a
success or a failure once Locust is told of them, with the response time that Locust is told.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from locust.exception import CatchResponseError
from locust.stats import StatsError

from cluster.engine.own.tally import OwnTally
from cluster.engine.phase_tally import Phase, Tally
from cluster.engine.recorder import Recorder
from cluster.engine.users import kind_of
from study.formats.own_counts import OwnCounts
from study.trial import TIMED_OUT

REJECTED, BAD_STATUS, OTHER = "rejected", "bad-status", "other"


@dataclass(slots=True)
class ClientCounts:
    """What Locust's HTTP clients did in the open phase."""

    sent: int = 0
    received: int = 0
    received_s: float = 0.0
    exchanges: int = 0


class OwnRecorder(Recorder):
    """One for each worker process. `at` is always a value of `now`."""

    idle = False
    """Whether the idle step goes on, in which users don't wait."""
    _own: OwnTally | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._iterating: dict[Any, float] = {}
        self._waiting: dict[Any, float] = {}
        self._clients = ClientCounts()

    # Users: in an iteration from their start, and from the end of each wait, until they wait.

    def user_began(self, user: object, at: float) -> None:
        """A user starts: its `on_start` belongs to its first iteration."""
        self._iterating[user] = at

    def user_ended(self, user: object, at: float) -> None:
        """A user ends, in an iteration or while it waits."""
        own = self._own
        began, since = self._iterating.pop(user, None), self._waiting.pop(user, None)
        if own is not None:
            own.broken_off_s += at - began if began is not None else 0.0
            own.waited_s += at - since if since is not None else 0.0

    def waits(self, user: object, at: float) -> None:
        """An iteration ends, and the wait after it begins."""
        began = self._iterating.pop(user, None)
        if self._own is not None and began is not None:
            self._own.iterations.append(at - began)
        self._waiting[user] = at

    def woke(self, user: object, drawn: float, at: float) -> None:
        """A wait of `drawn` seconds ends, and the next iteration begins."""
        passed = at - self._waiting.pop(user, at)
        tally, own = self._tally, self._own
        if tally is not None and own is not None:
            own.waited_s += passed
            if drawn:
                tally.drawn.append(drawn)
                tally.passed.append(passed)
            else:
                tally.turned.append(passed)
        self._iterating[user] = at

    def raised(self, error: BaseException, trace: TracebackType | None) -> None:
        """A task, `on_start` or `on_stop` raised an exception."""
        if self._own is not None:
            where = "".join(traceback.format_exception(type(error), error, trace))
            self._own.raised(f"{type(error).__name__}: {error}", where)

    # Requests. `token` stands for one while it is in flight.

    def sends(self, token: object, at: float) -> object | None:
        """A client starts a request; another one of this token goes by the token that is returned from now on."""
        in_flight = self._in_flight
        other = object() if token in in_flight else None
        if other is not None:
            self.renamed(token, other)
        in_flight[token] = at
        self._clients.sent += 1
        return other

    def exchanges(self) -> None:
        """A client sends an HTTP request: the one that was asked for, or one after a redirect."""
        self._clients.exchanges += 1

    def receives(self, token: object, at: float) -> bool:
        """A request has ended; False where none of this token is in flight."""
        began = self._in_flight.pop(token, None)
        if began is None:
            return False
        clients = self._clients
        clients.received += 1
        clients.received_s += at - began
        return True

    def renamed(self, token: object, other: object) -> None:
        """The request in flight of this token goes by another one."""
        self._in_flight[other] = self._in_flight.pop(token)

    def broke_off(self, token: object, at: float, kind: str) -> None:
        """An exception left the client's `request`: Locust is told nothing of it."""
        began = self._in_flight.get(token)
        if began is not None and self.receives(token, at) and self._tally is not None:
            self._tally.unanswered.append(at - began)
            self._tally.failures[kind] += 1

    def reported(
        self,
        method: str,
        name: str,
        seconds: float,
        size: int,
        error: Exception | None,
        response: object,
        outside: bool,
    ) -> None:
        """Locust is told of a request, by one of its clients or, `outside`, by the locustfile itself."""
        tally, own = self._tally, self._own
        if tally is None or own is None:
            return
        kind = kind_of_failure(error, response) if error is not None else ""
        if not outside:
            tally.bytes += size
            if error is None:
                tally.answered.append(seconds)
            else:
                tally.unanswered.append(seconds)
                tally.failures[kind] += 1
        if own.by_name:
            named = own.names.get((method, name)) or own.name(method, name, outside)
            named.bytes += size
            if error is None:
                named.answered.append(seconds)
            else:
                named.fail(StatsError.parse_error(error), seconds if kind == TIMED_OUT else None)

    # Phases.

    def _opened(self, phase: Phase, at: float) -> None:
        self.idle = phase.kind == "idle"
        self._clients = ClientCounts()
        self._own = OwnTally(phase.phase == "measure", _passed(self._iterating, at), _passed(self._waiting, at))

    def _ended_s(self, tally: Tally) -> float:
        if self._own is not None:
            self._own.fold()
        return self._clients.received_s

    def _own_counts(self, at: float) -> OwnCounts | None:
        own, self._own = self._own, None
        if own is None:
            return None
        clients = self._clients
        return own.counts(
            _passed(self._iterating, at),
            _passed(self._waiting, at),
            clients.sent,
            clients.received,
            clients.received_s,
            clients.exchanges,
        )


def _passed(since: dict[Any, float], at: float) -> float:
    return sum(at - began for began in since.values())


def kind_of_failure(error: object, response: object) -> str:
    """A failure's kind, as of the ledger's records, from what Locust was told of the request."""
    if isinstance(error, CatchResponseError):
        return REJECTED
    status = getattr(response, "status_code", 0) or 0
    if status >= 400:
        return BAD_STATUS
    kind = kind_of(error)
    return REJECTED if status and kind == OTHER else kind
