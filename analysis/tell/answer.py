"""The answer in two sentences, one for requests per second and one for response times, each with how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.ranking import FigureRanking, Ranking
from analysis.tell.words import counted, number, shortened


def answer_sentences(ranking: Ranking, models: Sequence[str]) -> tuple[str, str]:
    """The two sentences, made of medians over blocks."""
    return _goodput(ranking, models), _response(ranking)


def sureness(ranking: Ranking, figure: FigureRanking) -> str:
    """Whether the order is a ranking, and over how many blocks."""
    if figure.ranks:
        return f"a ranking over {counted(ranking.blocks, 'block')}"
    if ranking.blocks < T.least_blocks:
        blocks = "one block" if ranking.blocks == 1 else f"{ranking.blocks} blocks"
        return f"an order seen in {blocks} and no ranking, which needs {T.least_blocks}"
    return "an order and no ranking, since too few blocks can be compared"


def _goodput(ranking: Ranking, models: Sequence[str]) -> str:
    goodput = ranking.goodput
    if not goodput.order:
        return "Of requests per second nothing can be said: no model has a step that is valid or an overload."
    full = [model for model in models if model in ranking.reached]
    open_ended = [model for model in goodput.medians if model not in ranking.reached]
    if not full:
        best = goodput.order[0][0]
        peak = f"{number(goodput.medians[best])} requests/s at {counted(ranking.peak_users[best], 'user')}"
        if len(goodput.medians) == 1:
            return (
                f"{best} was not at its limit: it answered what its users asked for, up to {peak},"
                " so this is no measure of what it can answer."
            )
        return (
            f"None of {shortened(list(goodput.medians))} was at its limit: they answered what their users asked for, up"
            f" to {peak}, so requests per second don't rank them."
        )
    if len(goodput.medians) == 1:
        return f"At its peak, {full[0]} answered {_peak(ranking, full[0])}."
    least = min(full, key=lambda model: goodput.medians[model])
    parts = [f"{shortened(goodput.order[0])} answered most requests a second, {_peak(ranking, goodput.order[0][0])}"]
    if least not in goodput.order[0]:
        parts.append(f"{least} fewest, {_peak(ranking, least)}")
    text = f"At their peak, {', and '.join(parts)}: {sureness(ranking, goodput)}"
    if open_ended:
        text += f"; the limit of {shortened(open_ended)} was not reached, so that is a lower bound"
    return text + "."


def _peak(ranking: Ranking, model: str) -> str:
    bound = "" if model in ranking.reached else "at least "
    return f"{bound}{number(ranking.goodput.medians[model])}/s at {counted(ranking.peak_users[model], 'user')}"


def _response(ranking: Ranking) -> str:
    response, users = ranking.response, ranking.common_users
    if users is None or not response.order:
        return "Response times are not compared: no step is valid for all models."
    first, last = response.order[0], response.order[-1]
    at = f"At {counted(users, 'user')}, the largest step that is valid for all models"
    if len(response.medians) == 1:
        at = f"At {counted(users, 'user')}, its largest valid step"
        return f"{at}, {first[0]} answered in {_times(response.medians, first)} on average."
    if first == last:
        answered = f"{shortened(first)} answered in {_times(response.medians, first)} on average"
        return f"{at}, {answered}: {sureness(ranking, response)}."
    return (
        f"{at}, {shortened(first)} answered fastest, in {_times(response.medians, first)} on average, and"
        f" {shortened(last)} slowest, in {_times(response.medians, last)}: {sureness(ranking, response)}."
    )


def _times(medians: Mapping[str, float], group: Sequence[str]) -> str:
    ends = dict.fromkeys(number(value) for value in (min(medians[m] for m in group), max(medians[m] for m in group)))
    return " to ".join(ends) + " ms"
