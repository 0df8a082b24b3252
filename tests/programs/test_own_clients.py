"""With a locustfile of one's own no request reaches another server than the measured one, and no proxy."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.running import PROJECT, environment

GOOD = {"followed": "200", "followed to the whole address": "200", "whole address": "200", "not followed": "302"}
REFUSED = {
    "redirected away": "a redirect to http://127.0.0.1:",
    "other server": "a request to HTTP://127.0.0.1:",
    "other name": "a request to http://localhost:",
    "userinfo": "a request to http://127.0.0.1:",
    "base URL set later": "a request to http://127.0.0.1:",
    "proxy": "a proxy: its figures would be taken for those of the server",
}


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What became of each request."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.programs.own_clients_run"],
        cwd=PROJECT, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("client", ["usual", "fast"])
def test_requests_to_the_measured_server_are_sent(found: dict[str, Any], client: str) -> None:
    assert {what: found["said"][f"{client}, {what}"] for what in GOOD} == GOOD
    assert found["said"]["usual, below"] == "200"


@pytest.mark.parametrize("client", ["usual", "fast"])
@pytest.mark.parametrize("what", REFUSED)
def test_another_server_and_a_proxy_are_refused(found: dict[str, Any], client: str, what: str) -> None:
    assert found["said"][f"{client}, {what}"].startswith(f"refused: {REFUSED[what]}")


def test_nobody_else_was_asked(found: dict[str, Any]) -> None:
    assert found["others"] == 0
    assert found["said"]["usual, other client"].startswith("refused: a client for")


def test_what_was_sent_is_counted_and_what_was_refused_before_is_not(found: dict[str, Any]) -> None:
    own = found["record"]["own"]
    assert own["sent"] == own["received"] == 2 * (len(GOOD) + 1) + 1
    assert own["exchanges"] == own["sent"] + 2 * 2  # two of each client's redirects were followed
    assert found["record"]["failures"] == {"other": 2}  # the others led away, after an exchange
