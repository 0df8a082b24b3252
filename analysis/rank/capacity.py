"""The capacity of each model: the most users that it carries within the plan's SLO (METHOD, "Capacity").

Each run gives a bracket from the final verdicts of its steps, be they a search's trials or the rungs of a ladder: the
most users that passed and the fewest that failed. Of several trials of a load the last that counts decides, as in the
tables of steps (`Steps.ladder`). Blocks give the median with its order-statistic interval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.judge.judging import RunResult
from analysis.judge.laws.scaling import ScalabilityFit, fit_scalability
from analysis.judge.verdicts import SERVED
from analysis.rank.load_outcomes import counting, final_outcome, slo_broken
from analysis.rank.medians import median_interval
from analysis.rank.steps import LADDER_KINDS
from study.plan import Plan
from study.search import End, Outcome, Trial, bracket
from study.trial import LEAST_ANSWERS, Broken

Carried = Literal["carries", "misses", "undetermined"]
FEW_ANSWERS = f"fewer than {LEAST_ANSWERS} answers"


@dataclass(frozen=True)
class Differing:
    """A trial whose outcome while the run went on isn't the final one."""

    step: int
    users: int
    live: str
    final: Outcome
    verdict: str


@dataclass(frozen=True)
class BlockCapacity:
    """One run's bracket, in users."""

    block: int
    low: int | None
    """The most users that passed; None where none did."""
    high: int | None
    """The fewest that failed; None where none did: the capacity is at least `low`."""
    ended: End
    """`slo` where a load failed; else why none did: `most` (the plan's largest), `generator`, `unclear`."""
    broken: Broken | None
    """What of the SLO the load `high` broke."""
    confirmation: Outcome | None
    """What the last trial twice as long at `low` came to; None where there was none."""
    differing: tuple[Differing, ...]
    wide: bool = False
    """A load between the two ends was tried and gave no clear result, so that they are further apart than was asked."""
    unclear: tuple[str, ...] = ()
    """Why each load beyond `low` gave no clear result: its verdict, or `FEW_ANSWERS`."""

    @property
    def confirmed(self) -> bool:
        """Whether that trial passed."""
        return self.confirmation == "passed"

    @property
    def closed(self) -> bool:
        """Whether both ends are known."""
        return self.low is not None and self.high is not None


@dataclass(frozen=True)
class ModelCapacity:
    """A model's capacity over its blocks, in users."""

    model: str
    users: int | None
    """Median over blocks of the most users that passed; None where in half of the blocks or more none did."""
    low: int | None
    """Lower end of the interval: of one block the same as `users`, of several the order statistic of the low ends."""
    high: int | None
    """Upper end: the fewest users that failed, of several blocks their order statistic; None for a lower bound."""
    coverage: float | None
    """Of the order-statistic interval, 0 to 1; None of one block, whose bracket is no interval of a median."""
    ended: End
    """Of the blocks that have no upper end, what ended most; else `slo`."""
    broken: Broken | None
    blocks: tuple[BlockCapacity, ...]
    searched: bool
    """By a search; otherwise bounded by the rungs of a ladder."""

    @property
    def at_least(self) -> bool:
        """Whether only a lower bound is known."""
        return self.users is not None and self.high is None


@dataclass(frozen=True)
class CarriedLoad:
    """Whether a model carries the users that the plan's SLO says it must."""

    model: str
    verdict: Carried
    capacity: ModelCapacity | None
    """None where the model was not measured."""


def carried_loads(capacities: Iterable[ModelCapacity], plan: Plan) -> tuple[CarriedLoad, ...]:
    """One for each model of the plan; none where the plan has no `must_carry`.

    A model carries them where the lower end of its capacity's interval is as many or more, and misses them where the
    upper end, a load that broke the SLO, is as many or fewer. Between the two nothing is known.
    """
    wanted = plan.slo.must_carry
    if wanted is None:
        return ()
    known = {each.model: each for each in capacities}
    return tuple(CarriedLoad(model, _carried(known.get(model), wanted), known.get(model)) for model in plan.models)


def _carried(capacity: ModelCapacity | None, wanted: int) -> Carried:
    if capacity is not None and capacity.high is not None and capacity.high <= wanted:
        return "misses"
    return "carries" if capacity is not None and (capacity.low or 0) >= wanted else "undetermined"


def capacities_of(results: Iterable[RunResult], labels: Sequence[str], plan: Plan) -> tuple[ModelCapacity, ...]:
    """One for each label that was measured, in their order."""
    runs: dict[str, list[BlockCapacity]] = {label: [] for label in labels}
    for result in results:
        found = block_capacity(result, plan)
        if found is not None:
            runs[result.data.run.label].append(found)
    return tuple(over_blocks(label, blocks, plan) for label, blocks in runs.items() if blocks)


@dataclass(frozen=True)
class ModelScaling:
    """One server measured on several core counts, and the law of scalability through its peaks."""

    labels: tuple[str, ...]
    """By core count."""
    cores: tuple[int, ...]
    rates: tuple[float, ...]
    """Peak goodput of each, in requests a second; each reached its limit."""
    law: ScalabilityFit


