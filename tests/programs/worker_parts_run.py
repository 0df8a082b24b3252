"""Parts of a worker that need Locust: `python -m tests.programs.worker_parts_run PORT`, a JSON line out.

Importing Locust patches sockets and threads, so that pytest's own process must not.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any
from unittest import mock

import gevent.socket
from locust import FastHttpUser, HttpUser
from locust.env import Environment
from locust.stats import RequestStats

from cluster.engine.sockets.locust_counts import LocustCounts
from cluster.engine.user_request import resolve_to

REPORTS, REQUESTS = 4, 3000
TIES_MS = (0.5, 1.5, 99.5, 104.999999, 105.0, 115.0, 145.0, 1250.0, 1350.0, 10500.0, 0.0)
AHEAD_S = 1.7e9
NAME, METHOD = "/items", "POST"


def main() -> None:
    one_by_one, many_at_once = (RequestStats(use_response_times_cache=False) for _ in range(2))
    counts = LocustCounts(many_at_once, METHOD, NAME)
    with mock.patch("locust.stats.time.time") as clock:
        clock.return_value = AHEAD_S
        for stats in (one_by_one, many_at_once):
            stats.clear_all()
        reports = [report(one_by_one, many_at_once, counts, clock, number) for number in range(REPORTS)]
    usual, batched = zip(*reports, strict=True)
    print(json.dumps({"one by one": usual, "many at once": batched, **reached()}))


def report(
    one_by_one: RequestStats, many_at_once: RequestStats, counts: LocustCounts, clock: Any, number: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both kinds of statistics report after the same requests; the last report has none."""
    drawing = random.Random(number)
    at = 10.0 * number
    for _ in range(REQUESTS if number < REPORTS - 1 else 0):
        at += drawing.expovariate(1000)
        ms = drawing.choice(TIES_MS) if drawing.random() < 0.2 else 10 ** drawing.uniform(-1, 4.5)
        elapsed, size = ms / 1000, drawing.randrange(5000)
        clock.return_value = at + AHEAD_S
        one_by_one.log_request(METHOD, NAME, elapsed * 1000, size)  # type: ignore[arg-type]
        if drawing.random() < 0.05:  # failures are told one by one in either way
            one_by_one.log_error(METHOD, NAME, "late")
            many_at_once.log_request(METHOD, NAME, elapsed * 1000, size)  # type: ignore[arg-type]
            many_at_once.log_error(METHOD, NAME, "late")
        else:
            counts.add(elapsed, at, size)
        if drawing.random() < 0.01:
            counts.flush(AHEAD_S)
    counts.flush(AHEAD_S)
    return told(one_by_one), told(many_at_once)


def told(stats: RequestStats) -> dict[str, Any]:
    """What a worker sends to the master."""
    entries = stats.serialize_stats()
    return {"entries": entries, "total": stats.total.get_stripped_report(), "errors": stats.serialize_errors()}


def reached() -> dict[str, Any]:
    """Which statuses the clients get from a name that only `resolve_to` knows, and from one that it doesn't change."""
    environment = Environment()
    statuses = []
    resolve_to("Server.invalid", ["::1", "127.0.0.1"])
    for name in ("server.invalid", "localhost"):
        for kind in (HttpUser, FastHttpUser):
            user: Any = type("User", (kind,), {"host": f"http://{name}:{sys.argv[1]}"})(environment)
            statuses.append(user.client.get("/").status_code)
    try:
        gevent.socket.getaddrinfo("another.invalid", 80)
    except OSError:
        statuses.append(None)
    return {"statuses": statuses}


if __name__ == "__main__":
    main()
