"""R1, the response time of the idle server: what a loaded step's response time is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

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
    """Measured at the idle step. Else it is the R of the lowest load, and so a bound: R1 is at most this."""
    by_name: Mapping[str, float] = field(default_factory=dict)
    """R1 of each name's requests (s), with a locustfile of one's own: of the idle step, or where that has none of this
    name, of the lowest step that has."""


def baseline_of(windows: Iterable[Window], trusted: Callable[[Window], bool]) -> Baseline | None:
    """R1 from the idle step; where there is none, or it isn't trusted, from the lowest load that is.

    None where neither gave an answer. `trusted` says whether a window's own checks let its figures count.
    """
    idle = [window for window in windows if window.step.kind == "idle" and trusted(window)]
    loads = [window for window in windows if window.step.kind not in ("idle", "return")]
    lowest = min(loads, key=lambda window: (window.step.users, window.step.number), default=None)
    own = [window for window in loads if window.own is not None and trusted(window)]
    named = (*idle, *sorted(own, key=lambda window: window.step.number))
    for window in (*idle, *([lowest] if lowest is not None and trusted(lowest) else [])):
        response = window.cycle_response_s
        if response is not None and window.successes:
            return Baseline(
                response_s=response,
                requests=window.attempts,
                cv=window.response.sd_s / response if response else 0.0,
                step=window.step.number,
                idle=window.step.kind == "idle",
                by_name=_by_name(named),
            )
    return None


def _by_name(windows: Iterable[Window]) -> dict[str, float]:
    known: dict[str, float] = {}
    for window in windows:
        for each in window.own.names if window.own is not None else ():
            if each.mean_s is not None and not each.outside:
                known.setdefault(each.name, each.mean_s)
    return known


def of_the_mix(baseline: Baseline | None, window: Window) -> Baseline | None:
    """R1 of the requests that a window has: with a locustfile of one's own, each name's R1 by its share of the window.

    The one user of the idle step is of one class, and no mix of requests is like another.
    """
    if baseline is None or window.own is None:
        return baseline
    weights = {
        each.name: each.requests - each.failed
        for each in window.own.names
        if not each.outside and each.name in baseline.by_name
    }
    total = sum(weights.values())
    if not total:
        return baseline
    mixed = sum(baseline.by_name[name] * weight for name, weight in weights.items()) / total
    # The spread of one kind of request; that between kinds is in the window's own.
    return replace(baseline, response_s=mixed, requests=max(baseline.requests, 1))
