"""The readiness probe against tests/cases/odd.py, a server that answers in one odd way: it judges as the load does."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from cluster.hosts.host import PROJECT
from cluster.remote import probe
from cluster.remote.probe import Wanted

GOOD = Wanted(body=b"hello\n")


@contextlib.contextmanager
def odd(mode: str) -> Iterator[tuple[str, int]]:
    """The server's address."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        address = chosen.getsockname()
    argv = [sys.executable, str(PROJECT / "tests" / "cases" / "odd.py"), mode, "127.0.0.1", str(address[1])]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 10
            while probe._refusal(address):
                assert time.monotonic() < until
                time.sleep(0.02)
            yield address
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("plain", None),
        ("early103", None),
        ("cont100", None),
        ("dupcl", None),
        ("listcl", None),
        ("chunked", None),
        ("nolength", None),
        ("cookies", None),
        ("hugehead", "the head is longer than 65536 bytes"),
        ("error500", "status 500 instead of 200"),
        ("redirect", "status 302 instead of 200"),
        ("short", "closed within the body"),
        ("zero", "the body is b'' instead of b'hello"),
        ("early", None),
    ],
)
def test_the_probe_says_what_the_load_would_find(mode: str, said: str | None) -> None:
    with odd(mode) as address:
        wrong = probe.problem(address, 5.0, GOOD, "GET", "/", keep_alive=False)
    assert wrong is None if said is None else said in (wrong or "")


def test_a_server_that_says_nothing_is_no_answer() -> None:
    with odd("hang") as address:
        assert (probe.problem(address, 0.3, GOOD, "GET", "/", keep_alive=False) or "").startswith("no answer: ")


@pytest.mark.parametrize(("size", "said"), [(6, None), (7, "6 bytes of body instead of 7")])
def test_the_length_of_the_body_is_looked_at(size: int, said: str | None) -> None:
    with odd("plain") as address:
        assert probe.problem(address, 5.0, Wanted(size=size), "GET", "/", keep_alive=False) == said
