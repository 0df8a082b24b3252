"""How far a sound window may be from the laws of checks 2, 3 and 5: values, sampling errors, and nothing else.

N users, X throughput in requests/s, R mean response time, Z mean think time, L mean number in flight; times in s.

For each user the window is filled by whole cycles and two cut ones, so the laws miss by what lies outside at the two
ends, never by the spread of what lies within: sum(R) = L T + ages of those in flight at the start - ages at the end.
The identity is exact for whatever distribution (Kim and Whitt, Estimating waiting times with the time-varying
Little's law, 2013, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from analysis.judge.thresholds import THRESHOLDS as T

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Deviation:
    """How far a law is missed, and how far it may be."""

    value: float
    allowed: float
    change: float = 0.0
    """A drift, or the miss of `balance`, with its sign."""

    @property
    def fails(self) -> bool:
        """The miss is more than sampling explains."""
        return self.value > self.allowed


def uniform_moment(low: float, high: float, power: int) -> float:
    """E[Z^power] of a time uniform between two bounds in s."""
    if high <= low:
        return low**power
    return float((high ** (power + 1) - low ** (power + 1)) / ((power + 1) * (high - low)))


def cycle_cv(think: tuple[float, float], response_mean: float, response_sd: float) -> float:
    """Coefficient of variation of R + Z; `think` are the bounds of a uniform think time."""
    sd_think = (think[1] - think[0]) / math.sqrt(12)
    mean = response_mean + (think[0] + think[1]) / 2
    return math.hypot(sd_think, response_sd) / mean if mean > 0 else 0.0


def by_cycles(
    users: int, throughput: float, response_mean: float, think_mean: float, cv: float, attempts: int
) -> Deviation:
    """Check 2 as X (R + Z) against N, allowed 3 cv / sqrt(n) with cv that of R + Z.

    The threshold is that of X alone, as if R and Z were known and not measured in the same window: heavy tails widen
    it until it finds nothing. `balance` is the sharper form.
    """
    value = abs(throughput * (response_mean + think_mean) - users) / users
    return Deviation(value, max(T.law, T.law_sigmas * cv / math.sqrt(attempts)) if attempts else T.law)


def balance(
    users: int,
    seconds: float,
    in_flight: float,
    passed_s: float,
    ended: int,
    think: tuple[float, float],
    thinking: tuple[int, int] | None = None,
    in_step: bool = False,
    late_s: float = 0.0,
) -> Deviation:
    """Check 2 as L + X Z against N: users in flight and users thinking are all there are.

    `in_flight` is the exact integral's mean, `passed_s` the sum of the `ended` think times that ended in the window
    (with what passed between an answer and the next request where there is no think time), `think` the bounds of the
    uniform think time. R doesn't occur, so neither does its tail. What is missed is the think times that the window's
    two ends cut. The age of one is E[Z^2] / (2 E[Z]) on average, its second moment E[Z^3] / (3 E[Z]) (renewal theory:
    Cox, Renewal Theory, 1962, section 5), and `thinking` says how many are cut: N less those in flight, at the start
    and at the end. Where that isn't known, it is a share of the cycle. Users in step are cut all at once. An event loop
    that is up to `late_s` late lets all think times go on for as long before it begins or ends the window.
    """
    if in_step:
        missed = (in_flight + passed_s / seconds - users) / users
        return Deviation(abs(missed), max(T.law, think[1] / seconds), missed)
    late = late_s / seconds
    mean = uniform_moment(*think, 1)
    if thinking is not None and mean > 0:
        age, square = uniform_moment(*think, 2) / (2 * mean), uniform_moment(*think, 3) / (3 * mean)
        start, end = (max(0, number) for number in thinking)
        missed = (in_flight + (passed_s - age * (start - end)) / seconds - users) / users
        sd = math.sqrt((start + end) * max(0.0, square - age**2)) / users / seconds
        return Deviation(abs(missed), max(T.law, T.law_sigmas * sd + late * max(start, end) / users), missed)
    missed = (in_flight + passed_s / seconds - users) / users
    cycle = users * seconds / ended if ended else math.inf
    first, second = uniform_moment(*think, 2) / (2 * cycle), uniform_moment(*think, 3) / (3 * cycle)
    sd = math.sqrt(2 * max(0.0, second - first**2) / users) / seconds
    return Deviation(abs(missed), max(T.law, T.law_sigmas * sd + late * mean / cycle), missed)


def little_miss(
    in_flight: float,
    seconds: float,
    response_sum_s: float,
    ages_s: tuple[float, float] | None = None,
    error: float = 0.0,
) -> Deviation:
    """Check 3 as requests: L against X R = `response_sum_s` / T, the sum over all attempts that ended.

    `ages_s` are the summed ages of those in flight at the window's start and end; with them the law is an identity and
    no spread is left to allow for. Without them `error` is the standard error by batch means.
    """
    if ages_s is not None:
        value = abs(in_flight - (response_sum_s - ages_s[0] + ages_s[1]) / seconds)
        return Deviation(value, max(T.little_requests, T.little_share * in_flight))
    value = abs(in_flight - response_sum_s / seconds)
    return Deviation(value, max(T.little_requests, T.little_share * in_flight, T.little_sigmas * error))


def dispersion(cycles: float, cv: float) -> float:
    """Variance over mean of the answers in a second, of many users who each go round `cycles` times in it.

    Poisson (1) where a second is shorter than a cycle; for more cycles the users' own regularity shows: the variance of
    a stationary renewal process is cv^2 t + (1 + 3 cv^4) / 6 for a symmetric cycle (Cox, 1962, section 4.5).
    """
    if cycles <= 0:
        return 1.0
    return max(cv**2, min(1.0, cv**2 + (1 + 3 * cv**4) / (6 * cycles)))


def drift_of_rate(rates: Sequence[float], cycles: float, cv: float) -> Deviation | None:
    """Check 5 for X: change over the window as a share, by Theil-Sen; None of fewer than three seconds.

    `rates` are answers per second of each second of the window, `cycles` is how often a user goes round in a second,
    `cv` that of a cycle.
    """
    mean = float(np.mean(rates)) if len(rates) else 0.0
    if len(rates) < 3 or mean <= 0:
        return None
    theory = math.sqrt(dispersion(cycles, cv) / mean)
    return _drift(np.asarray(rates, dtype=float) / mean, np.full(len(rates), theory))


def drift_of_response(sums_s: Sequence[float], counts: Sequence[float], response_sd: float) -> Deviation | None:
    """Check 5 for R: change over the window as a share of R, by Theil-Sen; None of fewer than three seconds.

    `sums_s` and `counts` are the response times and answers of each second, `response_sd` the standard deviation of
    the window's response times, from its histogram.
    """
    ticks, counted = _tick_means(sums_s, counts)
    if len(ticks) < 3:
        return None
    mean = float(ticks @ counted / counted.sum())
    return _drift(ticks / mean, response_sd / mean / np.sqrt(counted))


def warm_up(sums_s: Sequence[float], counts: Sequence[float]) -> Deviation | None:
    """Check 5 for R that falls early in the window: by how much, as a share of R at the end. None of under 12 seconds.

    Theil-Sen's slope ignores what happens in less than 29 % of the window. This compares the first quarter of the
    seconds with the last half: Hodges-Lehmann's shift and the lower end of its interval from the rank sum test
    (Hollander and Wolfe, Nonparametric Statistical Methods, section 4.3). `value` is the shift, `allowed` its error.
    """
    ticks, _ = _tick_means(sums_s, counts)
    if len(ticks) < T.warm_up_seconds:
        return None
    first, last = ticks[: len(ticks) // 4], ticks[-(len(ticks) // 2) :]
    shifts = np.sort((first[:, None] - last[None, :]).ravel())
    middle = len(shifts) / 2
    spread = math.sqrt(len(shifts) * (len(first) + len(last) + 1) / 12)
    lowest = int(max(0, math.floor(middle - T.warm_up_sigmas * spread)))
    usual, shift = float(np.median(last)), float(np.median(shifts))
    return Deviation(max(0.0, shift) / usual, max(T.drift, (shift - float(shifts[lowest])) / usual))


def clocks_apart(phases: Mapping[str, tuple[float, float | None]], late_s: float = 0.0) -> dict[str, float]:
    """Workers whose clock ran fast or slow in a phase, with by how much as a share: +0.2 is 20 % fast.

    `phases` has each worker's phase length in s by its monotonic clock and by its wall clock (None where it wasn't
    recorded), by names such as `load1-2`: host and number. A worker's two clocks are compared with each other. The
    monotonic clock is the host's, whose median length is compared with that of all hosts: they begin and end a phase at
    the same messages, each read up to `late_s` late where a worker's event loop is busy. Of two hosts that differ,
    nobody can say which is right: the workers of both are named. A step of the wall clock (NTP) shows as well.
    """
    lengths: dict[str, list[float]] = {}
    for worker, (monotonic, _) in phases.items():
        lengths.setdefault(host_of(worker), []).append(monotonic)
    hosts = {host: float(np.median(each)) for host, each in lengths.items()}
    usual = float(np.median(list(hosts.values()))) if hosts else 0.0
    apart: dict[str, float] = {}
    for worker, (monotonic, wall) in phases.items():
        allowed = max(T.clock * monotonic, T.message_s)
        host = hosts[host_of(worker)]
        if wall is not None and abs(monotonic - wall) > allowed:
            apart[worker] = monotonic / wall - 1
        # Of two, the median lies between them: half of the difference is what each shows.
        elif abs(host - usual) > max(allowed, 2 * late_s) / (2 if len(hosts) == 2 else 1):
            apart[worker] = host / usual - 1
    return apart


def host_of(worker: str) -> str:
    """The host of a worker called `load1-2`; its clock is that of all workers there."""
    return worker.rpartition("-")[0] or worker


def counts_miss(started: int, ended: int, in_flight_start: int, in_flight_end: int) -> Deviation:
    """Requests that neither ended nor are in flight, or ended twice, as a share of those that started.

    Every think time that ends starts a request, so `started` is the number of think times that ended in the window. An
    identity: nothing is allowed but what is lost when a sweep and a window's end coincide.
    """
    lost = abs(started + in_flight_start - ended - in_flight_end)
    return Deviation(lost / max(1, started), max(T.counts_share, T.counts_requests / max(1, started)))


def _tick_means(sums_s: Sequence[float], counts: Sequence[float]) -> tuple[Floats, Floats]:
    """Mean response time of each second that has answers, and their number."""
    sums, counted = np.asarray(sums_s, dtype=float), np.asarray(counts, dtype=float)
    kept = (counted > 0) & (sums > 0)
    return sums[kept] / counted[kept], counted[kept]


def _drift(values: Floats, errors: Floats) -> Deviation:
    """Theil-Sen's slope over the whole window against its error: that of independent answers, or the scatter left.

    Answers that queue depend on each other, so that the scatter of the seconds about the line is more than their
    number explains.
    """
    at = np.arange(len(values), dtype=float)
    slope = theil_sen(values, at)
    spread = float(((at - at.mean()) ** 2).sum())
    theory = math.sqrt(float((errors**2).mean()) / spread)
    left = values - slope * at
    scatter = math.sqrt(float(((left - left.mean()) ** 2).sum()) / (len(values) - 2) / spread)
    allowed = max(T.drift_sigmas * theory, float(special.stdtrit(len(values) - 2, T.drift_quantile)) * scatter)
    return Deviation(abs(slope) * len(values), max(T.drift, allowed * len(values)), slope * len(values))


def theil_sen(values: Floats, at: Floats) -> float:
    """The median of the slopes between any two points; scipy.stats has it too, whose import takes a second."""
    rise, run = values[:, None] - values, at[:, None] - at
    return float(np.median(rise[run > 0] / run[run > 0]))
