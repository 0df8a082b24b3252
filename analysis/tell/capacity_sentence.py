"""The answer's first sentence: how many users each model carries within the plan's SLO, and what ended the search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.judge.findings import Check
from analysis.judge.judging import StepResult
from analysis.judge.thresholds import THRESHOLDS as T
from analysis.judge.verdicts import SERVED
from analysis.rank.capacity import ModelCapacity
from analysis.rank.generator_rate import cores_beyond
from analysis.rank.limits import Limit
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.steps import LADDER_KINDS
from analysis.tell.words import bounded, counted, series, shortened, span_text
from study.plan import RECOVERY_S, Plan, Slo

BROKEN = {"p99": "p99", "failures": "failures"}
"""Words for the part of the SLO that the smallest load beyond the capacity broke."""
OUTCOMES = {
    "passed": "passed", "failed": "failed", "generator": "limited by the load generator", "unclear": "unclear",
}  # fmt: skip
"""Words for a trial's outcome."""
BEYOND: Mapping[str, str] = {
    "most": "the plan's largest load", "generator": "beyond it the load generator was the limit",
    "unclear": "beyond it no load gave a clear result", "slo": "the SLO",
}  # fmt: skip
"""Why no larger load is known to fail."""
NONE_PASSED: Mapping[str, str] = {
    "most": "no load failed", "generator": "the load generator was the limit",
    "unclear": "no load gave a clear result", "slo": "the SLO",
}  # fmt: skip
"""The same where no load is known to pass, so that there is nothing to be beyond."""
NOT_BACK = f"the server was not back at an idle server's response time in {RECOVERY_S:g} s"
RECOVERIES: Mapping[tuple[bool, bool], str] = {
    (True, True): "a fresh one was started", (True, False): "a fresh one was started, and was slow as well",
    (False, False): "the next trial began with its backlog",
}  # fmt: skip
"""What followed, by whether a fresh server was started and whether the last wait ended with idle response times."""
FULL: Mapping[str, str] = {
    "CPU": "full: CPU", "processes": "full: starting processes", "waiting": "full: its pool", "pool": "full: its pool",
    "accept queue": "connections waited to be accepted", "descriptors": "full: descriptors",
}  # fmt: skip
"""Kinds of a limit that are resources of the target."""
UNTESTED, SHARE, SECOND = "strangers.untested", "strangers.share", "strangers.second"
WHOSE: Mapping[str, str] = {"server": "the server's cores", "workers": "the workers' cores"}
MOST_WINDOWS = 4
"""Windows that are named; of more only the first ones."""


@dataclass(frozen=True)
class ListedSentence:
    """A sentence with a part for each model, which a page can show as a list."""

    lead: str
    parts: tuple[str, ...]
    after: str
    """A sentence of its own, or empty."""

    @property
    def text(self) -> str:
        """All of it on one line."""
        return " ".join(filter(None, (f"{self.lead}, {', '.join(self.parts)}.", self.after)))


def capacity_sentences(outcome: CampaignOutcome) -> tuple[str, ...]:
    """The sentence, none where no model was measured."""
    sentence = listed_capacities(outcome)
    return () if sentence is None else (sentence.text,)


def listed_capacities(outcome: CampaignOutcome) -> ListedSentence | None:
    """The sentence by its parts; None where no model was measured."""
    if not outcome.capacities:
        return None
    limits = {limit.model: limit for limit in outcome.limits}
    named = set(outcome.campaign.plan.models)
    parts = tuple(
        one_capacity(each, limits.get(each.model), cores_beyond(each, outcome.rows, outcome.campaign))
        for each in outcome.capacities
        if each.model in named
    )
    lead = f"At {slo_text(outcome.campaign.plan.slo)}"
    return ListedSentence(lead, parts, _blocks(outcome.capacities)) if parts else None


def slo_text(slo: Slo) -> str:
    """As `p99 <= 50 ms and failures <= 1 %`."""
    return f"p99 <= {slo.p99_ms:g} ms and failures <= {slo.failures_percent:g} %"


def one_capacity(capacity: ModelCapacity, limit: Limit | None, cores: int | None = None) -> str:
    """As `thread carries 1,850 users [1,800, 2,000] (p99; CPU full)`, or `carries at least 3,200 users (...)`.

    `cores` is how many cores for the load it would take to see more.
    """
    model, users, high = capacity.model, capacity.users, capacity.high
    more = f": {counted(cores, 'load core')} would be needed to see more" if cores is not None else ""
    why = f" ({_ended(capacity, limit)}{more}{_unconfirmed(capacity)})"
    if users is None:
        return (
            f"{model} carries fewer than {counted(high, 'user')}{why}"
            if high
            else f"what {model} carries is not known{why}"
        )
    if high is None:
        return f"{model} carries at least {counted(users, 'user')}{why}"
    if capacity.low is None:
        within = (
            f"{counted(users, 'user')} [below {high:,}]" if capacity.searched else f"fewer than {counted(high, 'user')}"
        )
        return f"{model} carries {within}{why}"
    if capacity.searched:
        return f"{model} carries {counted(users, 'user')} [{capacity.low:,}, {high:,}]{why}"
    return f"{model} carries between {capacity.low:,} and {counted(high, 'user')}{why}"


