"""What each model answers, as a client sees it, however the bytes arrive."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

from tests.models.serving import (
    REQUEST,
    ServerProcess,
    balanced,
    body_of,
    echo,
    header_of,
    receive_all,
    reset,
    status_of,
    wait_for,
)

GOLDEN = re.compile(
    rb"HTTP/1\.1 200 OK\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n"
    rb"Content-Type: text/html; charset=iso-8859-1\r\nContent-Length: (\d+)\r\nConnection: close\r\n\r\n(.*)",
    re.DOTALL,
)
MALFORMED = {
    "no request": b"hello\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "one bare LF": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "Content-Length twice": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "Content-Length as a list": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
    "Content-Length negative": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "Content-Length huge": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "both framings": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    "coding in 1.0": b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}
REFUSED = {
    "body beyond the limit": (413, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n"),
    "transfer coding": (501, b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "method": (405, b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"),
}


def test_golden_answer(served: ServerProcess) -> None:
    request = b'GET /?a=<b>&c="d" HTTP/1.1\r\nHost: te\'st\r\nX: \xe9\xff\r\n\r\n'
    for _ in range(2):
        match = GOLDEN.fullmatch(served.ask(request))
        assert match
        assert match[2] == echo(request)
        assert int(match[1]) == len(match[2])
    counts = served.stop()
    assert counts == {
        "accepted": 2,
        "answered": 2,
        "refused": 0,
        "timed_out": 0,
        "dropped": 0,
        "aborted": 0,
        "statuses": {"200": 2},
        "peak_connections": counts["peak_connections"],
    }


def test_split_byte_by_byte(shared: ServerProcess) -> None:
    with shared.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in REQUEST:
            client.send(bytes([byte]))
        assert body_of(receive_all(client)) == echo(REQUEST)


def test_malformed(served: ServerProcess) -> None:
    for name, request in MALFORMED.items():
        assert status_of(served.ask(request)) == 400, name
    for name, (status, request) in REFUSED.items():
        assert status_of(served.ask(request)) == status, name
    assert status_of(served.ask()) == 200
    counts = served.stop()
    assert counts["answered"] == len(MALFORMED) + len(REFUSED) + 1
    assert counts["statuses"]["400"] == len(MALFORMED)


def test_oversized_head_gets_431(shared: ServerProcess) -> None:
    for size in (8193, 65536):
        head = b"GET / HTTP/1.1\r\nHost: test\r\nX: "
        request = head + b"x" * (size - len(head) - 4) + b"\r\n\r\n"
        assert status_of(shared.ask(request)) == 431
    largest = head + b"x" * (8192 - len(head) - 4) + b"\r\n\r\n"
    assert body_of(shared.ask(largest)) == echo(largest)


def test_post_with_body_gets_405(shared: ServerProcess) -> None:
    body = b"x" * 300_000
    answer = shared.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    assert status_of(answer) == 405
    assert header_of(answer, b"Allow") == b"GET, HEAD"


def test_get_with_body_is_answered_and_closed(shared: ServerProcess) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    assert body_of(shared.ask(head + b"x" * 100_000)) == echo(head)


def test_head_has_no_body(shared: ServerProcess) -> None:
    request = REQUEST.replace(b"GET", b"HEAD")
    answer = shared.ask(request)
    assert status_of(answer) == 200
    assert body_of(answer) == b""
    assert header_of(answer, b"Content-Length") == str(len(echo(request))).encode()


def test_half_close_still_gets_its_answer(shared: ServerProcess) -> None:
    with shared.connect() as client:
        client.sendall(REQUEST)
        client.shutdown(socket.SHUT_WR)
        assert body_of(receive_all(client)) == echo(REQUEST)


def test_reset_at_every_stage(served: ServerProcess) -> None:
    for sent in (b"", REQUEST[:10], REQUEST):
        client = served.connect()
        client.sendall(sent)
        reset(client)
    assert status_of(served.ask()) == 200
    counts = served.stop()
    assert balanced(counts)
    assert counts["accepted"] == 4 or counts["dropped"] + counts["answered"] == counts["accepted"]


def test_clients_that_close_early_are_counted(served: ServerProcess) -> None:
    for sent in (b"", REQUEST[:10]):
        with served.connect() as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            assert receive_all(client) == b""
    counts = served.stop()
    assert counts["dropped"] == 2
    assert balanced(counts)


def test_body_size_option(model: str, start: Callable[..., ServerProcess]) -> None:
    server = start(model, "--bytes", "5000000")
    for _ in range(2):
        assert len(body_of(server.ask())) == 5_000_000
    assert server.stop()["answered"] == 2


def test_client_that_never_reads_is_dropped(model: str, start: Callable[..., ServerProcess]) -> None:
    server = start(model, "--bytes", "50000000", "--timeout", "0.3")
    with server.connect() as client:
        client.sendall(REQUEST)
        assert status_of(client.recv(20)) == 200
        other = server.connect()  # every model answers it once the first client is dropped
        other.sendall(REQUEST)
        assert status_of(other.recv(20)) == 200
        other.close()
    counts = server.stop()
    assert counts["timed_out"] + counts["dropped"] == 2
    assert balanced(counts)


def test_connection_semantics(model: str, start: Callable[..., ServerProcess]) -> None:
    server = start(model, "--connection", "keep-alive", "--timeout", "0.5")
    cases = ((b"1.1", b"", True), (b"1.1", b"Close", False), (b"1.0", b"", False), (b"1.0", b"x, Keep-Alive", True))
    for version, field, stays_open in cases:
        request = b"GET / HTTP/%b\r\nHost: a\r\nConnection: %b\r\n\r\n" % (version, field)
        with server.connect() as client:
            client.sendall(request)
            answer = client.recv(4096)
            assert header_of(answer, b"Connection") == (b"keep-alive" if stays_open else b"close"), request
            if stays_open:
                client.sendall(request)
                assert body_of(client.recv(4096)) == echo(request)
            assert receive_all(client) == b"", request  # closed at once, or as idle after the timeout
    counts = server.stop()
    assert (counts["accepted"], counts["answered"]) == (4, 6)
    assert counts["timed_out"] == counts["dropped"] == counts["aborted"] == 0


def test_keep_alive_is_off_by_default(shared: ServerProcess) -> None:
    answer = shared.ask(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"))
    assert header_of(answer, b"Connection") == b"close"


def test_pipelined_requests_in_order(model: str, start: Callable[..., ServerProcess]) -> None:
    server = start(model, "--connection", "keep-alive")
    requests = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(50)]
    requests.append(b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    stream = b"".join(requests)
    with server.connect() as client:
        client.sendall(stream[:100])
        client.sendall(stream[100:])
        answers = receive_all(client)
    assert re.findall(rb"GET (\S+)", answers) == [request.split()[1] for request in requests]
    counts = server.stop()
    assert (counts["accepted"], counts["answered"], counts["peak_connections"]) == (1, 51, 1)


def test_pipelined_after_close_is_not_answered(shared: ServerProcess) -> None:
    assert shared.ask(REQUEST * 3).count(b"HTTP/1.1 200 OK") == 1


def test_refusal_ends_a_kept_connection(model: str, start: Callable[..., ServerProcess]) -> None:
    server = start(model, "--connection", "keep-alive")
    answers = server.ask(REQUEST + b"nonsense\r\n\r\n" + REQUEST)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"400"]


def test_log_of_requests(model: str, start: Callable[..., ServerProcess]) -> None:
    server = start(model, "--log-requests")
    server.ask()
    server.ask()
    server.signal()
    assert server.end()[2].count("GET / HTTP/1.1") == 2


def test_cpu_is_burned(model: str, start: Callable[..., ServerProcess]) -> None:
    server = start(model, "--cpu-ms", "50")
    before = server.cpu_seconds()
    for _ in range(4):
        server.ask()
    # /proc counts in ticks of 10 ms, rounded down for each process.
    wait_for(lambda: server.cpu_seconds() - before >= 0.15, 5)
