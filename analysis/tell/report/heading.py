"""The head of the report: the question that the plan asks, when and where it was answered, and by which code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from analysis.rank.capacity import ModelCapacity
from analysis.rank.outcome import CampaignOutcome
from analysis.tell.capacity_sentence import users_text
from analysis.tell.words import counted, series
from study.formats.facts_json import Facts
from study.formats.manifest_json import Manifest, short
from study.plan import Plan

MOST_NAMES = 5
"""Models named in the question; of more only how many they are."""
MOST_MACHINES = 3


def question(plan: Plan) -> str:
    """As `How many users do single and thread carry with p99 ≤ 50 ms?`."""
    many = len(plan.models) > 1
    names = series(plan.models) if len(plan.models) <= MOST_NAMES else f"{len(plan.models)} servers"
    if plan.calibrates:
        return "How many requests per second can the load generator send?"
    if plan.search is not None:
        return f"How many users {'do' if many else 'does'} {names} carry with p99 ≤ {plan.slo.p99_ms:g} ms?"
    low, high = plan.users[0], plan.users[-1]
    load = f"{low:,} to {counted(high, 'user')}" if low < high else counted(high, "user")
    return f"How {'do' if many else 'does'} {names} serve {load}?"


def headline(outcome: CampaignOutcome, answer: Sequence[str]) -> str:
    """The answer in a line: after a search what each model carries, else the first sentence of the whole answer."""
    known = {each.model: each for each in outcome.capacities}
    carried = [f"{model} {_carried(known[model])}" for model in outcome.campaign.plan.models if model in known]
    if outcome.campaign.plan.search is None or not carried:
        return answer[0]
    return f"{', '.join(carried)}."


def _carried(capacity: ModelCapacity) -> str:
    if capacity.users is None:
        return "an unknown number" if capacity.high is None else f"fewer than {counted(capacity.high, 'user')}"
    return users_text(capacity)


def when_and_where(manifest: Manifest | None) -> str:
    """As `28 November 2026, 09:21 UTC, on one machine (Xeon, 2 cores, Linux 6.1, Python 3.11). Code: commit 1a2b3c.`"""
    if manifest is None:
        return "When and where it ran isn't known: the manifest is missing or damaged."
    parts = [_when(manifest.created)] if manifest.created else []
    if manifest.hosts:
        parts.append(_where(manifest))
    changed = " with uncommitted changes" if manifest.uncommitted_changes else ""
    code = f"commit {short(manifest.commit)}{changed}" if manifest.commit else "commit not known"
    text = ", ".join(parts) or "When and where it ran isn't known"
    return f"{text}. Code: {manifest.made_by}, {code}."


def _when(created: str) -> str:
    """A time in UTC as a person writes it; as it stands where it isn't one."""
    try:
        at = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{at.day} {at:%B %Y, %H:%M} UTC"


def _where(manifest: Manifest) -> str:
    machines: dict[str, tuple[str, Facts]] = {}
    for name, facts in manifest.hosts.items():
        machines.setdefault(facts.boot_id or name, (name, facts))
    if len(machines) == 1:
        ((_, facts),) = machines.values()
        return f"on one machine ({machine_text(facts)})"
    if len(machines) > MOST_MACHINES:
        return f"on {len(machines)} machines"
    each = "; ".join(f"{name}: {machine_text(facts)}" for name, facts in machines.values())
    return f"on {len(machines)} machines ({each})"


def machine_text(facts: Facts) -> str:
    """Processor, cores, kernel and Python, as far as they are known."""
    parts = (
        facts.cpu,
        counted(len(facts.cores), "core") if facts.cores else "",
        f"{facts.system or 'kernel'} {facts.kernel}" if facts.kernel else "",
        f"Python {facts.python}" if facts.python else "",
    )
    return ", ".join(part for part in parts if part) or "nothing is known of it"
