"""A simulated system as the ledger of a run, judged by the real judge: the truth is known, the file is real.

The idle step comes first: one user without think time, as in every run. What the target's samples say is given, since
nothing of a simulation runs on a processor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.judge.baseline import baseline_of
from analysis.judge.reconciliation import Reconciled
from analysis.judge.verdicts import Judgement, judge_step
from analysis.judge.watched import QueueLooks
from analysis.judge.window import Window, window_of
from analysis.read.counter_span import CounterSpan
from analysis.read.histograms import decode, lowest_us
from analysis.read.ledger import Ledger, read_ledger
from analysis.read.samples import CoreGroupSeconds, Generator, Samples, Target
from study.formats.json_files import FORMAT
from study.plan import IDLE_MEASURE_S, IDLE_SETTLE_S, Plan, Step
from tests.unit import simulate
from tests.unit.simulate import Draw, Requests, SimulatedWindow
from tests.unit.synthetic import encode

STEP, IDLE = 1, Step(0, "idle", 1)
SETTLED_S = 1.0
"""How long the phase before each window is."""
NOBODY = Requests(*(np.empty(0),) * 4)
Bend = Callable[[dict[str, Any]], dict[str, Any]]
"""What is wrong with a worker's record of the measure window."""


def sound(record: dict[str, Any]) -> dict[str, Any]:
    """Nothing is."""
    return record


def answers(kind: str, asked: Plan) -> Draw:
    """Response times of a sound server; a heavy tail without an end would be cut by the client's timeout."""
    heavy = simulate.pareto(0.2, longest=min(5.0, asked.timeout))
    return heavy if kind.startswith("Pareto") else simulate.SOUND[kind]


def fast(by: float) -> Bend:
    """A worker whose monotonic clock runs fast; its wall clock is right."""

    def bend(record: dict[str, Any]) -> dict[str, Any]:
        scaled = {name: (1 + by) * record[name] for name in ("seconds", "in_flight_s", "think_passed_s")}
        at = {**record["ticks"], "at": [(1 + by) * each for each in record["ticks"]["at"]]}
        return {**record, **scaled, "ticks": at}

    return bend


def twice(share: float) -> Bend:
    """A worker that counts a share of its answers twice."""

    def bend(record: dict[str, Any]) -> dict[str, Any]:
        answers = decode(record["response_us"])
        times = np.repeat(lowest_us(answers.index) / 1e6, answers.counts)
        again = np.concatenate([times, times[: round(share * len(times))]])
        ticks = {**record["ticks"]}
        for name in ("successes", "response_s"):
            ticks[name] = [each * len(again) / len(times) for each in ticks[name]]
        counts = {"attempts": len(again), "successes": len(again)}
        return {**record, **counts, "response_us": encode(again), "ticks": ticks}

    return bend


def late_loop(by: float) -> Bend:
    """A worker whose event loop is late by so many seconds; how that lengthens response times isn't its part."""
    return lambda record: {**record, "loop_lag_us": encode([by] * 9)}


@dataclass(frozen=True)
class TargetSamples:
    """What the samples say of the target in the window."""

    busy: float = 0.2
    """Busy share of its one core."""
    queue: QueueLooks | None = None
    taken: float = 0.0
    """Share of that core which others took."""
    stamps: bool = True
    """Of the client: response times end at the kernel's receive stamps."""


def records(
    parts: Sequence[Requests], start: float, seconds: float, step: Step, bends: Mapping[int, Bend], thinks: bool = True
) -> list[dict[str, Any]]:
    """The records of the phase before the window and of the window, of one worker for each part of the users."""
    lines = []
    for number, requests in enumerate(parts):
        users = step.users // len(parts) + (number < step.users % len(parts))
        for phase, at, lasts in (("settle", start - SETTLED_S, SETTLED_S), ("measure", start, seconds)):
            seen = simulate.observe(requests, max(0.0, at), min(lasts, at + lasts))
            record = _record(seen, step, phase, f"load1-{number + 1}", users, max(0.0, at), thinks)
            lines.append(bends.get(number, sound)(record) if phase == "measure" else record)
    return lines


def _record(
    seen: SimulatedWindow, step: Step, phase: str, worker: str, users: int, at: float, thinks: bool
) -> dict[str, Any]:
    ends = [*np.arange(1.0, seen.seconds), seen.seconds]
    lengths = np.diff(ends, prepend=0.0)[: len(seen.tick_rates)]
    answers = np.cumsum(seen.tick_rates[: len(lengths)] * lengths)
    share = answers / answers[-1] if len(answers) and answers[-1] else np.linspace(0, 1, len(lengths))
    in_flight_s = seen.in_flight * seen.seconds
    return {
        "record": "phase", "step": step.number, "kind": step.kind, "users": step.users, "phase": phase,
        "worker": worker, "started": 1e9 + at, "seconds": seen.seconds, "attempts": seen.attempts,
        "successes": seen.attempts, "failures": {}, "bytes": 0, "response_us": encode(seen.response),
        "failed_us": encode([]), "lag_us": encode([0.001] * 9), "loop_lag_us": encode([0.0002] * 9),
        "draws": seen.think_count if thinks else 0, "draws_s": seen.think_passed_s,
        "think_count": seen.think_count if thinks else 0, "think_drawn_s": seen.think_passed_s,
        "think_passed_s": seen.think_passed_s, "in_flight_s": in_flight_s, "in_flight_end": len(seen.ages_end),
        "in_flight_age_us": encode(seen.ages_end), "users_wanted": users, "users_min": users,
        "users_mean": float(users), "users_right": 1.0, "fds_used": 20, "fds_limit": 65_536,
        "ticks": {
            "at": [float(end) for end in ends], "successes": [float(value) for value in answers],
            "failures": [0] * len(ends), "response_s": np.cumsum(seen.tick_responses_s).tolist(),
            "in_flight_s": (in_flight_s * share).tolist(), "cpu_s": [0.2 * float(end) for end in ends],
        },
        "turnarounds": 0 if thinks else seen.think_count, "turnaround_s": 0.0, "wall_s": seen.seconds,
        "clock_step_s": 0.0,
    }  # fmt: skip


