"""The lean user against servers that misbehave on purpose. What it reports is held against what the server saw."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis.read.histograms import decode
from cluster.hosts.inventory import url_host

PROJECT = Path(__file__).resolve().parents[2]
BODY = "hello, world"
PATIENCE_S = 15.0
HEAD = b"HTTP/1.1 200 OK\r\nDate: today\r\nContent-Length: 12\r\n"
LAST = b"Connection: close\r\n"  # the server will close


def good(*fields: bytes) -> bytes:
    return HEAD + b"".join(fields) + b"\r\n" + BODY.encode()


class Talk:
    """One connection, on the server's side."""

    def __init__(self, server: ScriptedServer, connection: socket.socket) -> None:
        self.server = server
        self.connection = connection
        self._unread = b""

    def request(self) -> int:
        """Read a request: its number, counted from 0 over all connections; -1 where the client has closed."""
        while b"\r\n\r\n" not in self._unread:
            came = self.connection.recv(65536)
            if not came:
                return -1
            self._unread += came
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        with self.server.lock:
            self.server.requests.append(head + b"\r\n\r\n")
            return len(self.server.requests) - 1

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def bytewise(self, data: bytes) -> None:
        for at in range(len(data)):
            self.connection.sendall(data[at : at + 1])

    def reset(self) -> None:
        """Close so that the client gets RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def hang(self) -> None:
        """Until the client closes."""
        self.connection.recv(1)


Script = Callable[[Talk], None]


class ScriptedServer:
    """Runs the script for each connection, in a thread; counts what came."""

    def __init__(self, script: Script, address: str, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self.accepted = 0
        self.requests: list[bytes] = []
        self._script = script
        self._listener = socket.create_server(
            (address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=64
        )
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(PATIENCE_S)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.accepted += 1
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self._tls is None:
                self._script(Talk(self, connection))
                return
            with self._tls.wrap_socket(connection, server_side=True) as wrapped:
                self._script(Talk(self, wrapped))

    def close(self) -> None:
        self.closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def serving(script: Script, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    server = ScriptedServer(script, address, tls)
    try:
        yield server
    finally:
        server.close()


def run(port: int, address: str = "127.0.0.1", **asked: Any) -> dict[str, Any]:
    """One user, five requests with a connection each and no think time, where nothing else is asked."""
    usual = {
        "users": 1,
        "requests": 5,
        "keep_alive": False,
        "think": 0.0,
        "timeout": 5.0,
        "body": BODY,
        "status": 200,
        "method": "GET",
        "send_bytes": 0,
        "tls": False,
        "ca": "",
        "verify": True,
        "stop_timeout": 5.0,
        "stop_in_flight": False,
        "no_descriptors": False,
        "blocked_s": 0.0,
        "stamps": True,
        "patience": PATIENCE_S,
    }
    assert not asked.keys() - usual.keys()
    scheme = "https" if asked.get("tls") else "http"
    order = json.dumps({**usual, **asked, "host": f"{scheme}://{url_host(address)}:{port}"})
    command = [sys.executable, "-m", "tests.programs.lean_run", order]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    record, ended = result["record"], result["ended"]
    failures = [request for request in ended if request["failure"]]
    # However a request ends, the ledger and Locust's statistics both have it, and nothing stays in flight.
    assert record["attempts"] == len(ended)
    assert record["failures"] == kinds(failures)
    assert result["locust"] == [len(ended), len(failures)]
    assert record["in_flight_end"] == 0
    return result


def kinds(failures: list[dict[str, Any]]) -> dict[str, int]:
    names = [failure["failure"].partition(":")[0] for failure in failures]
    return {name: names.count(name) for name in set(names)}


def answering(talk: Talk) -> None:
    while talk.request() >= 0:
        talk.send(good())


def test_a_connection_for_each_request() -> None:
    def script(talk: Talk) -> None:
        talk.request()
        talk.send(good(LAST))

    with serving(script) as server:
        result = run(server.port, requests=7)
    assert result["record"]["successes"] == server.accepted == len(server.requests) == 7
    assert result["record"]["bytes"] == 7 * len(BODY)
    host = f"127.0.0.1:{server.port}".encode()
    assert set(server.requests) == {b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"}
    assert all(request["size"] == len(BODY) for request in result["ended"])
    assert result["names"] == ["GET /"]


def test_ipv6_is_a_bracketed_address_in_url_and_host_field() -> None:
    with serving(answering, "::1") as server:
        result = run(server.port, "::1")
    assert result["record"]["successes"] == len(server.requests) == 5
    assert all(f"Host: [::1]:{server.port}\r\n".encode() in request for request in server.requests)


def test_one_connection_for_each_user() -> None:
    with serving(answering) as server:
        result = run(server.port, users=3, requests=30, keep_alive=True)
    assert result["record"]["successes"] == len(server.requests)
    assert result["record"]["successes"] >= 30
    assert server.accepted == 3


@pytest.mark.parametrize(
    ("blocked_s", "stamps", "late"),
    [(0.020, True, False), (0.020, False, True), (0.0, False, False)],
    ids=["kernel's stamps", "20 ms late", "control"],
)
def test_an_event_loop_that_is_late_lengthens_the_times_only_without_the_kernels_stamps_and_is_named(
    blocked_s: float, stamps: bool, late: bool
) -> None:
    def measured() -> tuple[float, float]:
        """The median response time, and the 99th percentile of the event loop's lag, in ms."""
        with serving(answering) as server:
            record = run(
                server.port, users=3, requests=150, think=0.01, keep_alive=True, blocked_s=blocked_s, stamps=stamps
            )["record"]
        median_ms = decode(record["response_us"]).quantile_ms(0.5)
        loop_lag_ms = decode(record["loop_lag_us"]).quantile_ms(0.99)
        assert median_ms is not None
        assert loop_lag_ms is not None
        return median_ms, loop_lag_ms

    def is_right(median_ms: float, loop_lag_ms: float) -> bool:
        return (median_ms > 10 if late else median_ms < 5) and (loop_lag_ms > 15 if blocked_s else loop_lag_ms < 10)

    # Other programs only ever delay, so one quiet run of five is enough; a blocked loop is late in each of them.
    assert any(is_right(*measured()) for _ in range(5))


