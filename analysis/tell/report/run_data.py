"""The seconds of every run and the distributions of response times, as the report's page holds them.

Each run is JSON, compressed and in base64, so that hundreds of runs fit into a page and a browser unpacks only those
that a reader asks for. Above MOST_SECONDS in all, neighbouring seconds are averaged.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.draw.distributions import SHARES, response_curves
from analysis.draw.frames import TIMES
from analysis.judge.judging import StepResult
from analysis.rank.outcome import CampaignOutcome
from analysis.read.course import Column, RunCourse, Series
from analysis.tell.report.chart_data import look_value, rounded
from analysis.tell.words import BOUNDS, bounded
from study.palette import looks

MOST_SECONDS = 120_000
SHOWN = ("rps", "p50_ms", "p99_ms")
DIGITS_OF = {"rps": 4, "failures": 4, "mean_ms": 4, "accept_queue": 3, "memory_mb": 4}
"""Significant digits of each figure; others are cores and have three."""


def runs_value(outcome: CampaignOutcome) -> dict[str, Any]:
    """The runs with any second, in their order, and the distributions, as JSON has them."""
    results = [result for result in outcome.results if result.course.spans]
    seconds = sum(len(result.course.counts.at) for result in results)
    together = max(1, math.ceil(seconds / MOST_SECONDS))
    figures = {(row["block"], row["model"], row["step"]): row for row in outcome.steps.to_dict("records")}
    return {
        "together": together,
        "labels": {label: look_value(look) for label, look in looks(outcome.campaign.labels).items()},
        "runs": [
            {
                "name": result.data.run.directory, "block": result.data.run.block, "label": result.data.run.label,
                "steps": [
                    _step(step, figures[step.run.block, step.run.label, step.step.number])
                    for step in result.steps
                    if step.window is not None
                ],
                "packed": packed(course_value(result.course, together)),
            }
            for result in results
        ],
        "shares": SHARES,
        "distributions": [
            {"label": each.label, "users": each.users, "verdict": each.verdict, "runs": each.runs,
             "ms": [float(f"{ms:.4g}") for ms in each.ms]}
            for each in response_curves(outcome.results)
        ],
    }  # fmt: skip


def course_value(course: RunCourse, together: int = 1) -> dict[str, Any]:
    """A course as JSON has it; `together` neighbouring seconds are one, with the mean of their figures."""
    return {
        "spans": [
            [span.step, span.kind, span.users, span.phase, round(span.start, 2), round(span.end, 2)]
            for span in course.spans
        ],
        "counts": _columns(course.counts, together),
        "host": _columns(course.host, together),
    }


def packed(value: Any) -> str:
    """JSON, compressed by zlib, in base64."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")


def script_json(value: Any) -> str:
    """JSON that can stand in a script element: no text in it ends the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _step(step: StepResult, row: Mapping[Hashable, Any]) -> list[Any]:
    """Number, kind, users, verdict, then the goodput, p50 and p99 of its row in steps.csv, and the sign of each."""
    known = [rounded(row[name]) for name in SHOWN]
    signs = [bounded(name in row["at_least"], name in TIMES and bool(row["times_bound"]), BOUNDS) for name in SHOWN]
    return [step.step.number, step.step.kind, step.step.users, step.judgement.verdict, *known, *signs]


def _columns(series: Series, together: int) -> dict[str, Sequence[Any]]:
    """`at` in tenths of a second, each but the first as the difference to the one before."""
    tenths = np.rint(10 * series.at[together - 1 :: together]).astype(int)
    columns: dict[str, Sequence[Any]] = {"at": np.diff(tenths, prepend=0).tolist()}
    for name, values in series.figures.items():
        short = [_short(value, DIGITS_OF.get(name, 3)) for value in _means(values, together)]
        if any(short) or name in ("rps", "server_cpu"):
            columns[name] = short
    return columns


def _means(values: Column, together: int) -> Column:
    if together == 1:
        return values
    whole = values[: len(values) // together * together].reshape(-1, together)
    known = ~np.isnan(whole)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, whole, 0).sum(axis=1) / known.sum(axis=1), dtype=float)


def _short(value: float, digits: int) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() else short
