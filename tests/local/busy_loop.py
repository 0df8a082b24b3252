"""Another program on a core: `python -m tests.local.busy_loop CORE SHARE` takes a share of it until it is killed.

It works and sleeps in turns of about 10 ms, whose length is drawn, so that they don't fall together with the timer
ticks by which the kernel accounts a core's time.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

TURN_S = (0.005, 0.015)


@contextmanager
def busy_core(core: int, share: float) -> Iterator[None]:
    """Take a share of a core meanwhile; a full one leaves the others on it what the scheduler gives them."""
    loop = subprocess.Popen([sys.executable, "-m", "tests.local.busy_loop", str(core), str(share)])
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def take(core: int, share: float) -> None:
    """Keep a core busy for a share of the time, for as long as this process's parent lives."""
    os.sched_setaffinity(0, {core})
    parent = os.getppid()
    while os.getppid() == parent:
        turn = random.uniform(*TURN_S)
        until = time.monotonic() + share * turn
        while time.monotonic() < until:
            pass
        if share < 1:
            time.sleep((1 - share) * turn)


if __name__ == "__main__":
    take(int(sys.argv[1]), float(sys.argv[2]))
