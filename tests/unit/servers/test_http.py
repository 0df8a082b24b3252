"""The HTTP framing against h11: what h11 refuses, we refuse; what we accept, we parse to the same values."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from servers.core.http import MAX_HEAD, Refusal, Request, encode, encode_refusal, parse

NAME = st.text("abcXYZ019-_!~", min_size=1, max_size=8).map(str.encode)
VALUE = st.text("".join(map(chr, [9, *range(32, 127), *range(160, 256)])), max_size=12).map(
    lambda text: text.encode("latin-1")
)
FIELD = st.one_of(
    st.tuples(NAME, VALUE),
    st.tuples(st.just(b"Connection"), st.sampled_from([b"close", b"keep-alive", b"Close, x", b"upgrade"])),
    st.tuples(st.just(b"content-length"), st.sampled_from([b"0", b"5", b" 12 "])),
)
FLAW = st.sampled_from(
    [
        (b"\r\n", b"\n"),
        (b"\r\n", b"\r"),
        (b"\r\n", b"\r\n "),
        (b": ", b" : "),
        (b":", b""),
        (b"Host", b"Ghost"),
        (b"a\r", b"a\r\nHost: a\r"),
        (b"a\r", b"a\r\nTransfer-Encoding: chunked\r"),
        (b"a\r", b"a\r\nTransfer-Encoding: gzip\r"),
        (b"a\r", b"a\r\nContent-Length: 5\r\nContent-Length: 5\r"),
        (b"a\r", b"a\r\nContent-Length: 5, 5\r"),
        (b"a\r", b"a\r\nContent-Length: -1\r"),
        (b"a\r", b"a\r\nContent-Length: " + b"9" * 30 + b"\r"),
        (b" HTTP", b"  HTTP"),
        (b"HTTP/1.", b"HTTP/2."),
        (b"HTTP/1.", b"http/1."),
        (b" HTTP/1.1", b""),
        (b"/", b"/\x7f"),
        (b"/", b"/\xe9"),
        (b"a", b"a\x00"),
        (b"a", b"a\x01"),
    ]
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Request heads that are valid, or have one or two flaws."""
    method = draw(st.sampled_from([b"GET"] * 5 + [b"HEAD", b"HEAD", b"POST", b"BREW"]))
    target = draw(st.sampled_from([b"/", b"*", b"http://a/", b"/?a=%20&b"]))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]))
    lines = [b" ".join((method, target, version)), b"Host: a"]
    lines += [
        name + b": " + value for name, value in draw(st.lists(FIELD, max_size=4, unique_by=lambda f: f[0].lower()))
    ]
    head = b"".join(line + b"\r\n" for line in [*lines, b""])
    for right, wrong in draw(st.lists(FLAW, max_size=2) if draw(st.booleans()) else st.just([])):
        head = head.replace(right, wrong, 1)
    return head if head.endswith(b"\r\n\r\n") else head + b"\r\n"


def parse_ours(head: bytes) -> Request | Refusal | None:
    try:
        return parse(head)
    except Refusal as refusal:
        return refusal


def parse_h11(head: bytes) -> h11.Request | None:
    """h11's request, or None where it refuses or waits for more bytes."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    return event if isinstance(event, h11.Request) else None


@settings(max_examples=300)
@given(heads())
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nX: \t b \t\r\n\r\n")
def test_accepted_requests_parse_as_in_h11(head: bytes) -> None:
    parsed = parse_ours(head)
    if not isinstance(parsed, Request):
        return
    expected = parse_h11(head)
    assert expected is not None, "h11 refuses what we accept"
    assert (parsed.method, parsed.target) == (expected.method, expected.target)
    assert parsed.size == len(parsed.head) == len(head)
    fields = dict(expected.headers)
    assert parsed.has_body == (int(fields.get(b"content-length", b"0")) > 0)
    options = [word.strip().lower() for word in fields.get(b"connection", b"").split(b",")]
    if len([name for name, _ in expected.headers if name == b"connection"]) <= 1:
        assert parsed.persistent == (
            b"close" not in options and (expected.http_version == b"1.1" or b"keep-alive" in options)
        )


@settings(max_examples=300)
@given(heads())
def test_stricter_than_h11_only_where_documented(head: bytes) -> None:
    """We refuse more than h11 only where the docstring of servers.core.http gives a rule for it."""
    if parse_h11(head) is None:
        assert not isinstance(parse_ours(head), Request)
        return
    parsed = parse_ours(head)
    if isinstance(parsed, Request):
        return
    lowered = head.lower()
    assert isinstance(parsed, Refusal)
    assert (
        parsed.status in (405, 413, 501, 505)
        or b"\n" in head.replace(b"\r\n", b"")  # bare LF
        or b"\n " in head  # obs-fold
        or any((byte < 32 and byte not in b"\t\r\n") or byte == 127 for byte in head)
        or lowered.count(b"\ncontent-length") > 1
        or b"5, 5" in head
        or b"9" * 30 in head
        or b"transfer-encoding" in lowered
    ), (head, parsed.why)


@settings(max_examples=200)
@given(heads(), st.binary(max_size=20), st.data())
def test_a_cut_head_is_no_request_and_following_bytes_change_nothing(
    head: bytes, rest: bytes, data: st.DataObject
) -> None:
    """A part of a head is never a request, and the bytes that follow a request don't change it."""
    whole = parse_ours(head)
    if not isinstance(whole, Request):
        return
    cut = data.draw(st.integers(0, len(head) - 1))
    assert parse(head[:cut]) is None
    assert parse(head + rest) == whole


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_give_a_request_a_refusal_or_none(junk: bytes) -> None:
    assert isinstance(parse_ours(junk), (Request, Refusal, type(None)))


def test_bare_line_feed_is_refused_before_the_head_ends() -> None:
    for part in (b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\rX"):
        with pytest.raises(Refusal):
            parse(part)
    assert parse(b"GET / HTTP/1.1\r") is None


def test_limit_of_the_head_size() -> None:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    largest = start + b"x" * (MAX_HEAD - len(start) - 4) + b"\r\n\r\n"
    request = parse(largest)
    assert request
    assert request.size == MAX_HEAD
    assert parse(largest[:-1]) is None
    for longer in (start + b"x" + largest[len(start) :], b"x" * MAX_HEAD):
        with pytest.raises(Refusal) as caught:
            parse(longer)
        assert caught.value.status == 431


def test_one_empty_line_before_the_request_is_skipped() -> None:
    request = parse(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nnext")
    assert request
    assert request.head == b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    assert request.size == len(request.head) + 2


@pytest.mark.parametrize("status", [400, 405, 413, 431, 501, 505])
def test_h11_parses_refusals(status: int) -> None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(encode_refusal(Refusal(status, "why")))
    answer, body = connection.next_event(), connection.next_event()
    assert isinstance(answer, h11.Response)
    assert isinstance(body, h11.Data)
    assert answer.status_code == status
    assert b"why" in body.data
    assert (b"connection", b"close") in list(answer.headers)


def test_head_only_keeps_the_content_length() -> None:
    full, bare = encode(200, b"body", persistent=True), encode(200, b"body", persistent=True, head_only=True)
    assert full == bare + b"body"
    assert b"\r\nConnection: keep-alive\r\n\r\n" in bare
