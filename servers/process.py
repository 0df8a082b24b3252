"""A process for each connection (Stevens, UNP ch. 30: one child per client), by `multiprocessing` as in the
class report.

Waits: the parent for clients and for the ends of its children, each child in receive. Costs: a fork, an
exit, and in the parent two descriptors while the child lives. Breaks: at a few hundred connections a
second, since a fork costs milliseconds; and where processes or memory run out. Reference: Stevens, UNIX
Network Programming, 30.6.
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

from servers.core.app import Handle
from servers.core.conversation import converse, rehearse
from servers.core.counts import Ending
from servers.core.http import warm_date
from servers.core.listener import GLANCE, Listener, persist
from servers.core.model import Model

MODEL = Model(name="process", summary="a process for each connection (multiprocessing, fork)")


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """Give each client to a new child; reap each child as it ends, whether or not another client comes."""
    rehearse(handle)
    sys.stdin = None  # multiprocessing would open /dev/null in its place in every child
    children = Children(handle)
    children.poller.register(stop, select.EPOLLIN)
    children.poller.register(listener.fileno(), select.EPOLLIN)
    stopped = False
    while not stopped:
        for fd, _ in children.poller.poll(maxevents=1):  # one at a time: starting a child may reap another
            if fd in children.by_fd:
                children.reap(fd)
            elif fd == stop:
                stopped = True
            elif client := listener.accept():
                children.start(client)
            elif rest := listener.resting():
                time.sleep(rest)
    children.poller.unregister(stop)
    children.poller.unregister(listener.fileno())
    for client in listener.last_clients(meanwhile=children.reap_ended):
        children.start(client)
    children.hang_up()
    children.wait()


def _child(client: socket.socket, handle: Handle, row: int) -> NoReturn:
    handle.counts.use(row)
    converse(client, handle)
    os._exit(0)  # the interpreter's farewell has nothing to save here, and would copy every page that it touches


class Children:
    """The living children, each known by the descriptor that becomes readable when it ends."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.context = multiprocessing.get_context("fork")
        self.poller = select.epoll()
        self.by_fd: dict[int, tuple[BaseProcess, int]] = {}

    def start(self, client: socket.socket) -> None:
        """Fork a child for this client. The parent's copy of the connection is closed; the child's lives on."""
        warm_date()
        persist(lambda: self._fork(client), meanwhile=self.reap_ended)
        client.close()

    def _fork(self, client: socket.socket) -> None:
        # multiprocessing opens two pipes and then forks; where that fails it leaves them open. The kernel gives out the
        # lowest free descriptors: rehearse which four these will be.
        pipes = rehearse_pipes()
        row = self.handle.counts.lend()
        child = self.context.Process(target=_child, args=(client, self.handle, row))
        try:
            child.start()
        except OSError:
            for fd in pipes:
                with contextlib.suppress(OSError):
                    os.close(fd)
            self.handle.counts.take_back(row)
            raise
        self.by_fd[child.sentinel] = child, row
        self.poller.register(child.sentinel, select.EPOLLIN)

    def reap(self, fd: int) -> None:
        """Collect the child whose end this descriptor told. One that failed never counted its client's end."""
        child, row = self.by_fd.pop(fd)
        self.poller.unregister(fd)
        child.join()
        self.handle.counts.take_back(row)
        if child.exitcode:
            self.handle.counts.closed(Ending.ABORTED)
        child.close()

    def reap_ended(self) -> None:
        """Collect every child that has ended, without waiting."""
        for fd, (child, _) in list(self.by_fd.items()):
            if not child.is_alive():
                self.reap(fd)

    def hang_up(self) -> None:
        """Children that wait for a request end; those at work answer first."""
        for child, _ in self.by_fd.values():
            child.terminate()

    def wait(self) -> None:
        """Until the last child is reaped; the runner's deadline bounds it.

        Who was told just before it began to wait for a client is told again.
        """
        while self.by_fd:
            ended = self.poller.poll(GLANCE)
            for fd, _ in ended:
                self.reap(fd)
            if not ended:
                self.hang_up()


def rehearse_pipes() -> list[int]:
    """Open and close two pipes: the numbers they got, or the OSError that says there is no room for them."""
    fds: list[int] = []
    try:
        fds += os.pipe()
        fds += os.pipe()
    finally:
        for fd in fds:
            os.close(fd)
    return fds