def users_text(capacity: ModelCapacity) -> str:
    """As `2,934 users` or `at least 2,934 users`."""
    return f"{bounded(capacity.at_least, False)}{counted(capacity.users or 0, 'user')}"


def ended_text(ended: str, passed: bool) -> str:
    """What ended a search, by whether any load passed; what of the SLO was broken stands as it is."""
    return (BEYOND if passed else NONE_PASSED).get(ended, ended)


def no_low_end(capacity: ModelCapacity) -> str:
    """Why an interval has no lower end: of a block in which no load passed it is only known to be below those tried."""
    without = sum(block.low is None for block in capacity.blocks)
    return f"no load passed in {without} of {counted(len(capacity.blocks), 'block')}"


def client_text(plan: Plan) -> str:
    """Who asks, and how: the study's own client, or the user classes of a locustfile of one's own."""
    if plan.locustfile is not None:
        classes = f" ({', '.join(plan.user_classes)})" if plan.user_classes else ""
        tags = f", tasks tagged {', '.join(plan.tags)}" if plan.tags else ""
        return f"user classes of {plan.locustfile}{classes}{tags}, with waits and connections of their own"
    think = "no think time" if not plan.mean_think_s else f"think time {span_text(*plan.think_time)} s"
    return f"{think}, client {plan.client}, connection {plan.connection}"


def load_text(plan: Plan) -> str:
    """As `60, 150, 400 users` or `a search from 50 to 6,400 users`."""
    search = plan.capacity_search
    if search is None:
        *lower, top = plan.users
        return ", ".join((*map(str, lower), counted(top, "user", spec="d")))
    return f"a search from {search.start:,} to {counted(search.most, 'user')}"


def differing(outcome: CampaignOutcome) -> tuple[str, ...]:
    """One sentence where trials count otherwise by all checks than they did while their run went on; else nothing.

    The run decides by the workers' counts alone, since the target's samples are not there yet.
    """
    kinds = Counter(
        (OUTCOMES[each.live], f"{OUTCOMES[each.final]} ({each.verdict})")
        for capacity in outcome.capacities
        for block in capacity.blocks
        for each in block.differing
    )
    if not kinds:
        return ()
    parts = [f"{live}, now {final}: {count}" for (live, final), count in kinds.most_common()]
    return (
        f"By all checks {counted(sum(kinds.values()), 'trial')} {'counts' if sum(kinds.values()) == 1 else 'count'}"
        f" otherwise than while the run went on: {'; '.join(parts)}.",
    )


def strangers_beside(outcome: CampaignOutcome) -> tuple[str, ...]:
    """One sentence where windows that count were taken while others used the cores (check 11 failed); else nothing.

    Those that the undisturbed blocks of their load bear out count as the others do. What is not known of the rest is
    said.
    """
    counting = [
        step
        for result in outcome.results
        for step in result.steps
        if step.step.kind in LADDER_KINDS and step.judgement.verdict in SERVED
    ]
    beside = [step for step in counting if step.judgement.disturbed]
    if not beside:
        return ()
    untested = [step for step in beside if any(reason.code == UNTESTED for reason in step.judgement.reasons)]
    taken = [text for whose in WHOSE if (text := _taken(beside, whose))]
    borne = len(beside) - len(untested)
    parts = []
    if borne:
        parts.append(f"{borne} of them gave what the undisturbed blocks of the same load gave, within {T.tie:.0%}.")
    if untested:
        parts.append(
            f"What they did to {_windows(untested)} can't be told: too few undisturbed blocks have"
            f" {'this load' if len(untested) == 1 else 'these loads'}."
        )
    hidden = sum(
        not step.judgement.disturbed
        and any(check.code == SHARE and check.outcome == "not available" for check in step.judgement.checks)
        for step in counting
    )
    if hidden:
        parts.append(f"Of {hidden} more it can't be told in full.")
    which = f"{len(beside)} of {counted(len(counting), 'window')} that count"
    return (f"In {which}, others took more than check 11 allows: {series(taken)}. {' '.join(parts)}",)


