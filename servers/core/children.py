"""Forked children: each counts in a row of its own, is known by a pidfd that becomes readable when it ends, and treats
SIGTERM as "answer the requests that you have, then end".
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence

from servers.core.app import Application
from servers.core.counts import Counts
from servers.core.listener import PAUSE_S, RECHECK_S, retry_start


class Children:
    """The living children of this process, by pidfd. `poller` reports the pidfd of a child that has ended."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.poller = select.epoll()
        self.living: dict[int, tuple[int, int]] = {}
        self.assigned: dict[int, int] = {}  # connections given to each child; those open at its end count as aborted

    def start(
        self, work: Callable[[], object], assigned: int = 0, during_pause: Callable[[], object] | None = None
    ) -> int:
        """Fork a child that calls `work` and exits; returns its pidfd.

        Where the system has no process or memory left, pause and try again, with `during_pause` called in between.
        `assigned` is the number of accepted connections given to the child.
        """
        pidfds: list[int] = []
        retry_start(lambda: pidfds.append(self._fork(work)), during_pause)
        self.assigned[pidfds[0]] = assigned
        return pidfds[0]

    def _fork(self, work: Callable[[], object]) -> int:
        # Reserve a descriptor for the pidfd: running out has to fail before the fork, not after it.
        reserved = os.dup(self.poller.fileno())
        try:
            row = self.counts.lend_row()
            bytes(4096)  # a large request makes malloc consolidate its free chunks: once here, not in every child
            try:
                pid = os.fork()
            except OSError:
                self.counts.return_row(row)
                raise
        finally:
            os.close(reserved)
        if pid == 0:
            self._run_child(row, work)
        pidfd = os.pidfd_open(pid)
        self.living[pidfd] = pid, row
        self.poller.register(pidfd, select.EPOLLIN)
        return pidfd

    def _run_child(self, row: int, work: Callable[[], object]) -> None:
        """The whole run of a child. Never returns into its parent's code."""
        status = 1
        try:
            self.counts.use_row(row)
            work()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            # Skip interpreter shutdown: it has nothing to flush and would dirty copy-on-write pages.
            os._exit(status)

    def mark_idle(self, pidfd: int) -> None:
        """The child has finished all connections assigned to it."""
        self.counts.merge_open(self.living[pidfd][1])
        self.assigned[pidfd] = 0

    def reap(self, pidfd: int) -> None:
        """Collect a child that has ended."""
        pid, row = self.living.pop(pidfd)
        self.poller.unregister(pidfd)
        os.close(pidfd)
        os.waitpid(pid, 0)
        self.counts.return_row(row, self.assigned.pop(pidfd))

    def reap_ended(self) -> None:
        """Collect all children that have ended, without blocking."""
        for pidfd, _ in self.poller.poll(0):
            if pidfd in self.living:
                self.reap(pidfd)

    def terminate(self, *pidfds: int) -> None:
        """Send SIGTERM to these children, or to all: each answers the requests that it has, then ends."""
        for pidfd in pidfds or self.living:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)

    def wait(self) -> None:
        """Block until every child is reaped; the runner's drain deadline bounds it.

        SIGTERM is repeated every RECHECK_S: Python handles a signal that arrives just before a blocking call only when
        that call returns.
        """
        while self.living:
            ended = self.poller.poll(RECHECK_S, maxevents=1)
            for pidfd, _ in ended:
                self.reap(pidfd)
            if not ended:
                self.terminate()


def run_pool(works: Sequence[Callable[[int], object]], handle: Application, stop: int) -> None:
    """Run each function in a child with a `stop` pipe of its own, until `stop` is readable. A child that ends is
    replaced.
    """
    children = Children(handle.counts)

    def begin(work: Callable[[int], object]) -> int:
        return children.start(lambda: work(child_stop_pipe(handle)))

    roles = {begin(work): work for work in works}
    children.poller.register(stop, select.EPOLLIN)
    while (ended := children.poller.poll(maxevents=1)[0][0]) != stop:
        children.reap(ended)
        time.sleep(PAUSE_S)  # a child that dies at once must not become a busy loop of forks
        work = roles.pop(ended)
        roles[begin(work)] = work
    children.poller.unregister(stop)
    children.terminate()
    children.wait()


def child_stop_pipe(handle: Application) -> int:
    """In a child: the reading end of a pipe that becomes readable on the child's own SIGTERM or SIGINT."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    if handle.stopping:  # the signal came before the pipe was set up
        os.write(writing, b"s")
    return reading
