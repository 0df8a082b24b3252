"""Between a failed trial and the next: wait, with few users, for an idle server's response time (METHOD, "Capacity").

A backlog must not fail the next trial. A server that isn't back in RECOVERY_S is replaced by a fresh one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from study.plan import RECOVERY_S
from study.trial import is_slow

LOOK_S = 0.1


@dataclass(frozen=True)
class Recovered:
    """How the wait ended."""

    seconds: float
    response_s: float | None
    """Mean response time in the last second; None where nothing was answered."""
    idle: bool
    """Whether that is an idle server's."""
    fresh: bool
    """Whether a fresh server was started."""


@dataclass(frozen=True)
class Recovery:
    """What the wait looks at, and how."""

    response_s: Callable[[], float | None]
    """Mean response time (s) in the last second; None where nothing was answered."""
    unloaded_s: float | None
    """R1 of this run, in s; None where it isn't known: any answer then counts as idle."""
    replace_server: Callable[[], bool]
    """Has a fresh server started and waits for it; whether there is one."""
    clock: Callable[[], float]
    """A monotonic clock in s."""
    sleep: Callable[[float], object]

    def wait(self) -> Recovered:
        """Wait for RECOVERY_S at the most, and where a fresh server is needed once more."""
        began = self.clock()
        idle, fresh = self._is_idle_in_time(), False
        if not idle and (fresh := self.replace_server()):
            idle = self._is_idle_in_time()
        return Recovered(self.clock() - began, self.response_s(), idle, fresh)

    def _is_idle_in_time(self) -> bool:
        until = self.clock() + RECOVERY_S
        while self.clock() < until:
            self.sleep(LOOK_S)
            response = self.response_s()
            if response is not None and (self.unloaded_s is None or not is_slow(response, self.unloaded_s)):
                return True
        return False
