"""Ctrl-C, SIGTERM and a closed terminal are one thing to a campaign: stop in order, keep what is finished."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def listen() -> None:
    """Let each of them raise KeyboardInterrupt, once: what follows is bounded and must not be cut short.

    One that was ignored stays so: that is how nohup says it.
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
    """They wait until the end of the block, and are then delivered.

    Blocking them is not enough: a connection over SSH has a thread of its own, which takes them for the main thread.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    waiting: list[int] = []
    handlers = {number: signal.signal(number, lambda number, frame: waiting.append(number)) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if waiting:
            signal.raise_signal(waiting[0])
