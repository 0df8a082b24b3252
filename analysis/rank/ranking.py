"""The models compared: which figures of the steps may be compared, and which order the tests allow.

Below the knee every sound server has X = N / Z, so requests per second are compared at each model's peak goodput.
Past the knee X is more than 5 % under N / (R1 + Z), which makes a step `overload`: a finding about the server, so its
goodput counts for the peak as that of valid steps does. A model whose ladder ends, or stops being valid, before the
server was full has a peak that is only a lower bound: it is never placed below another. After a search the peak is one
of the loads that more than half of a model's blocks tried, mostly of those that all searches share. Response times are
compared at the largest step that is valid for all models that have a valid step: a mean over an overloaded step counts
only the survivors. A model without a figure stays a rival, of which nothing is claimed. After a search the capacities
are compared too, those of closed brackets alone. All comparisons of all figures are one family
(`analysis/rank/family.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from analysis.judge.findings import Check, Outcome, check, passed
from analysis.judge.repeat import across_blocks
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.verdicts import SERVED, VALID
from analysis.rank.capacity import ModelCapacity, capacity_values
from analysis.rank.family import Claim, Family, Order, Pair, Ranked, compare_family, order, turned
from analysis.rank.steps import ModelCheck, Steps
from study.plan import AA_SUFFIX, Plan

LONGEST_RATIOS = 10  # pairs up to which all are shown

RPS, MEAN, CAPACITY = "rps", "mean_ms", "capacity"
"""The figures that are ranked: two by their columns of steps.csv, and the users that a search found."""


@dataclass(frozen=True)
class Place:
    """The ranks that a model can have, given what is tested: 1 + those tested better, up to all but those worse."""

    first: int
    last: int


@dataclass(frozen=True)
class FigureRanking:
    """One figure of all models, compared."""

    ranked: Ranked
    """Its blocks by label, which of them are bounds, and the control."""
    order: Order
    medians: Mapping[str, float]
    """Of the models that have the figure, the control left out."""
    pairs: tuple[Pair, ...]
    """Every pair, the one with the better median first."""
    control: Pair | None
    """The A/A control over the model that it repeats."""
    places: Mapping[str, Place]
    """Empty where nothing is claimed."""
    cap: float
    """The ratio, 1 or more, that a difference must exceed to be claimed, by what the control shows."""

    @property
    def claims(self) -> tuple[Pair, ...]:
        """The pairs of which something is claimed: more, less or alike."""
        return tuple(pair for pair in self.pairs if pair.claim in ("more", "less", "tie"))

    @property
    def ordered(self) -> bool:
        """Whether any sign of the order, or a difference beyond its signs, is claimed."""
        return any(sign != "~" for sign in self.order.signs) or bool(self.order.beyond)

    @property
    def ranks(self) -> Mapping[str, int]:
        """The rank of each model of which only one is possible."""
        return {model: place.first for model, place in self.places.items() if place.first == place.last}


@dataclass(frozen=True)
class Ranking:
    """The models compared by peak goodput and by response time."""

    blocks: int
    """Blocks in which anything was measured."""
    measured: tuple[str, ...]
    """The models of which any step was measured, in the plan's order."""
    common_users: int | None
    """The largest ladder step that is valid for all models that have a valid step."""
    peak_users: Mapping[str, int]
    reached: frozenset[str]
    """Models that reached their limit: the server was full at the step of its peak or at a larger one, and no load that
    few blocks tried gave more."""
    goodput: FigureRanking
    response: FigureRanking
    capacity: FigureRanking
    """Without values where the plan has no search."""
    tests: int
    """The comparisons that Holm's correction is over: all figures, every pair and the controls."""