@pytest.mark.parametrize("keep_alive", [False, True])
def test_without_think_time_response_times_and_turnarounds_are_the_whole_time(keep_alive: bool) -> None:
    """One user, N = X (R + G): from the first answer to the last there is nothing else."""

    def script(talk: Talk) -> None:
        while talk.request() >= 0:
            talk.send(good() if keep_alive else good(LAST))
            if not keep_alive:
                return

    with serving(script) as server:
        result = run(server.port, requests=3000, keep_alive=keep_alive)
    record = result["record"]
    responses_s = sum(request["ms"] for request in result["ended"][1:]) / 1000
    assert (record["turnarounds"], record["think_count"], record["think_passed_s"]) == (2999, 0, 0)
    assert record["turnaround_s"] > 0
    # The listener that takes the first and the last time may itself be interrupted: by some ms on a busy machine.
    assert responses_s + record["turnaround_s"] == pytest.approx(result["seconds"], rel=0.02, abs=0.01)


def test_a_connection_closed_while_idle_is_opened_anew() -> None:
    """Nothing was sent on it yet, so that nothing is repeated."""

    def script(talk: Talk) -> None:
        talk.request()
        talk.send(good())

    with serving(script) as server:
        result = run(server.port, keep_alive=True, think=0.1)
    assert result["record"]["successes"] == server.accepted == len(server.requests) == 5
    assert result["record"]["think_count"] == 4


def test_a_close_that_never_comes_is_the_clients() -> None:
    """The server says that it will close and doesn't: nobody waits for it, and after a while the client closes."""
    requests_by_then: list[int] = []

    def script(talk: Talk) -> None:
        talk.request()
        talk.send(good(LAST))
        talk.hang()
        requests_by_then.append(len(talk.server.requests))

    with serving(script) as server:
        result = run(server.port, think=0.4)
    assert result["record"]["successes"] == server.accepted == 5
    assert max(request["ms"] for request in result["ended"]) < 400
    assert min(requests_by_then) in (3, 4)  # after one second, while the user goes on


FAULTS: list[tuple[str, str, bytes | Script]] = [
    ("", "good", good(LAST)),
    ("", "byte by byte", lambda talk: talk.bytewise(good(LAST))),
    ("", "chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nhello, world\r\n0\r\n\r\n"),
    ("", "until close", b"HTTP/1.0 200 OK\r\n\r\nhello, world"),
    ("short-body: closed within the body", "one byte too few", good(LAST)[:-1]),
    ("wrong-body: the body is not what the plan says", "one byte differs", good(LAST)[:-1] + b"!"),
    ("wrong-body: bytes after the answer's end", "one byte too many", good(LAST) + b"!"),
    ("bad-status: status 503", "busy", good(LAST).replace(b"200 OK", b"503 Busy")),
    ("bad-status: not an HTTP/1 answer", "no HTTP", b"220 ready\r\n\r\n"),
    ("reset: closed before an answer", "closed", b""),
    ("reset: closed within the head", "cut", HEAD),
    ("reset: Connection reset by peer", "reset", lambda talk: talk.reset()),
    ("other: the head is longer than 65536 bytes", "endless head", HEAD + b"Pad: " + b"x" * 70_000),
    ("", "good again", good(LAST)),
]


