"""The answers that real servers give, to the lean user: each in one piece, byte by byte, and cut off."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from tests.programs.test_lean import BODY, Talk, run, serving

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n7;name=value\r\nhello, \r\n5\r\nworld\r\n0\r\n"
LENGTH = b"Content-Length: 12\r\n\r\nhello, world"
SHORT = "short-body: closed within the body"
HEAD_CUT = "reset: closed within the head"
ZIPPED = gzip.compress(b"hello, " * 50)

# status wanted, name, answer, what a cut before its last byte is
ANSWERS: list[tuple[int, str, bytes, str]] = [
    (200, "chunked", OK + CHUNKS + b"\r\n", SHORT),
    (200, "trailers", OK + CHUNKS + b"Digest: a\r\nExpires: b\r\n\r\n", SHORT),
    # Where the end is the server's close, nothing but the body can tell that a byte is missing.
    (200, "until close", OK + b"\r\nhello, world", "wrong-body: the body is not what the plan says"),
    (200, "HTTP/1.0", b"HTTP/1.0 200 OK\r\n" + LENGTH, SHORT),
    (200, "small letters", OK + LENGTH.lower(), SHORT),
    (200, "small letters, chunked", OK + CHUNKS.lower() + b"\r\n", SHORT),
    (200, "100 first", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + LENGTH, SHORT),
    (200, "103 first", b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + OK + LENGTH, SHORT),
    (204, "204", b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", HEAD_CUT),
    (304, "304", b"HTTP/1.1 304 Not Modified\r\nETag: a\r\nContent-Length: 99\r\n\r\n", HEAD_CUT),
]
FORMS = ("whole", "byte by byte", "cut off")


@pytest.fixture(scope="module", params=[200, 204, 304])
def said(request: pytest.FixtureRequest) -> dict[tuple[str, str], str]:
    """What one user says of each answer with that status, in each form."""
    sent = [(name, form, data) for status, name, data, _ in ANSWERS if status == request.param for form in FORMS]

    def script(talk: Talk) -> None:
        _, form, data = sent[talk.request()]
        if form == "byte by byte":
            talk.bytewise(data)
        else:
            talk.send(data if form == "whole" else data[:-1])

    body = BODY if request.param == 200 else ""
    with serving(script) as server:
        result = run(server.port, requests=len(sent), body=body, status=request.param)
    assert server.accepted == len(sent)
    return {key[:2]: ended["failure"] for key, ended in zip(sent, result["ended"], strict=True)}


def test_each_answer_has_its_verdict_in_each_form(said: dict[tuple[str, str], str]) -> None:
    cut = {name: failure for _, name, _, failure in ANSWERS}
    expected = {(name, form): cut[name] if form == "cut off" else "" for name, form in said}
    assert said == expected


def test_gzip_is_left_as_it_came() -> None:
    """The bytes on the wire are counted, and an answer that is cut off within them is short."""
    whole = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED

    def script(talk: Talk) -> None:
        number = talk.request()
        if number == 1:
            talk.bytewise(whole)
        else:
            talk.send(whole if number == 0 else whole[:-1])

    with serving(script) as server:
        ended = run(server.port, requests=3, body=None)["ended"]
    assert [each["failure"] for each in ended] == ["", "", SHORT]
    assert [each["size"] for each in ended] == [len(ZIPPED), len(ZIPPED), len(ZIPPED) - 1]


def large(coding: str, talk: Talk) -> None:
    """50 MB, and the last answer cut off by a byte."""
    piece, pieces = b"x" * 1_000_000, 50
    whole = talk.request() < 2
    head = {
        "length": b"Content-Length: %d\r\n\r\n" % (len(piece) * pieces),
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n",
        "close": b"\r\n",
    }[coding]
    talk.send(OK + head)
    for number in range(pieces):
        part = piece if whole or number < pieces - 1 else piece[:-1]
        talk.send(b"%x\r\n%b" % (len(piece), part) if coding == "chunked" else part)
        if coding == "chunked" and part is piece:
            talk.send(b"\r\n")
    if coding == "chunked" and whole:
        talk.send(b"0\r\n\r\n")


@pytest.mark.slow
@pytest.mark.parametrize(("coding", "cut"), [("length", SHORT), ("chunked", SHORT), ("close", "")])
def test_a_body_of_50_mb_is_read_and_not_held(coding: str, cut: str) -> None:
    small = peak(OK + LENGTH)
    with serving(lambda talk: large(coding, talk)) as server:
        result = run(server.port, requests=3, body=None, timeout=15)
    assert [each["failure"] for each in result["ended"]] == ["", "", cut]
    assert result["ended"][0]["size"] == 50_000_000
    assert result["peak_mb"] < small + 20


def peak(answer: bytes) -> float:
    """Of the worker that gets only this answer."""

    def script(talk: Talk) -> None:
        talk.request()
        talk.send(answer)

    with serving(script) as server:
        measured: dict[str, Any] = run(server.port, requests=3, body=None)
    return float(measured["peak_mb"])


@pytest.mark.slow
@pytest.mark.parametrize("keep_alive", [False, True])
def test_a_large_request_is_sent_whole(keep_alive: bool) -> None:
    """Larger than the socket's buffer: it goes out in parts, as the server takes them."""
    size = 8_000_000
    got: list[int] = []

    def script(talk: Talk) -> None:
        while True:
            unread = b""
            while b"\r\n\r\n" not in unread:
                if not (piece := talk.connection.recv(65536)):
                    return
                unread += piece
            left = size - len(unread.partition(b"\r\n\r\n")[2])
            while left:
                left -= len(talk.connection.recv(min(65536, left)))
            got.append(size)
            talk.send(OK + LENGTH)
            if not keep_alive:
                return

    with serving(script) as server:
        result = run(server.port, requests=3, method="POST", send_bytes=size, keep_alive=keep_alive)
    assert result["record"]["successes"] == len(got) == 3
    assert server.accepted == (1 if keep_alive else 3)


def test_an_answer_before_the_whole_request_is_read() -> None:
    """As of a server that refuses a body that is too long, and reads no more of it."""

    def script(talk: Talk) -> None:
        talk.connection.recv(1000)
        talk.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        talk.hang()
        talk.server.closed.wait(0.2)

    with serving(script) as server:
        result = run(server.port, requests=3, method="POST", send_bytes=30_000_000, timeout=4)
    assert result["record"]["failures"] == {"bad-status": 3}
