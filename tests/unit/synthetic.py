"""Campaigns made up for the tests of analysis/: real directories with real histograms and real JSON lines.

By default everything in them obeys the laws, so that a step is valid; a test bends one figure and sees what is said.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

from study.formats.json_files import write_json, write_whole
from study.layout import CampaignFiles, RunFiles
from study.plan import Plan, Run, Step, parse_plan

EPOCH = 1_800_000_000.0
WORKERS = ("load1-1", "load1-2")

PLAN = """
name = "made-up"
models = ["single", "thread"]
users = [100, 200, 400]
think_time = [1.0, 5.0]
timeout = 10.0
blocks = 1
"""


def plan(text: str = PLAN, **changes: Any) -> Plan:
    return Plan.model_validate({**parse_plan(text, "made up").model_dump(), **changes})


@dataclass(frozen=True)
class Load:
    """What happens at one step. Rates per second, times in s unless named otherwise."""

    response: float = 0.004
    spread: float = 0.3
    """Sigma of the logarithm of response times."""
    rate: float | None = None
    """Attempts per second of all workers together; N / (R + Z) where it is None."""
    seconds: float = 30.0
    failures: Mapping[str, int] = field(default_factory=dict)
    """In the whole window, shared out over the workers."""
    failed_after: float = 0.001
    lag_ms: float = 1.0
    loop_lag_ms: float = 0.2
    cpu: float = 0.3
    think_factor: float = 1.0
    """Think times drawn, over the plan's."""
    late: float = 0.0
    """How much later than drawn think times end on average, in s."""
    users_right: float = 1.0
    lost: tuple[str, ...] = ()
    ages: tuple[float, ...] = ()
    """Ages in s of those in flight at the window's end."""
    in_flight: float | None = None
    silent: tuple[tuple[int, int], ...] = ()
    """Seconds of the window, from and to, in which nothing is answered."""
    drift: float = 0.0
    """Change of the rate over the window, as a share of it."""
    fds: tuple[int, int] = (200, 65_536)
    # the target
    samples: bool = True
    server_cpu: float = 0.4
    server_cores: float = 1.0
    busiest_thread: float | None = None
    processes: int = 1
    server_fds: tuple[int, int] = (50, 65_536)
    accept_queue: float = 0.0
    ended_share: float | None = None
    """Share of the server's CPU time that children spent which have ended."""
    kernel_share: float | None = None
    starts: int = 0
    """Processes and threads started a second."""
    threads: int = 4
    backlog: int = 1024
    overflows: int = 0
    retransmits: int = 0
    slots: int | None = None
    """How many clients the server says that it serves at once."""
    ports: tuple[int, int] = (500, 28_000)
    queue_mean: float | None = None
    """Mean of the accept queue over many looks a second; that of the moments where it is None."""
    queue_looks: int = 10
    socket_drops: int = 0
    """Drops of the server's own listening sockets in a second."""
    memory_mb: float = 30.5
    # who else used the cores: shares of the group's cores
    strangers: float = 0.0
    """Taken by other programs of the server's cores."""
    load_strangers: float = 0.0
    """Taken by other programs of the workers' cores."""
    steal: float = 0.0
    """Of the server's cores, given to other machines."""
    pressure: float = 0.0
    # the workers' clocks
    wall_factor: tuple[float, float] = (1.0, 1.0)
    """For each worker, the length of the phase by its wall clock over that by its monotonic clock."""
    clock_step: float = 0.0
    """s"""
    old: bool = False
    """As an older version recorded it: without the fields that were added since."""


LoadOf = Callable[[Run, Step], Load]


def encode(times_s: Sequence[float] | npt.NDArray[np.float64]) -> str:
    """Times in s as the ledger's histogram; the counters are set at once, since recording one by one takes a second."""
    if not len(times_s):
        return empty_histogram()
    made = HdrHistogram(1, 300_000_000, 3)
    micro = np.rint(np.asarray(times_s, dtype=float) * 1e6).astype(np.int64)
    bucket = np.maximum(np.floor(np.log2(np.maximum(micro, 1))).astype(np.int64) - 10, 0)
    np.add.at(np.ctypeslib.as_array(made.counts), ((bucket + 1) << 10) + (micro >> bucket) - 1024, 1)
    made.total_count, made.max_value, made.min_value = len(micro), int(micro.max()), int(micro.min())
    return str(made.encode().decode())


