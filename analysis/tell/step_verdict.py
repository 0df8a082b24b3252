"""Verdicts in words: of a step as the campaign shows it while it runs, and of a load over its runs."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.judge.findings import Reason
from analysis.judge.judging import StepResult
from analysis.judge.verdicts import Verdict
from analysis.rank.steps import Steps
from analysis.tell.sentences import reason_sentence
from analysis.tell.words import counted


@dataclass(frozen=True)
class StepVerdict:
    """A step's verdict with its main figures. Rates per second, times in ms; None where not known."""

    block: int
    model: str
    step: int
    kind: str
    users: int
    verdict: Verdict
    findings: tuple[Reason, ...]
    """What the verdict rests on."""
    rps: float | None
    mean_ms: float | None
    failures: int | None
    saturated: bool

    @property
    def reasons(self) -> tuple[str, ...]:
        """The findings as sentences."""
        return tuple(reason_sentence(finding) for finding in self.findings)

    def __str__(self) -> str:
        """One line: verdict and figures, and the first reason where the verdict isn't `valid`."""
        again = {"return": " (return step)", "idle": " (idle step)"}.get(self.kind, "")
        figures = [f"{self.rps:.1f} requests/s"] if self.rps is not None else []
        figures += [f"mean {self.mean_ms:.3g} ms"] if self.mean_ms is not None else []
        figures += [f"{self.failures} failed"] if self.failures else []
        label = f"{self.verdict} (saturated)" if self.saturated else self.verdict
        line = f"{self.model} at {counted(self.users, 'user', spec='d')}{again}: " + ", ".join((label, *figures))
        return f"{line}: {self.reasons[0]}" if self.verdict != "valid" and self.findings else line


def told_verdict(result: StepResult) -> StepVerdict:
    """The verdict of a judged step."""
    window = result.window
    return StepVerdict(
        block=result.run.block,
        model=result.run.label,
        step=result.step.number,
        kind=result.step.kind,
        users=result.step.users,
        verdict=result.judgement.verdict,
        findings=result.judgement.reasons,
        rps=window.goodput if window is not None else None,
        mean_ms=window.mean_ms if window is not None else None,
        failures=window.failed if window is not None else None,
        saturated=result.judgement.saturated,
    )


ALONE = "full by that step alone"
"""Of a step that was saturated, and that a larger one contradicts."""
ALONE_MEANS = f"{ALONE}: a larger step of the same block had room, or gave more, so that this was no limit"


def tally_text(rows: Steps, separator: str = " / ") -> str:
    """The verdicts of a load's runs, as `overload in 2 of 6 / valid in 3 of 6 / disturbed in 1 of 6`.

    The load's own (`Steps.verdict`) comes first. Where all runs have it, it stands alone.
    """
    counts, verdict = rows.frame["verdict"].value_counts(), rows.verdict
    if len(counts) == 1:
        return str(counts.index[0])
    order = sorted(counts.index, key=lambda each: (each != verdict, -counts[each], each))
    return separator.join(f"{each} in {counts[each]} of {len(rows.frame)}" for each in order)


def saturated_text(rows: Steps, withdrawn: pd.Series[bool]) -> str:
    """In how many runs of a load the server was at its limit, and in how many a larger valid step says otherwise.

    `withdrawn` is `Steps.withdrawn` of the model's whole ladder. Empty where nothing was saturated.
    """
    saturated = rows.frame["saturated"].astype(bool)
    alone, runs = saturated & withdrawn[rows.frame.index], len(rows.frame)
    parts = (("saturated", int((saturated & ~alone).sum())), (ALONE, int(alone.sum())))
    return "; ".join(f"{word}{f' in {count} of {runs}' if count < runs else ''}" for word, count in parts if count)
