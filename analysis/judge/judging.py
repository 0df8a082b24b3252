"""One run judged: every step that the plan asks for, with its window, its verdict and what could not be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.judge.baseline import Baseline, baseline_of, of_the_mix
from analysis.judge.findings import Check, Finding
from analysis.judge.reconciliation import Reconciled, reconcile
from analysis.judge.repeat import returned
from analysis.judge.verdicts import Judgement, judge_step
from analysis.judge.window import Window, window_of
from analysis.read.course import RunCourse, course_of
from analysis.read.ledger import Ledger, steps_of_run
from analysis.read.results import Campaign, RunData
from study.errors import FormatError
from study.formats.ledger_jsonl import RecoveryRecord, SearchRecord, TrialRecord
from study.plan import IDLE_STEP, Plan, Run, Step
from study.workload import Work

NOT_RUN = RunCourse()


@dataclass(frozen=True)
class StepResult:
    """One step of one run; `window` is None where it was not measured."""

    run: Run
    step: Step
    window: Window | None
    judgement: Judgement


@dataclass(frozen=True)
class RunResult:
    """One run with its judged steps."""

    data: RunData
    steps: tuple[StepResult, ...]
    repeats: tuple[Check, ...]
    """Check 10's parts within the run: the return step against the ladder."""
    reconciled: Reconciled | None
    gaps: tuple[Finding, ...]
    """What is missing from its files or could not be read."""
    trials: tuple[TrialRecord, ...] = ()
    """What a search's trials came to while the run went on."""
    search: SearchRecord | None = None
    """How its search ended while the run went on."""
    recoveries: tuple[RecoveryRecord, ...] = ()
    """After its failed trials: the waits for an idle server's response time."""
    course: RunCourse = NOT_RUN
    """Its seconds."""


def judge_all(campaign: Campaign) -> Iterator[RunResult]:
    """Every run that the plan asks for, one after the other, so that only one is held in memory at a time."""
    return (judge_run(data, campaign.plan) for data in campaign.runs)


def judge_run(data: RunData, plan: Plan, unfinished: bool = False) -> RunResult:
    """Judge one run. A run without run.json never happened, unless it is asked for as unfinished."""
    if data.state == "absent" and not (unfinished and data.files.ledger.is_file()):
        return _without_steps(data, plan, Finding("run.absent", reason=data.reason))
    if data.state == "skipped":
        return _without_steps(data, plan, Finding("run.skipped", reason=data.reason))
    ledger, samples, background = data.ledger(), data.samples(), data.background()
    work = plan.server(data.run.model).work or Work()
    windows: dict[int, Window] = {}
    damaged: dict[int, str] = {}
    asked = steps_of_run(ledger, plan)
    for step in asked:
        try:
            window = window_of(
                ledger,
                step,
                samples,
                background,
                work.wait_ms / 1000,
                data.slots,
                stamps=plan.client == "lean" and plan.locustfile is None,
            )
        except FormatError as error:
            damaged[step.number] = str(error)
        else:
            windows |= {step.number: window} if window is not None else {}
    run = reconcile(ledger, data.server, data.probes, each_connects=not plan.keeps_alive, background=background)

    def trusted(window: Window) -> bool:
        return judge_step(window, plan.during(window.step), run, None, work).gives_r1

    baseline = baseline_of(windows.values(), trusted)
    steps = tuple(
        StepResult(
            data.run,
            step,
            windows[step.number],
            judge_step(windows[step.number], plan.during(step), run, of_the_mix(baseline, windows[step.number]), work),
        )
        if step.number in windows
        else _unmeasured(data.run, step, Finding("step.damaged", error=damaged[step.number]))
        if step.number in damaged
        else _without_records(data, ledger, step)
        for step in asked
    )
    notes = [*samples.gaps, *samples.unsampled(ledger.workers)]
    if (until := ledger.measured_until) is not None:
        notes += samples.ending_before(until)
    file = f"{data.run.directory}/{data.files.ledger.name}"
    early = data.state == "done" and not ledger.ended and not ledger.gaps
    gaps = (
        *(Finding("file.note", text=gap) for gap in ledger.gaps),
        *(Finding("file.damaged", file=file, error=error) for error in damaged.values()),
        *((Finding("file.ends-early", file=file),) if early else ()),
        *(Finding("file.note", text=note) for note in notes),
        *_without_idle(data.run, windows.get(IDLE_STEP), baseline, steps),
    )
    repeats = returned(windows.values())
    course = course_of(ledger, samples)
    return RunResult(data, steps, repeats, run, gaps, ledger.trials, ledger.search, ledger.recoveries, course)


def _without_idle(
    run: Run, idle: Window | None, baseline: Baseline | None, steps: Sequence[StepResult]
) -> tuple[Finding, ...]:
    """That R1 is only a bound, or not known, since the idle step isn't trusted."""
    if idle is None or (baseline is not None and baseline.idle):
        return ()
    (judged,) = (step.judgement for step in steps if step.step.kind == "idle")
    verdict = "disturbed" if judged.disturbed else judged.verdict
    users = next(
        (each.step.users for each in steps if baseline is not None and each.step.number == baseline.step), None
    )
    return (Finding("baseline.untrusted", run=run.directory, verdict=verdict, users=users),)


def _without_steps(data: RunData, plan: Plan, why: Finding) -> RunResult:
    return RunResult(data, tuple(_unmeasured(data.run, step, why) for step in plan.load_steps()), (), None, ())


def _without_records(data: RunData, ledger: Ledger, step: Step) -> StepResult:
    lost = tuple(entry.worker for entry in ledger.lost if (entry.step, entry.phase) == (step.number, "measure"))
    why = None
    if lost:
        why = Finding("load.no-record", workers=lost)
    elif data.lost is not None and data.lost.step == step.number:
        why = Finding("load.host-lost", host=data.lost.host)
    if why is not None:
        return StepResult(data.run, step, None, Judgement("worker-lost", (why,), ()))
    if data.state == "failed":
        return _unmeasured(data.run, step, Finding("run.failed", reason=data.reason))
    return _unmeasured(data.run, step, Finding("step.not-in-ledger"))


def _unmeasured(run: Run, step: Step, why: Finding) -> StepResult:
    return StepResult(run, step, None, Judgement("not-measured", (why,), ()))
