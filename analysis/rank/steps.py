"""A row for each block, label and step that was asked for, from the measure window alone.

Columns are those of steps.csv in docs/results.md, with their own types until the file is written: `saturated` and
`times_bound` are bool, `at_least` is a frozenset of the names of the columns that hold a lower bound, `failure_kinds` a
mapping of kind to count, `reasons` a tuple of checks and findings. Three columns are in no file: `target`, the Target
of the window, None where it was not watched; `counts`, whether what the step shows is the server's own; `passed`,
whether it counts and the SLO holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.judge.findings import Check
from analysis.judge.judging import RunResult, StepResult
from analysis.judge.quantiles import quantile
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.verdicts import SERVED, VALID
from analysis.judge.window import Window
from analysis.rank.load_outcomes import MOST_BLOCKS, counting, final_outcome, verdict_of
from analysis.read.samples import Target
from study.plan import Slo

QUANTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99, "p999_ms": 0.999}
WHOLE = ("block", "step", "users", "requests", "failures", "in_flight_end", "bytes", "users_running_min")
TARGET_COLUMNS = (
    "server_cores", "server_busiest_thread_cores", "server_cpu_ms", "server_kernel_share", "server_ended_share",
    "server_starts", "server_switches", "server_threads", "server_processes", "server_fds", "server_fd_limit",
    "accept_queue", "accept_queue_max", "backlog", "listen_overflows", "listen_drops", "syn_cookies", "retransmits",
)  # fmt: skip
BACKGROUND_COLUMNS = ("idle_held", "slow_held")
COLUMNS = (
    "block", "model", "step", "kind", "users", "requests", "failures", "rps", "mean_ms", "p50_ms", "p90_ms",
    "p95_ms", "p99_ms", "max_ms", "in_flight", "server_cpu_cores", "server_pss_mb", "generator_cpu_max",
    "generator_lag_p99_ms", "verdict", "reasons", "saturated", "at_least", "times_bound", "p999_ms", "seconds",
    "users_running_min", "in_flight_end", "bytes", "failure_kinds", "think_drawn_s", "think_passed_s",
    "loop_lag_p99_ms", "connect_ms", *TARGET_COLUMNS, *BACKGROUND_COLUMNS,
)  # fmt: skip
TRIAL_KINDS = ("trial", "confirm")
"""The kinds of a search's steps, whose loads each run chooses for itself."""
LADDER_KINDS = ("ladder", *TRIAL_KINDS)
"""The kinds of the steps whose load is one of the plan's or of a search."""


