"""The master's side of a run: go through the plan's steps, send the phases to the workers, write the ledger.

Locust calls `tick` once and lets it block, so a step is written as a straight line: ramp until the workers report that
every user runs, settle, measure, next. A slow ramp makes a step later; no step is skipped. Each
phase begins on a worker when the master's message reaches it, and its length is by that worker's own clock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, TextIO

import gevent
from locust import LoadTestShape
from locust.env import Environment

from cluster.engine.clocks import now
from cluster.engine.live import RunningFigures
from cluster.engine.phase_tally import Phase
from cluster.engine.recovery import Recovery
from cluster.engine.trials import TRIALS, TrialRun
from study.errors import FormatError
from study.formats.csv_rows import RowWriter
from study.formats.json_files import write_json
from study.formats.ledger_jsonl import (
    EndRecord,
    LedgerHeader,
    LedgerLine,
    LostRecord,
    PhaseRecord,
    RecoveryRecord,
    SearchRecord,
    TrialRecord,
    ledger_line,
)
from study.formats.live_json import FreshServers, LiveFigures, SecondRow, second_row
from study.layout import RunFiles
from study.plan import AUTO_MEASURE_S, AUTO_MOST_S, AUTO_SETTLE_S, EXTENSIONS, RECOVERY_S, Plan, Step
from study.reading import parse_as, read_as
from study.trial import LEAST_ANSWERS

READY, ENTER, FINISH, RECORD, SECOND = "study_ready", "study_enter", "study_finish", "study_record", "study_second"
"""This project's messages on Locust's connection between master and workers."""

RAMP_GRACE_S = 120.0  # for all users to run; after that the step is measured with those that do, and an error is logged
RECORD_WAIT_S = 10.0
WORKERS_WAIT_S = 60.0  # for all workers to be ready
FRESH_SERVER_S = 60.0  # for a fresh server that fab starts

log = logging.getLogger(__name__)


class LedgerWriter:
    """Writes ledger.jsonl, one line a record, in the order in which they come."""

    def __init__(self, stream: TextIO, workers: tuple[str, ...]) -> None:
        """`workers` are the names of all workers that the run begins with."""
        self._stream = stream
        self.workers = workers
        self._received: set[tuple[int, str, str]] = set()
        self._write(LedgerHeader(workers=workers))

    def add(self, message: dict[str, Any]) -> PhaseRecord:
        """Write a worker's record of a finished phase, also a late one. Raises FormatError for anything else."""
        record = parse_as(PhaseRecord, message, "a worker's message")
        self._received.add((record.step, record.phase, record.worker))
        self._write(record)
        return record

    def missing(self, phase: Phase) -> list[str]:
        """Workers whose record of the phase has not come."""
        return [name for name in self.workers if (phase.step, phase.phase, name) not in self._received]

    def wait(self, phase: Phase) -> None:
        """Wait for every worker's record; after RECORD_WAIT_S write the missing ones as lost."""
        until = now() + RECORD_WAIT_S
        while self.missing(phase) and now() < until:
            gevent.sleep(0.05)
        for worker in self.missing(phase):
            log.error("no record of %s, step %d, from worker %s: lost", phase.phase, phase.step, worker)
            self._write(LostRecord(step=phase.step, phase=phase.phase, worker=worker))

    def note(self, record: TrialRecord | RecoveryRecord | SearchRecord) -> None:
        """Write a record of the search, which the master itself makes."""
        self._write(record)

    def end(self) -> None:
        """Write that all steps were run."""
        self._write(EndRecord())
        os.fsync(self._stream.fileno())

    def _write(self, record: LedgerLine) -> None:
        self._stream.write(ledger_line(record))
        self._stream.flush()


