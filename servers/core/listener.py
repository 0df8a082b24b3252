"""The listening socket: accepts until `stop` is readable, and pauses while descriptors, memory or threads are short."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator

from servers.core.app import Application
from servers.core.counts import Counts, Ending
from servers.core.http import encode

PAUSE_S = 0.05  # without accepting, after a resource ran out: a busy loop would take CPU from the running requests
RECHECK_S = 1.0  # longest wait: a signal that arrives just before a blocking call is handled only when it returns

_BATCH = 16  # clients accepted in a row before `stop` is checked again
_SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN}
_UNACKED = 24  # offset of tcpi_unacked in TCP_INFO: for a listening socket the length of its accept queue


class Listener:
    """The socket that `serve` accepts from. Blocking models iterate over `clients`; event loops use `fileno`, `accept`
    and `pause_left`.
    """

    def __init__(self, sock: socket.socket, counts: Counts, timeout: float, backlog: int) -> None:
        # On Linux accepted sockets inherit these options, which saves the system calls for each connection.
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
        self.close = sock.close  # closes this process's descriptor only; see `shut`

    def reuseport_group(self, number: int) -> list[Listener]:
        """This listener and `number` - 1 more on the same address, among which the kernel distributes clients
        (SO_REUSEPORT).
        """
        # Set after bind, which has failed by now if the port was in use.
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        group = [self]
        for _ in range(number - 1):
            sock = socket.socket(self._sock.family, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(self._sock.getsockname())
            sock.listen(self.backlog)
            group.append(Listener(sock, self._counts, self._timeout, self.backlog))
        return group

    def with_socket_class(self, kind: type[socket.socket]) -> Listener:
        """The same listening socket as an object of another library's class, whose accept returns sockets of that
        class.
        """
        sock = kind(self.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, self._sock.detach())
        return Listener(sock, self._counts, self._timeout, self.backlog)

    def accept(self) -> socket.socket | None:
        """The next client, or None where none is waiting or accepting is paused. Never blocks."""
        try:
            client, _ = self._sock.accept()
        except BlockingIOError:
            return None
        except OSError as error:  # any other error concerns a client that is gone already
            if error.errno in _SHORTAGES:
                self._resume_at = time.monotonic() + PAUSE_S
            return None
        self._counts.opened()
        return client

    def pause_left(self) -> float:
        """Seconds until accepting is tried again after a shortage; 0.0 where there is none."""
        if not self._resume_at:
            return 0.0
        left = self._resume_at - time.monotonic()
        if left > 0:
            return left
        self._resume_at = 0.0
        return 0.0

    def queue_length(self) -> int:
        """Connections in the accept queue."""
        info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return int(struct.unpack_from("I", info, _UNACKED)[0])

    def clients(self, stop: int) -> Iterator[socket.socket]:
        """Yield each client until `stop` is readable, then those still in the queue; the socket then stops listening.

        May be called by several processes or threads at once: each new connection wakes one of them.
        """
        with select.epoll() as poller:
            poller.register(self._sock, select.EPOLLIN | select.EPOLLEXCLUSIVE)
            poller.register(stop, select.EPOLLIN)
            while not any(fd == stop for fd, _ in poller.poll()):
                for _ in range(_BATCH):  # one epoll_wait for several queued clients
                    if not (client := self.accept()):
                        break
                    yield client
                if rest := self.pause_left():
                    time.sleep(rest)
        yield from self.last_clients()

    def last_clients(self, during_pause: Callable[[], object] | None = None) -> Iterator[socket.socket]:
        """Yield the clients that are in the queue now: they connected before the server was stopped. Then stop
        listening.
        """
        left = self.queue_length()
        while left:
            if client := self.accept():
                yield client
            elif rest := self.pause_left():
                time.sleep(rest)
                if during_pause:
                    during_pause()
                continue
            left -= 1
        self.shut()

    def shut(self) -> None:
        """Stop listening, for all processes that share the socket. The descriptor stays open for the threads that use
        it.
        """
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)


def retry_start(start: Callable[[], object], during_pause: Callable[[], object] | None = None) -> None:
    """Start a thread or a process; where the system has none left, pause and try again.

    The accepted client waits meanwhile, as do those in the queue. Running requests end in bounded time and free what
    they hold. Raises any OSError that is not about a shortage.
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
        time.sleep(PAUSE_S)
        if during_pause:
            during_pause()


def refuse(client: socket.socket, handle: Application, why: str) -> None:
    """Answer 503 and close without blocking: a client beyond a limit must cost the others next to nothing."""
    handle.log_once(why)
    with contextlib.suppress(OSError):
        client.send(encode(503, b""), socket.MSG_DONTWAIT)
        client.shutdown(socket.SHUT_WR)
        client.recv(65536, socket.MSG_DONTWAIT)
    client.close()
    handle.counts.closed(Ending.REFUSED)
