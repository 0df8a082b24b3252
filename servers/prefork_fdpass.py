"""A pool of processes; the parent accepts and passes each client to one (Stevens, UNP ch. 30: descriptor passing).

Waits: the parent for clients while a process is free, and for the message that one is free again; each process for a
descriptor, and then for the client's bytes. Costs: those of `prefork`, and two messages on a Unix socket for each
connection; in return the parent knows which processes are free. Breaks: at as many clients as there are processes, like
every pool; and at the one parent that every connection passes. Reference: Stevens, UNIX Network Programming, 30.9 and
15.7.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time

from servers.core.app import Application
from servers.core.children import Children
from servers.core.conversation import converse
from servers.core.listener import PAUSE_S, RECHECK_S, Listener
from servers.core.model import Model
from servers.prefork import PROCESSES

MODEL = Model(
    name="prefork-fdpass",
    summary="a pool of processes, the parent accepts and passes descriptors",
    options=(PROCESSES,),
    slots="processes",
)

CLIENT, FREE = b"c", b"f"  # parent to child: a client; child to parent: free again
DESCRIPTOR_SIZE = 4  # sizeof(int) in the SCM_RIGHTS message
DESCRIPTOR_SPACE = socket.CMSG_SPACE(DESCRIPTOR_SIZE)


def serve(listener: Listener, handle: Application, stop: int, processes: int) -> None:
    """Accept while a process of the pool is free."""
    pool = Pool(processes, listener, handle)
    poller, accept_fd = pool.children.poller, listener.fileno()
    poller.register(stop, select.EPOLLIN)
    poller.register(accept_fd, select.EPOLLIN)
    accepting = True
    while (ready := poller.poll(maxevents=1)[0][0]) != stop:
        if ready != accept_fd:
            pool.on_event(ready)
        elif client := listener.accept():
            pool.assign(client)
        elif pause := listener.pause_left():
            time.sleep(pause)
        if accepting != bool(pool.free):
            accepting = bool(pool.free)
            poller.modify(accept_fd, select.EPOLLIN if accepting else 0)
    poller.unregister(stop)
    poller.unregister(accept_fd)
    pool.drain()


class Pool:
    """The processes by pidfd: the Unix socket to each, and which are free."""

    def __init__(self, size: int, listener: Listener, handle: Application) -> None:
        self.listener = listener
        self.handle = handle
        self.children = Children(handle.counts)
        self.free: list[int] = []
        self.channels: dict[int, socket.socket] = {}
        self.workers: dict[int, int] = {}  # pidfd by the parent's descriptor of the channel
        for _ in range(size):
            self.add_worker()

    def add_worker(self) -> None:
        """Fork another process."""
        ours, theirs = socket.socketpair()
        pidfd = self.children.start(lambda: self._work(theirs))
        theirs.close()
        self.channels[pidfd] = ours
        self.workers[ours.fileno()] = pidfd
        self.children.poller.register(ours, select.EPOLLIN)
        self.free.append(pidfd)

    def _work(self, channel: socket.socket) -> None:
        self.listener.close()
        family = self.listener.family
        while control := channel.recvmsg(1, DESCRIPTOR_SPACE)[1]:
            fd = int.from_bytes(control[0][2], sys.byteorder)
            converse(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fd), self.handle)
            if self.handle.stopping:
                return
            channel.send(FREE)

    def assign(self, client: socket.socket) -> int:
        """Pass a client to a free process; returns its pidfd."""
        pidfd = self.free.pop()
        self.children.assigned[pidfd] = 1
        passed = socket.SOL_SOCKET, socket.SCM_RIGHTS, client.fileno().to_bytes(DESCRIPTOR_SIZE, sys.byteorder)
        try:  # noqa: SIM105 - contextlib.suppress costs time for each client
            self.channels[pidfd].sendmsg((CLIENT,), (passed,))
        except OSError:  # the process has ended: its pidfd will report it, and the client then counts as aborted
            pass
        client.close()
        return pidfd

    def on_event(self, fd: int) -> None:
        """`fd` is readable: a process is free again, or it has ended and is replaced."""
        if pidfd := self.workers.get(fd):
            if self._is_free(pidfd):
                self.children.mark_idle(pidfd)
                self.free.append(pidfd)
            else:  # end of file; the pidfd reports the end as well
                self.children.poller.unregister(fd)
        else:
            channel = self.channels.pop(fd)
            del self.workers[channel.fileno()]
            with contextlib.suppress(FileNotFoundError):
                # close() alone wouldn't remove it from the epoll set: other children have inherited our end.
                self.children.poller.unregister(channel)
            channel.close()
            if fd in self.free:
                self.free.remove(fd)
                time.sleep(PAUSE_S)  # a process that dies at once must not become a busy loop of forks
            self.children.reap(fd)
            self.add_worker()

    def _is_free(self, pidfd: int) -> bool:
        try:
            return self.channels[pidfd].recv(1) == FREE
        except ConnectionResetError:  # the process was killed before it read the client's descriptor
            return False

    def drain(self) -> None:
        """The busy processes answer and end; the rest of the accept queue is assigned to the free ones."""
        if busy := self.children.living.keys() - set(self.free):
            self.children.terminate(*busy)
        for client in self.listener.last_clients():
            while not self.free:
                for fd, _ in self.children.poller.poll(RECHECK_S, maxevents=1):
                    self.on_event(fd)
            self.children.terminate(self.assign(client))
        for fd, pidfd in self.workers.items():
            with contextlib.suppress(OSError):
                # close() alone would send no end of file: other children have inherited our end.
                self.channels[pidfd].shutdown(socket.SHUT_WR)
            with contextlib.suppress(FileNotFoundError):
                self.children.poller.unregister(fd)
        self.children.wait()
