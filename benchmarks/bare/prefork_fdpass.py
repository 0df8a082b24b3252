"""A pool of processes, the parent accepts and passes descriptors."""

import os
import select
import socket

from benchmarks.bare.common import cores, reply


def serve(listener: socket.socket) -> None:
    """Accept in the parent and pass each client to a free process."""
    accept_fd = listener.fileno()
    poller = select.epoll()
    poller.register(accept_fd, select.EPOLLIN)
    channels: dict[int, socket.socket] = {}
    for _ in range(2 * cores() + 1):
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            listener.close()
            work(theirs)
        channels[ours.fileno()] = ours
        poller.register(ours, select.EPOLLIN)
    free = list(channels)
    watched = True
    while True:
        fd = poller.poll(maxevents=1)[0][0]
        if fd == accept_fd:
            client, _ = listener.accept()
            socket.send_fds(channels[free.pop()], [b"c"], [client.fileno()])
            client.close()
        else:
            channels[fd].recv(1)
            free.append(fd)
        if watched != bool(free):
            watched = bool(free)
            poller.modify(accept_fd, select.EPOLLIN if watched else 0)


def work(channel: socket.socket) -> None:
    """In a child: serve each client received over the channel, and report free again."""
    while fds := socket.recv_fds(channel, 1, 1)[1]:
        reply(socket.socket(fileno=fds[0]))
        channel.send(b"f")
    os._exit(0)
