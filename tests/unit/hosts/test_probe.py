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
from cluster.remote.http.http_message import Wanted
from cluster.remote.probe import Asked

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
        wrong = probe.problem(address, 5.0, GOOD, Asked())
    assert wrong is None if said is None else said in (wrong or "")


def test_a_server_that_says_nothing_is_no_answer() -> None:
    with odd("hang") as address:
        assert (probe.problem(address, 0.3, GOOD, Asked()) or "").startswith("no answer: ")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (Wanted(body=b"hello\n"), None),
        (Wanted(body=b"hello\n" * 20), "the body is b'hello\\n' instead of b'hello"),
        (Wanted(contains=b"ell"), None),
        (Wanted(contains=b"elk"), "the body lacks what the plan says"),
        (Wanted(fields=((b"content-length", b"6"),)), None),
        (Wanted(fields=((b"x", b"6"),)), "the field x is not what the plan says"),
    ],
)
def test_all_that_a_plan_expects_is_looked_at(wanted: Wanted, said: str | None) -> None:
    with odd("plain") as address:
        wrong = probe.problem(address, 5.0, wanted, Asked())
    assert wrong is None if said is None else said in (wrong or "")
