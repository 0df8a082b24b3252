"""A step's verdict as the campaign shows it while it runs: one line."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.judge.findings import Reason
from analysis.judge.judging import StepResult
from analysis.judge.verdicts import Verdict
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
