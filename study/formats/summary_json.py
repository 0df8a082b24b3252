"""summary.json: what a campaign comes to, for programs: capacities, figures, comparisons and limits of each model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from study.formats.units import Milliseconds, Share


@dataclass(frozen=True, kw_only=True)
class CapacityBlock:
    """One run's bracket, in users."""

    block: int
    low: int | None
    """The most users that passed; null where none did."""
    high: int | None
    """The fewest that failed; null where none did."""
    ended: str
    confirmed: bool


@dataclass(frozen=True, kw_only=True)
class CapacityEntry:
    """The most users that a model carries within the SLO."""

    label: str
    """The model's name, or that of the A/A control."""
    users: int | None
    """Median over blocks; null where half of the blocks or more carried none of the loads."""
    at_least: bool
    """Whether `users` is only a lower bound."""
    low: int | None
    high: int | None
    """Ends of the interval; `high` is null for a lower bound."""
    coverage: Share | None
    """Of the interval, as one of the median over this campaign's blocks; null of one block."""
    ended: str
    """`slo`, `most` (the plan's largest load), `generator` or `unclear`."""
    broken: str | None
    """What the load beyond it broke: `p99` or `failures`."""
    load_cores_wanted: int | None
    """Cores for the load that a search to twice the users takes, where the generator ended it."""
    blocks: tuple[CapacityBlock, ...]


@dataclass(frozen=True, kw_only=True)
class ComparisonEntry:
    """Two labels compared in one figure, within blocks."""

    figure: str
    """`capacity`, `rps` (peak goodput) or `mean_ms` (at the common step)."""
    first: str
    second: str
    ratio: float | None
    """Of the first over the second; null where both are only bounds."""
    low: float | None
    high: float | None
    """Ends of the 95 % interval of this pair alone; null of one block, and where a side is only a bound."""
    bound: str = ""
    """`at least` or `at most` where `ratio` is a bound, since a side is one; `unknown` where both are; else empty."""
    p_holm: float | None
    """After Holm's correction over all comparisons of the campaign; null where the pair isn't tested."""
    blocks: int
    claim: str
    """`more`, `less` or `tie`; else nothing is claimed: `undetermined`, `too few blocks`, `not comparable`."""


@dataclass(frozen=True, kw_only=True)
class LimitEntry:
    """What of the target was used up."""

    label: str
    kind: str
    users: int | None
    """The lowest load at which it shows; null where no limit was reached or it isn't known."""
    findings: tuple[str, ...]
    """Codes of the findings that it rests on."""


@dataclass(frozen=True, kw_only=True)
class CarriedEntry:
    """Whether a model carries `must_carry` users."""

    label: str
    verdict: str
    """`carries`, `misses` or `undetermined`."""


@dataclass(frozen=True, kw_only=True)
class SummaryFile:
    """The whole file."""

    plan: str
    """The plan's name."""
    p99_ms: Milliseconds
    """The SLO's."""
    failures_percent: float
    """The SLO's."""
    must_carry: int | None
    """Users, the SLO's; null where the plan asks for none."""
    carried: tuple[CarriedEntry, ...]
    """One for each model; empty where the plan asks for none."""
    models: Mapping[str, Mapping[str, str | int | float | None]]
    """For each model the columns of summary.csv; null where a cell is empty there."""
    capacities: tuple[CapacityEntry, ...]
    comparisons: tuple[ComparisonEntry, ...]
    """Every pair of models in every figure, and the A/A control with its model."""
    tests: int
    """How many of them Holm's correction is over."""
    limits: tuple[LimitEntry, ...]
