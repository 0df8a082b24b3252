"""An order of models in words: with the signs that tests allow, or side by side and why no order is claimed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.family import Order, Pair
from analysis.rank.ranking import FigureRanking, Ranking
from analysis.tell.words import counted, series


def signs_text(order: Order, named: Callable[[str], str] = str) -> str:
    """As `a > b ~ c`, each model as `named` gives it."""
    text = "".join(f"{named(model)} {sign} " for model, sign in zip(order.models, order.signs, strict=False))
    return text + (named(order.models[-1]) if order.models else "")


def beyond_text(figure: FigureRanking) -> str:
    """The tested differences that the signs don't show, as `; also a > c`; empty without any."""
    pairs = [_claim_text(pair, figure) for pair in figure.order.beyond]
    return f"; also {series(pairs)}" if pairs else ""


def _claim_text(pair: Pair, figure: FigureRanking) -> str:
    """As `a > b`, the better one first, or `a = b`."""
    if pair.claim == "tie":
        return f"{pair.first} = {pair.second}"
    better, wins = (">", "more") if figure.ranked.more_is_better else ("<", "less")
    first, second = (pair.first, pair.second) if pair.claim == wins else (pair.second, pair.first)
    return f"{first} {better} {second}"


def blocks_text(pairs: Collection[Pair]) -> str:
    """Over how many blocks these pairs are compared, as `6 blocks` or `5 to 6 blocks`."""
    numbers = sorted({pair.blocks for pair in pairs})
    if len(numbers) < 2:
        return counted(numbers[0] if numbers else 0, "block")
    return f"{numbers[0]} to {numbers[-1]} blocks"


def tested(figure: FigureRanking) -> list[Pair]:
    """The pairs that a test was made of."""
    return [pair for pair in figure.pairs if pair.p_holm is not None]


def untested_text(figure: FigureRanking) -> str:
    """Of which pairs of an order no test was made, each as ` Of a and b no test was made: ...`; empty of none."""
    placed = {*figure.order.models}
    return "".join(
        f" Of {pair.first} and {pair.second} no test was made: {counted(pair.blocks, 'block')}"
        f" {'has' if pair.blocks == 1 else 'have'} both, and {T.least_blocks} are needed."
        for pair in figure.pairs
        if pair.claim == "too few blocks" and {pair.first, pair.second} <= placed
    )


def why_no_order(ranking: Ranking, figure: FigureRanking) -> str:
    """Why no order is claimed in this figure: nothing of any two models, or only of models whose place isn't known."""
    if ranking.blocks < T.least_blocks:
        blocks = {0: "no block was", 1: "one block was"}.get(ranking.blocks, f"{ranking.blocks} blocks were")
        return f"{blocks} measured, and a ranking needs {T.least_blocks}"
    if len(ranking.measured) < 2:
        return "one model was measured"
    if figure.claims:
        return f"tests hold only for {series([_claim_text(pair, figure) for pair in figure.claims])}"
    if pairs := [pair for pair in tested(figure) if pair.claim != "not comparable"]:
        return f"no test tells two of them apart over {blocks_text(pairs)}"
    if figure.pairs and all(pair.claim == "not comparable" for pair in figure.pairs):
        return "of any two of them one figure at least is only a bound"
    return f"no two of them have {T.least_blocks} blocks that can be compared"


def side_by_side(models: Sequence[str], named: Callable[[str], str]) -> str:
    """The models in the plan's order, which says nothing of which is better."""
    return ", ".join(named(model) for model in models)