def rank_models(steps: Steps, plan: Plan, capacities: Iterable[ModelCapacity] = ()) -> Ranking:
    """Compare the models. The A/A control is compared with its model alone and never ranked."""
    ladder = steps.ladder.measured
    valid, served = ladder.usable(VALID), ladder.usable(SERVED)
    present = list(dict.fromkeys(ladder.frame["model"]))
    measured = tuple(model for model in plan.models if model in present)
    control = next((label for label in present if is_control(label, plan)), None)
    peaks = {label: users for label, users in _peaks(served).items() if label != control}
    common = _common(valid, measured)
    reached = frozenset(label for label, at in peaks.items() if reaches_peak(ladder.of_model(label), at))
    late = {model for model in measured if valid.of_model(model).at(common).frame["times_bound"].any()}
    asked: dict[str, int | None] = {model: peaks.get(model) for model in measured}
    figures = (
        _ranked(served, RPS, asked, control, more_is_better=True, bounds=frozenset(measured) - reached),
        _ranked(valid, MEAN, dict.fromkeys(measured, common), control, at_most=frozenset(late)),
        _ranked_capacity(capacities, measured, control, plan),
    )
    family = compare_family(figures)
    return Ranking(
        blocks=int(ladder.frame["block"].nunique()),
        measured=measured,
        common_users=common,
        peak_users=peaks,
        reached=reached,
        goodput=_figure_ranking(figures[0], family),
        response=_figure_ranking(figures[1], family),
        capacity=_figure_ranking(figures[2], family),
        tests=family.tests,
    )


def is_control(label: str, plan: Plan) -> bool:
    """Whether a label is that of the A/A control: a second run of the plan's first model."""
    return label not in plan.models and label.endswith(AA_SUFFIX)


def _peaks(served: Steps) -> dict[str, int]:
    """For each label the users of the step with the largest median goodput: one step for all blocks.

    A step chosen for each block would add the luck of the block to the peak, as would a load that a search tried in few
    blocks: `served` are the rows of steps that more than half of a model's blocks have.
    """
    peaks: dict[str, int] = {}
    for label, rows in served.frame.groupby("model"):
        medians = rows.groupby("users")["rps"].median()
        peaks[str(label)] = int(str(medians.idxmax()))
    return peaks


def reaches_peak(ladder: Steps, peak: int) -> bool:
    """Whether the goodput at `peak` is the most that the server gives.

    By the steps that most blocks have. A load that fewer tried can only contradict: by more goodput than at the peak,
    beyond the tie band.
    """
    served = ladder.usable(SERVED)
    most = (1 + T.tie) * (served.at(peak).median("rps") or 0.0)
    tried = ladder.with_verdict(SERVED).by_users()
    few = [rows.median("rps") or 0.0 for users, rows in tried if users not in served.users]
    full = set(ladder.full_users()) & set(served.users)
    return any(users >= peak for users in full) and all(rate <= most for rate in few)


def _common(valid: Steps, models: Sequence[str]) -> int | None:
    steps = [users for model in models if (users := set(valid.of_model(model).users))]
    shared = set.intersection(*steps) if steps else set()
    return max(shared) if shared else None


def _by_block(rows: Steps, column: str) -> dict[int, float]:
    known = rows.frame.dropna(subset=[column])
    return {int(block): float(value) for block, value in zip(known["block"], known[column], strict=True)}


def _ranked(
    usable: Steps,
    column: str,
    at: Mapping[str, int | None],
    control: str | None,
    more_is_better: bool = False,
    bounds: frozenset[str] = frozenset(),
    at_most: frozenset[str] = frozenset(),
) -> Ranked:
    """Each model at its step; the control at its model's, or, where it has no figure there, both at their largest."""
    values = {model: _by_block(usable.of_model(model).at(users), column) for model, users in at.items()}
    if control is None:
        return Ranked(column, values, more_is_better, bounds, at_most)
    model = control.removesuffix(AA_SUFFIX)
    mine, again = usable.of_model(model), usable.of_model(control)
    shared = sorted(set(mine.users) & set(again.users))
    users = at.get(model)
    if users not in shared:
        users = shared[-1] if shared else None
    values[control] = _by_block(again.at(users), column)
    repeated = _by_block(mine.at(users), column)
    return Ranked(column, values, more_is_better, bounds, at_most, (control, model), repeated)


