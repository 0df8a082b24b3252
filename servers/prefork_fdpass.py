"""A pool of processes to which the parent hands each client over (Stevens, UNP ch. 30: preforked, descriptor passing).

Waits: the parent for clients while a process is free, and for the word that one is free again; each process for a
descriptor, and then for the client's bytes. Costs: two messages on a Unix socket for each connection, beside what
`prefork` costs; in return the parent knows who is free. Breaks: like every pool, at as many clients as there are
processes; and the one parent that all go through. Reference: Stevens, UNIX Network Programming, 30.9 and 15.7.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
import time

from servers.core.app import Handle
from servers.core.children import Children
from servers.core.conversation import converse
from servers.core.listener import GLANCE, REST, Listener
from servers.core.model import Model
from servers.prefork import PROCESSES

MODEL = Model(
    name="prefork-fdpass",
    summary="a pool of processes, the parent accepts and passes descriptors",
    options=(PROCESSES,),
    slots="processes",
)

CLIENT, FREE = b"c", b"f"  # the two messages
DESCRIPTOR_SIZE = 4  # bytes of an int, as the kernel passes it
DESCRIPTOR_SPACE = socket.CMSG_SPACE(DESCRIPTOR_SIZE)


def serve(listener: Listener, handle: Handle, stop: int, processes: int) -> None:
    """Accept while somebody is free to answer."""
    pool = Pool(processes, listener, handle)
    poller, door = pool.children.poller, listener.fileno()
    poller.register(stop, select.EPOLLIN)
    poller.register(door, select.EPOLLIN)
    watched = True
    while (ready := poller.poll(maxevents=1)[0][0]) != stop:
        if ready != door:
            pool.hear(ready)
        elif client := listener.accept():
            pool.give(client)
        elif rest := listener.resting():
            time.sleep(rest)
        if watched != bool(pool.free):
            watched = bool(pool.free)
            poller.modify(door, select.EPOLLIN if watched else 0)
    poller.unregister(stop)
    poller.unregister(door)
    pool.finish()


class Pool:
    """The processes, by their pidfds: the channel to each, and those that are free."""

    def __init__(self, size: int, listener: Listener, handle: Handle) -> None:
        self.listener = listener
        self.handle = handle
        self.children = Children(handle.counts)
        self.free: list[int] = []
        self.channels: dict[int, socket.socket] = {}
        self.workers: dict[int, int] = {}  # by the descriptor of the channel
        for _ in range(size):
            self.hire()

    def hire(self) -> None:
        """Another process."""
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

    def give(self, client: socket.socket) -> int:
        """Hand a client over to one that is free."""
        pidfd = self.free.pop()
        self.children.owed[pidfd] = 1
        passed = socket.SOL_SOCKET, socket.SCM_RIGHTS, client.fileno().to_bytes(DESCRIPTOR_SIZE, sys.byteorder)
        try:  # noqa: SIM105 - for each client
            self.channels[pidfd].sendmsg((CLIENT,), (passed,))
        except OSError:  # it has ended, as will be heard: the client is counted as aborted then
            pass
        client.close()
        return pidfd

    def hear(self, fd: int) -> None:
        """A process is free again, or has ended; then another takes its place."""
        if pidfd := self.workers.get(fd):
            if self._is_free(pidfd):
                self.children.settle(pidfd)
                self.free.append(pidfd)
            else:  # its end is told by the pidfd as well
                self.children.poller.unregister(fd)
        else:
            channel = self.channels.pop(fd)
            del self.workers[channel.fileno()]
            with contextlib.suppress(FileNotFoundError):
                self.children.poller.unregister(channel)  # closing would not do: others have inherited our end
            channel.close()
            if fd in self.free:
                self.free.remove(fd)
                time.sleep(REST)  # should it end at once again, the CPU is not spent on that
            self.children.reap(fd)
            self.hire()

    def _is_free(self, pidfd: int) -> bool:
        try:
            return self.channels[pidfd].recv(1) == FREE
        except ConnectionResetError:  # it was killed with a client unread
            return False

    def finish(self) -> None:
        """Those at work answer and end; the rest of the queue is dealt out likewise."""
        if busy := self.children.living.keys() - set(self.free):
            self.children.hang_up(*busy)
        for client in self.listener.last_clients():
            while not self.free:
                for fd, _ in self.children.poller.poll(GLANCE, maxevents=1):
                    self.hear(fd)
            self.children.hang_up(self.give(client))
        for fd, pidfd in self.workers.items():
            with contextlib.suppress(OSError):
                self.channels[pidfd].shutdown(socket.SHUT_WR)  # closing would not do: others have inherited our end
            with contextlib.suppress(FileNotFoundError):
                self.children.poller.unregister(fd)
        self.children.wait()
