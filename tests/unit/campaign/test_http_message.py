"""Answers from bytes alone: framing, kinds of failure, and the same verdict however the bytes are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.remote.http_message import (
    MAX_HEAD,
    MAX_INTERIM,
    MalformedResponse,
    ResponseHead,
    ResponseOutcome,
    ResponseParser,
    parse_head,
    unchunk,
)

BODY = b"hello, world"
GOOD = b"HTTP/1.1 200 OK\r\nDate: today\r\ncOnTeNt-LeNgTh: 12\r\n\r\n" + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n7\r\n, world\r\n0\r\nEnd: x\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n" + BODY
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OTHER_BODY = GOOD[:-1] + b"!"


def judge(data: bytes, cuts: list[int] | None = None, expected: bytes | None = BODY) -> ResponseOutcome:
    """Feed the data cut at these places, then close."""
    parser = ResponseParser(expected)
    edges = [0, *sorted(cut for cut in cuts or [] if 0 < cut < len(data)), len(data)]
    for start, end in itertools.pairwise(edges):
        answer = parser.feed(data[start:end]) if end > start else None
        if answer is not None:
            return answer
    return parser.end()


CASES = [
    (GOOD, None, 12, True),
    (CHUNKED, None, 12, True),
    (UNTIL_CLOSE, None, 12, False),
    (GOOD.replace(b"Date", b"Connection: close\r\nDate"), None, 12, False),
    (GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"), None, 12, False),
    (GOOD.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Date", b"Connection: Keep-Alive\r\nDate"), None, 12, True),
    (OTHER_BODY, "wrong-body", 12, True),
    (GOOD.replace(b": 12", b": 11")[:-1], "wrong-body", 11, True),
    (GOOD + b"x", "wrong-body", 13, False),
    (GOOD[:-1], "short-body", 11, False),
    (GOOD[: -len(BODY)], "short-body", 0, False),
    (CHUNKED[:-2], "short-body", 0, False),
    (UNTIL_CLOSE[:-1], "wrong-body", 11, False),
    (GOOD.replace(b"200 OK", b"503 Busy"), "bad-status", 12, True),
    (GOOD.replace(b"200 OK", b"503 Busy")[:-1], "bad-status", 11, False),
    (b"HTTP/1.1 204 No Content\r\n\r\n", "bad-status", 0, True),
    (b"SMTP ready\r\n\r\n", "bad-status", 0, False),
    (b"", "reset", 0, False),
    (GOOD[:20], "reset", 0, False),
    (GOOD.replace(b": 12", b": twelve"), "other", 0, False),
    (GOOD.replace(b"Date: today", b"Content-Length: 11"), "other", 0, False),
    (GOOD.replace(b"Date: today", b"Content-Length: 12"), None, 12, True),
    (GOOD.replace(b": 12", b": 12, 12"), None, 12, True),
    (GOOD.replace(b": 12", b": 12 ,\t12,12"), None, 12, True),
    (GOOD.replace(b": 12", b": 12, 11"), "other", 0, False),
    (GOOD.replace(b": 12", b": 12,"), "other", 0, False),
    (EARLY_HINTS + GOOD, None, 12, True),
    (CONTINUE + EARLY_HINTS * 5 + CHUNKED, None, 12, True),
    (EARLY_HINTS * MAX_INTERIM + GOOD, None, 12, True),
    (EARLY_HINTS * (MAX_INTERIM + 1) + GOOD, "other", 0, False),
    (EARLY_HINTS, "reset", 0, False),
    (EARLY_HINTS + GOOD[:-1], "short-body", 11, False),
    (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "bad-status", 0, True),
    (CHUNKED.replace(b"Chunked", b"gzip, chunked"), "other", 0, False),
    (CHUNKED.replace(b"5;a=b", b"no size"), "other", 0, False),
    (b"HTTP/1.1 200 OK\r\nPad: " + b"x" * MAX_HEAD, "other", 0, False),
    (b"HTTP/1.1 200 OK\r\nPad: " + b"x" * MAX_HEAD + b"\r\n\r\n", "other", 0, False),
]


@pytest.mark.parametrize(("data", "kind", "size", "persistent"), CASES)
def test_answers(data: bytes, kind: str | None, size: int, persistent: bool) -> None:
    answer = judge(data)
    assert (answer.kind, answer.size, answer.persistent) == (kind, size, persistent)
    assert bool(answer.text) == (kind is not None)


@pytest.mark.parametrize("data", [GOOD, CHUNKED, UNTIL_CLOSE, OTHER_BODY, GOOD[:-1], EARLY_HINTS + CONTINUE + GOOD])
def test_byte_by_byte(data: bytes) -> None:
    assert judge(data, list(range(len(data)))) == judge(data)


@given(
    st.sampled_from([GOOD, CHUNKED, UNTIL_CLOSE, OTHER_BODY, CHUNKED[:-2], EARLY_HINTS + GOOD]),
    st.lists(st.integers(0, 120)),
)
def test_cuts_change_nothing(data: bytes, cuts: list[int]) -> None:
    assert judge(data, cuts) == judge(data)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_noise_is_a_failure_and_never_a_crash(data: bytes, cuts: list[int]) -> None:
    assert judge(data, cuts).kind is not None


def test_without_an_expected_body_any_is_good() -> None:
    assert judge(OTHER_BODY, expected=None).kind is None


def test_a_large_body_is_compared_as_it_comes() -> None:
    body = bytes(range(256)) * 4096
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    cuts = list(range(0, len(body), 65_536))
    assert judge(head + body, cuts, body) == ResponseOutcome(None, "", len(body), True)
    assert judge(head + body[:-1] + b"?", cuts, body).kind == "wrong-body"


def test_heads() -> None:
    assert parse_head(b"HTTP/1.1 200") == ResponseHead(200, None, False, False)
    assert parse_head(b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:\t5 \r\ncontent-length: 5") == ResponseHead(
        200, 5, False, True
    )
    with pytest.raises(MalformedResponse):
        parse_head(b"HTTP/2 200")


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6))
def test_chunks_come_back(chunks: list[bytes]) -> None:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert unchunk(coded) == b"".join(chunks)
