"""One client at a time (Stevens, UNP ch. 30: the iterative server).

Waits: in accept, then in receive, for one client. Costs: nothing beyond the connection itself. Breaks:
one silent client stops all others until its timeout; no second core is ever used. Reference: Stevens,
UNIX Network Programming, 30.5.
"""

from __future__ import annotations

from servers.core.app import Handle
from servers.core.conversation import converse
from servers.core.listener import Listener
from servers.core.model import Model

MODEL = Model(name="single", summary="one client at a time: accept, receive, answer, close", slots=1)


def serve(listener: Listener, handle: Handle, stop: int) -> None:
    """Answer each client before looking at the next."""
    for client in listener.clients(stop):
        converse(client, handle)
