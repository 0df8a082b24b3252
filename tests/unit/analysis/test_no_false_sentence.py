"""Of campaigns whose truth is known no sentence, caption, cell or claim contradicts it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from analysis.draw.frames import ratios_frame
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.ranking import FigureRanking
from analysis.tell.answer import answer_sentences
from analysis.tell.limit_sentence import limit_text
from analysis.tell.report.capacity_caption import capacity_table
from analysis.tell.report.captions import figure_captions
from analysis.tell.report.page import Table
from analysis.tell.report.provenance import not_shown
from analysis.tell.report.report_tables import ladder_tables, summary_table
from analysis.tell.summary import summary_text
from analysis.tell.words import number
from tests.unit import drawn_campaigns
from tests.unit.drawn_campaigns import TAINTED, Drawn

SIGNS = re.compile(r"([\w-]+)(?: \([^)]*\))? ([<>=~]) (?=([\w-]+))")
"""As in `a (120/s at 400 users) > b`: name, sign, name."""
SUPERLATIVE = re.compile(r"\b(?!at\b)([\w-]+) (?:answered )?(most|fewest|fastest|slowest)\b")
SLOWER = pd.DataFrame(columns=["model", "ms", "share"])


@pytest.fixture(scope="module")
def alike() -> list[Drawn]:
    draw = np.random.default_rng(15)
    return [drawn_campaigns.alike(draw) for _ in range(12)]


@pytest.fixture(scope="module")
def mixed() -> list[Drawn]:
    draw = np.random.default_rng(16)
    return [drawn_campaigns.mixed(draw) for _ in range(40)]


@pytest.fixture(scope="module")
def searched() -> list[Drawn]:
    draw = np.random.default_rng(17)
    return [drawn_campaigns.searched(draw) for _ in range(14)]


def sentences(drawn: Drawn) -> list[str]:
    """Every sentence about the result that summary and report have, without tables; made once for each campaign."""
    if id(drawn) not in TEXTS:
        TEXTS[id(drawn)] = _sentences(drawn)
    return TEXTS[id(drawn)]


TEXTS: dict[int, list[str]] = {}


def _sentences(drawn: Drawn) -> list[str]:
    outcome = drawn.outcome
    captions = figure_captions(outcome.steps, SLOWER, ratios_frame(outcome.ranking), outcome.ranking, drawn.plan)
    prose = [line for line in summary_text(outcome).splitlines() if line and line[0] not in "|#"]
    words = [*answer_sentences(outcome), *prose, *(limit_text(limit) for limit in outcome.limits)]
    return [*words, *(text for _, text, _ in captions.values()), *not_shown(outcome)]


def tables(drawn: Drawn) -> Iterator[Table]:
    outcome = drawn.outcome
    captions = figure_captions(outcome.steps, SLOWER, ratios_frame(outcome.ranking), outcome.ranking, drawn.plan)
    for _, _, each in captions.values():
        yield from each
    yield summary_table(outcome.campaign, outcome.summary, outcome.ranking, outcome.limits)
    for what_users_got, _ in ladder_tables(outcome.campaign, outcome.steps).values():
        yield what_users_got


def goodness(drawn: Drawn, figure: FigureRanking) -> dict[str, float]:
    """The true figure of each model, larger where better."""
    if figure is drawn.outcome.ranking.capacity:
        return {model: truth.capacity for model, truth in drawn.truth.items()}
    top = drawn.plan.most_users
    if figure.ranked.more_is_better:
        return {model: truth.peak(top) for model, truth in drawn.truth.items()}
    return {model: 1 / truth.response for model, truth in drawn.truth.items()}


def false_claims(drawn: Drawn) -> list[str]:
    """The claims of the ranking, its places and its signs that the truth contradicts."""
    wrong: list[str] = []
    ranking = drawn.outcome.ranking
    for figure in (ranking.goodput, ranking.response, ranking.capacity):
        true, wins = goodness(drawn, figure), "more" if figure.ranked.more_is_better else "less"
        for pair in figure.claims:
            better, worse = (pair.first, pair.second) if pair.claim == wins else (pair.second, pair.first)
            ratio = true[pair.first] / true[pair.second]
            if pair.claim == "tie" and not 1 / (1.0001 + T.tie) <= ratio <= 1.0001 + T.tie:
                wrong.append(f"tie {pair}")
            elif pair.claim != "tie" and true[better] <= true[worse]:
                wrong.append(f"{better} better than {worse}")
        for model, place in figure.places.items():
            better_ones = sum(value > (1 + T.tie) * true[model] for value in true.values())
            if not 1 <= place.first <= better_ones + 1 or place.last > len(true):
                wrong.append(f"{model} {place}, {better_ones} are better")
    return wrong


def false_words(drawn: Drawn) -> list[str]:
    """The signs and superlatives in the texts that the truth contradicts."""
    wrong: list[str] = []
    ranking = drawn.outcome.ranking
    for text in sentences(drawn):
        rates = goodness(drawn, ranking.goodput)
        times = goodness(drawn, ranking.response)
        for first, sign, second in SIGNS.findall(text):
            if not {first, second} <= set(drawn.truth):
                continue
            true = times if sign == "<" or "response" in text or "average" in text or "valid for" in text else rates
            if sign in "<>" and true[first] <= true[second]:
                wrong.append(text)
            if sign == "=" and not 0.96 <= true[first] / true[second] <= 1.04:
                wrong.append(text)
        for model, word in SUPERLATIVE.findall(text):
            if model in drawn.truth:
                true = times if word in ("fastest", "slowest") else rates
                extreme = max(true.values()) if word in ("most", "fastest") else min(true.values())
                if true[model] != extreme or list(true.values()).count(extreme) > 1:
                    wrong.append(text)
    return wrong


@pytest.mark.slow
def test_of_models_that_are_alike_nearly_nothing_is_said(alike: list[Drawn]) -> None:
    assert share_wrong(alike) <= chance(alike)


@pytest.mark.slow
def test_of_models_that_are_alike_at_most_5_percent_of_campaigns_say_anything_false() -> None:
    draw = np.random.default_rng(19)
    drawn = [drawn_campaigns.alike(draw) for _ in range(60)]
    assert share_wrong(drawn) <= chance(drawn)


def share_wrong(alike: list[Drawn]) -> float:
    """Of campaigns whose models are alike, the share that says anything false."""
    claimed = [
        drawn for drawn in alike if drawn.outcome.ranking.goodput.claims or drawn.outcome.ranking.response.claims
    ]
    wrong = sum(bool(false_claims(drawn) or false_words(drawn)) for drawn in claimed)
    return wrong / len(alike)


def chance(campaigns: list[Drawn]) -> float:
    """The largest share of so many campaigns that 5 % explain: two standard errors more."""
    return 0.05 + 2 * math.sqrt(0.05 * 0.95 / len(campaigns))


@pytest.mark.slow
def test_of_models_that_differ_at_most_5_percent_of_campaigns_say_anything_false(mixed: list[Drawn]) -> None:
    assert sum(bool(false_claims(drawn) or false_words(drawn)) for drawn in mixed) / len(mixed) <= chance(mixed)
    assert sum(bool(drawn.outcome.ranking.goodput.claims) for drawn in mixed) > 5


@pytest.mark.slow
def test_of_searched_capacities_at_most_5_percent_of_campaigns_say_anything_false() -> None:
    draw = np.random.default_rng(18)
    # Little is claimed of spoilt campaigns: their brackets are wider than the resolution.
    searched = [drawn_campaigns.searched(draw, spoilt=number % 2 == 0) for number in range(50)]
    wrong = sum(bool(false_claims(drawn) or false_words(drawn)) for drawn in searched)
    assert wrong / len(searched) <= chance(searched)
    assert sum(bool(drawn.outcome.ranking.capacity.claims) for drawn in searched) > 3


CARRIES = re.compile(
    r"\b([\w-]+) carries (?:(fewer than|at least|between|is not known)(?: |(?= \()))?"
    r"(?:([\d,]+)(?: and ([\d,]+))? users?(?: \[(?:([\d,]+), |below )([\d,]+)\])?)? ?\(([^)]*)\)"
)
"""As in `a carries 130 users [120, 141] (p99; full: CPU)`: model, kind, users, second users, ends, reason."""


@pytest.mark.slow
def test_a_capacity_is_what_each_day_carries_and_its_reason_is_the_truth(
    mixed: list[Drawn], searched: list[Drawn]
) -> None:
    kinds: dict[str, int] = {}
    for drawn in (*mixed, *searched):
        outcome = drawn.outcome
        if not outcome.capacities:
            continue
        first = answer_sentences(outcome)[0]
        told = CARRIES.findall(first)
        assert [each[0] for each in told] == [each.model for each in outcome.capacities if each.model in drawn.truth]
        for model, kind, users, second, low, high, why in told:
            (capacity,) = (each for each in outcome.capacities if each.model == model)
            carried = float(np.median([drawn.carried[model][each.block] for each in capacity.blocks]))
            truth = drawn.truth[model]
            kinds[kind if users else "not known"] = kinds.get(kind if users else "not known", 0) + 1
            if kind == "fewer than":
                assert carried < _whole(users), first
            elif kind == "at least":
                assert carried >= _whole(users), first
            elif users:
                least = 0 if high and not low else _whole(low or users)  # `below 141`: no load passed in some block
                assert least <= carried < _whole(high or second), first
                assert not high or least <= _whole(users) <= _whole(high), first
            if "generator" in why:
                assert truth.late_from <= drawn.plan.most_users, first
            days = [drawn.carried[model][each.block] for each in capacity.blocks]
            if "largest load" in why:
                some = re.search(r"in (\d+) of (\d+) blocks", why)
                reached = sum(day >= drawn.plan.most_users for day in days)
                assert reached >= (int(some[1]) if some else len(days)), first
            if "full" in why:
                assert truth.watched, first
                assert truth.capacity < 1.1 * truth.asked(drawn.plan.most_users), first
    assert kinds.keys() >= {"", "fewer than", "at least", "between", "not known"}
    assert kinds[""] > 5


def _whole(users: str) -> int:
    return int(users.replace(",", ""))


def test_a_capacity_in_a_table_is_a_bound_where_it_is_one(searched: list[Drawn]) -> None:
    seen = 0
    for drawn in searched:
        rows = drawn.outcome.summary.set_index("model")
        for capacity in drawn.outcome.capacities:
            if capacity.model in rows.index:
                seen += capacity.at_least
                bounds = frozenset(rows["at_least"][capacity.model])
                assert bounds.issuperset({"capacity_users", "sustained_users"}) == capacity.at_least
                assert bounds.isdisjoint({"capacity_users", "sustained_users"}) != capacity.at_least
        for row in capacity_table(drawn.outcome).rows:
            (capacity,) = (each for each in drawn.outcome.capacities if each.model == row[0].text)
            assert row[1].text.startswith("\u2265 ") == capacity.at_least, row
    assert seen > 3


@pytest.mark.slow
def test_where_nothing_is_tested_there_is_no_sign_and_no_superlative(mixed: list[Drawn]) -> None:
    few = [drawn for drawn in mixed if drawn.plan.blocks < T.least_blocks]
    assert len(few) > 10
    for drawn in few:
        for text in sentences(drawn):
            said = [signs for signs in SIGNS.findall(text) if {signs[0], signs[2]} <= set(drawn.truth)]
            assert not said, text
            assert not SUPERLATIVE.search(text), text


@pytest.mark.slow
def test_every_model_that_was_measured_has_a_row_and_a_word_in_the_answer(
    mixed: list[Drawn], searched: list[Drawn]
) -> None:
    for drawn in (*mixed, *searched):
        answer = " ".join(answer_sentences(drawn.outcome))
        for model in drawn.outcome.ranking.measured:
            assert re.search(rf"\b{model}\b", answer), answer
        assert list(drawn.outcome.summary["model"]) == list(drawn.plan.models)


@pytest.mark.slow
def test_a_figure_of_a_step_that_is_not_trusted_stands_with_its_verdict(mixed: list[Drawn]) -> None:
    marks = [number(value) for value in TAINTED.values()] + [f"{value:.0f}" for value in TAINTED.values()]
    seen = 0
    for at, drawn in enumerate(mixed):
        for text in sentences(drawn):
            if any(mark in text for mark in marks):
                seen += 1
                assert re.search(r"disturbed|generator-limited", text), text
        for table in tables(drawn) if at % 3 == 0 else ():
            by_verdict = "verdict" in table.heads
            for row in table.rows:
                for cell in row:
                    if any(cell.text.removeprefix("≥ ") == mark for mark in marks):
                        seen += 1
                        around = f"{cell.note} {row[-1].text}" if by_verdict else cell.note
                        assert re.search(r"disturbed|generator-limited", around), (table.caption, row)
    assert seen > 20
    summaries = pd.concat([drawn.outcome.summary for drawn in mixed])
    assert not summaries[["rps", "mean_ms", "p99_ms", "peak_rps"]].isin(list(TAINTED.values())).to_numpy().any()


@pytest.mark.slow
def test_no_limit_is_denied_or_named_where_the_truth_is_otherwise(mixed: list[Drawn]) -> None:
    kinds: set[str] = set()
    for drawn in mixed:
        top = drawn.plan.most_users
        for limit in drawn.outcome.limits:
            truth = drawn.truth[limit.model]
            kinds.add(limit.kind)
            if limit.kind == "none reached":
                assert truth.watched
                assert not truth.crowded
                assert truth.late_from > top
                assert truth.capacity > 0.85 * truth.asked(top), limit
            if limit.kind == "CPU":
                assert limit.users is not None
                rungs = drawn.outcome.rows.of_model(limit.model).ladder.measured.by_users()
                larger = [rows for users, rows in rungs if users > limit.users and rows.most_have("valid")]
                idle = truth.asked(limit.users) < 0.6 * truth.capacity  # the judge's mistake, which nothing contradicts
                assert not (idle and any(not rows.mostly_full() for rows in larger)), limit
        for text in sentences(drawn):
            if named := re.match(r"(?:None of )?(.+?) was (?:not )?at its limit", text):
                for model in re.findall(r"[\w-]+", named[1]):
                    if model in drawn.truth:
                        assert drawn.truth[model].capacity > 0.85 * drawn.truth[model].asked(top), text
                        assert not drawn.truth[model].crowded, text
            if "No model is more than 5%" in text:
                assert all(truth.capacity > 0.85 * truth.asked(top) for truth in drawn.truth.values()), text
                assert all(truth.late_from > top for truth in drawn.truth.values()), text
    assert kinds >= {"none reached", "CPU", "generator", "not known"}


@pytest.mark.slow
def test_a_limit_of_few_blocks_says_of_how_many_it_is(searched: list[Drawn]) -> None:
    few = 0
    for drawn in searched:
        for limit in drawn.outcome.limits:
            mine = drawn.outcome.rows.of_model(limit.model).ladder.measured
            users = limit.users or limit.top
            tried, blocks = (each.frame["block"].nunique() for each in (mine.at(users), mine))
            if users is not None and 2 * tried <= blocks:
                few += 1
                assert f"{tried} of {blocks} blocks tried this load" in limit_text(limit)
            else:
                assert "tried this load" not in limit_text(limit)
    assert few


@pytest.mark.slow
def test_where_no_limit_was_reached_the_load_that_is_named_was_valid(mixed: list[Drawn], searched: list[Drawn]) -> None:
    seen = 0
    for drawn in (*mixed, *searched):
        for text in sentences(drawn):
            if named := re.match(r"(?:None of )?(.+?) was (?:not )?at its limit: valid at ([\d,]+) user", text):
                for model in re.findall(r"[\w-]+", named[1]):
                    if model in drawn.truth:
                        seen += 1
                        rows = drawn.outcome.rows.of_model(model).ladder.measured
                        assert rows.users[-1] == _whole(named[2]), text
                        assert rows.at(_whole(named[2])).most_have("valid"), text
    assert seen


@pytest.mark.slow
def test_bounds_stand_with_their_sign(mixed: list[Drawn]) -> None:
    seen = 0
    for drawn in mixed:
        ranking = drawn.outcome.ranking
        for model in set(ranking.goodput.medians) - ranking.reached:
            row = drawn.outcome.summary.set_index("model").loc[model]
            assert "peak_rps" in row["at_least"]
            figure = f"{number(ranking.goodput.medians[model])}/s at {ranking.peak_users[model]:,} user"
            for text in sentences(drawn):
                for place in re.finditer(rf"\b{model} \(?(.{{0,9}}){re.escape(figure)}", text):
                    seen += 1
                    assert place[1] == "at least ", text
        for model in ranking.response.ranked.at_most & set(ranking.response.medians):
            figure = f"{number(ranking.response.medians[model])} ms"
            for text in answer_sentences(drawn.outcome):
                for place in re.finditer(rf"\b{model} \(?(.{{0,8}}){re.escape(figure)}", text):
                    seen += 1
                    assert place[1] == "at most ", text
    assert seen > 20


@pytest.mark.slow
def test_sustained_users_without_a_sign_are_where_it_ends(mixed: list[Drawn]) -> None:
    for drawn in mixed:
        for row in drawn.outcome.summary.to_dict("records"):
            if pd.isna(row["sustained_users"]) or "sustained_users" in row["at_least"]:
                continue
            larger = [users for users in drawn.plan.users if users > row["sustained_users"]]
            truth = drawn.truth[row["model"]]
            assert any(truth.asked(users) > 0.8 * truth.capacity for users in larger), row


@pytest.mark.slow
def test_the_blocks_that_are_named_are_those_of_the_very_comparisons(mixed: list[Drawn], searched: list[Drawn]) -> None:
    for drawn in (*mixed, *searched):
        ranking = drawn.outcome.ranking
        pairs = [pair for figure in (ranking.goodput, ranking.response, ranking.capacity) for pair in figure.pairs]
        counts = {pair.blocks for pair in pairs}
        for text in answer_sentences(drawn.outcome):
            for first, last in re.findall(r"over (\d+)(?: to (\d+))? blocks?\b(?! of this campaign)", text):
                assert {int(first), int(last or first)} <= counts, text


@pytest.mark.slow
def test_signs_in_the_answer_are_those_of_the_order(mixed: list[Drawn], searched: list[Drawn]) -> None:
    for drawn in (*mixed, *searched):
        for figure in (drawn.outcome.ranking.goodput, drawn.outcome.ranking.response, drawn.outcome.ranking.capacity):
            order = figure.order
            for (first, second), sign in zip(pairwise(order.models), order.signs, strict=True):
                claims = {each.claim for each in figure.pairs if {each.first, each.second} == {first, second}}
                assert sign not in "<>" or claims <= {"more", "less"}
                assert sign != "=" or claims == {"tie"}
                assert sign == "~" or claims
