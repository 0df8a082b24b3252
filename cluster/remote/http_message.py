"""One answer, without I/O: bytes in, and at its end what it was worth.

- A head ends at the first CRLF CRLF and has at most MAX_HEAD bytes. Field names are read in any case.
- The body ends where its chunks do, or after Content-Length bytes, or, with neither, where the server closes
  (RFC 9112, 6.3). A chunked body is kept until it is whole; any other is counted and compared as it comes.
- Status first, then length, then content: a 503 that is cut short is a bad status, since the status came whole.
- Bytes after the end are a wrong body: nothing else was asked for on this connection.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_HEAD = 64 * 1024

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([0-9]{3})(?: [^\r\n]*)?")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_BODILESS = (204, 304)


def request_bytes(host: str, port: int, keep_alive: bool, method: str = "GET", path: str = "/") -> bytes:
    """Known to the byte, so that an echo's body can be known beforehand."""
    name = f"[{host}]" if ":" in host else host
    connection = "" if keep_alive else "Connection: close\r\n"
    empty = "Content-Length: 0\r\n" if method == "POST" else ""
    return f"{method} {path} HTTP/1.1\r\nHost: {name}:{port}\r\n{connection}{empty}\r\n".encode("ascii")


class Answer(NamedTuple):
    """`kind` is that of docs/results.md, None for a good answer. `text` says it without figures of the one request."""

    kind: str | None
    text: str
    size: int
    persistent: bool  # the connection can carry another request


class Head(NamedTuple):
    status: int
    length: int | None
    chunked: bool
    persistent: bool


class Malformed(ValueError):
    """The bytes are no answer; the kind of failure stands before the text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Reply:
    """An answer that comes in pieces. `feed` and `end` return it once it is whole, and are not called after that."""

    def __init__(self, expected: bytes | None, status: int = 200, bodiless: bool = False) -> None:
        """`expected` is the whole body, `status` that of a good answer; the answer to HEAD is `bodiless`."""
        self._expected = expected
        self._status = status
        self._bodiless = bodiless
        self._head: Head | None = None
        self._buffer = bytearray()  # the head, then the body where it is chunked
        self._size = 0
        self._wrong = False

    def feed(self, data: bytes) -> Answer | None:
        """The next bytes of the connection; None while more must come."""
        try:
            return self._feed(data)
        except Malformed as error:
            return Answer(error.kind, str(error), self._size, False)

    def end(self) -> Answer:
        """The server closed the connection."""
        if self._head is None:
            within = "within the head" if self._buffer else "before an answer"
            return Answer("reset", f"closed {within}", 0, False)
        return self._judge(self._head, whole=self._head.length is None and not self._head.chunked)

    def _feed(self, data: bytes) -> Answer | None:
        head = self._head
        if head is None:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if max(end, len(self._buffer) if end < 0 else 0) > MAX_HEAD:
                raise Malformed("other", f"the head is longer than {MAX_HEAD} bytes")
            if end < 0:
                return None
            head = parse_head(bytes(self._buffer[:end]))
            if self._bodiless:
                head = head._replace(length=0, chunked=False)
            self._head = head
            data = bytes(self._buffer[end + 4 :])
            self._buffer.clear()
        if head.chunked:
            self._buffer += data
            # Looking at all of it after each piece would cost the square of its length.
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

    def _judge(self, head: Head, whole: bool) -> Answer:
        persistent = whole and head.persistent
        if head.status != self._status:
            return Answer("bad-status", f"status {head.status}", self._size, persistent)
        if not whole:
            return Answer("short-body", "closed within the body", self._size, False)
        if head.length is not None and self._size > head.length:
            return Answer("wrong-body", "bytes after the answer's end", self._size, False)
        if self._wrong or (self._expected is not None and self._size != len(self._expected)):
            return Answer("wrong-body", "the body is not what the plan says", self._size, persistent)
        return Answer(None, "", self._size, persistent)


def parse_head(head: bytes) -> Head:
    """A head without its last two line ends. Raises Malformed."""
    first, *fields = head.split(b"\r\n")
    line = _STATUS_LINE.fullmatch(first)
    if line is None:
        raise Malformed("bad-status", "not an HTTP/1 answer")
    status = int(line[2])
    values: dict[bytes, list[bytes]] = {}
    for name, _, value in (field.partition(b":") for field in fields):
        values.setdefault(name.lower(), []).append(value.strip(b" \t"))
    options = b",".join(values.get(b"connection", [])).lower()
    persistent = b"close" not in options and (line[1] != b"0" or b"keep-alive" in options)
    if status in _BODILESS:
        return Head(status, 0, False, persistent)
    codings = b",".join(values.get(b"transfer-encoding", [])).lower()
    if codings:
        if codings != b"chunked":
            raise Malformed("other", "a transfer coding other than chunked")
        return Head(status, None, True, persistent)
    lengths = set(values.get(b"content-length", []))
    if not lengths:
        return Head(status, None, False, False)
    length = lengths.pop()
    if lengths or not length.isdigit():
        raise Malformed("other", "Content-Length is not one number")
    return Head(status, int(length), False, persistent)


def unchunk(coded: bytes) -> bytes | None:
    """The body in a chunked coding, trailers left out; None while it isn't whole. Raises Malformed."""
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
    raise Malformed("other", "the chunked coding is damaged")
