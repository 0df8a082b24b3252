"""The listening sockets of a port, by the kernel's sock_diag: connections in their accept queue, and their own drops.

The kernel lists the sockets in state LISTEN alone, so that a query stays cheap while thousands of connections are open.
Where it has no sock_diag for TCP, /proc/net/tcp gives the queue and nobody gives the drops. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20  # linux/sock_diag.h
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300  # linux/netlink.h
NLMSG_ERROR, NLMSG_DONE = 2, 3
LISTEN = 10  # TCP_LISTEN, net/tcp_states.h
CONNECTED = 0xFFF & ~(1 << LISTEN | 1 << 7)  # all states but LISTEN and CLOSE: 1 to 9 and 11 of /proc/net/tcp
SKMEMINFO = 7  # INET_DIAG_SKMEMINFO, linux/inet_diag.h
DROPS_AT = 8 * 4  # SK_MEMINFO_DROPS, the ninth of its 32-bit numbers
HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
REQUEST = struct.Struct("=BBBBI48s")  # inet_diag_req_v2: family, protocol, extensions, padding, states, socket
MESSAGE = struct.Struct("=BBBB2s2s44sIIIII")  # inet_diag_msg: ..., ports, ..., expires, rqueue, wqueue, uid, inode
ATTRIBUTE = struct.Struct("=HH")
BUFFER = 65536
LISTEN_PAGE = 65536  # bytes read of /proc/net/tcp and tcp6, which list the listening sockets first
LOOK_S = (0.05, 0.15)  # between two looks, drawn: a fixed interval could keep step with a server that has a period


@dataclass(frozen=True)
class Listening:
    """All listening sockets of one port together."""

    queue: int
    """Connections that wait to be accepted."""
    drops: int | None
    """Connections that these sockets dropped since they were opened; None where the kernel doesn't tell."""


def listening_sockets(port: int) -> Listening | None:
    """The sockets that listen on the port now; None where there is none."""
    try:
        sockets = [each for family in (socket.AF_INET, socket.AF_INET6) for each in _diagnosed(family, port)]
    except OSError:  # a kernel without sock_diag for TCP
        queues = list(_listed(port))
        return Listening(sum(queues), None) if queues else None
    if not sockets:
        return None
    drops = [each.drops for each in sockets if each.drops is not None]
    return Listening(sum(each.queue for each in sockets), sum(drops) if drops else None)


def _diagnosed(family: int, port: int) -> Iterator[Listening]:
    """The port's listening sockets of one family. Raises OSError where the kernel can't list them."""
    for message in _dump(family, 1 << LISTEN, own=port, extensions=1 << (SKMEMINFO - 1)):
        _, _, _, _, own, _, _, _, queue, *_ = MESSAGE.unpack_from(message)
        if int.from_bytes(own, "big") == port:
            yield Listening(queue, _drops(message[MESSAGE.size :]))


def ports_towards(port: int) -> int:
    """Local ports of connections to this port of any address, those in TIME_WAIT included.

    The kernel compares the ports, so that other sockets aren't copied. CPU time of a count, seen beside 28,000 sockets
    in TIME_WAIT: 3 ms where they are the server's, 18 ms where they are the client's; reading /proc/net/tcp 25 ms.
    """
    try:
        return sum(1 for family in (socket.AF_INET, socket.AF_INET6) for _ in _dump(family, CONNECTED, far=port))
    except OSError:  # a kernel without sock_diag for TCP
        return sum(len(re.findall(rb":%04X 0[1-9] " % port, table)) for table in socket_tables())


def _dump(family: int, states: int, own: int = 0, far: int = 0, extensions: int = 0) -> Iterator[memoryview]:
    """An inet_diag_msg with its attributes for each socket in one of these states, a bit mask; 0 is any port.

    Raises OSError where the kernel can't list them.
    """
    ports = own.to_bytes(2, "big") + far.to_bytes(2, "big")
    body = REQUEST.pack(family, socket.IPPROTO_TCP, extensions, 0, states, ports)
    request = HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(1.0)
        netlink.send(request)
        while True:
            answer = memoryview(netlink.recv(BUFFER))
            at = 0
            while at < len(answer):
                length, kind, *_ = HEADER.unpack_from(answer, at)
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    number = -struct.unpack_from("=i", answer, at + HEADER.size)[0]
                    raise OSError(number, os.strerror(number))
                yield answer[at + HEADER.size : at + length]
                at += -(-length // 4) * 4


def _drops(attributes: memoryview) -> int | None:
    while len(attributes) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(attributes)
        if kind == SKMEMINFO and length >= ATTRIBUTE.size + DROPS_AT + 4:
            drops: int = struct.unpack_from("=I", attributes, ATTRIBUTE.size + DROPS_AT)[0]
            return drops
        if length < ATTRIBUTE.size:
            break
        attributes = attributes[-(-length // 4) * 4 :]
    return None


def _listed(port: int) -> Iterator[int]:
    """The queue of each of the port's listening sockets, from /proc/net/tcp and tcp6."""
    for table in socket_tables(LISTEN_PAGE):
        for line in table.splitlines():
            fields = line.split()
            if len(fields) > 4 and fields[3] == b"0A" and fields[1].endswith(b":%04X" % port):
                yield int(fields[4].partition(b":")[2], 16)


def socket_tables(size: int = -1) -> Iterator[bytes]:
    """The kernel's lists of TCP sockets over IPv4 and over IPv6, or the first `size` bytes of each."""
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError), open(path, "rb", buffering=0) as table:  # a host without IPv6
            yield table.read(size)


@dataclass(frozen=True)
class QueueFigures:
    """The accept queue between two rows."""

    now: int
    mean: float
    looks: int
    drops: int | None
    """Connections that the listening sockets dropped in between; None where that isn't known."""


@dataclass
class QueueWatch:
    """Looks at a port's accept queue many times a second. One moment a second says little of a queue: it is a mean."""

    port: int
    _sum: int = 0
    _looks: int = 0
    _last: Listening | None = None
    _drops: int | None = None
    """The sockets' drops at the last row."""
    _draw: random.Random = field(default_factory=random.Random)

    def look(self) -> None:
        """Add what the queue is now."""
        self._last = listening_sockets(self.port)
        if self._last is not None:
            self._sum += self._last.queue
            self._looks += 1

    def look_until(self, due: float) -> None:
        """Look at drawn moments until `due`, a value of time.monotonic."""
        while (left := due - time.monotonic()) > 0:
            pause = self._draw.uniform(*LOOK_S)
            time.sleep(min(pause, left))
            if pause < left:
                self.look()

    def take(self) -> QueueFigures | None:
        """Look once more; returns the figures since the last call, None where no socket listens now."""
        self.look()
        last, sum_, looks = self._last, self._sum, self._looks
        self._sum = self._looks = 0
        if last is None:
            self._drops = None
            return None
        known = last.drops is not None and self._drops is not None
        drops = max(0, last.drops - self._drops) if known else None  # type: ignore[operator]
        self._drops = last.drops
        return QueueFigures(last.queue, sum_ / looks, looks, drops)
