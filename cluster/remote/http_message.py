"""A parser of one HTTP/1 response, without I/O: bytes in, and at the end whether it is what the plan wants.

- A head ends at the first CRLF CRLF and has at most MAX_HEAD bytes. Field names are matched in any case.
- Interim responses (100 to 199) are read past (RFC 9110, 15.2), at most MAX_INTERIM of them; 101 is final, since no
  upgrade was asked for.
- Several Content-Length values are good where all are the same number (RFC 9110, 8.6).
- The body ends with its last chunk, or after Content-Length bytes, or, with neither, where the server closes
  (RFC 9112, 6.3). A chunked body is kept until it is complete; any other is counted and compared as it comes.
- The status is checked first, then the length, then the content: a 503 that is cut short is a bad status.
- Bytes after the end are a wrong body: the client sent no other request on this connection.
"""

from __future__ import annotations

import html
import re
from typing import NamedTuple

MAX_HEAD = 64 * 1024
MAX_INTERIM = 20
SWITCHING_PROTOCOLS = 101

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([0-9]{3})(?: [^\r\n]*)?")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_BODILESS = (204, 304)


def request_bytes(host: str, port: int, keep_alive: bool, method: str = "GET", path: str = "/") -> bytes:
    """The whole request. Its bytes follow from the arguments, so that the body of an echo is known beforehand."""
    name = f"[{host}]" if ":" in host else host
    connection = "" if keep_alive else "Connection: close\r\n"
    empty = "Content-Length: 0\r\n" if method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {name}:{port}\r\n{connection}{empty}\r\n".encode("ascii")


def echo_body(request: bytes) -> bytes:
    """The body with which a server of servers/ echoes a request: it as HTML text, a character for each byte."""
    return html.escape(request.decode("latin-1")).encode("latin-1")


class ResponseOutcome(NamedTuple):
    """`kind` of failure as in docs/results.md, None for a good response. `text` has no figures of the one request."""

    kind: str | None
    text: str
    size: int  # bytes of body
    persistent: bool  # the connection can carry another request


class ResponseHead(NamedTuple):
    """Status line and the fields that matter. `length` in bytes, None where the body ends otherwise."""

    status: int
    length: int | None
    chunked: bool
    persistent: bool

    @property
    def is_interim(self) -> bool:
        """Whether the response that counts is still to come."""
        return 100 <= self.status < 200 and self.status != SWITCHING_PROTOCOLS