def _taken(beside: Sequence[StepResult], whose: str) -> str:
    """As `12% to 34% of the server's cores in 3 windows, up to 40% in one second of 1 more`; empty of none."""
    failed = [
        {check.code: check.value or 0.0 for check in step.judgement.checks if _failed_on(check, whose)}
        for step in beside
    ]
    shares = [each[SHARE] for each in failed if SHARE in each]
    seconds = [each[SECOND] for each in failed if SECOND in each and SHARE not in each]
    parts = []
    if shares:
        span = " to ".join(dict.fromkeys(f"{share:.0%}" for share in (min(shares), max(shares))))
        parts.append(f"{span} of {WHOSE[whose]} in {counted(len(shares), 'window')}")
    if seconds:
        parts.append(
            f"up to {max(seconds):.0%} of {WHOSE[whose]} in single seconds of {counted(len(seconds), 'window')}"
        )
    return " and ".join(parts)


def _failed_on(check: Check, whose: str) -> bool:
    return check.code in (SHARE, SECOND) and check.outcome == "fail" and check.finding["whose"] == whose


def _windows(steps: Sequence[StepResult]) -> str:
    """As `thread at 400 users in block 2`."""
    names = [f"{step.run.label} at {counted(step.step.users, 'user')} in block {step.run.block}" for step in steps]
    return shortened(names, MOST_WINDOWS, MOST_WINDOWS)


def recoveries(outcome: CampaignOutcome) -> tuple[str, ...]:
    """A sentence for each run whose server was not back at its idle response time in time after a trial."""
    sentences = []
    for result in outcome.results:
        users = {step.step.number: step.step.users for step in result.steps}
        where = f"{result.data.run.label}, block {result.data.run.block}"
        for ended, then in RECOVERIES.items():
            at = [each.step for each in result.recoveries if (each.fresh_server, each.recovered) == ended]
            if loads := [users[step] for step in at if step in users]:
                tried = series([*(f"{load:,}" for load in loads[:-1]), counted(loads[-1], "user")])
                trials = f"the trial{'s' if len(loads) > 1 else ''} at {tried}"
                sentences.append(f"{where}: after {trials} {NOT_BACK}; {then}.")
    return tuple(sentences)


def _ended(capacity: ModelCapacity, limit: Limit | None) -> str:
    if capacity.ended == "slo":
        full = FULL.get(limit.kind) if limit is not None and limit.users is not None else None
        open_below = no_low_end(capacity) if capacity.users is not None and capacity.low is None else ""
        wide = sum(block.wide for block in capacity.blocks)
        where = f" in {wide} of {len(capacity.blocks)} blocks" if len(capacity.blocks) > 1 else ""
        between = f"no trial with a clear result between what passed and what failed{where}" if wide else ""
        parts = (BROKEN.get(capacity.broken or "", "the SLO"), full or "", between, open_below)
        return "; ".join(filter(None, parts))
    blocks = sum(block.ended == capacity.ended for block in capacity.blocks)
    where = f" in {blocks} of {len(capacity.blocks)} blocks" if blocks < len(capacity.blocks) else ""
    return f"{ended_text(capacity.ended, capacity.users is not None)}{_unclear(capacity)}{where}"


def _unclear(capacity: ModelCapacity) -> str:
    """Why the trials beyond the capacity were unclear, as `: disturbed in 3 trials`; empty where it ended otherwise."""
    if capacity.ended != "unclear":
        return ""
    kinds = Counter(why for block in capacity.blocks if block.ended == "unclear" for why in block.unclear)
    said = [f"{why} in {counted(count, 'trial')}" for why, count in kinds.most_common()]
    return f": {', '.join(said)}" if said else ""


def _unconfirmed(capacity: ModelCapacity) -> str:
    """In how many blocks a trial twice as long was due at the load carried, and none of them passed."""
    due = [
        block
        for block in capacity.blocks
        if block.low is not None and (block.closed or block.confirmation is not None) and not block.confirmed
    ]
    if not capacity.searched or not due:
        return ""
    where = f" in {len(due)} of {len(capacity.blocks)} blocks" if len(capacity.blocks) > 1 else ""
    return f"; no trial twice as long confirms it{where}"


def _blocks(capacities: Sequence[ModelCapacity]) -> str:
    """What the brackets are intervals of."""
    numbers = sorted({len(each.blocks) for each in capacities})
    most = numbers[-1]
    if not any(each.searched and each.high is not None for each in capacities):
        return ""
    if most == 1:
        ends = "the most users that passed and the fewest that failed"
        return f"In brackets: {ends}, in one block, by the last trial of each load."
    coverage = min(each.coverage or 0.0 for each in capacities if each.high is not None)
    blocks = f"{numbers[0]} to {most}" if numbers[0] < most else str(most)
    least = "at least " if numbers[0] < most else ""
    return f"In brackets: the interval of the median over {blocks} blocks of this campaign ({least}{coverage:.0%})."
