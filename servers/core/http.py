"""HTTP/1.x framing without I/O: bytes in, a request or a refusal out; an answer in, bytes out.

Rules, from RFC 9110 and 9112, strict where leniency lets two programs read one message differently:

- A head ends at the first CRLF CRLF. Until then `parse` returns None: receive more. One CRLF before it is
  skipped.
- 431: the head is longer than MAX_HEAD bytes.
- 400: bare LF or CR, obs-fold, space before a colon, control characters, no request line; Host missing from
  HTTP/1.1 or given twice; Content-Length given twice, as a list or not in digits; Transfer-Encoding in
  HTTP/1.0 or together with Content-Length.
- 505: a major version other than 1. 413: a body longer than MAX_BODY. 405: a method other than GET and
  HEAD.
- 501: Transfer-Encoding. No transfer coding is implemented, and guessing where such a body ends allows request
  smuggling.
- A body is never read. A request that announces one is answered from its head alone and is the last of its
  connection; closing discards what follows.
- Every target is the same resource, since the server is an echo: there is no 404.

A refusal always ends the connection: where the following bytes begin a new request is not known.
"""

from __future__ import annotations

import functools
import re
import time
from typing import NamedTuple

MAX_HEAD = 8 * 1024
MAX_BODY = 1024 * 1024
METHODS = (b"GET", b"HEAD")

REASONS = {
    200: b"200 OK",
    400: b"400 Bad Request",
    405: b"405 Method Not Allowed\r\nAllow: GET, HEAD",
    413: b"413 Content Too Large",
    431: b"431 Request Header Fields Too Large",
    500: b"500 Internal Server Error",
    501: b"501 Not Implemented",
    503: b"503 Service Unavailable",
    505: b"505 HTTP Version Not Supported",
}

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_HEAD = re.compile(
    rb"(" + _TOKEN + rb") ([!-~]++) HTTP/([0-9])\.([0-9])\r\n(?:" + _TOKEN + rb":[\t -~\x80-\xff]*+\r\n)*+\r\n"
)
# Finds all fields that the server acts on in one pass. The head must be well-formed and in lower case: a line feed
# then stands only before a field's name, and at the end of the head.
_FRAMING = re.compile(rb"\n(host|connection|content-length|transfer-encoding):[\t ]*([^\r]*)")
_BARE = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
_MAX_DIGITS = 18

_ANSWER = b"HTTP/1.1 %b\r\nDate: %b\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Length: %d\r\n%b\r\n%b"


class Request(NamedTuple):
    """One request head. `head` is what is echoed, `size` the number of bytes that it took from the buffer."""

    method: bytes
    target: bytes
    head: bytes
    size: int
    persistent: bool  # the client allows the connection to stay open
    has_body: bool  # the head announces a body, which won't be read


class Refusal(Exception):
    """The bytes are not a request that this server accepts; `status` and `why` make the answer."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@functools.lru_cache(64)  # a load generator sends the same bytes again and again
def parse(buffer: bytes) -> Request | None:
    """The first request in the buffer, or None while its head is incomplete. Raises Refusal."""
    end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
    if end < 0:
        if len(buffer) >= MAX_HEAD:
            raise Refusal(431, f"the head is longer than {MAX_HEAD} bytes")
        if _BARE.search(buffer):
            raise Refusal(400, "a line must end in CRLF")
        return None
    size = end + 4
    head = buffer[:size]
    match = _HEAD.fullmatch(head)
    if match is None:
        head = head.removeprefix(b"\r\n")
        match = _HEAD.fullmatch(head)
        if match is None:
            raise Refusal(400, "the request line or a field is malformed")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise Refusal(505, "only HTTP/1.0 and HTTP/1.1 are supported")
    modern = minor != b"0"
    hosts = 0
    options: list[bytes] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    for name, value in _FRAMING.findall(head.lower()):
        if name == b"host":
            hosts += 1
        elif name == b"connection":
            options += value.split(b",")
        elif name == b"content-length":
            lengths.append(value.rstrip(b"\t "))
        else:
            codings.append(value)
    if hosts != 1 and (modern or hosts):
        raise Refusal(400, "HTTP/1.1 asks for exactly one Host, HTTP/1.0 for at most one")
    has_body = _announces_body(lengths, codings, method, modern) if lengths or codings else False
    if method not in METHODS:
        raise Refusal(405, "only GET and HEAD are answered")
    persistent = _persists(options, modern) if options else modern
    return Request(method, target, head, size, persistent, has_body)


def _persists(options: list[bytes], modern: bool) -> bool:
    options = [option.strip(b"\t ") for option in options]
    return b"close" not in options and (modern or b"keep-alive" in options)


def _announces_body(lengths: list[bytes], codings: list[bytes], method: bytes, modern: bool) -> bool:
    if codings and (lengths or not modern):
        raise Refusal(400, "Transfer-Encoding is not allowed with Content-Length or in HTTP/1.0")
    if codings:
        if method not in METHODS:
            return True
        raise Refusal(501, "no transfer coding is implemented")
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > _MAX_DIGITS:
        raise Refusal(400, "Content-Length must be one decimal number")
    length = int(lengths[0])
    if length > MAX_BODY:
        raise Refusal(413, f"the body is longer than {MAX_BODY} bytes")
    return length > 0


def encode(status: int, body: bytes, *, persistent: bool = False, head_only: bool = False) -> bytes:
    """An answer as bytes on the wire. `head_only` leaves out the body but not its Content-Length, as HEAD requires."""
    return _encoded(status, body, persistent, head_only, int(time.time()))


@functools.lru_cache(4)  # an answer changes only with its Date, once a second; few entries, since a body may be large
def _encoded(status: int, body: bytes, persistent: bool, head_only: bool, now: int) -> bytes:
    return _ANSWER % (
        REASONS[status],
        _date(now),
        len(body),
        b"Connection: keep-alive\r\n" if persistent else b"Connection: close\r\n",
        b"" if head_only else body,
    )


def precompute_date() -> None:
    """Before forking for a client: format the Date of this second in the parent instead of in each child."""
    _date(int(time.time()))


@functools.lru_cache(1)
def _date(now: int) -> bytes:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now)).encode()


def encode_refusal(refusal: Refusal) -> bytes:
    """The answer to bytes that are not an acceptable request."""
    return encode(refusal.status, f"<p>{refusal.status}: {refusal.why}</p>\n".encode())
