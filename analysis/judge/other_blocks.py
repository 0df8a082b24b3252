"""The second half of the verdict `disturbed`: a step whose figures are outside what its other blocks gave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from analysis.judge.findings import Finding
from analysis.judge.judging import RunResult, StepResult
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.verdicts import SERVED

Figures = tuple[float, float]
"""Goodput in requests/s and mean response time in ms."""
Load = tuple[str, int, str]
"""Label, users and kind of a step: in a search the same load has another number in each block.

A trial that is measured twice as long, to confirm a load, is one of that load.
"""


def judged_by_blocks(results: Sequence[RunResult]) -> tuple[RunResult, ...]:
    """The runs with every step `disturbed` that failed check 11 and differs from the same load in the other blocks.

    Within a run only what is wrong in itself shows. A step that is sound in itself and was taken on cores that others
    used too counts where it gave what the undisturbed blocks gave, within the tie band; `other_blocks` of them at
    least must have.
    """
    sound: dict[Load, dict[int, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        for step in result.steps:
            figures = _figures(step)
            if figures is not None and not step.judgement.disturbed:
                sound[_load(step)][step.run.block].append(figures)
    return tuple(
        replace(result, steps=tuple(_compared(step, sound[_load(step)]) for step in result.steps)) for result in results
    )


def _load(step: StepResult) -> Load:
    kind = step.step.kind
    return step.run.label, step.step.users, "trial" if kind == "confirm" else kind


def _figures(step: StepResult) -> Figures | None:
    window = step.window
    if step.judgement.verdict not in SERVED or window is None or window.mean_ms is None:
        return None
    return window.goodput, window.mean_ms


def _compared(step: StepResult, sound: Mapping[int, Sequence[Figures]]) -> StepResult:
    """`sound` are the undisturbed figures of the same load by block; a search may try a load twice in one block."""
    own = _figures(step)
    if own is None or not step.judgement.disturbed:
        return step
    elsewhere = {block: figures for block, figures in sound.items() if block != step.run.block}
    if len(elsewhere) < T.other_blocks:
        unknown = Finding("strangers.untested", blocks=len(elsewhere), wanted=T.other_blocks)
        return replace(step, judgement=replace(step.judgement, reasons=(*step.judgement.reasons, unknown)))
    others = [figures for each in elsewhere.values() for figures in each]
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
        blocks=len(elsewhere),
    )
    failed = tuple(check for check in step.judgement.checks if check.number == 11 and check.outcome == "fail")
    rest = tuple(reason for reason in step.judgement.reasons if reason not in failed)
    judgement = replace(step.judgement, verdict="disturbed", reasons=(*failed, why, *rest), saturated=False)
    return replace(step, judgement=judgement)