class Ladder(LoadTestShape):
    """Locust's shape, on the master. `prepare` must be called before the first tick."""

    def prepare(self, environment: Environment, plan: Plan, files: RunFiles, ledger: LedgerWriter) -> None:
        """Set what the shape needs, since Locust constructs it without arguments; start writing the running figures."""
        self._environment = environment
        self._plan = plan
        self._files = files
        self._ledger = ledger
        self._figures = RunningFigures(now)
        self._steps: Iterator[Step] = iter(plan.steps())
        self._trials = TrialRun(plan) if plan.capacity_search is not None else None
        self._step: Step | None = None
        self._phase: Phase | None = None
        self._ready: set[str] = set()
        self._waits = gevent.pool.Group()
        self._fresh_servers = 0
        seconds = files.seconds.open("w", encoding="utf-8", newline="")
        self._seconds = (seconds, RowWriter(seconds, SecondRow))
        gevent.spawn(self._show)

    def add_record(self, message: dict[str, Any]) -> None:
        """A worker's record of a phase that has ended. Raises FormatError for anything else."""
        record = self._ledger.add(message)
        self._figures.record(record)
        if self._trials is not None:
            self._trials.add(record)

    def add_second(self, message: dict[str, Any]) -> None:
        """What a worker counted in its last second. Raises FormatError for anything else."""
        self._figures.second(message)

    def tick(self) -> None:
        """Run the plan's steps and the search's trials, all of them; None ends the load.

        Locust would call this about once a second for the next number of users. It takes them from whoever calls its
        runner's `start` as well, and a step then begins as soon as the one before it has ended.
        """
        if not self._await_workers():
            return
        while (step := self._next_step()) is not None:
            self._step = step
            self._ramp("ramp", step, self._plan.spawn_rate)
            self._measure(step)
            if step.kind in TRIALS and self._has_failed(step):
                self._recover()
        self._finish()

    def add_worker(self, name: str) -> None:
        """A worker says that it is ready for the first phase."""
        self._ready.add(name)

    def _await_workers(self) -> bool:
        """Whether every worker is ready; after WORKERS_WAIT_S the run is given up, which Locust's exit status says."""
        until = now() + WORKERS_WAIT_S
        while not self._ready.issuperset(self._ledger.workers) and now() < until:
            gevent.sleep(0.02)
        if missing := set(self._ledger.workers) - self._ready:
            log.error("no sign of %s in %.0f s", ", ".join(sorted(missing)), WORKERS_WAIT_S)
            self._environment.process_exit_code = 1
        return not missing

    def _ramp(self, phase: str, step: Step, rate: float) -> None:
        """Enter a phase with the step's users, and start or end users until they run; `rate` is per second."""
        assert self._environment.runner is not None
        self._enter(phase, step)
        self._environment.runner.start(step.users, rate)
        self._await_users(step)

    def _next_step(self) -> Step | None:
        """The next of the plan's steps, then of the search's trials; None after the last."""
        step = next(self._steps, None)
        if step is not None or self._trials is None:
            return step
        answer = self._trials.next_step()
        if isinstance(answer, Step):
            return answer
        self._ledger.note(answer)
        return None

    def _measure(self, step: Step) -> None:
        settle, measure = self._plan.phases(step)
        longer = 2.0 if step.kind == "confirm" else 1.0
        self._enter("settle")
        self._pass(settle, AUTO_SETTLE_S, cycles=4.0)
        self._enter("measure")
        self._pass(measure, AUTO_MEASURE_S * longer, cycles=10.0 * longer)

    def _has_failed(self, trial: Step) -> bool:
        """Judge the trial whose window is over; whether it failed and another one follows.

        Its window is lengthened first where too few answers came for the SLO's 99th percentile.
        """
        assert self._trials is not None
        assert self._phase is not None
        began = now()
        lasted = began - self._entered_at
        while self._figures.requests_here < LEAST_ANSWERS and now() - began < (EXTENSIONS - 1) * lasted:
            gevent.sleep(0.2)
        self._enter("judge")
        self._closing.join()
        self._ledger.note(self._trials.judge(trial, self._ledger.workers))
        return self._trials.to_recover

    def _recover(self) -> None:
        """Wait, with few users, until the server answers as when idle; where it doesn't, have a fresh one started."""
        assert self._step is not None
        assert self._trials is not None
        step, few = self._step, self._trials.few_users
        began = now()
        self._ramp("recover", replace(step, users=few), max(self._plan.spawn_rate, step.users))
        unloaded, figures = self._trials.unloaded_s, self._figures
        ended = Recovery(lambda: figures.response_s, unloaded, self._replace_server, now, gevent.sleep).wait()
        if not ended.idle:
            log.warning("step %d: not back at an idle server's response time in %.0f s", step.number, RECOVERY_S)
        self._ledger.note(
            RecoveryRecord(
                step=step.number, users=few, seconds=now() - began, response_s=ended.response_s, recovered=ended.idle,
                fresh_server=ended.fresh,
            )
        )  # fmt: skip

    def _replace_server(self) -> bool:
        """Ask fab, by live.json, for a fresh server; whether it says within FRESH_SERVER_S that there is one."""
        self._fresh_servers += 1
        until = now() + FRESH_SERVER_S
        while now() < until:
            with contextlib.suppress(FormatError):
                answer = read_as(FreshServers, self._files.fresh_servers)
                if answer.answered >= self._fresh_servers:
                    return answer.started
            gevent.sleep(0.1)
        log.error("no answer about a fresh server in %.0f s", FRESH_SERVER_S)
        return False

    def _await_users(self, step: Step) -> None:
        until = now() + RAMP_GRACE_S
        while self._running() != step.users and now() < until:
            gevent.sleep(0.1)
        if self._running() != step.users:
            log.error("step %d wants %d users, the workers report %d", step.number, step.users, self._running())

    def _running(self) -> int:
        """Users that the workers report."""
        runner = self._environment.runner
        return runner.user_count if runner is not None else 0

    def _pass(self, planned: float | str, least: float, cycles: float) -> None:
        """Let a phase pass: as planned, or for "auto" long enough for `cycles` requests of every user.

        For "auto", `least` seconds pass first: by then the workers' last seconds give this phase's rate.
        """
        if not isinstance(planned, str):
            gevent.sleep(planned)
            return
        gevent.sleep(least)
        assert self._step is not None
        rate = self._figures.rate
        seconds = cycles * self._step.users / rate if rate else AUTO_MOST_S
        gevent.sleep(max(0.0, min(seconds, AUTO_MOST_S) - least))

    def _enter(self, name: str, step: Step | None = None) -> None:
        step = step or self._step
        assert step is not None
        self._close()
        self._entered_at = now()
        self._phase = Phase(step.number, step.kind, name, step.users)
        self._figures.entered(self._phase.step, self._phase.phase)
        self._send(ENTER, vars(self._phase))

    def _close(self) -> None:
        """The open phase ends with the next message; a greenlet of its own waits for its records."""
        if self._phase is not None:
            self._closing = self._waits.spawn(self._ledger.wait, self._phase)

    def _finish(self) -> None:
        """Have every user end its request and stop, then wait for the last records."""
        last = self._phase
        assert last is not None
        self._close()
        self._phase = Phase(last.step, last.kind, "drain", 0)
        self._figures.entered(self._phase.step, self._phase.phase)
        self._send(FINISH, vars(self._phase))
        drained = gevent.spawn(self._drained, self._phase)
        drained.join()
        self._waits.join()
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
        """Write live.json and a row of seconds.csv once a second, from the workers' own seconds."""
        while True:
            figures = LiveFigures(
                time=time.time(),
                **(vars(self._phase) if self._phase else {}),
                running=self._running(),
                rps=self._figures.rate,
                requests=self._figures.requests,
                failures=self._figures.failures,
                trials=self._trials.tried if self._trials is not None else (),
                fresh_servers=self._fresh_servers,
                p50_ms=self._figures.response_ms(0.5),
                p99_ms=self._figures.response_ms(0.99),
                lag_p99_ms=self._figures.lag_ms(0.99),
                worker_cpu=self._figures.worker_cpu,
            )
            write_json(self._files.live, asdict(figures))
            stream, rows = self._seconds
            rows.write(second_row(figures))
            stream.flush()
            gevent.sleep(1.0)