@dataclass(frozen=True)
class Steps:
    """Rows of steps, and the questions that rankings, limits and figures ask of them."""

    frame: pd.DataFrame

    @property
    def ladder(self) -> Steps:
        """The rows of the ladder, without idle and return step; of a search one row a load.

        Of several trials of a load in one run that is the last that counts, where one does, else the last; the bracket
        of the run's capacity goes by the same trial (`analysis/rank/capacity.py`).
        """
        rows = self.frame[self.frame["kind"].isin(LADDER_KINDS)]
        loads = rows[["block", "model", "users", "counts"]].sort_values("counts", kind="stable")
        return Steps(rows.drop(loads.index[loads.duplicated(["block", "model", "users"], keep="last")]))

    @property
    def measured(self) -> Steps:
        """The rows of steps that were measured."""
        return Steps(self.frame[self.frame["verdict"] != "not-measured"])

    @property
    def empty(self) -> bool:
        """Whether there is no row."""
        return self.frame.empty

    @property
    def users(self) -> list[int]:
        """The users of the steps, ascending."""
        return sorted(int(users) for users in self.frame["users"].unique())

    def of_model(self, label: str) -> Steps:
        """The rows of one label."""
        return Steps(self.frame[self.frame["model"] == label])

    def at(self, users: int | None) -> Steps:
        """The rows of the steps with so many users; none where it is None."""
        return Steps(self.frame[self.frame["users"] == users] if users is not None else self.frame.iloc[:0])

    def with_verdict(self, verdicts: Sequence[str]) -> Steps:
        """The rows that have one of these verdicts."""
        return Steps(self.frame[self.frame["verdict"].isin(list(verdicts))])

    def by_users(self) -> list[tuple[int, Steps]]:
        """The rows of each step, in the order of its users."""
        return [(int(str(users)), Steps(rows)) for users, rows in self.frame.groupby("users")]

    def usable(self, verdicts: Sequence[str] = VALID) -> Steps:
        """Rows with one of these verdicts, of the steps that have one of them in more than half of a model's blocks.

        Of a ladder those are the blocks that have a row of the step. The blocks of a search choose their loads by what
        they measure: a load that few of them tried is no step of the model, so all of the model's blocks are meant.
        """
        if self.empty:
            return self
        good = self.frame["verdict"].isin(list(verdicts))
        return Steps(self.frame[good & self._in_most_blocks(good)])

    def of_most_blocks(self) -> Steps:
        """Rows of the steps that more than half of a model's blocks have; of a ladder all."""
        return self if self.empty else Steps(self.frame[self._in_most_blocks(self.frame["block"].notna())])

    def _in_most_blocks(self, good: pd.Series[bool]) -> pd.Series[bool]:
        """For each row whether the rows of its load that are `good` are of more than half of the model's blocks."""
        frame, load = self.frame, [self.frame["model"], self.frame["users"]]
        blocks = good.groupby(load).transform("size")
        blocks = blocks.where(~frame["kind"].isin(TRIAL_KINDS), frame.groupby("model")["block"].transform("nunique"))
        return good.groupby(load).transform("sum") / blocks > MOST_BLOCKS

    @property
    def verdict(self) -> str:
        """The verdict of one load, of which these are the rows: `verdict_of`."""
        return verdict_of(self.frame["verdict"])

    def most_have(self, verdict: str) -> bool:
        """Whether more than half of the rows have this verdict."""
        return bool((self.frame["verdict"] == verdict).mean() > MOST_BLOCKS)

    @property
    def full(self) -> pd.Series[bool]:
        """For each row whether the server was full in it, by itself: saturated, or overloaded."""
        return (self.frame["verdict"] == "overload") | self.frame["saturated"].astype(bool)

    def mostly_full(self) -> bool:
        """Whether the server was full in more than half of the rows."""
        return bool(self.full.mean() > MOST_BLOCKS)

    def full_users(self) -> list[int]:
        """The users of the steps at which the server was at its limit in more than half of the rows, ascending."""
        share = (self.full & ~self.withdrawn()).groupby(self.frame["users"]).mean()
        return [int(str(users)) for users in share.index[share > MOST_BLOCKS]]

    def withdrawn(self) -> pd.Series[bool]:
        """For each row of one model whether it is full by itself alone: a larger step of the same block contradicts it.

        A valid one in which the server had room, or gave more. Of a valid row, whose users got what they asked for,
        also an overload in which they got more.
        """
        frame, full = self.frame, self.full
        served = frame[frame["verdict"].isin(list(SERVED))]

        def contradicted(block: int, users: int, rps: float, verdict: str) -> bool:
            larger = served[(served["block"] == block) & (served["users"] > users)]
            valid = larger["verdict"] == "valid"
            more = (larger["rps"] > (1 + T.tie) * rps) & (valid | (verdict == "valid"))
            return bool((more | (valid & ~larger["saturated"].astype(bool))).any())

        rows = zip(full, frame["block"], frame["users"], frame["rps"], frame["verdict"], strict=True)
        return pd.Series([is_full and contradicted(*row) for is_full, *row in rows], frame.index, dtype=bool)

    def bounded(self, column: str) -> pd.Series[bool]:
        """For each row whether only a lower bound of this column is known."""
        return self.frame["at_least"].map(lambda names: column in names).astype(bool)

    def median(self, column: str) -> float | None:
        """The median over the rows that have the figure; None where half of them or fewer have it."""
        known = self.frame[column].dropna().astype(float)
        return float(known.median()) if len(known) > MOST_BLOCKS * len(self.frame) else None

    def known(self, column: str) -> bool:
        """Whether any row has this figure."""
        return bool(self.frame[column].notna().any())

    def targets(self) -> list[Target]:
        """The target in each row's window, where it was watched."""
        return [target for target in self.frame["target"] if isinstance(target, Target)]

    def failure_kinds(self) -> Mapping[str, int]:
        """Failed requests by kind, all rows together."""
        counts: dict[str, int] = {}
        for kinds in self.frame["failure_kinds"]:
            for kind, number in kinds.items():
                counts[kind] = counts.get(kind, 0) + number
        return counts


def steps_of(results: Iterable[StepResult], slo: Slo, labels: Sequence[str] = ()) -> Steps:
    """The rows of these results, sorted by block, by the label's place among `labels`, and by step."""
    columns = [*COLUMNS, "target", "counts", "passed"]
    rows = [
        {**_row(result), "counts": counting(result, slo), "passed": final_outcome(result, slo) == "passed"}
        for result in results
    ]
    frame = pd.DataFrame.from_records(rows, columns=columns)
    numbers = [
        name
        for name in COLUMNS
        if name.endswith(("_ms", "_s", "_cores", "_mb"))
        or name in ("rps", "in_flight", "seconds", *TARGET_COLUMNS, *BACKGROUND_COLUMNS)
    ]
    frame = frame.astype(dict.fromkeys([*numbers, "generator_cpu_max"], "float64"))
    frame = frame.astype(
        {**dict.fromkeys(WHOLE, "Int64"), **dict.fromkeys(("saturated", "times_bound", "counts", "passed"), bool)}
    )
    if labels:
        place = {label: at for at, label in enumerate(labels)}
        frame = frame.sort_values(
            ["block", "model", "step"], key=lambda column: column.map(place) if column.name == "model" else column
        )
    return Steps(frame.reset_index(drop=True).copy())  # copied, it has one block a type: rows are chosen often


