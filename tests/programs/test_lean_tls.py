"""The lean user over TLS, against a server with a certificate of the test's own authority."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.programs.test_lean import BODY, LAST, Talk, answering, good, run, serving


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def closing(talk: Talk) -> None:
    talk.request()
    talk.send(good(LAST))


def test_a_connection_for_each_request_is_a_handshake_for_each(authority: Authority) -> None:
    with serving(closing, tls=authority.certificate("sound").context) as server:
        result = run(server.port, requests=7, tls=True, ca=str(authority.ca))
    record = result["record"]
    assert record["successes"] == record["connects"] == server.accepted == 7
    assert record["bytes"] == 7 * len(BODY)
    assert 0 < record["connect_s"] < sum(request["ms"] for request in result["ended"]) / 1000


def test_one_handshake_for_each_user_with_keep_alive(authority: Authority) -> None:
    with serving(answering, tls=authority.certificate("kept").context) as server:
        result = run(server.port, users=3, requests=30, keep_alive=True, tls=True, ca=str(authority.ca))
    record = result["record"]
    assert record["successes"] == len(server.requests) >= 30
    assert server.accepted == record["connects"] == 3


@pytest.mark.parametrize("keep_alive", [False, True])
def test_answers_in_pieces_and_cut_off(authority: Authority, keep_alive: bool) -> None:
    def script(talk: Talk) -> None:
        number = talk.request()
        if number == 0:
            talk.bytewise(good(LAST))
        elif number == 1:
            talk.send(good(LAST)[:-1])
        elif number == 2:
            talk.send(b"HTTP/1.1 200 OK\r\n\r\nhello, world")  # ends with the connection
            talk.connection.unwrap()  # type: ignore[attr-defined]
        elif number == 3:
            talk.send(b"HTTP/1.1 200 OK\r\n\r\nhello, world")  # which is cut off here: more may have been meant
        elif number == 4:
            talk.send(good(LAST))

    with serving(script, tls=authority.certificate("pieces").context) as server:
        result = run(server.port, keep_alive=keep_alive, tls=True, ca=str(authority.ca))
    ended, record = result["ended"], result["record"]
    assert record["connects"] == record["successes"] == 3  # the failures had connections too, and no response time
    assert 0 < record["connect_s"] < sum(each["ms"] for each in ended if not each["failure"]) / 1000
    short = "short-body: closed within the body"
    assert [each["failure"] for each in ended] == ["", short, "", short, ""]


@pytest.mark.slow
def test_a_large_request_over_tls(authority: Authority) -> None:
    size = 3_000_000

    def script(talk: Talk) -> None:
        left = size
        unread = b""
        while b"\r\n\r\n" not in unread:
            unread += talk.connection.recv(65536)
        left -= len(unread.partition(b"\r\n\r\n")[2])
        while left:
            left -= len(talk.connection.recv(min(65536, left)))
        talk.send(good(LAST))

    with serving(script, tls=authority.certificate("large").context) as server:
        result = run(server.port, requests=3, method="POST", send_bytes=size, tls=True, ca=str(authority.ca))
    assert result["record"]["successes"] == 3


def refused(authority: Authority, name: str, ca: Path | None, address: str = "127.0.0.1", days: float = 2) -> set[str]:
    """What the user says of a certificate."""
    with serving(closing, tls=authority.certificate(name, address, days).context) as server:
        result = run(server.port, requests=3, tls=True, ca=str(ca or ""))
    assert not server.requests
    return {each["failure"] for each in result["ended"]}


def test_a_certificate_is_checked(authority: Authority) -> None:
    said = "other: TLS: its certificate is refused: "
    assert refused(authority, "expired", authority.ca, days=-1) == {said + "certificate has expired"}
    assert refused(authority, "unknown", None) == {said + "unable to get local issuer certificate"}
    (other,) = refused(authority, "other", authority.ca, address="192.0.2.1")
    assert "127.0.0.1" in other


@pytest.mark.slow
def test_unless_the_plan_says_otherwise(authority: Authority) -> None:
    with serving(closing, tls=authority.certificate("unchecked", days=-1).context) as server:
        assert run(server.port, requests=3, tls=True, verify=False)["record"]["successes"] == 3


@pytest.mark.slow
def test_a_server_without_tls_and_one_that_ends_the_handshake(authority: Authority) -> None:
    with serving(lambda talk: talk.connection.close()) as server:
        ended = run(server.port, requests=3, tls=True, ca=str(authority.ca))
    assert ended["record"]["failures"] == {"reset": 3}
    with serving(lambda talk: talk.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        result = run(server.port, requests=3, tls=True, ca=str(authority.ca))
    assert {each["failure"] for each in result["ended"]} == {"other: TLS: wrong version number"}
