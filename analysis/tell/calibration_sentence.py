"""What the calibration shows of the generator, as a sentence."""

from __future__ import annotations

import math

from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.generator_rate import Capacity, capacity, raised
from analysis.rank.steps import Steps
from analysis.read.results import Campaign
from analysis.tell.words import counted


def capacity_sentence(held: Capacity | None, need: float, cores: int) -> str:
    """The capacity against the plan's need, and how many cores the load hosts lack, if any.

    `need` is the plan's largest N / Z in requests a second; `cores` are those that the workers have.
    """
    half = T.planned_share
    if held is None:
        return (
            f"the generator was late (lag p99 above {T.lag_ms:g} ms, or another part of check 4) at the lowest rate"
            f" tried; the plan asks for up to {need:.0f} requests/s. The campaign goes on; the verdicts show at which"
            " steps the generator was the limit"
        )
    rate = f"{'at least ' if held.at_least else ''}{held.rate:.0f} requests/s"
    lag = f"(lag p99 {held.lag_ms:.2g} ms{', in a step of the campaign itself' if held.in_campaign else ''})"
    holds = f"the generator holds {rate} {lag}"
    # The rate held at the top was to be twice the need; users are whole and think times random, hence the few per cent.
    if need <= half * held.rate * (1 + T.shortfall):
        return f"{holds}; the plan asks for up to {need:.0f}, which is within half of it"
    if held.at_least:
        return f"{holds}; the plan asks for up to {need:.0f}"
    wanted = math.ceil(need / (half * held.rate / cores))
    return (
        f"{holds}; the plan asks for up to {need:.0f}, more than half of it: {counted(wanted, 'core')} for the load,"
        f" {held.rate / cores:.0f} requests/s each, would make it half, and there {'is' if cores == 1 else 'are'}"
        f" {cores}. The campaign goes on; the verdicts show whether the generator was the limit"
    )


def calibration_lines(campaign: Campaign, steps: Steps) -> list[str]:
    """What a campaign's calibration and its own steps show of the generator; empty where no calibration was run."""
    calibration, manifest = campaign.files.calibration, campaign.manifest
    if not calibration.plan.is_file() or manifest is None or manifest.load_cores is None:
        return []
    need = campaign.plan.most_users / campaign.plan.mean_think_s
    held = raised(capacity(calibration.directory), steps)
    return [f"- calibration: {capacity_sentence(held, need, manifest.load_cores)}"]
