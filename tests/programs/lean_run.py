"""Lean users under a real Locust, in a process of their own: `python -m tests.programs.lean_run JSON`, a JSON line out.

Importing Locust patches sockets and threads, so that pytest's own process must not.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
from locust.env import Environment
from locust.exception import StopUser
from locust.stats import RequestStats
from locust.user.task import LOCUST_STATE_STOPPING

from cluster.engine.clocks import now
from cluster.engine.phase_tally import Phase
from cluster.engine.recorder import Recorder
from cluster.engine.sockets import lean
from cluster.engine.sockets.lean import LeanUser
from cluster.engine.sockets.lean_tls import TlsLeanUser
from cluster.engine.user_request import UserRequest
from cluster.engine.users import Recorded
from cluster.remote.http.http_message import Wanted


def main() -> None:
    asked = json.loads(sys.argv[1])
    user_class = TlsLeanUser if asked["host"].startswith("https:") else LeanUser
    environment = Environment(user_classes=[user_class], stop_timeout=asked["stop_timeout"])
    runner = environment.create_local_runner()
    ended: list[dict[str, Any]] = []
    ended_at: list[float] = []

    def note(elapsed: float, size: int, failure: str = "") -> bool:
        """Whether that was the last request."""
        ended_at.append(now())
        ended.append({"failure": failure, "size": size, "ms": elapsed * 1000})
        return len(ended) >= int(asked["requests"])

    class NotingRecorder(Recorder):
        """Successes are known to the recorder alone when they end; Locust's statistics count them later."""

        def success(self, user: Any, at: float, size: int) -> float:
            elapsed = super().success(user, at, size)
            if note(elapsed, size):
                user._state = LOCUST_STATE_STOPPING
            return elapsed

    recorder = NotingRecorder(runner, "load1-1")
    Recorded.recorder = recorder
    Recorded.think = (asked["think"], asked["think"])
    Recorded.keep_alive = asked["keep_alive"]
    Recorded.timeout = asked["timeout"]
    body = asked["body"]
    Recorded.wanted = Wanted(asked["status"], None if body is None else body.encode())
    ca = Path(asked["ca"]) if asked["ca"] else None
    Recorded.request = UserRequest(
        method=asked["method"],
        body=b"x" * asked["send_bytes"],
        tls=user_class is TlsLeanUser,
        ca=ca,
        verify=asked["verify"],
    )
    user_class.prepare(asked["host"], environment.stats)

    def failed(response_time: float, response_length: int, exception: Exception, **_: Any) -> None:
        if note(response_time / 1000, response_length, str(exception)):
            raise StopUser

    environment.events.request.add_listener(failed)  # type: ignore[no-untyped-call]
    recorder.enter(Phase(1, "ladder", "measure", asked["users"]))
    gevent.spawn(recorder.watch, gevent.sleep)
    if asked["blocked_s"]:
        gevent.spawn(block, asked["blocked_s"])
    if not asked["stamps"]:
        vars(lean)["ANCILLARY"] = 0
    if asked["no_descriptors"]:
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    runner.start(asked["users"], spawn_rate=1000)
    with gevent.Timeout(asked["patience"]):
        assert runner.spawning_greenlet is not None
        runner.spawning_greenlet.join()
        if asked["stop_in_flight"]:
            while len(recorder.begun_before(now())) < asked["users"]:
                gevent.sleep(0.01)
            stopping = gevent.spawn(runner.stop)
            while any(user.args[0]._state != LOCUST_STATE_STOPPING for user in runner.user_greenlets):
                gevent.sleep(0.01)
            # The test's server answers after this connection: all users have been told to stop by then.
            gevent.socket.create_connection(LeanUser._address).close()
            stopping.join()
        while runner.user_count:
            gevent.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    user_class.tell_locust()
    stats: RequestStats = environment.stats
    record = recorder.close(now())
    print(
        json.dumps(
            {
                "record": record and asdict(record),
                "ended": ended,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "seconds": ended_at[-1] - ended_at[0] if ended_at else 0.0,
                "locust": [stats.total.num_requests, stats.total.num_failures],
                "names": [f"{method} {name}" for name, method in stats.entries],
            }
        )
    )


def block(seconds: float) -> None:
    """Keep the event loop from running for so long between any two of its rounds."""
    while True:
        until = now() + seconds
        while now() < until:
            pass
        gevent.sleep(1e-6)  # by a timer: one round of the loop


if __name__ == "__main__":
    main()
