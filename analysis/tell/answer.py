"""The answer in two sentences, one for requests per second and one for response times, each with how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.ranking import Comparison, Ranking
from analysis.tell.page import number


def answer(ranking: Ranking, models: Sequence[str]) -> tuple[str, str]:
    """The two sentences, made of medians over blocks."""
    return _goodput(ranking, models), _response(ranking)


def sureness(ranking: Ranking, comparison: Comparison) -> str:
    """How the order was come by."""
    if comparison.ranks:
        return f"a ranking over {ranking.blocks} blocks"
    if ranking.blocks < T.least_blocks:
        seen = "one block" if ranking.blocks == 1 else f"{ranking.blocks} blocks"
        return f"an order seen in {seen} and no ranking, which needs {T.least_blocks}"
    return "an order and no ranking, since too few blocks can be compared"


def _goodput(ranking: Ranking, models: Sequence[str]) -> str:
    goodput = ranking.goodput
    if not goodput.order:
        return "Of requests per second nothing can be said: no model has a step that is valid or an overload."
    full = [model for model in models if model in ranking.reached]
    open_ended = [model for model in goodput.medians if model not in ranking.reached]
    if not full:
        best = goodput.order[0][0]
        users = ranking.peak_users[best]
        return (
            f"None of {_named(list(goodput.medians))} was at its limit: they answered what their users asked for, up to"
            f" {number(goodput.medians[best])} requests/s at {users:,} users, so requests per second don't rank them."
        )
    least = min(full, key=lambda model: goodput.medians[model])
    parts = [f"{_named(goodput.order[0])} answered most requests a second, {_peak(ranking, goodput.order[0][0])}"]
    if least not in goodput.order[0]:
        parts.append(f"{least} fewest, {_peak(ranking, least)}")
    said = f"At their peak, {', and '.join(parts)}: {sureness(ranking, goodput)}"
    if open_ended:
        said += f"; the limit of {_named(open_ended)} was not reached, so that is a lower bound"
    return said + "."


def _peak(ranking: Ranking, model: str) -> str:
    bound = "" if model in ranking.reached else "at least "
    return f"{bound}{number(ranking.goodput.medians[model])}/s at {ranking.peak_users[model]:,} users"


def _response(ranking: Ranking) -> str:
    response, users = ranking.response, ranking.common_users
    if users is None or not response.order:
        return "Response times are not compared: no step is valid for all models."
    first, last = response.order[0], response.order[-1]
    said = f"At {users:,} users, the largest step that is valid for all models, {_named(first)} answered"
    if first == last:
        return f"{said} in {_times(response.medians, first)} on average: {sureness(ranking, response)}."
    return (
        f"{said} fastest, in {_times(response.medians, first)} on average, and {_named(last)} slowest, in"
        f" {_times(response.medians, last)}: {sureness(ranking, response)}."
    )


def _times(medians: Mapping[str, float], group: Sequence[str]) -> str:
    ends = dict.fromkeys(number(value) for value in (min(medians[m] for m in group), max(medians[m] for m in group)))
    return " to ".join(ends) + " ms"


def _named(models: Sequence[str]) -> str:
    """All of a few, the first and how many more of many."""
    if len(models) > 5:
        return f"{', '.join(models[:3])} and {len(models) - 3} more"
    return " and ".join(filter(None, (", ".join(models[:-1]), models[-1])))
