"""Why a model carries no more: the sentence of its limit, and that of how it scales with its cores."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.rank.capacity import ModelScaling, scalings_of
from analysis.rank.limits import Kind, Limit
from analysis.rank.outcome import CampaignOutcome
from analysis.tell.sentences import joined
from analysis.tell.words import counted, number, series

HEADS: Mapping[Kind, str] = {
    "CPU": "CPU",
    "processes": "The cost of starting processes",
    "waiting": "Waiting",
    "accept queue": "The accept queue",
    "descriptors": "Descriptors",
    "generator": "The generator and not the server",
    "none reached": "None reached",
    "not known": "Not known",
}


def scaling_sentences(outcome: CampaignOutcome) -> tuple[str, ...]:
    """A sentence for each server that was measured at its limit on more than one core count; none for any other."""
    ranking = outcome.ranking
    peaks = {label: rate for label, rate in ranking.goodput.medians.items() if label in ranking.reached}
    return tuple(map(scaling_text, scalings_of(peaks, outcome.campaign.plan)))


def scaling_text(scaling: ModelScaling) -> str:
    """As `pool-1 and pool-2 on 1 and 2 cores answered 100/s and 190/s at their peak, observed; Amdahl's law ...`."""
    law = scaling.law
    observed = (
        f"{series(scaling.labels)} on {series([str(each) for each in scaling.cores])} cores answered"
        f" {series([f'{number(rate)}/s' for rate in scaling.rates])} at their peak, observed"
    )
    one = f"{number(law.one_core)}/s for one core, contention {law.contention:.1%}"
    if law.coherency is None:
        return f"{observed}; Amdahl's law through both has {one}. Coherency takes a third core count to see."
    return (
        f"{observed}; Gunther's law of scalability has {one}, coherency {law.coherency:.2%}, and differs from them by"
        f" {law.deviation:.1%} at the most."
    )


def place_text(limit: Limit) -> str:
    """As `first at 400 users`, or `at 400 users` where some run shows the limit at a smaller load."""
    return f"{'first ' if limit.first else ''}at {counted(limit.users or 0, 'user')}"


def limit_text(limit: Limit) -> str:
    """The limit with its figures; where none is known, why not, and what became of the largest step."""
    if limit.users is not None:
        return f"{HEADS[limit.kind]}, {place_text(limit)}: {joined(limit.findings)}."
    first, *rest = limit.findings
    separator = " " if limit.kind == "none reached" else ": "
    return "".join((f"{HEADS[limit.kind]}{separator}{joined([first])}.", *(f" {joined([each])}." for each in rest)))
