"""Runs one model: limits, bind, signals, the ready line, draining and the final counts.

Stopping. The first SIGTERM or SIGINT makes `stop` readable for good (the byte is written by the C-level
handler, so that no poll can miss it), ends every wait for a request, and starts the deadline. At the
deadline, and at a second signal, the process ends as it is; the kernel then ends its forked children
(PR_SET_PDEATHSIG), as it does should this process be killed. A forked child takes either signal as
"answer what you have, then end", however often it comes.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import mmap
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

from servers.core.app import Handle, Work
from servers.core.listener import Listener
from servers.core.model import Model

BACKLOG = 4096
TIMEOUT_S = 10.0
DRAIN_S = 5.0

_PR_SET_PDEATHSIG = 1
_BREATH = 0.005


class CannotServe(Exception):
    """The machine doesn't allow what was asked: one line for the person, exit status 1."""


class Settings(NamedTuple):
    """What a run was asked for, whatever the model."""

    host: str = "127.0.0.1"
    port: int = 8000
    backlog: int = BACKLOG
    timeout: float = TIMEOUT_S
    drain: float = DRAIN_S
    keep_alive: bool = False
    work: Work = Work()


def run(model: Model, serve: Callable[..., None], settings: Settings, options: dict[str, Any]) -> None:
    """Serve until told to stop, then print the counts."""
    nofile = raise_descriptor_limit()
    sock = bind(settings.host, settings.port, settings.backlog)
    handle = Handle(settings.work, timeout=settings.timeout, keep_alive=settings.keep_alive)
    listener = Listener(sock, handle.counts, settings.timeout, settings.backlog)
    host, port = sock.getsockname()[:2]
    stop = Stopper(handle, settings.drain).install()
    slots = options[model.slots] if isinstance(model.slots, str) else model.slots
    ready = {"ready": True, "model": model.name, "host": host, "port": port, "pid": os.getpid(), "nofile": nofile}
    say(ready | {"slots": slots, "options": options})
    log(f"{model.name} serves on {host} port {port}")
    gc.freeze()  # no collection touches the pages of what is loaded by now, so that forked children go on sharing them
    serve(listener, handle, stop, **options)
    listener.close()
    if not handle.stopping:
        raise CannotServe(f"the model {model.name} ended without being told to")
    while handle.counts.open:
        time.sleep(_BREATH)
    say(handle.counts.report())


def raise_descriptor_limit() -> int:
    """Raise the soft limit of descriptors to the hard one, and say what it is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def bind(host: str, port: int, backlog: int) -> socket.socket:
    """The listening socket."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.encode() if host.isascii() else host,  # or encodings.idna is imported, and all its tables
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(backlog)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotServe(f"can't listen on {host} port {port}: {reason}") from error
    with (
        contextlib.suppress(OSError, ValueError),
        open("/proc/sys/net/core/somaxconn", encoding="ascii") as file,
    ):
        if (cap := int(file.read())) < backlog:
            log(f"the kernel cuts the backlog of {backlog} to net.core.somaxconn = {cap}")
    return sock


def log(message: str) -> None:
    """One line on stderr."""
    print(f"servers: {message}", file=sys.stderr, flush=True)


def say(line: dict[str, object]) -> None:
    """One JSON line on stdout, past all buffers: a signal handler says the last one."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(line).encode() + b"\n")


class Stopper:
    """Signals, in this process and in the children that a model forks."""

    def __init__(self, handle: Handle, drain: float) -> None:
        self.handle = handle
        self.drain = drain
        self.pid = os.getpid()
        self.writing = -1
        self.prctl = ctypes.CDLL(None).prctl
        self.told = mmap.mmap(-1, 1)  # shared with the children

    def install(self) -> int:
        """Take the signals over. Returns the reading end of the stop pipe."""
        reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        signal.set_wakeup_fd(self.writing, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self.on_signal)
        signal.signal(signal.SIGALRM, self.on_deadline)
        os.register_at_fork(after_in_child=self.in_child)
        return reading

    def on_signal(self, signum: int, _: FrameType | None) -> None:
        """First: drain. Second: end."""
        if os.getpid() != self.pid:
            self.handle.hang_up()
        elif not self.handle.stopping:
            signal.setitimer(signal.ITIMER_REAL, max(self.drain, 1e-3))
            self.told[0] = 1
            self.handle.hang_up()
            os.write(self.writing, b"s")  # an event loop may have put a descriptor of its own in the place of ours
        else:
            self.end(128 + signum)

    def on_deadline(self, _signum: int, _frame: FrameType | None) -> None:
        """The drain took too long; what is open is counted as aborted."""
        self.end(0)

    def end(self, status: int) -> None:
        """Print the counts and leave at once, whatever the threads and children are doing."""
        say(self.handle.counts.report())
        os._exit(status)

    def in_child(self) -> None:
        """A child's signals are its own, and it doesn't outlive its parent."""
        signal.set_wakeup_fd(-1)
        self.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.pid:
            os._exit(1)
        if self.told[0]:  # a child forgets what signals came before it was up
            self.handle.hang_up()
