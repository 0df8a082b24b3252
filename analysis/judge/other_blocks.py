"""The second half of the verdict `disturbed`: a step whose figures are outside what its other blocks gave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from analysis.judge.findings import Finding
from analysis.judge.judging import RunResult, StepResult
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.verdicts import SERVED

Figures = tuple[float, float]
"""Goodput in requests/s and mean response time in ms."""


def judged_by_blocks(results: Sequence[RunResult]) -> tuple[RunResult, ...]:
    """The runs with every step `disturbed` that failed check 11 and differs from the same step of the other blocks.

    Within a run only what is wrong in itself shows. A step that is sound in itself and was taken on cores that others
    used too counts where it gave what the undisturbed blocks gave, within the tie band; `other_blocks` of them at
    least must have.
    """
    sound: dict[tuple[str, int], list[Figures]] = defaultdict(list)
    for result in results:
        for step in result.steps:
            figures = _figures(step)
            if figures is not None and not step.judgement.disturbed:
                sound[step.run.label, step.step.number].append(figures)
    return tuple(
        replace(result, steps=tuple(_compared(step, sound[step.run.label, step.step.number]) for step in result.steps))
        for result in results
    )


def _figures(step: StepResult) -> Figures | None:
    window = step.window
    if step.judgement.verdict not in SERVED or window is None or window.mean_ms is None:
        return None
    return window.goodput, window.mean_ms


def _compared(step: StepResult, others: Sequence[Figures]) -> StepResult:
    own = _figures(step)
    if own is None or not step.judgement.disturbed:
        return step
    if len(others) < T.other_blocks:
        unknown = Finding("strangers.untested", blocks=len(others), wanted=T.other_blocks)
        return replace(step, judgement=replace(step.judgement, reasons=(*step.judgement.reasons, unknown)))
    (low, high), (low_ms, high_ms) = ((min(each), max(each)) for each in zip(*others, strict=True))
    inside = all(
        (1 - T.tie) * least <= value <= (1 + T.tie) * most
        for value, least, most in zip(own, (low, low_ms), (high, high_ms), strict=True)
    )
    if inside:
        return step
    why = Finding(
        "strangers.outside",
        rate=own[0],
        low=low,
        high=high,
        mean_ms=own[1],
        low_ms=low_ms,
        high_ms=high_ms,
        blocks=len(others),
    )
    failed = tuple(check for check in step.judgement.checks if check.number == 11 and check.outcome == "fail")
    rest = tuple(reason for reason in step.judgement.reasons if reason not in failed)
    judgement = replace(step.judgement, verdict="disturbed", reasons=(*failed, why, *rest), saturated=False)
    return replace(step, judgement=judgement)
