"""The file for `locust -f`, on the master and on every worker: connects plan, users, ladder and recorder."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
import locust.runners
import locust.stats
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from cluster.engine import ladder
from cluster.engine.clocks import now
from cluster.engine.closing import LastRowsWriter, before_each_report, quit_once
from cluster.engine.ladder import Ladder, LedgerWriter
from cluster.engine.live import SecondCounts
from cluster.engine.phase_tally import Phase
from cluster.engine.recorder import Recorder
from cluster.engine.sockets.lean import LeanUser
from cluster.engine.sockets.lean_tls import TlsLeanUser
from cluster.engine.user_request import request_to, resolve_to, trust_by_default, wanted_of
from cluster.engine.users import FastQuickstartUser, QuickstartUser, Recorded
from cluster.remote.http.http_message import echo_body
from study.formats.ledger_jsonl import PhaseRecord
from study.layout import FILES, RunFiles
from study.plan import NO_THINK, Plan, load_plan

__all__ = [
    "FastQuickstartUser",
    "Ladder",
    "LeanUser",
    "QuickstartUser",
    "TlsLeanUser",
]  # the classes that Locust looks for

# Reports, rows and flushes once a second: a short phase has rows in Locust's history, and its last row is written.
locust.runners.WORKER_REPORT_INTERVAL = 1.0
locust.stats.CSV_STATS_FLUSH_INTERVAL_SEC = 1
locust.stats.StatsCSVFileWriter = LastRowsWriter  # type: ignore[misc]
# A saturated worker answers heartbeats late; it counts as lost when its record of a phase doesn't come.
locust.runners.HEARTBEAT_LIVENESS = 30


@events.init_command_line_parser.add_listener
def add_options(parser: argparse.ArgumentParser) -> None:
    """This project's options on Locust's command line."""
    study = parser.add_argument_group("load study")
    # str, not Path: Locust sends the master's options to the workers as text.
    study.add_argument("--study-plan", required=True, help="the campaign's plan")
    study.add_argument("--study-server", required=True, help="which of the plan's servers is measured")
    study.add_argument("--study-run", default="", help="master: the run's directory")
    study.add_argument("--study-workers", default="", help="master: names of the workers, with commas")
    study.add_argument("--study-worker", default="", help="worker: its name")
    study.add_argument("--study-addresses", default="", help="worker: what the server's name stands for, with commas")


@events.init.add_listener
def wire(environment: Environment, **_: Any) -> None:
    """Read the plan and prepare this process, a master or a worker."""
    options = environment.parsed_options
    assert options is not None
    plan = load_plan(Path(options.study_plan)).plan
    if isinstance(environment.runner, MasterRunner):
        wire_master(environment, environment.runner, plan)
    elif isinstance(environment.runner, WorkerRunner):
        wire_worker(environment, environment.runner, plan)


def wire_master(environment: Environment, runner: MasterRunner, plan: Plan) -> None:
    """Open the ledger and give it the workers' records."""
    options = environment.parsed_options
    assert options is not None
    assert isinstance(environment.shape_class, Ladder)
    files = RunFiles(Path(options.study_run))
    ledger = LedgerWriter(files.ledger.open("w", encoding="utf-8"), tuple(options.study_workers.split(",")))
    shape = environment.shape_class
    shape.prepare(environment, plan, files, ledger)
    options.expect_workers = 0  # Locust looks for them once a second; the ladder itself waits for them
    quit_once(runner)
    runner.register_message(ladder.READY, lambda environment, msg: shape.add_worker(msg.data["worker"]))
    runner.register_message(ladder.RECORD, lambda environment, msg: shape.add_record(msg.data))
    runner.register_message(ladder.SECOND, lambda environment, msg: shape.add_second(msg.data))
    environment.process_exit_code = 0  # failed requests are findings, not a failure of Locust


def prepare_users(plan: Plan, options: argparse.Namespace, recorder: Recorder, runner: WorkerRunner) -> None:
    """Set the class attributes of the study's own users from the plan."""
    Recorded.recorder = recorder
    Recorded.think = plan.think_time
    Recorded.keep_alive = plan.connection == "keep-alive"
    Recorded.timeout = plan.timeout
    of = plan.server(options.study_server)
    files = Path(options.study_plan).parent / FILES
    Recorded.request = request_to(of, files, f"{plan.seed} {of.name} {options.study_worker}")
    Recorded.wanted = wanted_of(of)
    if plan.client != "lean":
        trust_by_default(Recorded.request)
    else:
        user_class = TlsLeanUser if of.tls else LeanUser
        request = user_class.prepare(options.host, runner.stats)
        before_each_report(runner, user_class.tell_locust)
        if of.echoes:  # the lean client's request is known to the byte, hence its echo
            Recorded.wanted = Recorded.wanted._replace(body=echo_body(request))


def own_recorder(
    environment: Environment, runner: WorkerRunner, worker: str, tell: Callable[[SecondCounts], None], timeout_s: float
) -> Recorder:
    """The recorder of a locustfile of one's own, with Locust's clients and users wrapped for it."""
    from cluster.engine.own import sessions  # the wrappers' parts, which the study's own users don't need
    from cluster.engine.own.own_recorder import OwnRecorder

    recorder = OwnRecorder(runner, worker, tell)
    sessions.install(environment, recorder, timeout_s)
    return recorder


def wire_worker(environment: Environment, runner: WorkerRunner, plan: Plan) -> None:
    """Have requests recorded, and send a record for each phase that ends."""
    options = environment.parsed_options
    assert options is not None
    # The name is read now, since the master's options replace the worker's when users are spawned.
    worker = options.study_worker
    if options.study_addresses:
        resolve_to(urlsplit(options.host or "").hostname or "", options.study_addresses.split(","))

    def tell(counts: SecondCounts) -> None:
        runner.send_message(ladder.SECOND, vars(counts))

    if plan.locustfile is not None:
        of = plan.server(options.study_server)
        trust_by_default(request_to(of, Path(options.study_plan).parent / FILES, worker))
        recorder: Recorder = own_recorder(environment, runner, worker, tell, plan.timeout)
    else:
        recorder = Recorder(runner, worker, tell)
        prepare_users(plan, options, recorder, runner)

    def send(record: PhaseRecord | None) -> None:
        if record is not None:
            runner.send_message(ladder.RECORD, asdict(record))

    def announce() -> None:
        while not recorder.entered:  # the master may not listen yet
            runner.send_message(ladder.READY, {"worker": worker})
            gevent.sleep(0.1)

    def enter(environment: Environment, msg: Any) -> None:
        phase = Phase(**msg.data)
        Recorded.think = NO_THINK if phase.kind == "idle" else plan.think_time
        send(recorder.enter(phase))
        gc.freeze()  # collections during the window don't traverse the thousands of users again

    def finish(environment: Environment, msg: Any) -> None:
        enter(environment, msg)
        runner.stop_users(runner.user_classes_count)
        runner._send_stats()  # comes before the record that the master waits for
        send(recorder.close(now()))

    runner.register_message(ladder.ENTER, enter)
    runner.register_message(ladder.FINISH, finish, concurrent=True)
    gevent.spawn(recorder.watch, gevent.sleep)
    gevent.spawn(announce)
