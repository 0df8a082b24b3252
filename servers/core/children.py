"""Forked children: each has a row to count in, a pidfd that tells its end, and takes SIGTERM as "answer what you
have, then end"."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence

from servers.core.app import Handle
from servers.core.counts import Counts
from servers.core.listener import GLANCE, REST, persist


class Children:
    """The living children of this process, known by their pidfds. `poller` wakes at the end of one."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.poller = select.epoll()
        self.living: dict[int, tuple[int, int]] = {}
        self.owed: dict[int, int] = {}  # connections that were given to each: at its end the rest was aborted

    def start(self, work: Callable[[], object], owed: int = 0, meanwhile: Callable[[], object] | None = None) -> int:
        """Fork a child that does this and ends. Where there is no room for one, rest and try again."""
        pidfds: list[int] = []
        persist(lambda: pidfds.append(self._fork(work)), meanwhile)
        self.owed[pidfds[0]] = owed
        return pidfds[0]

    def _fork(self, work: Callable[[], object]) -> int:
        place = os.dup(self.poller.fileno())  # kept free for the pidfd: a shortage has to show before the fork
        try:
            row = self.counts.lend()
            bytes(4096)  # a large request makes malloc tidy its small free chunks: here, or in every child
            try:
                pid = os.fork()
            except OSError:
                self.counts.take_back(row)
                raise
        finally:
            os.close(place)
        if pid == 0:
            self._live(row, work)
        pidfd = os.pidfd_open(pid)
        self.living[pidfd] = pid, row
        self.poller.register(pidfd, select.EPOLLIN)
        return pidfd

    def _live(self, row: int, work: Callable[[], object]) -> None:
        """A child's life. It never returns into the code of its parent."""
        status = 1
        try:
            self.counts.use(row)
            work()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(
                status
            )  # the interpreter's farewell has nothing to save here, and would copy every page it touches

    def settle(self, pidfd: int) -> None:
        """A child has finished all that it was given, and rests."""
        self.counts.settle(self.living[pidfd][1])
        self.owed[pidfd] = 0

    def reap(self, pidfd: int) -> None:
        """Collect a child that has ended."""
        pid, row = self.living.pop(pidfd)
        self.poller.unregister(pidfd)
        os.close(pidfd)
        os.waitpid(pid, 0)
        self.counts.take_back(row, self.owed.pop(pidfd))

    def reap_ended(self) -> None:
        """Collect those that have ended, without waiting."""
        for pidfd, _ in self.poller.poll(0):
            if pidfd in self.living:
                self.reap(pidfd)

    def hang_up(self, *pidfds: int) -> None:
        """Tell these, or all, to answer what they have and end."""
        for pidfd in pidfds or self.living:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)

    def wait(self) -> None:
        """Until the last one is reaped; the runner's deadline bounds it.

        Who was told just before it began to wait for a client is told again.
        """
        while self.living:
            ended = self.poller.poll(GLANCE, maxevents=1)
            for pidfd, _ in ended:
                self.reap(pidfd)
            if not ended:
                self.hang_up()


def keep_pool(works: Sequence[Callable[[int], object]], handle: Handle, stop: int) -> None:
    """Do all of this, each in a child that gets a `stop` of its own, until told to stop. One that ends is replaced."""
    children = Children(handle.counts)

    def begin(work: Callable[[int], object]) -> int:
        return children.start(lambda: work(own_stop(handle)))

    roles = {begin(work): work for work in works}
    children.poller.register(stop, select.EPOLLIN)
    while (ended := children.poller.poll(maxevents=1)[0][0]) != stop:
        children.reap(ended)
        time.sleep(REST)  # should it end at once again, the CPU is not spent on that
        work = roles.pop(ended)
        roles[begin(work)] = work
    children.poller.unregister(stop)
    children.hang_up()
    children.wait()


def own_stop(handle: Handle) -> int:
    """In a child: the reading end of a pipe that its own signals make readable."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    if handle.stopping:  # the signal came before
        os.write(writing, b"s")
    return reading
