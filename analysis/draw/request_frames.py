"""A row for each block, label, step and name of a request, with a locustfile of one's own; requests.csv.

In the frame `outside` and `times_bound` are bools, `failure_texts` is a mapping of text to count and `at_least` a
frozenset of columns' names, until the file is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

import pandas as pd

from analysis.judge.judging import RunResult, StepResult
from analysis.judge.own_window import NamedRequests
from analysis.judge.quantiles import quantile
from analysis.judge.window import Window
from analysis.read.histograms import EMPTY
from study.formats.own_counts import RequestRow
from study.trial import TIMED_OUT

REQUEST_COLUMNS = tuple(field.name for field in fields(RequestRow))
REQUEST_QUANTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}


def requests_frame(results: Iterable[RunResult]) -> pd.DataFrame:
    """The rows of all measured steps in their order, names by alphabet; no row with the study's own clients."""
    rows = [
        _row(result, result.window, each)
        for result in _steps(results)
        if result.window is not None and result.window.own is not None
        for each in result.window.own.names
    ]
    frame = pd.DataFrame.from_records(rows, columns=list(REQUEST_COLUMNS))
    times = [name for name in REQUEST_COLUMNS if name.endswith("_ms")]
    return frame.astype(dict.fromkeys([*times, "rps"], "float64"))


def exceptions_frame(results: Iterable[RunResult]) -> pd.DataFrame:
    """Text, traceback and count of what user classes raised in all steps of a label, the most frequent first."""
    rows = [
        {"model": result.run.label, "text": text, "traceback": trace, "count": count}
        for result in _steps(results)
        if result.window is not None and result.window.own is not None
        for text, trace, count in result.window.own.exceptions
    ]
    frame = pd.DataFrame.from_records(rows, columns=["model", "text", "traceback", "count"])
    summed = frame.groupby(["model", "text", "traceback"], sort=False)[["count"]].sum().reset_index()
    return summed.sort_values(["count"], ascending=False, kind="stable")


def _steps(results: Iterable[RunResult]) -> Iterator[StepResult]:
    return (step for result in results for step in result.steps)


def _row(result: StepResult, window: Window, each: NamedRequests) -> dict[str, Any]:
    # Of requests in flight at the window's end no name is known: those of the step bound its own percentiles.
    times = {
        name: None if _may_lack(each, window) else quantile(each.response, EMPTY, q, each.timed_out or EMPTY)
        for name, q in REQUEST_QUANTILES.items()
    }
    succeeded = each.requests - each.failed
    return {
        "block": result.run.block,
        "model": result.run.label,
        "step": result.step.number,
        "users": result.step.users,
        "verdict": result.judgement.verdict,
        "method": each.method,
        "name": each.name,
        "requests": each.requests,
        "failures": each.failed,
        "rps": each.rate * succeeded / each.requests if each.requests else 0.0,
        "mean_ms": None if each.mean_s is None else 1000 * each.mean_s,
        **{name: None if value is None else value.ms for name, value in times.items()},
        "max_ms": each.response.max_ms if succeeded else None,
        "outside": each.outside,
        "failure_texts": each.failures,
        "at_least": frozenset(name for name, value in times.items() if value is not None and value.at_least),
        "times_bound": result.judgement.upper_bounds,
    }


def _may_lack(each: NamedRequests, window: Window) -> bool:
    """Whether requests of this name may have timed out of which an older ledger doesn't say how long they took."""
    timed_out = window.failures.get(TIMED_OUT, 0) or each.outside
    return each.timed_out is None and each.failed > 0 and bool(timed_out)
