"""How long a run and a campaign take, in seconds, as functions of the plan and of the trials so far."""

from __future__ import annotations

from collections.abc import Sequence

from study.plan import AUTO_MEASURE_S, AUTO_MOST_S, AUTO_SETTLE_S, Plan, Step
from study.search import Trial, possible_trials

RUN_START_S = 2.4
"""Of a run, until its first phase begins: the start of server, master, workers and samplers."""
JUDGE_S = 0.3
"""Judgement of a run's steps."""
RUN_END_S = 1.0 + JUDGE_S
"""Of a run, after its last phase: drain, stop, collecting, and the judgement."""
RAMP_S = 0.15
"""Until all users run, beyond the spawn rate's time."""
RECOVERED_S = 2.1
"""From a failed trial until the next, of a server that has no backlog."""
CAMPAIGN_S, ANALYSIS_S = 2.0, 4.0
"""Of a campaign: its start and the first judgement; the analysis at its end."""
ANALYSIS_MODEL_S, ANALYSIS_RUN_S = 0.5, 0.3
"""More of the analysis for each model and each run."""


def run_seconds(plan: Plan) -> tuple[float, float]:
    """Shortest and longest duration of one run; they differ where a phase is "auto", and in a search.

    `search_seconds` says what is not reckoned with in a search.
    """
    fixed = steps_seconds(plan, plan.steps())
    search = (0.0, 0.0) if plan.search is None else search_seconds(plan)
    least, most = (RUN_START_S + RUN_END_S + one + other for one, other in zip(fixed, search, strict=True))
    return least, most


def search_seconds(plan: Plan, trials: Sequence[Trial] = (), passed_s: float = 0.0) -> tuple[float, float]:
    """Shortest and longest duration of what is left of a run's search after these trials; of the next one `passed_s`
    have passed already.

    Trials that are repeated, step down or are measured longer for want of answers come on top.
    """
    assert plan.capacity_search is not None
    ways = possible_trials(plan.capacity_search, trials)
    each = [_left(plan, trials, following, passed_s) for following in ways]
    return min(least for least, _ in each), max(most for _, most in each)


def seconds_left(
    plan: Plan, runs: int, run_s: float, trials: Sequence[Trial] = (), trial_s: float | None = None
) -> tuple[float, float]:
    """Shortest and longest duration of what is left: of a run that began `run_s` ago, and of so many `runs` after it.

    Of a search, `trials` are those so far, and the next one began `trial_s` ago; None before the first.
    """
    each = run_seconds(plan)
    if plan.search is None or trial_s is None:
        mine = tuple(max(seconds - run_s, 0.0) for seconds in each)
    else:
        mine = tuple(seconds + RUN_END_S for seconds in search_seconds(plan, trials, trial_s))
    least, most = (one + run * runs for one, run in zip(mine, each, strict=True))
    return least, most


def campaign_seconds(plan: Plan) -> tuple[float, float]:
    """Shortest and longest duration of the whole campaign, its start and the analysis included.

    Deploy and calibration come on top.
    """
    least, most = run_seconds(plan)
    return whole_seconds(plan, len(plan.runs()) * least), whole_seconds(plan, len(plan.runs()) * most)


def whole_seconds(plan: Plan, runs_s: float) -> float:
    """Duration of a campaign whose runs take `runs_s` together, its start and the analysis included."""
    return CAMPAIGN_S + ANALYSIS_S + ANALYSIS_MODEL_S * len(plan.models) + ANALYSIS_RUN_S * len(plan.runs()) + runs_s


def steps_seconds(plan: Plan, steps: Sequence[Step], users: int = 0) -> tuple[float, float]:
    """Shortest and longest duration of these steps, one after the other, from `users` running users on."""
    least = most = 0.0
    for step in steps:
        ramp = RAMP_S + abs(step.users - users) / plan.spawn_rate
        users = step.users
        for planned, auto in zip(plan.phases(step), (AUTO_SETTLE_S, AUTO_MEASURE_S), strict=True):
            least += auto if isinstance(planned, str) else planned
            most += AUTO_MOST_S if isinstance(planned, str) else planned
        least, most = least + ramp, most + ramp
    return least, most


def _left(plan: Plan, before: Sequence[Trial], following: Sequence[Trial], passed_s: float) -> tuple[float, float]:
    """Shortest and longest duration of the trials that follow; of the first, `passed_s` have passed already."""
    least = most = 0.0
    last = before[-1] if before else None
    for number, trial in enumerate(following):
        failed = last is not None and last.outcome == "failed"
        users = last.users if last is not None and not failed else 0
        step = Step(1, "confirm" if trial.long else "trial", trial.users)
        recovery, passed = RECOVERED_S if failed else 0.0, passed_s if number == 0 else 0.0
        one, other = (max(0.0, recovery + seconds - passed) for seconds in steps_seconds(plan, (step,), users))
        least, most, last = least + one, most + other, trial
    return least, most
