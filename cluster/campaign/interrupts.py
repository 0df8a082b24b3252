"""Ctrl-C, SIGTERM and SIGHUP (a closed terminal) all stop a campaign in order and keep finished runs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def listen() -> None:
    """Make each of the signals raise KeyboardInterrupt once; later ones are ignored.

    The clean-up that follows is bounded in time and must not be interrupted. A signal that is already ignored stays
    ignored: nohup ignores SIGHUP.
    """
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    for each in INTERRUPTS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def held_back() -> Iterator[None]:
    """Delay the signals until the end of the block; then deliver the first that came.

    Blocking them in this thread is not enough: another one, such as one that renews leases, would receive them, and
    Python then runs the handler in the main thread.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    pending: list[int] = []
    handlers = {number: signal.signal(number, lambda number, frame: pending.append(number)) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if pending:
            signal.raise_signal(pending[0])
