"""What Locust's statistics are told of the lean client's requests, and which addresses the clients use."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.programs.test_lean import LAST, PROJECT, Talk, good, serving


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    def script(talk: Talk) -> None:
        talk.request()
        talk.send(good(LAST))

    with serving(script) as server:
        command = [sys.executable, "-m", "tests.programs.worker_parts_run", str(server.port)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_locusts_statistics_are_the_same_as_request_by_request(said: dict[str, Any]) -> None:
    """Each report to the master, field by field; a sum of floating-point numbers is rounded by their order."""
    usual, batched = said["one by one"], said["many at once"]
    for wanted, got in zip(usual, batched, strict=True):
        assert got["errors"] == wanted["errors"]
        assert len(got["entries"]) == len(wanted["entries"])
        for one, other in zip((*wanted["entries"], wanted["total"]), (*got["entries"], got["total"]), strict=True):
            assert other.pop("total_response_time") == pytest.approx(one.pop("total_response_time"), rel=1e-12)
            assert other == one
    first, last = usual[0]["total"], usual[-1]["total"]
    assert first["num_requests"] == sum(first["response_times"].values()) == 3000
    assert first["num_failures"] > 100
    assert len(first["num_reqs_per_sec"]) >= 3
    assert (last["num_requests"], usual[-1]["entries"]) == (0, [])


def test_all_clients_take_the_addresses_that_were_printed(said: dict[str, Any]) -> None:
    assert said["statuses"] == [200, 200, 200, 200, None]
