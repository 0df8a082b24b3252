"""Whether each model carries the users that the plan's SLO says it must (`must_carry`)."""

from __future__ import annotations

from analysis.rank.capacity import CarriedLoad, carried_loads
from analysis.rank.outcome import CampaignOutcome
from analysis.tell.capacity_sentence import one_capacity, slo_text
from analysis.tell.words import counted, series


def must_carry_sentences(outcome: CampaignOutcome) -> tuple[str, ...]:
    """As `Must carry 1,500 users: thread and select carry them; process misses them.`; none where none is asked for."""
    loads = carried_loads(outcome.capacities, outcome.campaign.plan)
    wanted = outcome.campaign.plan.slo.must_carry
    if wanted is None:
        return ()
    named = {verdict: [each.model for each in loads if each.verdict == verdict] for verdict in ("carries", "misses")}
    open_ends = [each for each in loads if each.verdict == "undetermined" and each.capacity is not None]
    absent = [each.model for each in loads if each.capacity is None]
    parts = []
    if models := named["carries"]:
        parts.append(f"{series(models)} {'carries' if len(models) == 1 else 'carry'} so many")
    if models := named["misses"]:
        parts.append(f"{series(models)} {'misses' if len(models) == 1 else 'miss'} it")
    if open_ends:
        parts.append(f"of {series([each.model for each in open_ends])} it is not known")
    if absent:
        parts.append(f"{series(absent)} {'was' if len(absent) == 1 else 'were'} not measured")
    return (f"Each model must carry {counted(wanted, 'user')}: {'; '.join(parts)}.",)


def carried_sentence(load: CarriedLoad, outcome: CampaignOutcome) -> str:
    """One model's part with its figures, as `misses 1,500 users: process carries 128 users [128, 141] (p99)`."""
    slo = outcome.campaign.plan.slo
    words = {
        "carries": "carries", "misses": "misses", "undetermined": "it is not known whether it carries",
    }  # fmt: skip
    head = f"{words[load.verdict]} {counted(slo.must_carry or 0, 'user')} at {slo_text(slo)}"
    if load.capacity is None:
        return f"{head}: {load.model} was not measured"
    limit = next((limit for limit in outcome.limits if limit.model == load.model), None)
    return f"{head}: {one_capacity(load.capacity, limit)}"
