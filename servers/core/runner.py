"""Runs one model: limits, bind, signals, the ready line, draining and the final counts.

Stopping. The first SIGTERM or SIGINT makes `stop` readable for good (the byte is written by the C-level handler, so
that no poll can miss it), ends every wait for a request, and starts the drain deadline. At the deadline, or at a second
signal, the process exits at once; the kernel then kills its forked children (PR_SET_PDEATHSIG), as it also does if this
process is killed. A forked child treats both signals, however often they come, as "answer the requests that you have,
then end".
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

from servers.core.app import Application, AppSettings
from servers.core.listener import Listener
from servers.core.model import Model

BACKLOG = 4096
TIMEOUT_S = 10.0
DRAIN_S = 5.0

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.005


class CannotServe(Exception):
    """The machine doesn't allow what was requested: a one-line message, exit status 1."""


class Settings(NamedTuple):
    """The options of a run that every model has. `timeout` and `drain` are in seconds."""

    host: str = "127.0.0.1"
    port: int = 8000
    backlog: int = BACKLOG
    timeout: float = TIMEOUT_S
    drain: float = DRAIN_S
    keep_alive: bool = False
    app: AppSettings = AppSettings()


def run(model: Model, serve: Callable[..., None], settings: Settings, options: dict[str, Any]) -> None:
    """Serve until stopped, then print the counts. Raises CannotServe."""
    nofile = raise_descriptor_limit()
    sock = bind(settings.host, settings.port, settings.backlog)
    handle = Application(settings.app, timeout=settings.timeout, keep_alive=settings.keep_alive)
    listener = Listener(sock, handle.counts, settings.timeout, settings.backlog)
    host, port = sock.getsockname()[:2]
    stop = Stopper(handle, settings.drain).install()
    slots = options[model.slots] if isinstance(model.slots, str) else model.slots
    ready = {"ready": True, "model": model.name, "host": host, "port": port, "pid": os.getpid(), "nofile": nofile}
    print_json(ready | {"slots": slots, "options": options})
    log(f"{model.name} serves on {host} port {port}")
    gc.freeze()  # excludes loaded objects from collections, which would dirty copy-on-write pages in children
    serve(listener, handle, stop, **options)
    listener.close()
    if not handle.stopping:
        raise CannotServe(f"the model {model.name} ended without being told to")
    while handle.counts.open:
        time.sleep(_POLL_S)
    print_json(handle.counts.report())


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open descriptors to the hard limit, and return that limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def bind(host: str, port: int, backlog: int) -> socket.socket:
    """Create, bind and listen. Raises CannotServe. Logs where the kernel cuts the backlog to net.core.somaxconn."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.encode() if host.isascii() else host,  # a str would import encodings.idna and its tables
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
    """Print one line on stderr."""
    print(f"servers: {message}", file=sys.stderr, flush=True)


def print_json(line: dict[str, object]) -> None:
    """Print one JSON line on stdout, unbuffered: it may be called in a signal handler just before the process exits."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(line).encode() + b"\n")


class Stopper:
    """Signal handling, in this process and in the children that a model forks."""

    def __init__(self, handle: Application, drain: float) -> None:
        self.handle = handle
        self.drain = drain
        self.pid = os.getpid()
        self.writing = -1
        self.prctl = ctypes.CDLL(None).prctl
        self.stop_flag = mmap.mmap(-1, 1)  # shared memory: 1 once the parent was told to stop

    def install(self) -> int:
        """Install the handlers. Returns the reading end of the stop pipe."""
        reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        signal.set_wakeup_fd(self.writing, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self.on_signal)
        signal.signal(signal.SIGALRM, self.on_deadline)
        os.register_at_fork(after_in_child=self.after_fork_in_child)
        return reading

    def on_signal(self, signum: int, _: FrameType | None) -> None:
        """First signal: drain. Second: exit."""
        if os.getpid() != self.pid:
            self.handle.drain()
        elif not self.handle.stopping:
            signal.setitimer(signal.ITIMER_REAL, max(self.drain, 1e-3))
            self.stop_flag[0] = 1
            self.handle.drain()
            os.write(self.writing, b"s")  # asyncio replaces our wakeup descriptor by its own
        else:
            self.end(128 + signum)

    def on_deadline(self, _signum: int, _frame: FrameType | None) -> None:
        """The drain took too long: exit; open connections count as aborted."""
        self.end(0)

    def end(self, status: int) -> None:
        """Print the counts and exit at once, whatever threads and children are doing."""
        print_json(self.handle.counts.report())
        os._exit(status)

    def after_fork_in_child(self) -> None:
        """Give the child its own signal handling, and let the kernel kill it when its parent ends."""
        signal.set_wakeup_fd(-1)
        self.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.pid:
            os._exit(1)
        if self.stop_flag[0]:  # pending signals are not inherited across fork
            self.handle.drain()