def write_ledger(path: Path, lines: Sequence[Mapping[str, Any]]) -> Ledger:
    """The ledger as a file, read again."""
    workers = sorted({str(line["worker"]) for line in lines})
    header = {"record": "header", "format": FORMAT, "made_by": "load-study 0.1.0", "workers": workers}
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, *lines)), encoding="utf-8")
    return read_ledger(path)


def watched_window(ledger: Ledger, step: Step, samples: TargetSamples) -> Window:
    """A step's window with what the samples say; the workers' cores are quiet."""
    window = window_of(ledger, step, Samples(), stamps=samples.stamps)
    assert window is not None
    seconds = max(1, round(window.seconds))

    def group(host: str, own: float, taken: float) -> CoreGroupSeconds:
        each = (1.0,) * seconds
        return CoreGroupSeconds(host, 1.0, each, (own + taken,) * seconds, (own,) * seconds, (0.0,) * seconds, None)

    target = Target(
        cpu_cores=samples.busy, cores=1.0, processes=1.0, fds=30.0, fd_limit=65_536.0, accept_queue=0.0,
        listen_socket_drops=CounterSpan(0.0, 0.0), kernel={}, group=group("target", samples.busy, samples.taken),
    )  # fmt: skip
    generator = Generator(0.1, 0.2, (group("load1", 0.2, 0.0),))
    return replace(window, target=target, generator=generator, queue=samples.queue or QueueLooks(0.0, 10 * seconds, 0))


def judged(path: Path, plan: Plan, step: Step, lines: Sequence[Mapping[str, Any]], samples: TargetSamples) -> Judgement:
    """The judgement of a step of which the ledger's lines hold the idle step, too."""
    ledger = write_ledger(path, lines)
    windows = {0: watched_window(ledger, IDLE, TargetSamples()), step.number: watched_window(ledger, step, samples)}
    attempts = windows[step.number].attempts
    run = Reconciled(attempts, attempts, attempts, {})

    def trusted(window: Window) -> bool:
        return judge_step(window, plan.during(window.step), run, None).gives_r1

    return judge_step(windows[step.number], plan, run, baseline_of(windows.values(), trusted))


def idle_records(response: Draw, draw: np.random.Generator, workers: int) -> list[dict[str, Any]]:
    """The idle step's records: all on the first worker."""
    alone = simulate.delay_system(1, (0.0, 0.0), response, IDLE_SETTLE_S + IDLE_MEASURE_S, draw)
    parts = [alone, *(NOBODY,) * (workers - 1)]
    return records(parts, IDLE_SETTLE_S, IDLE_MEASURE_S, IDLE, {}, thinks=False)


def planned(
    path: Path,
    plan: Plan,
    users: int,
    response: Draw,
    draw: np.random.Generator,
    running: int | None = None,
    bends: Mapping[int, Bend] | None = None,
    stamps: bool = True,
) -> Judgement:
    """One step of a plan on two workers, of users who don't wait for each other; `running` of them really run."""
    start, measure = simulate.window_of_step(plan, users)
    share = users if running is None else running
    parts = [
        simulate.delay_system(count, plan.think_time, response, start + measure, draw, plan.spawn_rate / 2)
        if count
        else NOBODY
        for count in (math.ceil(share / 2), share // 2)
    ]
    step = Step(STEP, "ladder", users)
    lines = idle_records(response, draw, 2) + records(parts, start, measure, step, bends or {})
    return judged(path, plan, step, lines, TargetSamples(stamps=stamps))


def queued(
    path: Path,
    plan: Plan,
    users: int,
    service: Draw,
    seconds: float,
    draw: np.random.Generator,
    busy: float = 1.0,
    taken: float = 0.0,
) -> tuple[Judgement, float]:
    """A FIFO server whose queue is the accept queue, looked at ten times a second, and its utilisation.

    `busy` is the part of a request's holding time that is its own CPU, `taken` what others took of the core.
    """
    settle = 15 * max(plan.think_time)
    requests = simulate.queue_system(users, plan.think_time, service, settle + seconds, draw)
    at = settle + (np.arange(int(seconds * 10), dtype=np.float64) + draw.random()) / 10
    waiting = simulate.waiting(requests, at)
    used = simulate.busy_share(requests, settle, seconds)
    looks = QueueLooks(float(waiting.mean()), len(at), float(waiting.max()))
    step = Step(STEP, "ladder", users)
    lines = idle_records(service, draw, 1) + records([requests], settle, seconds, step, {})
    return judged(path, plan, step, lines, TargetSamples(busy * used, looks, taken)), used