@pytest.fixture(scope="module")
def faults() -> dict[str, str]:
    """What one user says of one fault after the other, by the fault's name."""

    def script(talk: Talk) -> None:
        act = FAULTS[talk.request()][2]
        if callable(act):
            act(talk)
        else:
            talk.send(act)

    with serving(script) as server:
        result = run(server.port, requests=len(FAULTS))
    assert server.accepted == len(server.requests) == len(FAULTS)
    return {fault[1]: request["failure"] for fault, request in zip(FAULTS, result["ended"], strict=True)}


@pytest.mark.parametrize(("said", "fault"), [fault[:2] for fault in FAULTS])
def test_faults(faults: dict[str, str], said: str, fault: str) -> None:
    assert faults[fault] == said


@pytest.mark.parametrize("keep_alive", [False, True])
def test_a_dropped_connection_is_a_failure_and_nothing_is_sent_again(keep_alive: bool) -> None:
    def script(talk: Talk) -> None:
        while (number := talk.request()) >= 0 and number % 6 != 5:
            talk.send(good() if keep_alive else good(LAST))
            if not keep_alive:
                return

    with serving(script) as server:
        result = run(server.port, requests=24, keep_alive=keep_alive)
    assert result["record"]["attempts"] == len(server.requests) == 24
    assert result["record"]["failures"] == {"reset": 4}
    assert server.accepted == (4 if keep_alive else 24)


def test_nobody_listens() -> None:
    with serving(answering) as server:
        port = server.port
    result = run(port, users=2, requests=20)
    assert result["record"]["failures"] == {"refused": result["record"]["attempts"]}


def test_no_answer() -> None:
    """Hung at once, or dribbling for ever: the deadline is the whole request's."""

    def script(talk: Talk) -> None:
        if talk.request() % 2:
            talk.hang()
        else:
            endless = HEAD.replace(b"12", b"1000000")
            with contextlib.suppress(OSError):
                talk.send(endless + b"\r\n")
                while not talk.server.closed.wait(0.05):
                    talk.send(b"x")

    with serving(script) as server:
        result = run(server.port, requests=4, timeout=0.4)
    assert result["record"]["failures"] == {"timed-out": 4}
    assert all(400 <= request["ms"] < 800 for request in result["ended"])  # 50 ms of sweep, and a busy machine


@pytest.mark.parametrize("keep_alive", [False, True])
def test_answers_that_differ_or_never_come_among_those_that_are_known(keep_alive: bool) -> None:
    """A known answer is read by the hub, any other by the user's greenlet; the counts are those of all of them."""

    def script(talk: Talk) -> None:
        while (number := talk.request()) >= 0:
            fields = () if keep_alive else (LAST,)
            if number == 20:
                talk.hang()
            elif number % 3 == 1:
                talk.bytewise(good(*fields))
            elif number % 3 == 2:
                talk.send(good(b"Other: field\r\n", *fields))
            else:
                talk.send(good(*fields))
            if not keep_alive:
                return

    with serving(script) as server:
        result = run(server.port, requests=25, keep_alive=keep_alive, timeout=0.4)
    record = result["record"]
    assert (record["successes"], record["failures"]) == (24, {"timed-out": 1})
    assert record["turnarounds"] == 24
    assert len(server.requests) == 25
    assert server.accepted == (2 if keep_alive else 25)
    assert [each["ms"] >= 400 for each in result["ended"]].index(True) == 20


def test_no_connection() -> None:
    """A listener whose queue is full drops what knocks: connecting is inside the deadline."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        address = full.getsockname()
        while True:
            knock = stack.enter_context(socket.socket())
            knock.settimeout(0.2)
            try:
                knock.connect(address)
            except TimeoutError:
                break
        result = run(address[1], requests=2, timeout=0.3)
    assert result["record"]["failures"] == {"timed-out": 2}


def test_killed_in_flight() -> None:
    def script(talk: Talk) -> None:
        talk.request()
        talk.hang()

    with serving(script) as server:
        result = run(server.port, users=4, stop_in_flight=True, stop_timeout=0)
    assert result["record"]["failures"] == {"aborted": 4}


def test_stopped_users_end_their_request() -> None:
    """Each answer waits until Locust has told the users to stop; then the driver connects, and sends nothing."""

    def script(talk: Talk) -> None:
        if talk.request() < 0:
            talk.server.closed.set()
            return
        talk.server.closed.wait(PATIENCE_S)
        talk.send(good(LAST))

    with serving(script) as server:
        result = run(server.port, users=4, requests=100, stop_in_flight=True)
    assert result["record"]["failures"] == {}
    assert result["record"]["successes"] == len(server.requests) == 4


def test_the_generators_own_limit_is_named() -> None:
    with serving(answering) as server:
        result = run(server.port, requests=3, no_descriptors=True)
    assert {request["failure"] for request in result["ended"]} == {
        "other: the load generator's own limit: Too many open files"
    }
