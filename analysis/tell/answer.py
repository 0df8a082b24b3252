"""The answer: requests per second, response times, and a word for each model that was measured.

`>`, `<`, "most", "fewest", "fastest" and "slowest" stand only where tests of those very pairs do
(`analysis/rank/family.py`); `=` only for ties; everything else is figures side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from analysis.judge.verdicts import SERVED
from analysis.rank.capacity import ModelCapacity
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.ranking import FigureRanking, Ranking
from analysis.rank.steps import Steps
from analysis.tell.capacity_sentence import capacity_sentences, differing, recoveries, strangers_beside, users_text
from analysis.tell.limit_sentence import scaling_sentences
from analysis.tell.orders import (
    beyond_text,
    blocks_text,
    side_by_side,
    signs_text,
    tested,
    untested_text,
    why_no_order,
)
from analysis.tell.programs.must_carry import must_carry_sentences
from analysis.tell.words import bounded, counted, number, series

LEGEND = "`~`: no test tells the two apart"


def answer_sentences(outcome: CampaignOutcome) -> tuple[str, ...]:
    """The sentences, made of medians over blocks."""
    capacity = (*capacity_sentences(outcome), *must_carry_sentences(outcome), *capacity_order(outcome))
    return (
        *capacity,
        *_goodput(outcome),
        *_response(outcome),
        *model_words(outcome),
        *strangers_beside(outcome),
        *differing(outcome),
        *recoveries(outcome),
        *scaling_sentences(outcome),
    )


def model_words(outcome: CampaignOutcome) -> tuple[str, ...]:
    """Of models that could not keep up anywhere, and of those that were measured and have no trusted figure."""
    return (*_collapsed(outcome), *_untrusted(outcome))


def capacity_order(outcome: CampaignOutcome) -> tuple[str, ...]:
    """As `By capacity: thread (1,850 users) > select (1,700 users)`; nothing where fewer than two can be compared."""
    figure, known = outcome.ranking.capacity, {each.model: each for each in outcome.capacities}
    if len(figure.medians) < 2:
        return ()
    texts = {model: users_text(known[model]) for model in figure.medians}
    rest = _less_compared(outcome)
    if not figure.ordered:
        observed = side_by_side(list(texts), lambda model: f"{model} {texts[model]}")
        return (
            f"By capacity, observed: {observed}; no order is claimed: {why_no_order(outcome.ranking, figure)}.{rest}",
        )
    tie = f"; {LEGEND}" if "~" in figure.order.signs else ""
    signs = signs_text(figure.order, lambda model: f"{model} ({texts[model]})")
    least = f"differences below {figure.ranked.resolution:.0%} are not claimed"
    order = f"By capacity: {signs}{beyond_text(figure)}; over {blocks_text(tested(figure))}, {least}{tie}."
    return (f"{order}{untested_text(figure)}{rest}",)


def _open_end(known: Mapping[str, ModelCapacity], bound: Sequence[str]) -> str:
    """Which end of the bracket some block of these models lacks."""
    blocks = [block for model in bound for block in known[model].blocks]
    ends = [
        word
        for word, missing in (("no load failed", "high"), ("none passed", "low"))
        if any(getattr(block, missing) is None for block in blocks)
    ]
    return f"{'in some block ' if any(len(known[model].blocks) > 1 for model in bound) else ''}{' or '.join(ends)}"


def _less_compared(outcome: CampaignOutcome) -> str:
    """Which models' capacities are not compared, and which over fewer blocks than they have, each with why."""
    figure, known = outcome.ranking.capacity, {each.model: each for each in outcome.capacities}
    missing = [model for model in outcome.ranking.measured if model not in figure.medians]
    bound = [model for model in missing if model in known and _bound_by_size(known[model])]
    unclear = [model for model in missing if model not in bound]
    parts = [f"Not compared: {series(bound)}, since {_open_end(known, bound)}."] if bound else []
    if unclear:
        parts.append(
            f"Not compared: {series(unclear)}, since no block has a load that passed and one that failed next to it."
        )
    for model in figure.medians:
        compared, blocks = len(figure.ranked.values[model]), len(known[model].blocks)
        if compared < blocks:
            others = "in the others no trial next to the capacity gave a clear result"
            parts.append(f"Of {model} {compared} of {blocks} blocks are compared: {others}.")
    return "".join(f" {part}" for part in parts)


