"""Check 10, a model's and not a step's: does the same load give the same figures again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from analysis.judge.checks.checks_laws import batch_error
from analysis.judge.findings import Check, check, passed
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.window import Window


def across_blocks(goodputs: Sequence[float]) -> Check:
    """Coefficient of variation of X (requests/s) over the blocks of one model and step."""
    low, high, blocks = min(goodputs, default=None), max(goodputs, default=None), len(goodputs)
    if blocks < 2:
        return check("not available", "repeat.blocks", value=None, threshold=T.cov, low=low, high=high, blocks=blocks)
    mean = float(np.mean(goodputs))
    cov = float(np.std(goodputs, ddof=1)) / mean if mean else 0.0
    return check(passed(cov <= T.cov), "repeat.blocks", value=cov, threshold=T.cov, low=low, high=high, blocks=blocks)


def returned(windows: Iterable[Window]) -> tuple[Check, ...]:
    """The return step against the ladder step of as many users in the same run: X and R."""
    every = list(windows)
    ladder = {window.step.users: window for window in every if window.step.kind == "ladder"}
    return tuple(
        check
        for window in every
        if window.step.kind == "return" and window.step.users in ladder
        for check in _again(ladder[window.step.users], window)
    )


def _again(first: Window, again: Window) -> tuple[Check, Check]:
    goodput = _compare("repeat.return-rps", first.goodput, again.goodput, (_error_x(first), _error_x(again)))
    response = _compare("repeat.return-mean", first.mean_ms, again.mean_ms, (_error_r(first), _error_r(again)))
    return goodput, response


def _compare(code: str, first: float | None, again: float | None, errors: tuple[float, float]) -> Check:
    """Within 3 % of the first figure, or three standard errors of the difference, whichever is more."""
    if not first or again is None:
        return check("not available", code, value=None, threshold=T.return_share, first=first, again=again)
    off = abs(again - first) / first
    allowed = max(T.return_share, T.return_sigmas * math.hypot(*errors) / first)
    return check(passed(off <= allowed), code, value=off, threshold=allowed, first=first, again=again)


def _error_x(window: Window) -> float:
    """Standard error of goodput in requests/s, by batch means."""
    error = batch_error([second.successes for second in window.ticks], [second.seconds for second in window.ticks])
    return error or 0.0


def _error_r(window: Window) -> float:
    """Standard error of the mean response time in ms: batch means of response time over answers."""
    answered = [second for second in window.ticks if second.successes > 0]
    error = batch_error([1000 * second.response_s for second in answered], [second.successes for second in answered])
    return error or 0.0
