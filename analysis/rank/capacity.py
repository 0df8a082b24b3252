"""What the calibration says: the rate that the generator holds with its own lag small, against the plan's need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from analysis.judge.judging import judge_all
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.steps import steps_frame
from analysis.read.results import load


@dataclass(frozen=True)
class Capacity:
    """`rate` is in requests a second; where every rate tried was held, the generator may hold more: `at_least`."""

    rate: float
    at_least: bool
    lag_ms: float
    """Think-time lag p99 at that rate."""
    cpu: float
    """Its busiest worker's CPU there, in cores."""


def capacity(directory: Path | str) -> Capacity | None:
    """The highest rate held in a calibration's directory, none below it having failed; None where there is none.

    A rate is held where the think-time lag's p99 is small and the null responder gave what the interactive law expects.
    Raises FormatError where the directory holds no calibration.
    """
    campaign = load(directory)
    rows = steps_frame(step for result in judge_all(campaign) for step in result.steps)
    held: Capacity | None = None
    for row in rows.to_dict("records"):
        expected = row["users"] / (campaign.plan.mean_think_s + _number(row["mean_ms"]) / 1000)
        lag = _number(row["generator_lag_p99_ms"])
        if not (lag <= T.lag_ms and _number(row["rps"]) >= (1 - T.shortfall) * expected):
            return held
        held = Capacity(float(row["rps"]), False, lag, _number(row["generator_cpu_max"]))
    return Capacity(held.rate, True, held.lag_ms, held.cpu) if held else None


def capacity_sentence(found: Capacity | None, need: float, cores: int) -> str:
    """The capacity against the plan's need, and how many cores for the load are missing, if any.

    `need` is the plan's largest N / Z in requests a second; `cores` are those that the workers have.
    """
    half = T.planned_share
    lag = f"{T.lag_ms:g} ms"
    if found is None:
        return (
            f"the generator doesn't hold {need / 2:.0f} requests/s with a lag under {lag}: no upper step can be trusted"
        )
    rate = f"{'at least ' if found.at_least else ''}{found.rate:.0f} requests/s"
    held = f"the generator holds {rate} (lag p99 {found.lag_ms:.2g} ms)"
    # The rate held at the top was to be twice the need; users are whole and think times random, hence the few per cent.
    if need <= half * found.rate * (1 + T.shortfall):
        return f"{held}; the plan asks for up to {need:.0f}, which is within half of it"
    if found.at_least:
        return f"{held}, and more could not be tried; the plan asks for up to {need:.0f}"
    wanted = math.ceil(need / (half * found.rate / cores))
    return (
        f"{held}; the plan asks for up to {need:.0f}, more than half of it: {wanted} cores for the load would do, "
        f"there are {cores}. The campaign goes on, and the verdicts will say what came of it"
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