@cache
def empty_histogram() -> str:
    """The histogram of no times, which two of five are."""
    return str(HdrHistogram(1, 300_000_000, 3).encode().decode())


def write_campaign(
    directory: Path,
    asked: Plan,
    load_of: LoadOf | None = None,
    skip: Sequence[str] = (),
    failed: Mapping[str, str] | None = None,
    seed: int = 1,
    idle_of: LoadOf | None = None,
    steps: Sequence[Step] | None = None,
) -> CampaignFiles:
    """A whole campaign. `skip` names runs that are not on disk, `failed` those that failed, with their reason.

    `idle_of` gives the load of the idle step; by default the server answers as at the lowest step. `steps` are those
    that load the server, a search's trials say; by default the plan's.
    """
    files = CampaignFiles(directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(files.plan, to_toml(asked))
    write_json(files.manifest, {"hosts": {}})
    draw = np.random.default_rng(seed)
    for run in asked.runs():
        if run.directory not in skip:
            reason = (failed or {}).get(run.directory)
            answers = load_of or (lambda _run, _step: Load())
            write_run(files.run(run.directory), asked, run, answers, draw, reason, idle_of, steps)
    return files


def write_run(
    files: RunFiles,
    asked: Plan,
    run: Run,
    load_of: LoadOf,
    draw: np.random.Generator,
    reason: str | None = None,
    idle_of: LoadOf | None = None,
    steps: Sequence[Step] | None = None,
) -> None:
    """One run. A failed one ends after its first step of the ladder; an old one has no idle step."""
    files.directory.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, Any]] = [
        {"record": "header", "format": 1, "made_by": "load-study 0.1.0", "workers": list(WORKERS)}
    ]
    rows: list[dict[str, Any]] = []
    clock, answered = EPOCH, 0
    every = asked.load_steps() if steps is None else steps
    first = load_of(run, every[0])
    loads = [(step, load_of(run, step)) for step in (every if reason is None else every[:1])]
    if not asked.calibrates and not first.old:
        (idle,) = (step for step in asked.steps() if step.kind == "idle")
        loads.insert(0, (idle, idle_of(run, idle) if idle_of is not None else idle_load(first)))
    for step, load in loads:
        for phase, seconds in (("ramp", 2.0), ("settle", 3.0), ("measure", load.seconds)):
            current = replace(load, seconds=seconds, lost=load.lost if phase == "measure" else ())
            if phase != "measure":
                current = replace(current, failures={}, ages=(), silent=(), drift=0.0)
            records = phase_records(asked, step, phase, current, clock, draw)
            answered += sum(record["successes"] for record in records if record["record"] == "phase")
            lines += records
            if load.samples:
                rows += sample_rows(run, current, clock)
            clock += seconds
    lines += [{"record": "end"}] if reason is None else []
    write_whole(files.ledger, "".join(json.dumps(line) + "\n" for line in lines))
    if rows:
        _write_samples(
            files.samples("target"), [row for row in rows if row["role"] == "server" or row["name"] == "target"]
        )
        _write_samples(
            files.samples("load1"), [row for row in rows if row["role"] == "worker" or row["name"] == "load1"]
        )
    write_json(
        files.state,
        {
            "state": "done" if reason is None else "failed",
            "reason": reason or "",
            "block": run.block,
            "label": run.label,
            "model": run.model,
            "attempt": 1,
            "started": "2027-01-15T08:00:00Z",
            "ended": "2027-01-15T08:02:00Z",
            "slots": first.slots,
            "server": {"accepted": answered, "answered": answered, "refused": 0, "peak_connections": 9},
        },
    )


def idle_load(load: Load) -> Load:
    """What one user without think time meets, where the server answers as fast as under `load`."""
    return Load(response=load.response, spread=load.spread, seconds=2.0, samples=load.samples)


def phase_records(
    asked: Plan, step: Step, phase: str, load: Load, clock: float, draw: np.random.Generator
) -> list[dict[str, Any]]:
    return [
        {"record": "lost", "step": step.number, "phase": phase, "worker": worker}
        if worker in load.lost
        else phase_record(asked, step, phase, load, clock, worker, at, draw)
        for at, worker in enumerate(WORKERS)
    ]


