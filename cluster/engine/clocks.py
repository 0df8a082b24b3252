"""The worker's two clocks: times are taken from the monotonic one, the kernel's receive stamps from the wall clock."""

from __future__ import annotations

import time

UNDISTURBED_S = 0.0005  # both clocks read within this time are taken for simultaneous

now = time.monotonic


def ahead_s() -> float | None:
    """How far the wall clock is ahead of `now`; None where something came between reading the one and the other."""
    before = now()
    wall = time.time()
    return wall - before if now() - before < UNDISTURBED_S else None


class ClockWatch:
    """Notices where the wall clock is set, or runs at another rate than the monotonic clock."""

    def __init__(self) -> None:
        self._ahead = ahead_s()

    def moved_s(self) -> float:
        """How far the wall clock moved against the monotonic one since the last call; 0 where that isn't known."""
        before, ahead = self._ahead, ahead_s()
        if ahead is None:  # the next look measures from the one before this
            return 0.0
        self._ahead = ahead
        return 0.0 if before is None else abs(ahead - before)
