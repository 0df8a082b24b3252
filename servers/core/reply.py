"""Between receiving and sending, the same in all models: bytes in, the next answer as bytes on the wire out."""

from __future__ import annotations

from typing import NamedTuple

from servers.core.app import Application, burn
from servers.core.http import Refusal, encode, encode_refusal, parse


class Reply(NamedTuple):
    """One answer and what it means for the connection."""

    wire: bytes  # the whole answer
    status: int
    wait_ms: float  # to wait before it is sent
    keep_open: bool  # the connection stays open afterwards
    linger_first: bool  # unread bytes may follow: an immediate close would reset the connection and lose the answer
    size: int  # bytes of the buffer that this answers


_new = tuple.__new__  # skips NamedTuple's __new__, which is a Python function


def reply_to(buffer: bytes, handle: Application) -> Reply | None:
    """The answer to the first request in the buffer, or None while its head is incomplete. Burns the request's CPU
    time.
    """
    try:
        request = parse(buffer)
    except Refusal as refusal:
        return Reply(encode_refusal(refusal), refusal.status, 0.0, False, True, len(buffer))
    if request is None:
        return None
    answer = handle(request)
    if answer.cpu_ms:
        burn(answer.cpu_ms)
    keep_open = handle.keeps_open(request)
    wire = encode(answer.status, answer.body, persistent=keep_open, head_only=request.method == b"HEAD")
    linger_first = request.has_body or len(buffer) > request.size
    return _new(Reply, (wire, answer.status, answer.wait_ms, keep_open, linger_first, request.size))
