"""Ctrl-C, SIGTERM and SIGHUP (a closed terminal) all stop a campaign in order and keep finished runs."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_said: list[bool] = []


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
    _say_stopping()
    raise KeyboardInterrupt


def _say_stopping() -> None:
    """At once: to end everything on all hosts takes seconds. By write(2), which a signal's handler may call."""
    if not _said:
        _said.append(True)
        with contextlib.suppress(OSError):
            os.write(2, b"\nfab: stopping ...\n")


@contextmanager
def held_back() -> Iterator[None]:
    """Delay the signals until the end of the block; then deliver the first that came.

    Blocking them in this thread is not enough: another one, such as one that renews leases, would receive them, and
    Python then runs the handler in the main thread.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    pending: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        _say_stopping()
        pending.append(number)

    handlers = {number: signal.signal(number, hold) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if pending:
            signal.raise_signal(pending[0])
