"""Carry Ethernet frames between two TAP devices: `python -m cluster.lab.relay INNER OUTER DELAY_S LOSS`.

Frames from INNER to OUTER are delayed by DELAY_S seconds, and the share LOSS of them is dropped; the other way they
pass at once. Prints "ready" when both devices exist; they are removed with the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
LARGEST_FRAME = 65536


def tap(name: str) -> int:
    """Make a TAP device; returns its descriptor: reads give frames that the kernel sends, writes are received by it."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def forward_frames(inner: int, outer: int, delay_s: float, loss: float) -> None:
    """Carry frames until the process is ended."""
    losses = random.Random(1)
    waiting: deque[tuple[float, bytes]] = deque()
    while True:
        until = max(waiting[0][0] - time.monotonic(), 0) if waiting else None
        readable, _, _ = select.select([inner, outer], [], [], until)
        if outer in readable:
            send(inner, os.read(outer, LARGEST_FRAME))
        if inner in readable:
            frame = os.read(inner, LARGEST_FRAME)
            if losses.random() >= loss:
                waiting.append((time.monotonic() + delay_s, frame))
        while waiting and waiting[0][0] <= time.monotonic():
            send(outer, waiting.popleft()[1])


def send(device: int, frame: bytes) -> None:
    """Write a frame; it is lost where the device doesn't take it."""
    with contextlib.suppress(OSError):  # its queue is full, or it is not up yet
        os.write(device, frame)


if __name__ == "__main__":
    devices = tap(sys.argv[1]), tap(sys.argv[2])
    print("ready", flush=True)
    forward_frames(*devices, float(sys.argv[3]), float(sys.argv[4]))
