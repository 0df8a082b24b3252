"""Users, waits and requests at random on a clock of its own, into the recorder of a locustfile of one's own.

`python -m tests.programs.own_recorder_run SEED`: in a process of its own, since importing Locust patches sockets.
Prints each phase's record as a line of JSON, and after it what this program counted itself.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any
from unittest import mock

from locust.exception import CatchResponseError

from cluster.engine import recorder as engine
from cluster.engine.own.own_recorder import OwnRecorder
from cluster.engine.phase_tally import Phase

TIMEOUT_S = 2.0
USERS, PHASES, EVENTS = 5, ("ramp", "settle", "measure", "drain"), 400


def main() -> int:
    """Print the records and the counts."""
    drawn = random.Random(int(sys.argv[1]))
    clock = SimpleNamespace(at=1000.0)
    users: Any = SimpleNamespace(user_count=USERS, target_user_count=USERS)

    def now() -> float:
        return float(clock.at)

    with mock.patch.object(engine, "now", now):
        recorder = OwnRecorder(users, "only")
        state: dict[int, str] = {}
        flights: dict[int, object] = {}
        for user in range(USERS):
            recorder.user_began(user, clock.at)
            state[user] = "iterating"
        recorder.enter(Phase(1, "ladder", PHASES[0], USERS))
        for following in (*PHASES[1:], None):
            counted = {"sent": 0, "received": 0, "reported": 0, "rejected": 0, "timed-out": 0}
            counted["open_before"] = len(flights)
            for _ in range(EVENTS):
                clock.at += drawn.expovariate(100)
                step(recorder, drawn, clock.at, state, flights, counted)
            counted["open_after"] = len(flights)
            if following is not None:
                record = recorder.enter(Phase(1, "ladder", following, USERS))
            else:
                record = recorder.close(clock.at)
            assert record is not None
            print(json.dumps({"record": asdict(record), "counted": counted}))
    return 0


def step(
    recorder: OwnRecorder,
    drawn: random.Random,
    at: float,
    state: dict[int, str],
    flights: dict[int, object],
    counted: dict[str, int],
) -> None:
    """One user does what comes next: wait, wake, send, or get an answer."""
    user = drawn.randrange(USERS)
    if user in flights:
        recorder.receives(flights.pop(user), at)
        counted["received"] += 1
        if drawn.random() < 0.9:  # the others leave their `with` block by an exception
            error = drawn.choice((CatchResponseError("not wanted"), TimeoutError("timed out"), *[None] * 10))
            counted["reported"] += 1
            if error is not None:
                counted["timed-out" if isinstance(error, TimeoutError) else "rejected"] += 1
            waited, status = (TIMEOUT_S, 0) if isinstance(error, TimeoutError) else (0.01, 200)
            recorder.reported("GET", f"/{user}", waited, 10, error, SimpleNamespace(status_code=status), False)
    elif state[user] == "waiting":
        recorder.woke(user, drawn.choice((0.0, 0.1)), at)
        state[user] = "iterating"
    elif drawn.random() < 0.5:
        recorder.waits(user, at)
        state[user] = "waiting"
    else:
        flights[user] = object()
        recorder.sends(flights[user], at)
        recorder.exchanges()
        counted["sent"] += 1


if __name__ == "__main__":
    sys.exit(main())