CHECK_COLUMNS = ("block", "model", "step", "users", "check", "code", "value", "threshold", "outcome", "finding")


@dataclass(frozen=True)
class ModelCheck:
    """A check of a model over its blocks; `users` is None for one of the whole ladder."""

    label: str
    step: int | None
    """None too where the load has another number in some block."""
    users: int | None
    check: Check


def checks_frame(results: Iterable[RunResult], repeats: Iterable[ModelCheck] = ()) -> pd.DataFrame:
    """A row for each check: those of the steps, those of each run, and `repeats`, those of a model over its blocks.

    `finding` holds the check's Finding.
    """
    rows: list[tuple[Any, ...]] = []
    for result in results:
        run = result.data.run
        for step in result.steps:
            place = (run.block, run.label, step.step.number, step.step.users)
            rows += [(*place, *_check_row(check)) for check in step.judgement.checks]
        back = next(((each.step.number, each.step.users) for each in result.steps if each.step.kind == "return"), None)
        rows += [(run.block, run.label, *(back or (None, None)), *_check_row(check)) for check in result.repeats]
    rows += [(None, each.label, each.step, each.users, *_check_row(each.check)) for each in repeats]
    frame = pd.DataFrame.from_records(rows, columns=list(CHECK_COLUMNS))
    return frame.astype(
        {**dict.fromkeys(("block", "step", "users", "check"), "Int64"), "value": float, "threshold": float}
    )


def _check_row(check: Check) -> tuple[Any, ...]:
    return (check.number, check.code, check.value, check.threshold, check.outcome, check.finding)


def _row(result: StepResult) -> dict[str, Any]:
    row: dict[str, Any] = {
        "block": result.run.block,
        "model": result.run.label,
        "step": result.step.number,
        "kind": result.step.kind,
        "users": result.step.users,
        "verdict": result.judgement.verdict,
        "reasons": result.judgement.reasons,
        "saturated": result.judgement.saturated,
        "times_bound": result.judgement.upper_bounds,
        "at_least": frozenset(),
        "failure_kinds": {},
        "target": None,
    }
    return row if result.window is None else {**row, **_measured(result.window)}


def _measured(window: Window) -> dict[str, Any]:
    quantiles = {name: quantile(window.response, window.ages, q, window.timed_out) for name, q in QUANTILES.items()}
    target = window.target
    count = window.think_count
    return {
        **(_resources(target, window) if target is not None else {}),
        **{name: each.ms if each is not None else None for name, each in quantiles.items()},
        "at_least": frozenset(name for name, each in quantiles.items() if each is not None and each.at_least),
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
        "connect_ms": 1000 * window.connect_s / window.connects if window.connects else None,
        "seconds": window.seconds,
        "users_running_min": sum(worker.users_min for worker in window.workers),
        "in_flight_end": window.in_flight_end,
        "bytes": window.bytes,
        **{f"{each.kind}_held": each.held for each in window.background},
        "failure_kinds": {kind: number for kind, number in sorted(window.failures.items()) if number},
        "think_drawn_s": window.think_drawn_s / count if count else None,
        "think_passed_s": window.think_passed_s / count if count else None,
        "target": target,
    }


def _resources(target: Target, window: Window) -> dict[str, Any]:
    """What the server used; costs are over all requests that ended in the window, background clients' included.

    None where the users got no answer: what was refused or timed out says nothing of what a request costs.
    """
    requests = window.attempts + sum(each.ended for each in window.background)

    def each(total: float | None) -> float | None:
        return total / requests if total is not None and window.successes else None

    cpu, ended = target.cpu_cores, target.ended_cores
    return {
        "server_cores": target.cores,
        "server_busiest_thread_cores": target.busiest_thread_cores,
        "server_cpu_ms": each(1000 * cpu * window.seconds if cpu is not None else None),
        "server_kernel_share": target.kernel_share,
        "server_ended_share": ended / cpu if ended is not None and cpu else None,
        "server_starts": each(target.starts * window.seconds if target.starts is not None else None),
        "server_switches": each(target.switches * window.seconds if target.switches is not None else None),
        "server_threads": target.threads,
        "server_processes": target.processes,
        "server_fds": target.fds,
        "server_fd_limit": target.fd_limit,
        "accept_queue": window.queue.mean if window.queue is not None else target.accept_queue,
        "accept_queue_max": target.accept_queue_max,
        "backlog": target.backlog,
        **{name: span.most for name, span in (target.kernel or {}).items() if name in TARGET_COLUMNS},
    }


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
