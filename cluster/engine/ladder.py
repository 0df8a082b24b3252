"""The master's side: walk the plan's steps, name the phases, keep the ledger.

Locust's `tick` may block, so a step is held where it is written, in a straight line: ramp until the workers say
that every user runs, settle, measure, next. A slow ramp makes a step late, never skipped. Each phase begins on a
worker when the master's message reaches it, and is as long as that worker's own clock says.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from typing import Any, TextIO

import gevent
from locust import LoadTestShape
from locust.env import Environment

from cluster.engine.recorder import Phase, now
from study.formats.json_files import FORMAT, made_by, write_json
from study.layout import RunFiles
from study.plan import AUTO_MEASURE_S, AUTO_MOST_S, AUTO_SETTLE_S, Plan, Step

ENTER, FINISH, RECORD = (
    "study_enter",
    "study_finish",
    "study_record",
)  # messages of ours on Locust's own connection

RAMP_GRACE_S = 120.0  # beyond users / spawn_rate; then the step is measured with the users that there are, and says so
RECORD_WAIT_S = 10.0
STATS_WAIT_S = 2.5  # Locust's last reports reach its CSV files: report and row interval of 1 s; closing them flushes

log = logging.getLogger(__name__)


class Ledger:
    """ledger.jsonl, one line a record, in the order in which they come. The format is in docs/results.md."""

    def __init__(self, stream: TextIO, workers: tuple[str, ...]) -> None:
        self._stream = stream
        self.workers = workers
        self._here: set[tuple[int, str, str]] = set()
        self._write({"record": "header", "format": FORMAT, "made_by": made_by(), "workers": list(workers)})

    def add(self, record: dict[str, Any]) -> None:
        """A worker's record of a finished phase, written as it came; late ones too."""
        self._here.add((record["step"], record["phase"], record["worker"]))
        self._write(record)

    def missing(self, phase: Phase) -> list[str]:
        """Workers whose record of the phase has not come."""
        return [name for name in self.workers if (phase.step, phase.phase, name) not in self._here]

    def wait(self, phase: Phase) -> None:
        """Until every worker's record is here; after RECORD_WAIT_S the missing ones are written as lost."""
        until = now() + RECORD_WAIT_S
        while self.missing(phase) and now() < until:
            gevent.sleep(0.05)
        for worker in self.missing(phase):
            log.error("no record of %s, step %d, from worker %s: lost", phase.phase, phase.step, worker)
            self._write({"record": "lost", "step": phase.step, "phase": phase.phase, "worker": worker})

    def end(self) -> None:
        """The run was walked to its end."""
        self._write({"record": "end"})
        os.fsync(self._stream.fileno())

    def _write(self, record: dict[str, Any]) -> None:
        self._stream.write(json.dumps(record, separators=(",", ":")) + "\n")
        self._stream.flush()


class Ladder(LoadTestShape):
    """Locust's shape, on the master. `prepare` hands it the plan and the ledger before the first tick."""

    def prepare(self, environment: Environment, plan: Plan, files: RunFiles, ledger: Ledger) -> None:
        self._environment = environment
        self._plan = plan
        self._files = files
        self._ledger = ledger
        self._steps: Iterator[Step] = iter(plan.steps())
        self._step: Step | None = None
        self._phase: Phase | None = None
        self._waits = gevent.pool.Group()
        gevent.spawn(self._show)

    def tick(self) -> tuple[int, float] | None:
        """Hold the step whose users Locust has just started, then name the next; None after the last."""
        if self._step is not None:
            self._await_users(self._step)
            self._enter("settle")
            gevent.sleep(self._seconds(self._plan.settle, AUTO_SETTLE_S, cycles=4.0))
            self._enter("measure")
            gevent.sleep(self._seconds(self._plan.measure, AUTO_MEASURE_S, cycles=10.0))
        self._step = next(self._steps, None)
        if self._step is None:
            self._finish()
            return None
        self._enter("ramp", self._step)
        return self._step.users, self._plan.spawn_rate

    def _await_users(self, step: Step) -> None:
        until = now() + RAMP_GRACE_S
        while self._running() != step.users and now() < until:
            gevent.sleep(0.1)
        if self._running() != step.users:
            log.error("step %d wants %d users, the workers report %d", step.number, step.users, self._running())

    def _running(self) -> int:
        runner = self._environment.runner
        return runner.user_count if runner is not None else 0

    def _seconds(self, planned: float | str, least: float, cycles: float) -> float:
        """A phase's length: as planned, or for "auto" long enough for so many requests of every user."""
        if not isinstance(planned, str):
            return planned
        rate = self._environment.stats.total.current_rps
        users = self._step.users if self._step else 0
        return min(max(least, cycles * users / rate if rate else AUTO_MOST_S), AUTO_MOST_S)

    def _enter(self, name: str, step: Step | None = None) -> None:
        step = step or self._step
        assert step is not None
        self._close()
        self._phase = Phase(step.number, step.kind, name, step.users)
        self._send(ENTER, vars(self._phase))

    def _close(self) -> None:
        """The open phase ends with the next message; its records are waited for beside the run, not in its way."""
        if self._phase is not None:
            self._waits.spawn(self._ledger.wait, self._phase)

    def _finish(self) -> None:
        """Let every user end its request and stop, then wait for the last records and for Locust's CSV files."""
        last = self._phase
        assert last is not None
        self._close()
        self._phase = Phase(last.step, last.kind, "drain", 0)
        self._send(FINISH, vars(self._phase))
        drained = gevent.spawn(self._drained, self._phase)
        drained.join()
        self._waits.join()
        gevent.sleep(STATS_WAIT_S)
        self._ledger.end()

    def _drained(self, phase: Phase) -> None:
        until = now() + self._plan.timeout + 1.0
        while self._ledger.missing(phase) and now() < until:
            gevent.sleep(0.05)
        self._ledger.wait(phase)

    def _send(self, message: str, data: dict[str, Any]) -> None:
        assert self._environment.runner is not None
        self._environment.runner.send_message(message, data)

    def _show(self) -> None:
        """Once a second, what the person at the keyboard sees; from Locust's own running figures."""
        while True:
            total = self._environment.stats.total
            phase = vars(self._phase) if self._phase else {}
            figures = {
                "rps": total.current_rps,
                "requests": total.num_requests,
                "failures": total.num_failures,
            }
            write_json(self._files.live, {"time": time.time(), **phase, "running": self._running(), **figures})
            gevent.sleep(1.0)