def _ranked_capacity(
    capacities: Iterable[ModelCapacity], measured: Sequence[str], control: str | None, plan: Plan
) -> Ranked:
    """The capacities of closed brackets; a model without one stays a rival where any has one."""
    values = dict(capacity_values(capacities))
    if plan.search is None or not any(values.values()):
        return Ranked(CAPACITY, {}, more_is_better=True)
    named = (control, control.removesuffix(AA_SUFFIX)) if control is not None else None
    every = {label: values.get(label, {}) for label in (*measured, *((control,) if control is not None else ()))}
    return Ranked(CAPACITY, every, more_is_better=True, control=named, resolution=plan.search.resolution)


def _figure_ranking(figure: Ranked, family: Family) -> FigureRanking:
    control = figure.control[0] if figure.control is not None else None
    ordered = order(family, figure)
    medians = {
        model: value for model in figure.values if model != control and (value := figure.median(model)) is not None
    }
    best_first = sorted(medians, key=lambda model: medians[model], reverse=figure.more_is_better)
    place = {model: at for at, model in enumerate(best_first)}
    pairs = [
        pair if place[pair.first] < place[pair.second] else turned(pair)
        for pair in family.pairs
        if pair.figure == figure.name
    ]
    pairs.sort(key=lambda pair: (place[pair.first], place[pair.second]))
    rivals = [model for model in figure.values if model != control]
    return FigureRanking(
        ranked=figure,
        order=ordered,
        medians=medians,
        pairs=tuple(pairs),
        control=family.controls.get(figure.name),
        places=_places(figure, family, rivals),
        cap=family.caps[figure.name],
    )


def _places(figure: Ranked, family: Family, rivals: Sequence[str]) -> dict[str, Place]:
    wins: Claim = "more" if figure.more_is_better else "less"
    places = {}
    for model in rivals:
        claims = [family.claim(figure.name, other, model) for other in rivals if other != model]
        better = claims.count(wins)
        worse = sum(claim in ("more", "less") for claim in claims) - better
        if figure.values[model] and len(rivals) > 1:
            places[model] = Place(1 + better, len(rivals) - worse - claims.count("tie"))
    unknown = Place(1, len(rivals))
    return places if any(place != unknown for place in places.values()) else {}


def shown_ratios(ranking: FigureRanking) -> list[Pair]:
    """Every pair of a few models; of many, each against the best and against the next, the better one first."""
    place = {model: at for at, model in enumerate(dict.fromkeys(pair.first for pair in ranking.pairs))}
    return [
        pair
        for pair in ranking.pairs
        if len(ranking.pairs) <= LONGEST_RATIOS
        or place[pair.first] == 0
        or place.get(pair.second, len(place)) - place[pair.first] == 1
    ]


def control_check(code: str, pair: Pair, tie: float = T.tie) -> Check:
    """The A/A control: one model under two names. It fails only where its interval lies wholly outside 1 +- `tie`."""
    outcome: Outcome = "not available"
    if pair.low is not None and pair.high is not None:
        outcome = passed(not (pair.low > 1 + tie or pair.high < 1 - tie))
    return check(
        outcome,
        code,
        value=pair.ratio,
        threshold=tie,
        control=pair.first,
        model=pair.second,
        low=pair.low,
        high=pair.high,
    )


def repeat_checks(steps: Steps, ranking: Ranking) -> list[ModelCheck]:
    """Check 10 over the blocks: of each load that was measured as valid, then the A/A control's.

    The control has no load of its own: it is compared at its peak and at the common step.
    """
    valid = steps.ladder.with_verdict(VALID).frame
    checks = []
    for (model, users), rows in valid.groupby(["model", "users"], sort=False):
        numbers = {int(number) for number in rows["step"]}
        step = numbers.pop() if len(numbers) == 1 else None
        again = across_blocks([float(value) for value in rows["rps"]])
        checks.append(ModelCheck(str(model), step, int(str(users)), again))
    figures = (("rps", ranking.goodput), ("mean", ranking.response), ("capacity", ranking.capacity))
    for name, figure in figures:
        if figure.control is not None:
            tie = max(T.tie, figure.ranked.resolution)
            compared = control_check(f"repeat.control-{name}", figure.control, tie)
            checks.append(ModelCheck(figure.control.first, None, None, compared))
    return checks