def phase_record(
    asked: Plan, step: Step, phase: str, load: Load, clock: float, worker: str, at: int, draw: np.random.Generator
) -> dict[str, Any]:
    """One worker's record of one phase: half of the step's users."""
    asked = asked.during(step)
    users = step.users // 2 + (step.users % 2 if at == 0 else 0)
    think = asked.mean_think_s * load.think_factor
    failures = {kind: count // 2 + (count % 2 if at == 0 else 0) for kind, count in load.failures.items()}
    ages = load.ages[at::2]
    stuck = (sum(load.failures.values()) * load.failed_after + sum(load.ages)) / load.seconds  # users, on average
    rate = load.rate if load.rate is not None else (step.users - stuck) / (load.response + think + load.late)
    sd = (asked.think_time[1] - asked.think_time[0]) / np.sqrt(12) * load.think_factor
    cv = sd / (load.response + think + load.late)
    expected = rate * load.seconds * users / step.users
    attempts = max(0, round(expected + draw.normal() * cv * np.sqrt(expected)))
    attempts = max(attempts, sum(failures.values()))
    successes = attempts - sum(failures.values())
    times = load.response * np.exp(load.spread * draw.standard_normal(successes) - load.spread**2 / 2)
    if load.rate is None and not think and successes:  # one who never thinks is in flight but for the turnarounds
        times *= (users * load.seconds - attempts * load.late) / times.sum()
    response_s = float(times.sum())
    failed_s = sum(failures.values()) * load.failed_after
    share = users / step.users
    in_flight_s = (
        load.in_flight * share * load.seconds if load.in_flight is not None else response_s + failed_s + sum(ages)
    )
    begun = attempts + len(ages)
    thinks = begun if think or load.old else 0
    thought = (
        expected / begun if begun else 0.0
    )  # users who come round more often by chance have thought less each time
    added = {
        "turnarounds": begun - thinks,
        "turnaround_s": (begun - thinks) * load.late,
        "wall_s": load.seconds * load.wall_factor[at],
        "clock_step_s": load.clock_step,
    }
    return {
        "record": "phase",
        "step": step.number,
        "kind": step.kind,
        "users": step.users,
        "phase": phase,
        "worker": worker,
        "started": clock,
        "seconds": load.seconds,
        "attempts": successes + sum(failures.values()),
        "successes": successes,
        "failures": failures,
        "bytes": 100 * successes,
        "response_us": encode(times),
        "failed_us": encode([load.failed_after] * sum(failures.values())),
        "lag_us": encode(draw.uniform(0, load.lag_ms / 1000, 500)),
        "loop_lag_us": encode(draw.uniform(0, load.loop_lag_ms / 1000, 500)),
        "draws": begun,
        "draws_s": begun * think,
        "think_count": thinks,
        "think_drawn_s": thinks * thought * think,
        "think_passed_s": thinks * thought * (think + load.late),
        "in_flight_s": in_flight_s,
        "in_flight_end": len(ages),
        "in_flight_age_us": encode(ages),
        "users_wanted": users,
        "users_min": users if load.users_right == 1 else users - 1,
        "users_mean": float(users),
        "users_right": load.users_right,
        "fds_used": load.fds[0],
        "fds_limit": load.fds[1],
        "ticks": ticks(load, successes, sum(failures.values()), response_s, in_flight_s),
        **({} if load.old else added),
    }


def ticks(load: Load, successes: int, failed: int, response_s: float, in_flight_s: float) -> dict[str, list[float]]:
    """Cumulative columns, a tick a second, with the window's drift and silence in them."""
    at = np.append(np.arange(1.0, load.seconds), load.seconds)
    weight = 1 + load.drift * (at / load.seconds - 0.5)
    for start, end in load.silent:
        weight[start:end] = 0
    part = np.cumsum(weight) / weight.sum()
    counts = np.rint(successes * part)
    return {
        "at": [float(value) for value in at],
        "successes": [int(value) for value in counts],
        "failures": [int(value) for value in np.rint(failed * part)],
        "response_s": [float(value) for value in response_s * part],
        "in_flight_s": [float(value) for value in in_flight_s * part],
        "cpu_s": [float(value) for value in load.cpu * at],
    }


def sample_rows(run: Run, load: Load, clock: float) -> list[dict[str, Any]]:
    """One row a second for the server, each worker and each host."""
    rows: list[dict[str, Any]] = []
    for second in range(1, int(load.seconds) + 1):
        at = {"time": clock + second, "seconds": 1.0}
        watched = {
            "memory_mb": load.memory_mb if second % 5 == 0 else "",
            "accept_queue_mean": load.accept_queue if load.queue_mean is None else load.queue_mean,
            "accept_queue_looks": load.queue_looks,
            "listen_socket_drops": load.socket_drops,
            **group(load.server_cores, load.server_cpu, load.strangers, load.steal),
        }
        workers_cpu = load.cpu * len(WORKERS)
        elsewhere = group(2.0, workers_cpu, load.load_strangers, 0.0)
        pressure = {} if load.old else {"cpu_pressure": load.pressure}
        rows.append(
            {
                **at,
                "role": "server",
                "name": run.label,
                "cpu_cores": load.server_cpu,
                "cores": load.server_cores,
                "threads": load.threads,
                "processes": load.processes,
                "fds": load.server_fds[0],
                "fd_limit": load.server_fds[1],
                "busiest_thread_cores": "" if load.busiest_thread is None else load.busiest_thread,
                "pss_mb": 30.5 if second % 5 == 0 else "",
                "context_switches": 1000,
                "accept_queue": load.accept_queue,
                "backlog": load.backlog,
                "ended_cores": "" if load.ended_share is None else load.ended_share * load.server_cpu,
                "kernel_share": "" if load.kernel_share is None else load.kernel_share,
                **({} if load.old else watched),
            }
        )
        rows += [{**at, "role": "worker", "name": name, "cpu_cores": load.cpu, "cores": 2.0} for name in WORKERS]
        quiet = dict.fromkeys(("listen_overflows", "listen_drops", "syn_cookies", "retransmits", "tcp_timeouts"), 0)
        kernel = {**quiet, "listen_overflows": load.overflows, "retransmits": load.retransmits, "starts": load.starts}
        rows.append(
            {**at, "role": "host", "name": "target", "cpu_cores": load.server_cpu, "cores": 2, **kernel, **pressure}
        )
        used, limit = load.ports
        ports: dict[str, Any] = {"ports_used": used, "ports_limit": limit, "time_wait": 10}
        ports |= {} if load.old else {**elsewhere, **pressure}
        rows.append({**at, "role": "host", "name": "load1", "cpu_cores": workers_cpu, "cores": 2, **quiet, **ports})
    return rows


def group(cores: float, own: float, strangers: float, steal: float) -> dict[str, float]:
    """Columns about a group of cores in one second; `strangers` and `steal` are shares of them, `own` in cores."""
    return {
        "group_cores": cores,
        "group_busy_s": own + strangers * cores,
        "group_own_s": own,
        "group_steal_s": steal * cores,
    }


SAMPLE_COLUMNS = (
    "time", "role", "name", "seconds", "cpu_cores", "cores", "threads", "processes", "fds", "fd_limit",
    "busiest_thread_cores", "pss_mb", "context_switches", "accept_queue", "backlog", "memory_available_mb",
    "listen_overflows", "listen_drops", "syn_cookies", "retransmits", "tcp_timeouts", "passive_opens",
    "ports_used", "ports_limit", "time_wait", "sampler_cpu_cores", "ended_cores", "kernel_share", "starts",
    "memory_mb", "accept_queue_mean", "accept_queue_looks", "listen_socket_drops", "group_cores", "group_busy_s",
    "group_own_s", "group_steal_s", "cpu_pressure",
)  # fmt: skip


def _write_samples(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, SAMPLE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def to_toml(asked: Plan) -> str:
    """The plan as a file again; JSON's scalars and lists are TOML's."""
    plain = asked.model_dump(mode="json", exclude={"work", "servers", "slo", "search"})
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items() if value is not None]
    if asked.search is not None:
        lines.remove("users = []")
    for name in ("work", "slo", *(("search",) if asked.search is not None else ())):
        own = getattr(asked, name).model_dump(exclude_none=True)
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in own.items())]
    return "\n".join(lines) + "\n"
