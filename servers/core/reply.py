"""What all models do between receiving and sending: bytes in, the next answer as it goes over the wire out."""

from __future__ import annotations

from typing import NamedTuple

from servers.core.app import Handle, burn
from servers.core.http import Refusal, encode, encode_refusal, parse


class Reply(NamedTuple):
    """One answer and what follows from it for the connection."""

    wire: bytes
    status: int
    wait_ms: float  # time to wait before it is sent
    stays: bool  # the connection stays open afterwards
    lingers: bool  # something unread may follow: closing at once could cost the client its answer
    size: int  # bytes of the buffer that are answered


_new = tuple.__new__  # as Reply's own does, in Python


def reply_to(buffer: bytes, handle: Handle) -> Reply | None:
    """The answer to the first request in the buffer, or None while its head is not whole. Burns its CPU time."""
    try:
        request = parse(buffer)
    except Refusal as refusal:
        return Reply(encode_refusal(refusal), refusal.status, 0.0, False, True, len(buffer))
    if request is None:
        return None
    answer = handle(request)
    if answer.cpu_ms:
        burn(answer.cpu_ms)
    stays = handle.keeps(request)
    wire = encode(answer.status, answer.body, persistent=stays, head_only=request.method == b"HEAD")
    lingers = request.bodied or len(buffer) > request.size
    return _new(Reply, (wire, answer.status, answer.wait_ms, stays, lingers, request.size))
