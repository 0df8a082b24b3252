"""Answers from bytes alone: framing, kinds of failure, and the same verdict however the bytes are cut."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.remote.http.http_message import (
    MAX_HEAD,
    MAX_INTERIM,
    ChunkedBody,
    MalformedResponse,
    ResponseHead,
    ResponseOutcome,
    ResponseParser,
    Wanted,
    parse_head,
    request_bytes,
)

BODY = b"hello, world"
GOOD = b"HTTP/1.1 200 OK\r\nDate: today\r\ncOnTeNt-LeNgTh: 12\r\n\r\n" + BODY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n7\r\n, world\r\n0\r\nEnd: x\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n" + BODY
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OTHER_BODY = GOOD[:-1] + b"!"


def judge(
    data: bytes, cuts: list[int] | None = None, expected: bytes | None = BODY, wanted: Wanted | None = None
) -> ResponseOutcome:
    """Feed the data cut at these places, then close."""
    parser = ResponseParser(wanted or Wanted(body=expected))
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
    (CHUNKED[:-2], "short-body", 12, False),
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
    assert parse_head(b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:\t5 \r\ncontent-length: 5")[:4] == (200, 5, False, True)
    with pytest.raises(MalformedResponse):
        parse_head(b"HTTP/2 200")


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.integers(1, 50))
def test_chunks_come_back(chunks: list[bytes], piece: int) -> None:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nEnd: x\r\n\r\n"
    body, parts = ChunkedBody(), []
    for at in range(0, len(coded), piece):
        assert not body.complete
        parts += body.feed(coded[at : at + piece])
    assert body.complete
    assert b"".join(parts) == b"".join(chunks)


def test_a_chunked_body_of_50_mb_is_not_held() -> None:
    piece = b"x" * 65_536
    parser = ResponseParser(Wanted())
    parser.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (800 * len(piece)))
    tracemalloc.start()
    for _ in range(800):
        assert parser.feed(piece) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert parser.feed(b"\r\n0\r\n\r\n") == ResponseOutcome(None, "", 800 * len(piece), True)


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        (Wanted(contains=b"lo, w"), None),
        (Wanted(contains=b"lo; w"), "wrong-body"),
        (Wanted(contains=BODY + b"!"), "wrong-body"),
        (Wanted(fields=((b"date", b"today"),)), None),
        (Wanted(fields=((b"date", b"tomorrow"),)), "wrong-header"),
        (Wanted(fields=((b"etag", b"1"),)), "wrong-header"),
        (Wanted(204), "bad-status"),
    ],
)
@pytest.mark.parametrize("data", [GOOD, CHUNKED.replace(b"Transfer", b"Date: today\r\nTransfer")])
def test_what_a_plan_may_want(data: bytes, wanted: Wanted, kind: str | None) -> None:
    assert judge(data, wanted=wanted).kind == judge(data, list(range(len(data))), wanted=wanted).kind == kind


def test_a_body_without_length_that_tls_cut_off_is_short() -> None:
    parser = ResponseParser(Wanted())
    parser.feed(UNTIL_CLOSE)
    assert parser.end(clean=False).kind == "short-body"


def test_bytes_after_a_chunked_body_are_a_wrong_body() -> None:
    assert judge(CHUNKED + b"x").kind == "wrong-body"


def test_a_request_has_the_fields_and_the_body_of_the_plan() -> None:
    said = request_bytes("::1", 80, False, "PUT", "/a?b=1", (("X-A", "b"), ("Accept", "*/*")), b"body")
    assert said == (
        b"PUT /a?b=1 HTTP/1.1\r\nHost: [::1]\r\nX-A: b\r\nAccept: */*\r\nConnection: close\r\n"
        b"Content-Length: 4\r\n\r\nbody"
    )
    assert request_bytes("a", 443, True, "DELETE", tls=True) == b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert request_bytes("a", 80, True, fields=(("host", "b"),), tls=True) == b"GET / HTTP/1.1\r\nhost: b\r\n\r\n"
    assert b"\r\nContent-Length: 0\r\n" in request_bytes("a", 1, True, "POST")
