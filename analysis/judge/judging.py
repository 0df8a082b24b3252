"""One run judged: every step that the plan asks for, with its window, its verdict and what could not be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from analysis.judge.checks import Check
from analysis.judge.reconcile import Reconciled, reconcile
from analysis.judge.repeat import returned
from analysis.judge.verdicts import Judged, Verdict, judge_step
from analysis.judge.window import Window, window_of
from analysis.read.ledger import Ledger
from analysis.read.results import Campaign, RunData, load, read_run
from study.errors import FormatError, StudyError
from study.plan import Plan, Run, Step
from study.workload import Work


@dataclass(frozen=True)
class StepResult:
    """One step of one run; `window` is None where nobody measured it."""

    run: Run
    step: Step
    window: Window | None
    judged: Judged


@dataclass(frozen=True)
class RunResult:
    data: RunData
    steps: tuple[StepResult, ...]
    repeats: tuple[Check, ...]
    """Check 10's parts within the run: the return step against the ladder."""
    reconciled: Reconciled | None
    gaps: tuple[str, ...]


@dataclass(frozen=True)
class StepVerdict:
    """A step's verdict as the campaign shows it while it runs. Rates per second, times in ms; None where not known."""

    block: int
    model: str
    step: int
    kind: str
    users: int
    verdict: Verdict
    reasons: tuple[str, ...]
    rps: float | None
    mean_ms: float | None
    failures: int | None
    saturated: bool

    def __str__(self) -> str:
        """One line: what was found, and the first reason where it isn't simply valid."""
        again = " (return step)" if self.kind == "return" else ""
        figures = [f"{self.rps:.1f} requests/s"] if self.rps is not None else []
        figures += [f"mean {self.mean_ms:.3g} ms"] if self.mean_ms is not None else []
        figures += [f"{self.failures} failed"] if self.failures else []
        label = f"{self.verdict} (saturated)" if self.saturated else self.verdict
        said = f"{self.model} at {self.users} users{again}: " + ", ".join((label, *figures))
        return f"{said}: {self.reasons[0]}" if self.verdict != "valid" and self.reasons else said


def verdicts_of(campaign_dir: Path | str, run_name: str) -> list[StepVerdict]:
    """The verdicts of one run, `<block>-<label>`, as soon as its ledger is there: run.json may still be missing.

    Raises FormatError where the directory isn't a campaign, StudyError where its plan has no such run.
    """
    campaign = load(campaign_dir)
    for run in campaign.plan.runs():
        if run.directory == run_name:
            result = judge_run(read_run(campaign.files, run), campaign.plan, unfinished=True)
            return [_verdict(step) for step in result.steps]
    raise StudyError(f"{campaign_dir}: its plan has no run {run_name!r}")


def judge_all(campaign: Campaign) -> Iterator[RunResult]:
    """Every run that the plan asks for, one after the other, so that only one is held in memory at a time."""
    return (judge_run(data, campaign.plan) for data in campaign.runs)


def judge_run(data: RunData, plan: Plan, unfinished: bool = False) -> RunResult:
    """Judge one run. A run without run.json never happened, unless it is asked for as unfinished."""
    if data.state == "absent" and not (unfinished and data.files.ledger.is_file()):
        steps = tuple(_unmeasured(data.run, step, f"the run is not there: {data.reason}") for step in plan.steps())
        return RunResult(data, steps, (), None, ())
    if data.state == "skipped":
        steps = tuple(_unmeasured(data.run, step, f"skipped: {data.reason}") for step in plan.steps())
        return RunResult(data, steps, (), None, ())
    ledger, samples, bystanders = data.ledger(), data.samples(), data.background()
    work = plan.server(data.run.model).work or Work()
    windows: dict[int, Window] = {}
    damaged: dict[int, str] = {}
    for step in plan.steps():
        try:
            window = window_of(ledger, step, samples, bystanders, work.wait_ms / 1000)
        except FormatError as error:
            damaged[step.number] = str(error)
        else:
            windows |= {step.number: window} if window is not None else {}
    run = reconcile(ledger, data.server, data.probes, each_connects=plan.connection == "close", bystanders=bystanders)
    lowest = windows.get(1)
    unloaded_s = lowest.cycle_response_s if lowest is not None else None
    steps = tuple(
        StepResult(data.run, step, windows[step.number], judge_step(windows[step.number], plan, run, unloaded_s, work))
        if step.number in windows
        else _unmeasured(data.run, step, f"damaged: {damaged[step.number]}")
        if step.number in damaged
        else _without_records(data, ledger, step)
        for step in plan.steps()
    )
    gaps = (*ledger.gaps, *(f"{data.run.directory}/{data.files.ledger.name}: {said}" for said in damaged.values()))
    if data.state == "done" and not ledger.ended and not ledger.gaps:
        gaps += (f"{data.run.directory}/{data.files.ledger.name}: ends before the ladder does",)
    gaps += (*samples.gaps, *samples.unsampled(ledger.workers))
    if (until := ledger.measured_until) is not None:
        gaps += samples.ending_before(until)
    return RunResult(data, steps, returned(windows.values()), run, gaps)


def _without_records(data: RunData, ledger: Ledger, step: Step) -> StepResult:
    lost = [entry.worker for entry in ledger.lost if (entry.step, entry.phase) == (step.number, "measure")]
    if lost:
        reason = f"no record came from {', '.join(lost)} (check 1, population)"
        return StepResult(data.run, step, None, Judged("worker-lost", (reason,), ()))
    if data.lost is not None and data.lost.step == step.number:
        said = f"{data.lost.host} was lost in this step, and its records with it (check 1, population)"
        return StepResult(data.run, step, None, Judged("worker-lost", (said,), ()))
    failed = f"the run failed: {data.reason}"
    return _unmeasured(data.run, step, failed if data.state == "failed" else "its measure window is not in the ledger")


def _unmeasured(run: Run, step: Step, reason: str) -> StepResult:
    return StepResult(run, step, None, Judged("not-measured", (reason,), ()))


def _verdict(result: StepResult) -> StepVerdict:
    window = result.window
    return StepVerdict(
        block=result.run.block,
        model=result.run.label,
        step=result.step.number,
        kind=result.step.kind,
        users=result.step.users,
        verdict=result.judged.verdict,
        reasons=result.judged.reasons,
        rps=window.goodput if window is not None else None,
        mean_ms=window.mean_ms if window is not None else None,
        failures=window.failed if window is not None else None,
        saturated=result.judged.saturated,
    )
