"""steps.csv: one row for each block, label and step that was asked for, from the measure window alone.

Columns are those of docs/results.md. What can't be filled is empty. A quantile of which only a lower bound is known
has that bound in its column and its name in `at_least`; where the generator's own delay is in the times,
`times_bound` is `<=`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from analysis.judge.checks import Check
from analysis.judge.judging import RunResult, StepResult
from analysis.judge.quantiles import quantile
from analysis.judge.window import Window
from analysis.read.samples import KERNEL, Target

QUANTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99, "p999_ms": 0.999}
WHOLE = ("block", "step", "users", "requests", "failures", "in_flight_end", "bytes", "users_running_min")
TARGET_COLUMNS = (
    "server_cores", "server_busiest_thread_cores", "server_cpu_ms", "server_kernel_share", "server_ended_share",
    "server_starts", "server_switches", "server_threads", "server_processes", "server_fds", "server_fd_limit",
    "accept_queue", "accept_queue_max", "backlog", "listen_overflows", "listen_drops", "syn_cookies", "retransmits",
)  # fmt: skip
BESIDE_COLUMNS = ("idle_held", "slow_held")
COLUMNS = (
    "block", "model", "step", "kind", "users", "requests", "failures", "rps", "mean_ms", "p50_ms", "p90_ms",
    "p95_ms", "p99_ms", "max_ms", "in_flight", "server_cpu_cores", "server_pss_mb", "generator_cpu_max",
    "generator_lag_p99_ms", "verdict", "reasons", "saturated", "at_least", "times_bound", "p999_ms", "seconds",
    "users_running_min", "in_flight_end", "bytes", "failure_kinds", "think_drawn_s", "think_passed_s",
    "loop_lag_p99_ms", *TARGET_COLUMNS, *BESIDE_COLUMNS,
)  # fmt: skip
CHECK_COLUMNS = ("block", "model", "step", "check", "name", "value", "threshold", "outcome", "detail")


def steps_frame(results: Iterable[StepResult]) -> pd.DataFrame:
    """The rows of steps.csv, in the order given."""
    frame = pd.DataFrame.from_records([_row(result) for result in results], columns=list(COLUMNS))
    numbers = [
        name
        for name in COLUMNS
        if name.endswith(("_ms", "_s", "_cores", "_mb"))
        or name in ("rps", "in_flight", "seconds", *TARGET_COLUMNS, *BESIDE_COLUMNS)
    ]
    frame = frame.astype(dict.fromkeys([*numbers, "generator_cpu_max"], "float64"))
    return frame.astype(dict.fromkeys(WHOLE, "Int64"))


def checks_frame(results: Iterable[RunResult]) -> pd.DataFrame:
    """The rows of checks.csv that belong to runs."""
    rows: list[tuple[Any, ...]] = []
    for result in results:
        run = result.data.run
        for step in result.steps:
            rows += [(run.block, run.label, step.step.number, *_check_row(check)) for check in step.judged.checks]
        again = next((step.step.number for step in result.steps if step.step.kind == "return"), None)
        rows += [(run.block, run.label, again, *_check_row(check)) for check in result.repeats]
    return typed_checks(rows)


def typed_checks(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame.from_records(rows, columns=list(CHECK_COLUMNS))
    return frame.astype(
        {"block": "Int64", "step": "Int64", "check": "Int64", "value": "float64", "threshold": "float64"}
    )


def _check_row(check: Check) -> tuple[Any, ...]:
    return (check.number, check.name, check.value, check.threshold, check.outcome, check.detail)


def _row(result: StepResult) -> dict[str, Any]:
    asked = {
        "block": result.run.block,
        "model": result.run.label,
        "step": result.step.number,
        "kind": result.step.kind,
        "users": result.step.users,
        "verdict": result.judged.verdict,
        "reasons": "; ".join(result.judged.reasons),
    }
    if result.window is None:
        return asked
    return {
        **asked,
        **_measured(result.window),
        "saturated": "yes" if result.judged.saturated else "",
        "times_bound": "<=" if result.judged.upper_bounds else "",
    }


def _measured(window: Window) -> dict[str, Any]:
    quantiles = {name: quantile(window.response, window.ages, q) for name, q in QUANTILES.items()}
    target = window.target
    count = window.think_count
    return {
        **(_resources(target, window) if target is not None else {}),
        **{name: found.ms if found is not None else None for name, found in quantiles.items()},
        "at_least": " ".join(name for name, found in quantiles.items() if found is not None and found.at_least),
        "requests": window.attempts,
        "failures": window.failed,
        "rps": window.goodput,
        "mean_ms": window.mean_ms,
        "max_ms": window.response.max_ms,
        "in_flight": window.in_flight,
        "server_cpu_cores": target.cpu_cores if target is not None else None,
        "server_pss_mb": target.pss_mb if target is not None else None,
        "generator_cpu_max": _most(worker.cpu_p95 for worker in window.workers),
        "generator_lag_p99_ms": _most(worker.lag_p99_ms for worker in window.workers),
        "loop_lag_p99_ms": _most(worker.loop_lag_p99_ms for worker in window.workers),
        "seconds": window.seconds,
        "users_running_min": sum(worker.users_min for worker in window.workers),
        "in_flight_end": window.in_flight_end,
        "bytes": window.bytes,
        **{f"{each.kind}_held": each.held for each in window.beside},
        "failure_kinds": " ".join(f"{kind}={number}" for kind, number in sorted(window.failures.items()) if number),
        "think_drawn_s": window.think_drawn_s / count if count else None,
        "think_passed_s": window.think_passed_s / count if count else None,
    }


def _resources(target: Target, window: Window) -> dict[str, Any]:
    """What the server used; costs are over the attempts that ended in the window."""

    def each(total: float | None) -> float | None:
        return total / window.attempts if total is not None and window.attempts else None

    cpu, ended = target.cpu_cores, target.ended_cores
    return {
        "server_cores": target.cores,
        "server_busiest_thread_cores": target.busiest_thread_cores,
        "server_cpu_ms": each(1000 * cpu * window.seconds if cpu is not None else None),
        "server_kernel_share": target.kernel_share,
        "server_ended_share": ended / cpu if ended is not None and cpu else None,
        "server_starts": each(target.starts),
        "server_switches": each(target.switches * window.seconds if target.switches is not None else None),
        "server_threads": target.threads,
        "server_processes": target.processes,
        "server_fds": target.fds,
        "server_fd_limit": target.fd_limit,
        "accept_queue": target.accept_queue,
        "accept_queue_max": target.accept_queue_max,
        "backlog": target.backlog,
        **{name: (target.kernel or {}).get(name) for name in KERNEL if name in TARGET_COLUMNS},
    }


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