def _bound_by_size(capacity: ModelCapacity) -> bool:
    """Whether some block is a bound for another reason than an unclear trial (`rank.capacity.capacity_values`)."""
    return any(not block.closed and block.ended != "unclear" for block in capacity.blocks)


def peak_text(ranking: Ranking, model: str) -> str:
    """As `at least 133/s at 400 users`."""
    bound = "" if model in ranking.reached else "at least "
    return f"{bound}{number(ranking.goodput.medians[model])}/s at {counted(ranking.peak_users[model], 'user')}"


def mean_text(ranking: Ranking, model: str) -> str:
    """As `4.2 ms`, or `at most 4.2 ms`."""
    bound = "at most " if model in ranking.response.ranked.at_most else ""
    return f"{bound}{number(ranking.response.medians[model])} ms"


def common_text(ranking: Ranking) -> str:
    """The step at which response times are compared, as `at 200 users, the largest step that is valid for ...`."""
    without = [model for model in ranking.measured if model not in ranking.response.medians]
    which = f"all models but {series(without)}" if without else "all models"
    return f"at {counted(ranking.common_users or 0, 'user')}, the largest step that is valid for {which}"


def _goodput(outcome: CampaignOutcome) -> Iterator[str]:
    ranking = outcome.ranking
    goodput = ranking.goodput
    known = [model for model in ranking.measured if model in goodput.medians]
    if not known:
        yield "Of requests per second nothing can be said: no model has a step that is valid or an overload."
        return
    if not any(model in ranking.reached for model in known):
        yield from _no_limit(outcome, known)
    elif len(known) == 1:
        yield f"At its peak, {known[0]} answered {peak_text(ranking, known[0])}."
    else:
        peaks = {model: peak_text(ranking, model) for model in known}
        yield from _compared(ranking, goodput, "At their peak", ("most requests a second, {}", "fewest, {}"), peaks)


def _no_limit(outcome: CampaignOutcome, known: list[str]) -> Iterator[str]:
    """Models of which no step showed a limit: those that were looked at and valid at the top, then the others."""
    ranking = outcome.ranking
    tops = {limit.model: limit.top for limit in outcome.limits if limit.top is not None and limit.model in known}
    peaks = {model: f"{model} {peak_text(ranking, model)}" for model in known}
    for top in sorted(set(tops.values())):
        idle = [model for model in known if tops.get(model) == top]
        who = f"{idle[0]} was not" if len(idle) == 1 else f"None of {series(idle)} was"
        figures = "; ".join(peaks[model] for model in idle)
        yield (
            f"{who} at its limit: valid at {counted(top, 'user')}, the largest step, with nothing of the target full"
            f" ({figures}), so that requests per second say what the users asked for, and rank nothing."
        )
    if rest := [model for model in known if model not in tops]:
        yield (
            f"The limit of {series(rest)} is not known: "
            f"{'; '.join(peaks[model] for model in rest)}. Requests per second rank nothing."
        )


