"""R1, the response time of the idle server: what a loaded step's response time is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.judge.window import Window


@dataclass(frozen=True)
class Baseline:
    """R1 in s with what says how sure it is."""

    response_s: float
    requests: int
    """How many it is the mean of."""
    cv: float
    """Coefficient of variation of these response times."""
    step: int
    idle: bool
    """Measured at the idle step. Else it is the R of the lowest ladder step, and so a bound: R1 is at most this."""


def baseline_of(windows: Mapping[int, Window]) -> Baseline | None:
    """R1 from the idle step, else from the lowest ladder step (older campaigns); None where neither gave an answer."""
    idle = [window for window in windows.values() if window.step.kind == "idle"]
    ladder = [window for number, window in sorted(windows.items()) if window.step.kind == "ladder"]
    for window in (*idle, *ladder[:1]):
        response = window.cycle_response_s
        if response is not None and window.successes:
            return Baseline(
                response_s=response,
                requests=window.attempts,
                cv=window.response.sd_s / response if response else 0.0,
                step=window.step.number,
                idle=window.step.kind == "idle",
            )
    return None
