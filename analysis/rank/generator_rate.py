"""The rate that the generator holds with its own lag small, from the calibration's run."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from analysis.judge.judging import judge_all
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.verdicts import SERVED
from analysis.rank.capacity import ModelCapacity
from analysis.rank.steps import LADDER_KINDS, Steps, steps_of
from analysis.read.results import Campaign, load


@dataclass(frozen=True)
class Capacity:
    """`rate` is in requests a second; where every rate tried was held, the generator may hold more: `at_least`."""

    rate: float
    at_least: bool
    lag_ms: float
    """Think-time lag p99 at that rate."""
    cpu: float
    """Its busiest worker's CPU there, in cores."""
    in_campaign: bool = False
    """Whether a step of the campaign itself held it, and not the calibration."""


def capacity(directory: Path | str) -> Capacity | None:
    """The highest rate held in a calibration's directory, none below it having failed; None where there is none.

    A rate is held where check 4 passes and the null responder gave what the interactive law expects.
    Raises FormatError where the directory holds no calibration.
    """
    campaign = load(directory)
    results = [step for result in judge_all(campaign) for step in result.steps]
    late = {
        step.step.number
        for step in results
        if any(check.number == 4 and check.outcome == "fail" for check in step.judgement.checks)
    }
    tried = steps_of(results, campaign.plan.slo).frame
    last = tried[tried["kind"].isin(LADDER_KINDS)].drop_duplicates("users", keep="last").sort_values("users")
    held: Capacity | None = None
    for row in last.to_dict("records"):  # of each load the last trial: one that a bad second spoilt was repeated
        if row["verdict"] == "not-measured":
            continue
        expected = row["users"] / (campaign.plan.mean_think_s + _number(row["mean_ms"]) / 1000)
        lag = _number(row["generator_lag_p99_ms"])
        if not (lag <= T.lag_ms and _number(row["rps"]) >= (1 - T.shortfall) * expected) or row["step"] in late:
            return held
        held = Capacity(float(row["rps"]), False, lag, _number(row["generator_cpu_max"]))
    return replace(held, at_least=True) if held else None


def raised(held: Capacity | None, steps: Steps) -> Capacity | None:
    """The capacity, or what a step of the campaign shows it to be at least: check 4 passed there, at a larger rate."""
    rows = steps.with_verdict(SERVED).frame.dropna(subset=["rps"]).sort_values("rps").to_dict("records")
    if not rows or (held is not None and float(rows[-1]["rps"]) <= held.rate):
        return held
    best = rows[-1]
    lag, cpu = _number(best["generator_lag_p99_ms"]), _number(best["generator_cpu_max"])
    return Capacity(float(best["rps"]), True, lag, cpu, in_campaign=True)


def cores_beyond(capacity: ModelCapacity, steps: Steps, campaign: Campaign) -> int | None:
    """Cores for the load that a search to twice these users takes, where the generator ended it; None elsewhere.

    By what a core of the load held in this model's own steps, since requests to another cost it something else; None
    without think time, which bounds no rate.
    """
    plan, cores = campaign.plan, campaign.manifest.load_cores if campaign.manifest is not None else None
    held = raised(None, steps.of_model(capacity.model))
    if capacity.ended != "generator" or not (capacity.users and cores and held and plan.mean_think_s):
        return None
    asked = 2 * capacity.users / plan.mean_think_s  # users are whole and think times random, hence the few per cent
    return max(cores + 1, math.ceil(asked / (1 + T.shortfall) / (held.rate / cores)))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
