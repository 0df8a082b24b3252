"""The listening socket: accepting that stops when told to, and rests while descriptors, memory or threads
are short."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator

from servers.core.app import Handle
from servers.core.counts import Counts, Ending
from servers.core.http import encode

REST = 0.05  # seconds without accepting once a resource ran out: the queue waits, the CPU doesn't spin
GLANCE = 1.0  # seconds that a wait lasts in one go: a signal that came just before it has its say then

_BATCH = 16  # clients accepted in a row before a look at the stop pipe
_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}
_UNACKED = 24  # where TCP_INFO of a listening socket has the length of its accept queue


class Listener:
    """What `serve` accepts from. `clients` is for models that block; loops use `fileno`, `accept` and `resting`."""

    def __init__(self, sock: socket.socket, counts: Counts, timeout: float, backlog: int) -> None:
        # Linux hands these down to every accepted connection, so that a connection costs no call for them.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        seconds = struct.pack("ll", int(timeout), int(timeout % 1 * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        sock.setblocking(False)
        self._sock = sock
        self._counts = counts
        self._timeout = timeout
        self.backlog = backlog
        self._resume_at = 0.0
        self.family = sock.family
        self.dup = sock.dup
        self.fileno = sock.fileno
        self.close = sock.close  # this process's descriptor; `shut` ends the listening of all that share it

    def siblings(self, number: int) -> list[Listener]:
        """This one and others on the same address, among which the kernel deals the clients (SO_REUSEPORT)."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # late, so that a port in use was noticed
        found = [self]
        for _ in range(number - 1):
            sock = socket.socket(self._sock.family, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(self._sock.getsockname())
            sock.listen(self.backlog)
            found.append(Listener(sock, self._counts, self._timeout, self.backlog))
        return found

    def over(self, kind: type[socket.socket]) -> Listener:
        """The same listening socket in the hands of another library: its accept gives clients of that kind."""
        sock = kind(self.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, self._sock.detach())
        return Listener(sock, self._counts, self._timeout, self.backlog)

    def accept(self) -> socket.socket | None:
        """The next client, or None where none waits or accepting has to rest. Never blocks."""
        try:
            client, _ = self._sock.accept()
        except BlockingIOError:
            return None
        except OSError as error:  # the others concern a client that is gone
            if error.errno in _SHORTAGES:
                self._resume_at = time.monotonic() + REST
            return None
        self._counts.opened()
        return client

    def resting(self) -> float:
        """Seconds until accepting makes sense again; 0.0 as a rule."""
        if not self._resume_at:
            return 0.0
        left = self._resume_at - time.monotonic()
        if left > 0:
            return left
        self._resume_at = 0.0
        return 0.0

    def queued(self) -> int:
        """Clients that are connected and not yet accepted."""
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return int(struct.unpack_from("I", info, _UNACKED)[0])

    def clients(self, stop: int) -> Iterator[socket.socket]:
        """Each client as it comes, until told to stop; then those already in the queue; nobody can connect after.

        Several processes or threads may do so at once: of those that wait, a client wakes one.
        """
        with select.epoll() as poller:
            poller.register(self._sock, select.EPOLLIN | select.EPOLLEXCLUSIVE)
            poller.register(stop, select.EPOLLIN)
            while not any(fd == stop for fd, _ in poller.poll()):
                for _ in range(_BATCH):  # a queue is emptied without asking for each client whether there is one
                    if not (client := self.accept()):
                        break
                    yield client
                if rest := self.resting():
                    time.sleep(rest)
        yield from self.last_clients()

    def last_clients(self, meanwhile: Callable[[], object] | None = None) -> Iterator[socket.socket]:
        """Those in the queue at this moment: they were connected before the server was told to stop."""
        left = self.queued()
        while left:
            if client := self.accept():
                yield client
            elif rest := self.resting():
                time.sleep(rest)
                if meanwhile:
                    meanwhile()
                continue
            left -= 1
        self.shut()

    def shut(self) -> None:
        """Stop listening, for every process that shares the socket. Its descriptor stays for threads that share it."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)


def persist(start: Callable[[], object], meanwhile: Callable[[], object] | None = None) -> None:
    """Start a thread or a process; where the system has none to give, rest and try again.

    The client in hand waits, and so do those in the queue. What is running ends in bounded time and makes room.
    """
    while True:
        try:
            start()
            return
        except RuntimeError:  # threading: can't start new thread
            pass
        except OSError as error:
            if error.errno not in _SHORTAGES:
                raise
        time.sleep(REST)
        if meanwhile:
            meanwhile()


def turn_away(client: socket.socket, handle: Handle, why: str) -> None:
    """Say 503 and close, without waiting for anything: a client past a limit must cost the others next to nothing."""
    handle.say_once(why)
    with contextlib.suppress(OSError):
        client.send(encode(503, b""), socket.MSG_DONTWAIT)
        client.shutdown(socket.SHUT_WR)
        client.recv(65536, socket.MSG_DONTWAIT)
    client.close()
    handle.counts.closed(Ending.REFUSED)
