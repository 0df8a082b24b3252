"""Check 10, a model's and not a step's: does the same load give the same figures again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from analysis.judge.checks import Check, batch_error
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window


def across_blocks(goodputs: Sequence[float]) -> Check:
    """Coefficient of variation of X over the blocks of one model and step."""
    if len(goodputs) < 2:
        return Check(10, "CoV of X over blocks", None, T.cov, "not available", "one block alone can't show it")
    mean = float(np.mean(goodputs))
    cov = float(np.std(goodputs, ddof=1)) / mean if mean else 0.0
    detail = f"X from {min(goodputs):.1f} to {max(goodputs):.1f} requests/s in {len(goodputs)} blocks"
    return Check(10, "CoV of X over blocks", cov, T.cov, "pass" if cov <= T.cov else "fail", detail)


def returned(windows: Iterable[Window]) -> tuple[Check, ...]:
    """The return step against the ladder step of as many users in the same run: X and R."""
    seen = list(windows)
    ladder = {window.step.users: window for window in seen if window.step.kind == "ladder"}
    return tuple(
        check
        for window in seen
        if window.step.kind == "return" and window.step.users in ladder
        for check in _again(ladder[window.step.users], window)
    )


def _again(first: Window, again: Window) -> tuple[Check, Check]:
    goodput = _compare("return step X", first.goodput, again.goodput, (_error_x(first), _error_x(again)), "requests/s")
    response = _compare("return step R", first.mean_ms, again.mean_ms, (_error_r(first), _error_r(again)), "ms")
    return goodput, response


def _compare(name: str, first: float | None, again: float | None, errors: tuple[float, float], unit: str) -> Check:
    """Within 3 % of the first figure, or three standard errors of the difference, whichever is more."""
    if not first or again is None:
        return Check(10, name, None, T.return_share, "not available", "one of the two steps has no such figure")
    off = abs(again - first) / first
    allowed = max(T.return_share, T.return_sigmas * math.hypot(*errors) / first)
    detail = f"{first:.4g} {unit} on the way up, {again:.4g} {unit} at the return"
    return Check(10, name, off, allowed, "pass" if off <= allowed else "fail", detail)


def _error_x(window: Window) -> float:
    return (
        batch_error([second.successes for second in window.ticks], [second.seconds for second in window.ticks]) or 0.0
    )


def _error_r(window: Window) -> float:
    """Standard error of the mean response time in ms: batch means of response time over answers."""
    answered = [second for second in window.ticks if second.successes > 0]
    error = batch_error([1000 * second.response_s for second in answered], [second.successes for second in answered])
    return error or 0.0
