"""One client at a time (Stevens, UNP ch. 30: the iterative server).

Waits: in accept, then in recv, for one client. Costs: nothing beyond the connection itself. Breaks: one silent client
stops all others until its timeout; a second core is never used. Reference: Stevens, UNIX Network Programming, 30.5.
"""

from __future__ import annotations

from servers.core.app import Application
from servers.core.conversation import converse
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="single", summary="one client at a time: accept, receive, answer, close", slots=1)


def serve(listener: Listener, handle: Application, stop: int) -> None:
    """Answer each client before accepting the next."""
    for client in listener.clients(stop):
        converse(client, handle)