def scalings_of(peaks: Mapping[str, float], plan: Plan) -> tuple[ModelScaling, ...]:
    """One for each server that the plan has with several values of `cores`, all else being equal.

    `peaks` are the peak goodputs (requests per second) of the labels that reached their limit: of others only a bound
    is known, and no law is fitted to bounds.
    """
    alike: dict[str, list[tuple[int, str]]] = {}
    for label in plan.models:
        server = plan.server(label)
        if server.cores is not None and peaks.get(label):
            same = server.model_copy(update={"name": "same", "cores": None}).model_dump_json()
            alike.setdefault(same, []).append((server.cores, label))
    scalings = []
    for group in map(sorted, alike.values()):
        cores, labels = zip(*group, strict=True)
        rates = tuple(peaks[label] for label in labels)
        if (law := fit_scalability(cores, rates)) is not None:
            scalings.append(ModelScaling(labels, cores, rates, law))
    return tuple(scalings)


def block_capacity(result: RunResult, plan: Plan) -> BlockCapacity | None:
    """The bracket of one run; None where no step of it was measured."""
    steps = [step for step in result.steps if step.step.kind in LADDER_KINDS and step.window is not None]
    if not steps:
        return None
    outcomes = {step.step.number: final_outcome(step, plan.slo) for step in steps}
    trials = [Trial(step.step.users, outcomes[step.step.number], step.step.kind == "confirm") for step in steps]
    decisive = decisive_trials(trials, [counting(step, plan.slo) for step in steps])
    low, high = bracket(decisive)
    failed = [step for step in steps if step.step.users == high and outcomes[step.step.number] == "failed"]
    live = {trial.step: trial for trial in result.trials}
    return BlockCapacity(
        block=result.data.run.block,
        low=low,
        high=high,
        ended="slo" if high is not None else why_open(decisive, low, plan),
        broken=slo_broken(failed[-1], plan.slo) if failed else None,
        confirmation=confirmation(trials, low),
        wide=plan.search is not None and is_wide(low, high, plan.search.resolution),
        differing=tuple(
            Differing(
                step.step.number, step.step.users, live[step.step.number].outcome, outcome, step.judgement.verdict
            )
            for step in steps
            if step.step.number in live and live[step.step.number].outcome != (outcome := outcomes[step.step.number])
        ),
        unclear=tuple(
            FEW_ANSWERS if step.judgement.verdict in SERVED else step.judgement.verdict
            for step in steps
            if outcomes[step.step.number] == "unclear" and (low is None or step.step.users > low)
        ),
    )


def decisive_trials(trials: Sequence[Trial], counts: Sequence[bool]) -> tuple[Trial, ...]:
    """Of each load the last trial that counts, where one does, else the last; in the order in which they were run."""
    chosen: dict[int, int] = {}
    for at, trial in enumerate(trials):
        if counts[at] or not counts[chosen.get(trial.users, at)]:
            chosen[trial.users] = at
    return tuple(trials[at] for at in sorted(chosen.values()))


def confirmation(trials: Sequence[Trial], low: int | None) -> Outcome | None:
    """What the last trial twice as long at `low` came to; None where there was none."""
    return next((trial.outcome for trial in reversed(trials) if trial.long and trial.users == low), None)


def is_wide(low: int | None, high: int | None, resolution: float) -> bool:
    """Whether the ends of a bracket are further apart than the resolution lets whole users be.

    A load between them was not tried, since the run judged a trial otherwise, or neither passed nor failed.
    """
    return low is not None and high is not None and high > (1 + resolution) * (low + 1)


def capacity_values(capacities: Iterable[ModelCapacity]) -> Mapping[str, Mapping[int, float]]:
    """Per label and block the low end of each closed bracket: what may be compared by ratios within blocks.

    Empty for a label of which some block is only a bound by its own size (no load failed, or none passed): the other
    blocks would be a choice by their result. A block whose last trial was unclear is left out alone, and one whose
    bracket is wider than the resolution, below which nothing is claimed.
    """
    values: dict[str, dict[int, float]] = {}
    for each in capacities:
        bound = any(not block.closed and block.ended != "unclear" for block in each.blocks)
        narrow = [block for block in each.blocks if block.closed and not block.wide]
        closed = {block.block: float(block.low) for block in narrow if block.low is not None}
        values[each.model] = {} if bound or not each.searched else closed
    return values


def why_open(trials: Sequence[Trial], low: int | None, plan: Plan) -> End:
    """Why no load failed: of the trials above the largest that passed, what the last one came to."""
    if low is not None and low >= plan.most_users:
        return "most"
    beyond = [trial.outcome for trial in trials if low is None or trial.users > low]
    return "generator" if beyond and beyond[-1] == "generator" else "unclear"


def over_blocks(label: str, blocks: Sequence[BlockCapacity], plan: Plan) -> ModelCapacity:
    """The median of the blocks' brackets with its interval; bounds where some block has no upper end."""
    lows = [float(block.low or 0) for block in blocks]
    highs = [float(block.high) for block in blocks if block.high is not None]
    median = median_interval(lows)
    whole = len(highs) == len(blocks)
    upper = median_interval(highs).high if whole else None
    opened = [block.ended for block in blocks if block.high is None]
    broken = Counter(block.broken for block in blocks if block.broken is not None)
    without = sum(block.low is None for block in blocks)  # a load below the least that was tried has no number
    return ModelCapacity(
        model=label,
        users=int(median.value) if 2 * without < len(blocks) else None,
        low=int(median.low) or None,
        high=int(upper) if upper is not None else None,
        coverage=median.coverage if len(blocks) > 1 else None,
        ended=Counter(opened).most_common(1)[0][0] if opened else "slo",
        broken=broken.most_common(1)[0][0] if whole and broken else None,
        blocks=tuple(blocks),
        searched=plan.search is not None,
    )