def _compared(
    ranking: Ranking, figure: FigureRanking, where: str, ends: tuple[str, str], texts: dict[str, str]
) -> Iterator[str]:
    """Superlatives where every rival is tested, then the order by tests, or the figures side by side.

    `ends` say what the best and the worst do, with a place for the figure.
    """
    order = figure.order
    if order.best is not None:
        least = f", and {order.worst} {ends[1].format(texts[order.worst])}" if order.worst is not None else ""
        pairs = [pair for pair in figure.pairs if {pair.first, pair.second} & {order.best, order.worst}]
        yield (
            f"{where}, {order.best} answered {ends[0].format(texts[order.best])}{least}: tested against every other"
            f" model, a ranking over {blocks_text(pairs)}."
        )
    elif order.worst is not None:
        pairs = [pair for pair in figure.pairs if order.worst in (pair.first, pair.second)]
        yield (
            f"{where}, {order.worst} answered {ends[1].format(texts[order.worst])}: tested against every other"
            f" model, a ranking over {blocks_text(pairs)}."
        )
    unplaced = [f"{model} {texts[model]}" for model in order.unplaced]
    rest = f" Not placed, since no step showed their limit: {', '.join(unplaced)}." if unplaced else ""
    if figure.ordered:
        if len(order.models) > 2 or order.best is None or unplaced:
            tie = f"; {LEGEND}" if "~" in order.signs else ""
            signs = signs_text(order, lambda model: f"{model} ({texts[model]})")
            over = f"{signs}{beyond_text(figure)}; over {blocks_text(tested(figure))}{tie}"
            yield f"{where}: {over}.{untested_text(figure)}{rest}"
        return
    models = [model for model in ranking.measured if model in texts]
    observed = side_by_side(models, lambda model: f"{model} {texts[model]}")
    yield f"{where}, observed: {observed}; no order is claimed: {why_no_order(ranking, figure)}."


def _response(outcome: CampaignOutcome) -> Iterator[str]:
    ranking = outcome.ranking
    response = ranking.response
    known = [model for model in ranking.measured if model in response.medians]
    if not known:
        some = any(not outcome.rows.of_model(model).ladder.usable().empty for model in ranking.measured)
        which = "no step is valid for all models that have a valid step" if some else "no model has a valid step"
        yield f"Response times are not compared: {which}."
        return
    texts = {model: mean_text(ranking, model) for model in known}
    if len(ranking.measured) == 1:
        at = f"At {counted(ranking.common_users or 0, 'user')}, its largest valid step"
        yield f"{at}, {known[0]} answered in {texts[known[0]]} on average."
    elif len(known) == 1:
        at = common_text(ranking)
        yield f"{at[0].upper()}{at[1:]}, {known[0]} answered in {texts[known[0]]} on average; nothing is compared."
    else:
        at = common_text(ranking)
        ends = ("fastest, in {} on average", "slowest, in {} on average")
        yield from _compared(ranking, response, f"{at[0].upper()}{at[1:]}", ends, texts)


def _collapsed(outcome: CampaignOutcome) -> Iterator[str]:
    """Models that are an overload at their lowest measured step already."""
    plan = outcome.campaign.plan
    for model in outcome.ranking.measured:
        ladder = outcome.rows.of_model(model).ladder.measured
        lowest = ladder.users[0]
        rows = ladder.at(lowest)
        served = rows.usable(SERVED)
        if served.empty or not rows.most_have("overload"):
            continue
        asked = ""
        if plan.mean_think_s:
            asked = f" where its users could ask for up to {number(lowest / plan.mean_think_s)}"
        yield (
            f"{model} could not keep up at {counted(lowest, 'user')}, its lowest step:"
            f" {number(served.median('rps'))} requests/s{asked}{_p99(served)} (overload)."
        )


def _untrusted(outcome: CampaignOutcome) -> Iterator[str]:
    """Models that were measured and have no figure that is trusted: what was observed at their largest step."""
    ranking = outcome.ranking
    for model in ranking.measured:
        if model in ranking.goodput.medians:
            continue
        ladder = outcome.rows.of_model(model).ladder.measured
        top = ladder.users[-1]
        rows = ladder.at(top)
        verdicts = series(sorted(set(rows.frame["verdict"])))
        rate = rows.median("rps")
        seen = f"{number(rate)} requests/s{_p99(rows)} were observed" if rate is not None else "no figure came"
        most = "in more than half of the blocks " if len(ladder.with_verdict(SERVED).frame) else ""
        yield (
            f"{model} was measured and {most}none of its steps is trusted: at {counted(top, 'user')} {seen}, which is"
            f" no finding about the server ({verdicts})."
        )


def _p99(rows: Steps) -> str:
    value = rows.median("p99_ms")
    if value is None:
        return ""
    bound = bounded(bool(rows.bounded("p99_ms").any()), bool(rows.frame["times_bound"].any()))
    return f", p99 {bound}{number(value)} ms"
