"""Requests as bytes, and a parser of one HTTP/1 response, without I/O: bytes in, at the end whether it is what the plan
wants.

- A head ends at the first CRLF CRLF and has at most MAX_HEAD bytes. Field names are matched in any case.
- Interim responses (100 to 199) are read past (RFC 9110, 15.2), at most MAX_INTERIM of them; 101 is final, since no
  upgrade was asked for.
- Several Content-Length values are good where all are the same number (RFC 9110, 8.6).
- The body ends with its last chunk and its trailers, or after Content-Length bytes, or, with neither, where the server
  closes (RFC 9112, 6.3). It is counted and compared as it comes, and never held. A content coding (gzip) stays as it
  came.
- The status is checked first, then the length, the content, and the head: a 503 that is cut short is a bad status.
- Bytes after the end are a wrong body: the client sent no other request on this connection.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MAX_HEAD = 64 * 1024
MAX_INTERIM = 20
MAX_SIZE_LINE = 4096  # of a chunk, its extensions included
SWITCHING_PROTOCOLS = 101
BEGINNING = 60  # bytes of the body that the parser keeps, for a message
DEFAULT_PORTS = {False: 80, True: 443}
"""Of HTTP, and of HTTPS: with it, the Host field has no port (RFC 9110, 7.2)."""

_STATUS_LINE = re.compile(rb"HTTP/1\.([0-9]) ([0-9]{3})(?: [^\r\n]*)?")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_BODILESS = (204, 304)
_WITH_BODY = ("POST", "PUT", "PATCH")  # a request without a body says so (RFC 9110, 8.6)
_END = b"\r\n"

Fields = Sequence[tuple[str, str]]


def request_around(
    host: str, port: int, keep_alive: bool, method: str, fields: Fields = (), body: bytes = b"", tls: bool = False
) -> tuple[bytes, bytes]:
    """The bytes of a request before its target and after it. A field Host in `fields` replaces the usual one."""
    name = f"[{host}]" if ":" in host else host
    own = "" if port == DEFAULT_PORTS[tls] else f":{port}"
    lines = [f"{field}: {value}" for field, value in fields]
    if not any(field.lower() == "host" for field, _ in fields):
        lines.insert(0, f"Host: {name}{own}")
    if not keep_alive:
        lines.append("Connection: close")
    if body or method in _WITH_BODY:
        lines.append(f"Content-Length: {len(body)}")
    head = "".join(f"{line}\r\n" for line in lines)
    return f"{method} ".encode("ascii"), f" HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


def head_fields(lines: bytes) -> Fields:
    """The fields of lines `NAME: VALUE`, each with a line end."""
    parts = (line.partition(": ") for line in lines.decode("latin-1").split("\n")[:-1])
    return tuple((name, value) for name, _, value in parts)


def request_bytes(
    host: str,
    port: int,
    keep_alive: bool,
    method: str = "GET",
    path: str = "/",
    fields: Fields = (),
    body: bytes = b"",
    tls: bool = False,
) -> bytes:
    """The whole request. Its bytes follow from the arguments, so that the body of an echo is known beforehand."""
    before, after = request_around(host, port, keep_alive, method, fields, body, tls)
    return before + path.encode("ascii") + after


def echo_body(request: bytes) -> bytes:
    """The body with which a server of servers/ echoes a request: it as HTML text, a character for each byte."""
    return html.escape(request.decode("latin-1")).encode("latin-1")


class Wanted(NamedTuple):
    """A good response: its status and, where given, its whole body, a part of its body, and fields of its head."""

    status: int = 200
    body: bytes | None = None
    contains: bytes = b""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    """Names in small letters, and whole values; of a field that comes several times, one must be the value."""


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
    fields: Mapping[bytes, Sequence[bytes]] = {}
    """All values of each field, by its name in small letters."""

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

    def __init__(self, wanted: Wanted, bodiless: bool = False) -> None:
        """The response to HEAD is `bodiless`."""
        self._wanted = wanted
        self._bodiless = bodiless
        self._head: ResponseHead | None = None
        self._chunked: ChunkedBody | None = None
        self._interim = 0
        self._buffer = bytearray()  # the head
        self._size = 0
        self._wrong = False
        self._missing = bool(wanted.contains)
        self._tail = b""  # of the body: the part that is looked for may begin there
        self.beginning = b""
        """The first bytes of the body."""

    def feed(self, data: bytes) -> ResponseOutcome | None:
        """Take the next bytes of the connection. Returns None while more must come."""
        try:
            return self._feed(data)
        except MalformedResponse as error:
            return ResponseOutcome(error.kind, str(error), self._size, False)

    def end(self, clean: bool = True) -> ResponseOutcome:
        """The server closed the connection; not `clean` where TLS was cut off, so that more may have been meant."""
        if self._head is None:
            within = "within the head" if self._buffer else "before an answer"
            return ResponseOutcome("reset", f"closed {within}", 0, False)
        return self._judge(self._head, whole=clean and self._head.length is None and self._chunked is None)

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
            self._chunked = ChunkedBody() if head.chunked else None
        if self._chunked is not None:
            for part in self._chunked.feed(data):
                self._take(part)
            if not self._chunked.complete:
                return None
            return self._judge(head, whole=True, more=bool(self._chunked.rest))
        self._take(data)
        if head.length is None or self._size < head.length:
            return None
        return self._judge(head, whole=True, more=self._size > head.length)

    def _take(self, data: bytes) -> None:
        """Count and compare the next part of the body."""
        expected = self._wanted.body
        if expected is not None and not expected.startswith(data, self._size):
            self._wrong = True
        if self._missing:
            looked = self._tail + data
            self._missing = self._wanted.contains not in looked
            self._tail = looked[max(0, len(looked) + 1 - len(self._wanted.contains)) :]
        if self._size < BEGINNING:
            self.beginning += data[: BEGINNING - self._size]
        self._size += len(data)

    def _judge(self, head: ResponseHead, whole: bool, more: bool = False) -> ResponseOutcome:
        """The outcome of a response that is `whole` or was cut off, with `more` bytes after its end or without."""
        persistent = whole and head.persistent
        wanted = self._wanted
        if head.status != wanted.status:
            return ResponseOutcome("bad-status", f"status {head.status}", self._size, persistent)
        if not whole:
            return ResponseOutcome("short-body", "closed within the body", self._size, False)
        if more:
            return ResponseOutcome("wrong-body", "bytes after the answer's end", self._size, False)
        if self._wrong or (wanted.body is not None and self._size != len(wanted.body) and not self._bodiless):
            return ResponseOutcome("wrong-body", "the body is not what the plan says", self._size, persistent)
        if self._missing and not self._bodiless:
            return ResponseOutcome("wrong-body", "the body lacks what the plan says", self._size, persistent)
        for name, value in wanted.fields:
            if value not in head.fields.get(name, ()):
                text = f"the field {name.decode('latin-1')} is not what the plan says"
                return ResponseOutcome("wrong-header", text, self._size, persistent)
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
        return ResponseHead(status, 0, False, persistent, values)
    codings = b",".join(values.get(b"transfer-encoding", [])).lower()
    if codings:
        if codings != b"chunked":
            raise MalformedResponse("other", "a transfer coding other than chunked")
        return ResponseHead(status, None, True, persistent, values)
    lengths = {length.strip(b" \t") for line in values.get(b"content-length", []) for length in line.split(b",")}
    if not lengths:
        return ResponseHead(status, None, False, False, values)
    length = lengths.pop()
    if lengths or not length.isdigit():
        raise MalformedResponse("other", "Content-Length is not one number")
    return ResponseHead(status, int(length), False, persistent, values)


class ChunkedBody:
    """Decodes a chunked body piece by piece (RFC 9112, 7.1). Holds no more than a size line or a trailer cut off."""

    def __init__(self) -> None:
        self.complete = False
        """Whether the last chunk and its trailers have come."""
        self.rest = b""
        """What came after the end."""
        self._held = b""
        self._left = 0  # bytes of the chunk that are still to come
        self._ends = False  # a chunk's line end is still to come
        self._last = False  # only trailers are still to come
        self._trailers = 0  # bytes

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; returns the parts of the body among them. Raises MalformedResponse."""
        parts: list[bytes] = []
        data, at = self._held + data if self._held else data, 0
        while not self.complete:
            if self._left:
                part = data[at : at + self._left]
                if part:
                    parts.append(part)
                at, self._left = at + len(part), self._left - len(part)
                if self._left:
                    break
                self._ends = True
            if self._ends:
                end = data[at : at + 2]
                if not _END.startswith(end):
                    raise _damaged()
                if len(end) < 2:
                    break
                at, self._ends = at + 2, False
            end_at = data.find(_END, at)
            if max(end_at, len(data) if end_at < 0 else 0) - at > MAX_SIZE_LINE:
                raise _damaged()
            if end_at < 0:
                break
            self._take_line(data, at, end_at)
            at = end_at + 2
        self._held = b"" if self.complete else data[at:]
        self.rest = data[at:] if self.complete else b""
        return parts

    def _take_line(self, data: bytes, start: int, end: int) -> None:
        """A trailer, the empty line after all of them, or the size of a chunk."""
        if self._last:
            self._trailers += end - start
            if self._trailers > MAX_HEAD:
                raise _damaged()
            self.complete = start == end
            return
        size = _CHUNK_SIZE.fullmatch(data, start, end)
        if size is None:
            raise _damaged()
        self._left = int(size[1], 16)
        self._last = not self._left


def _damaged() -> MalformedResponse:
    return MalformedResponse("other", "the chunked coding is damaged")
