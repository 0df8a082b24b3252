"""A process for each connection (Stevens, UNP ch. 30: one child per client), by `multiprocessing` as in the class
report.

Waits: the parent for clients and for the end of its children, each child in recv. Costs: a fork, an exit, and in the
parent two descriptors while the child lives. Breaks: at a few hundred connections a second, since a fork costs
milliseconds; and where processes or memory run out. Reference: Stevens, UNIX Network Programming, 30.6.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import socket
import sys
import time
from multiprocessing.process import BaseProcess
from typing import NoReturn

from servers.core.app import Application
from servers.core.conversation import converse, warm_up
from servers.core.counts import Ending
from servers.core.http import precompute_date
from servers.core.listener import RECHECK_S, Listener, retry_start
from servers.core.model import Model

MODEL = Model(name="process", summary="a process for each connection (multiprocessing, fork)")


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Start a child for each client, and reap each child when it ends, whether or not another client comes."""
    warm_up(handle)
    sys.stdin = None  # else multiprocessing opens /dev/null as stdin in every child
    children = MultiprocessingChildren(handle)
    children.poller.register(stop, select.EPOLLIN)
    children.poller.register(listener.fileno(), select.EPOLLIN)
    stopped = False
    while not stopped:
        # One event at a time: a start may reap a child, whose event would then be stale.
        for fd, _ in children.poller.poll(maxevents=1):
            if fd in children.by_fd:
                children.reap(fd)
            elif fd == stop:
                stopped = True
            elif client := listener.accept():
                children.start(client)
            elif pause := listener.pause_left():
                time.sleep(pause)
    children.poller.unregister(stop)
    children.poller.unregister(listener.fileno())
    for client in listener.last_clients(during_pause=children.reap_ended):
        children.start(client)
    children.terminate()
    children.wait()


def _child(client: socket.socket, handle: Application, row: int) -> NoReturn:
    handle.counts.use_row(row)
    converse(client, handle)
    os._exit(0)  # skip interpreter shutdown: it has nothing to flush and would dirty copy-on-write pages


class MultiprocessingChildren:
    """The living children, each known by its sentinel, a descriptor that becomes readable when it ends."""

    def __init__(self, handle: Application) -> None:
        self.handle = handle
        self.context = multiprocessing.get_context("fork")
        self.poller = select.epoll()
        self.by_fd: dict[int, tuple[BaseProcess, int]] = {}

    def start(self, client: socket.socket) -> None:
        """Start a child for this client, and close the parent's copy of the connection."""
        precompute_date()
        retry_start(lambda: self._fork(client), during_pause=self.reap_ended)
        client.close()

    def _fork(self, client: socket.socket) -> None:
        # multiprocessing opens two pipes before the fork and leaves them open if it fails. A new descriptor always has
        # the lowest free number, so that the four are known in advance and can be closed.
        pipes = predict_pipe_fds()
        row = self.handle.counts.lend_row()
        child = self.context.Process(target=_child, args=(client, self.handle, row))
        try:
            child.start()
        except OSError:
            for fd in pipes:
                with contextlib.suppress(OSError):
                    os.close(fd)
            self.handle.counts.return_row(row)
            raise
        self.by_fd[child.sentinel] = child, row
        self.poller.register(child.sentinel, select.EPOLLIN)

    def reap(self, fd: int) -> None:
        """Collect the child whose end this descriptor reports. A failed child has not counted the end of its client."""
        child, row = self.by_fd.pop(fd)
        self.poller.unregister(fd)
        child.join()
        self.handle.counts.return_row(row)
        if child.exitcode:
            self.handle.counts.closed(Ending.ABORTED)
        child.close()

    def reap_ended(self) -> None:
        """Collect every child that has ended, without blocking."""
        for fd, (child, _) in list(self.by_fd.items()):
            if not child.is_alive():
                self.reap(fd)

    def terminate(self) -> None:
        """Send SIGTERM to every child: it answers the request that it has, then ends."""
        for child, _ in self.by_fd.values():
            child.terminate()

    def wait(self) -> None:
        """Block until the last child is reaped; the runner's drain deadline bounds it. SIGTERM is repeated as in
        servers.core.children.
        """
        while self.by_fd:
            ended = self.poller.poll(RECHECK_S)
            for fd, _ in ended:
                self.reap(fd)
            if not ended:
                self.terminate()


def predict_pipe_fds() -> list[int]:
    """Open and close two pipes: returns the four descriptors that the next two pipes will get. Raises OSError where
    there are none left.
    """
    fds: list[int] = []
    try:
        fds += os.pipe()
        fds += os.pipe()
    finally:
        for fd in fds:
            os.close(fd)
    return fds