class MalformedResponse(ValueError):
    """The bytes are no HTTP/1 response; `kind` is the kind of failure."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class ResponseParser:
    """For one response. `feed` and `end` return its outcome once it is complete, and must not be called after that."""

    def __init__(self, expected: bytes | None, status: int = 200, bodiless: bool = False) -> None:
        """`expected` is the whole body, None for any; a good response has `status`; that to HEAD is `bodiless`."""
        self._expected = expected
        self._status = status
        self._bodiless = bodiless
        self._head: ResponseHead | None = None
        self._interim = 0
        self._buffer = bytearray()  # the head, then the body where it is chunked
        self._size = 0
        self._wrong = False

    def feed(self, data: bytes) -> ResponseOutcome | None:
        """Take the next bytes of the connection. Returns None while more must come."""
        try:
            return self._feed(data)
        except MalformedResponse as error:
            return ResponseOutcome(error.kind, str(error), self._size, False)

    def end(self) -> ResponseOutcome:
        """The server closed the connection."""
        if self._head is None:
            within = "within the head" if self._buffer else "before an answer"
            return ResponseOutcome("reset", f"closed {within}", 0, False)
        return self._judge(self._head, whole=self._head.length is None and not self._head.chunked)

    def _feed(self, data: bytes) -> ResponseOutcome | None:
        head = self._head
        while head is None:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if max(end, len(self._buffer) if end < 0 else 0) > MAX_HEAD:
                raise MalformedResponse("other", f"the head is longer than {MAX_HEAD} bytes")
            if end < 0:
                return None
            head = parse_head(bytes(self._buffer[:end]))
            data = bytes(self._buffer[end + 4 :])
            self._buffer.clear()
            if head.is_interim:
                self._interim += 1
                if self._interim > MAX_INTERIM:
                    raise MalformedResponse("other", f"more than {MAX_INTERIM} interim responses")
                head = None
                continue
            if self._bodiless:
                head = head._replace(length=0, chunked=False)
            self._head = head
        if head.chunked:
            self._buffer += data
            # Only where it may be the end: unchunking after each piece would take quadratic time.
            body = unchunk(bytes(self._buffer)) if self._buffer.endswith(b"\r\n\r\n") else None
            if body is None:
                return None
            self._take(body)
            return self._judge(head, whole=True)
        self._take(data)
        if head.length is None or self._size < head.length:
            return None
        return self._judge(head, whole=True)

    def _take(self, data: bytes) -> None:
        expected = self._expected
        if expected is not None and not expected.startswith(data, self._size):
            self._wrong = True
        self._size += len(data)

    def _judge(self, head: ResponseHead, whole: bool) -> ResponseOutcome:
        persistent = whole and head.persistent
        if head.status != self._status:
            return ResponseOutcome("bad-status", f"status {head.status}", self._size, persistent)
        if not whole:
            return ResponseOutcome("short-body", "closed within the body", self._size, False)
        if head.length is not None and self._size > head.length:
            return ResponseOutcome("wrong-body", "bytes after the answer's end", self._size, False)
        if self._wrong or (self._expected is not None and self._size != len(self._expected)):
            return ResponseOutcome("wrong-body", "the body is not what the plan says", self._size, persistent)
        return ResponseOutcome(None, "", self._size, persistent)


def parse_head(head: bytes) -> ResponseHead:
    """Parse a head without its last two line ends. Raises MalformedResponse."""
    first, *fields = head.split(b"\r\n")
    line = _STATUS_LINE.fullmatch(first)
    if line is None:
        raise MalformedResponse("bad-status", "not an HTTP/1 answer")
    status = int(line[2])
    values: dict[bytes, list[bytes]] = {}
    for name, _, value in (field.partition(b":") for field in fields):
        values.setdefault(name.lower(), []).append(value.strip(b" \t"))
    options = b",".join(values.get(b"connection", [])).lower()
    persistent = b"close" not in options and (line[1] != b"0" or b"keep-alive" in options)
    if status in _BODILESS or status < 200:
        return ResponseHead(status, 0, False, persistent)
    codings = b",".join(values.get(b"transfer-encoding", [])).lower()
    if codings:
        if codings != b"chunked":
            raise MalformedResponse("other", "a transfer coding other than chunked")
        return ResponseHead(status, None, True, persistent)
    lengths = {length.strip(b" \t") for line in values.get(b"content-length", []) for length in line.split(b",")}
    if not lengths:
        return ResponseHead(status, None, False, False)
    length = lengths.pop()
    if lengths or not length.isdigit():
        raise MalformedResponse("other", "Content-Length is not one number")
    return ResponseHead(status, int(length), False, persistent)


def response_body(received: bytes) -> bytes:
    """The body of a complete response, without its coding. Raises MalformedResponse."""
    head = None
    while head is None or head.is_interim:
        first, _, received = received.partition(b"\r\n\r\n")
        head = parse_head(first)
    return (unchunk(received) or b"") if head.chunked else received


def unchunk(coded: bytes) -> bytes | None:
    """Decode a chunked body without its trailers; None while it isn't complete. Raises MalformedResponse."""
    chunks: list[bytes] = []
    at = 0
    while size_line := _CHUNK_SIZE.match(coded, at):
        size = int(size_line[1], 16)
        start = size_line.end()
        if size == 0:
            return b"".join(chunks) if coded.find(b"\r\n\r\n", start - 2) >= 0 else None
        at = start + size + 2
        if len(coded) < at:
            return None
        if coded[at - 2 : at] != b"\r\n":
            break
        chunks.append(coded[start : at - 2])
    raise MalformedResponse("other", "the chunked coding is damaged")
