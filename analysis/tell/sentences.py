"""The sentence of each code in `analysis.judge.codes.CODES`, and nothing is decided from one.

A sentence is a template that the finding's figures are filled into, or a function of the finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from analysis.judge.findings import Finding, Reason
from analysis.tell import phrases
from analysis.tell.words import apart, between, counted, counters, was

NAMES: Mapping[str, str] = {
    "load.population": "population",
    "law.interactive": "interactive law",
    "law.iterations": "interactive law of iterations",
    "law.clocks": "the workers' clocks",
    "law.clock-step": "step of the wall clock ms",
    "work.cpu": "CPU work",
    "work.wait": "waiting",
    "law.little": "Little's law",
    "law.counts": "requests begun and ended",
    "law.oldest": "oldest in flight s",
    "generator.lag": "think-time lag p99 ms",
    "generator.turnaround": "turnaround ms",
    "generator.loop-lag": "event-loop lag p99 ms",
    "generator.standstill": "event-loop lag p99 ms",
    "generator.cpu": "worker CPU p95 cores",
    "generator.shared-cpu": "workers' CPU p95 over the cores that they share",
    "generator.descriptors": "descriptors used",
    "generator.ports": "ports used",
    "generator.think": "think times drawn",
    "steady.drift": "drift",
    "steady.drift-response": "drift of R",
    "steady.warm-up": "warm-up",
    "steady.silent": "silent seconds",
    "samples.cycles": "cycles of each user",
    "samples.iterations": "iterations of each user",
    "errors.failures": "failures",
    "errors.unanswered": "left without an answer",
    "errors.counts": "counts of the run",
    "target.slow": "R over R1",
    "target.short": "X under N / (R + Z)",
    "target.kernel": "target's kernel",
    "repeat.blocks": "CoV of X over blocks",
    "repeat.return-rps": "return step X",
    "repeat.return-mean": "return step R",
    "repeat.control-rps": "A/A requests/s",
    "repeat.control-mean": "A/A mean response time",
    "repeat.control-capacity": "A/A capacity",
    "strangers.share": "others on these cores",
    "strangers.second": "others' worst second",
}
"""What a check is called in checks.csv and in the report."""


REASONS = 4
"""As many reasons of a verdict are told where steps are listed."""


def sentence(finding: Finding) -> str:
    """What a finding means, with its figures; no full stop at its end."""
    template = SENTENCES[finding.code]
    return template.format_map(finding.figures) if isinstance(template, str) else template(finding)


def reason_sentence(reason: Reason) -> str:
    """Why a step has its verdict: a finding's sentence, or a check's with its number and its outcome."""
    if isinstance(reason, Finding):
        return sentence(reason)
    number, name, text = reason.number, NAMES[reason.code], sentence(reason.finding)
    if reason.outcome == "not available":
        return f"check {number} ({name}) not available: {text}"
    if reason.outcome == "flag":
        return f"{text} (check {number}: a flag)"
    against = "" if reason.value is None else ": {} against {}".format(*apart(reason.value, reason.threshold))
    return f"{text} (check {number}, {name}{against})"


def joined(reasons: Iterable[Reason], separator: str = "; ") -> str:
    """The sentences of several findings in one line."""
    return separator.join(reason_sentence(reason) for reason in reasons)


def main_reasons(reasons: Sequence[Reason]) -> str:
    """The first REASONS findings of a verdict; steps.csv has all. Checks without evidence have a section instead.

    Of a disturbed step's lines of check 11 the first stands first and the others last: what failed beside them makes
    the verdict.
    """
    telling = [each for each in reasons if isinstance(each, Finding) or each.outcome != "not available"]
    telling = telling or list(reasons)
    if telling and _about_strangers(telling[0]):
        rest = [each for each in telling[1:] if not _about_strangers(each)]
        telling = [telling[0], *rest, *(each for each in telling[1:] if _about_strangers(each))]
    shown = telling[:REASONS]
    more = len(telling) - len(shown)
    return joined(shown) + (f"; {more} more in steps.csv" if more else "")


def _about_strangers(reason: Reason) -> bool:
    return reason.code.startswith("strangers.")


def _population(f: Finding) -> str:
    if f["wrong"]:
        return joined(f["wrong"])
    users, workers = counted(f["users"], "user", spec=".0f"), counted(f["workers"], "worker", spec=".0f")
    return f"{users} on {workers}, at least {f['value']:.1%} of the window"


def _slow(f: Finding) -> str:
    full = joined(f["full"])
    if f["value"] is None:
        unknown = "neither the idle step nor the lowest load gave the response time of an idle, undisturbed server"
        why = "no request ended" if f["response_ms"] is None else unknown
        return f"{why}. {full}" if full else why
    if f["own"]:
        own = f"its R = {f['response_ms']:.1f} ms is the lowest that was measured, and no idle server's"
        return f"{own}; the target was full: {full}" if full else own
    times = f"{f['value']:.1f} times R1 = {f['unloaded_ms']:.1f} ms"
    if f["at_most"]:
        times = f"at least {f['value']:.1f} times R1, which is at most {f['unloaded_ms']:.1f} ms"
    ratio = f"R = {f['response_ms']:.1f} ms is {times}"
    if full:
        return f"{ratio}; the target was full: {full}"
    return f"{ratio}{_left(f)}" if f["watched"] else f"{ratio}; the target was not watched"


def _short(f: Finding) -> str:
    line = f"N / (R1 / (1 - U) + Z){', which is at least ' if f['at_least'] else ' = '}{f['bound']:.1f}"
    if f["value"] <= 0:
        return f"{f['rate']:.1f} requests/s are {'not under' if f['at_least'] else 'on'} the line {line}"
    least = "at least " if f["at_least"] else ""
    return f"{f['rate']:.1f} requests/s are {least}{f['value']:.1%} under {line}{_left(f)}"


def _left(f: Finding) -> str:
    """That nothing of the target was full, with what it had left; or that others took the rest of its cores."""
    if not f["room"]:
        return ""
    crowded = any(each.code == "target.crowded" for each in f["room"])
    what = (
        "others used the rest of the server's cores" if crowded else "nothing that was watched on the target was full"
    )
    return f", and {what}: {joined(f['room'])}"


def _shortfall(f: Finding) -> str:
    if f["at_least"]:
        return f"{f['rate']:.1f} requests/s are at least {f['under']:.1%} under N / (R1 + Z) >= {f['bound']:.1f}"
    return f"{f['rate']:.1f} requests/s are {f['under']:.1%} under N / (R1 + Z) = {f['bound']:.1f}"


def _divided(f: Finding) -> str:
    least, most = ("at least ", "at most ") if f["at_least"] else ("", "")
    return (
        f"{least}{f['under']:.1%} under N / (R1 + Z drawn): users who began late, {f['late_ms']:.2f} ms on average,"
        f" explain {most}{f['generator']:.0%} of it, the server {least}{f['server']:.0%}"
    )


def _untrusted(f: Finding) -> str:
    state = (
        "others used the cores in its idle step" if f["verdict"] == "disturbed" else f"its idle step is {f['verdict']}"
    )
    text = f"{f['run']}: {state}, so that "
    if f["users"] is None:
        return f"{text}R1 is not known, nor how far a step is short of it"
    return f"{text}R1 is only known to be at most R at {counted(f['users'], 'user')}"


def _lower(what: str) -> Callable[[Finding], str]:
    """A sentence of the lowest load at which some run shows a limit that most runs show at a larger one."""

    def text(f: Finding) -> str:
        runs = "the one run" if f["tried"] == 1 else f"{f['shown']} of {f['tried']} runs"
        return f"at {counted(f['users'], 'user')} {what} already, in {runs} of this load"

    return text


def _step_above(f: Finding) -> str:
    """A step's verdict and its reasons, those of the first run that has it where not all do."""
    some = f" in {f['shown']} of {f['runs']} runs, the first" if f["shown"] < f["runs"] else ""
    return f"At {counted(f['users'], 'user')} {f['verdict']}{some}: {main_reasons(f['reasons'])}"


Sentence = str | Callable[[Finding], str]

SENTENCES: dict[str, Sentence] = {
    "load.population": _population,
    "load.no-record": lambda f: f"no record came from {', '.join(f['workers'])}",
    "load.worker-short": "{worker} had at least {least} of {wanted} users, all of them in {right:.1%} of the window",
    "load.worker-over": (
        "{worker} had users of another load still, {mean:.1f} on average and not {wanted},"
        " and the right number in {right:.1%} of the window"
    ),
    "load.told-otherwise": lambda f: (
        f"the workers were told to run {counted(f['told'], 'user', spec='.0f')} together, not {f['wanted']}"
    ),
    "load.host-lost": "{host} was lost in this step, and its records with it",
    "law.interactive": phrases.interactive_law,
    "law.iterations": phrases.iterations_law,
    "work.cpu": phrases.cpu_work,
    "work.wait": "half of the answers took at least {median_ms:.1f} ms, each waits {wait_ms:g} ms",
    "law.clocks": phrases.clocks,
    "law.clock-step": "a worker's wall clock was set by up to {value:.3f} ms against its monotonic clock",
    "law.little": phrases.little,
    "law.counts": phrases.requests_counted,
    "law.oldest": phrases.oldest,
    "generator.lag": phrases.lag,
    "generator.turnaround": (
        "users began their next request {value:.3f} ms after an answer on average, {share:.1%} of their cycle"
    ),
    "generator.loop-lag": phrases.loop_lag,
    "generator.standstill": "the event loop of {worker} was up to {value:.2f} ms late (p99): it stood still",
    "generator.cpu": lambda f: (
        "the workers' CPU was not recorded"
        if f["value"] is None
        else f"{f['worker']} used {f['value']:.2f} of a core (p95)"
    ),
    "generator.shared-cpu": (
        "the workers of a load host, more than its cores for them, used {value:.0%} of these cores together (p95)"
    ),
    "generator.descriptors": lambda f: (
        "the workers' descriptors have no known limit"
        if f["value"] is None
        else f"{f['worker']} used {f['value']:.0%} of its descriptors"
    ),
    "generator.ports": lambda f: (
        "no count of the local ports fell into this window"
        if f["value"] is None
        else f"{f['value']:.0%} of a load host's local ports towards the target in use"
    ),
    "generator.think": phrases.think,
    "generator.busy-worker": "while {worker} used {cpu:.2f} of a core (p95)",
    "generator.busy-host": "while the workers of a load host used {cpu:.0%} of the cores that they share",
    "generator.suspected": "the generator, the network, or what nobody watched on the target is suspected",
    "steady.drift": phrases.drift("goodput"),
    "steady.drift-response": phrases.drift("the mean response time of the successes"),
    "steady.warm-up": "in the first quarter of the window answers took {value:.1%} longer than in its last half",
    "steady.silent": phrases.silent,
    "samples.cycles": phrases.cycles,
    "samples.iterations": phrases.cycles,
    "tasks.raised": phrases.raised,
    "errors.failures": phrases.failures,
    "errors.unanswered": phrases.unanswered,
    "errors.counts": phrases.counts_of_the_run,
    "target.slow": _slow,
    "target.short": _short,
    "full.cpu": lambda f: f"its process tree used {f['cpu']:.2f} of {phrases.cores(f['usable'])}",
    "full.thread": "its busiest thread used {cpu:.2f} of a core",
    "full.held": phrases.held,
    "full.accept-queue": phrases.accept_queue,
    "full.descriptors": "it had {open:.0f} of {limit:.0f} descriptors open",
    "full.watched": "it had {open:,.0f} descriptors open, and its design can't watch one from {limit:,} on",
    "full.pool": phrases.pool,
    "full.overflows": lambda f: (
        f"its listening socket dropped {between(f['drops'], f['most'], 'connection')}"
        f" with {counted(f['requests'], 'request')}"
    ),
    "target.saturated": lambda f: f"saturated: {joined(f['full'])}",
    "target.room": phrases.room,
    "target.crowded": phrases.room,
    "target.not-watched": "the target was not watched",
    "target.had-room": lambda f: f"on the target: {joined(f['room'])}",
    "target.no-sign": lambda f: f"with no sign of a limit on the target: {joined(f['room'])}",
    "step.shortfall": _shortfall,
    "step.divided": _divided,
    "baseline.untrusted": _untrusted,
    "target.kernel": phrases.kernel,
    "evidence.kernel": lambda f: f"its kernel counted {counters(f['counters'])}",
    "evidence.refused": phrases.refused,
    "repeat.blocks": phrases.blocks,
    "repeat.return-rps": phrases.return_step("requests/s"),
    "repeat.return-mean": phrases.return_step("ms"),
    "repeat.control-rps": phrases.control,
    "repeat.control-mean": phrases.control,
    "repeat.control-capacity": phrases.control,
    "strangers.share": phrases.strangers,
    "strangers.second": lambda f: (
        f"others took up to {f['value']:.1%} of the {f['whose']}'{'s' if f['whose'] == 'server' else ''} cores on"
        f" {f['host']} in one second"
    ),
    "strangers.untested": phrases.untested,
    "strangers.outside": phrases.outside,
    "background.held": phrases.background,
    "run.absent": "the run is not there: {reason}",
    "run.skipped": "skipped: {reason}",
    "run.failed": "the run failed: {reason}",
    "step.damaged": "damaged: {error}",
    "step.not-in-ledger": "its measure window is not in the ledger",
    "file.damaged": "{file}: {error}",
    "file.ends-early": "{file}: ends before the ladder does",
    "file.note": "{text}",
    "cost.cpu": "{cpu_ms:.2g} ms of CPU a request at {rate:,.0f} requests/s",
    "cost.kernel": "{share:.0%} of its cores' busy time was the kernel's",
    "cost.ended": phrases.ended,
    "target.busy": lambda f: (
        f"{f['cpu']:.2f} of {phrases.cores(f['cores'])} busy{phrases.taken(f)}, {f['cpu_ms']:.2g} ms of CPU a request"
    ),
    "target.queue": "{queue:,.0f} in the accept queue",
    "target.descriptors": "{open:,.0f} of {limit:,.0f} descriptors open",
    "target.queue-most": lambda f: (
        f"up to {counted(f['most'], 'connection')} {was(f['most'])} in it, its backlog is {f['backlog']:,.0f}"
    ),
    "target.dropped": phrases.dropped,
    "target.overflowed": lambda f: (
        f"connections were dropped at {counted(f['users'], 'user')} ({joined(f['dropped'])}, the whole host's)"
    ),
    "waiting.planned": (
        "X = k / wait with {rate:,.1f} requests/s and the plan's wait of {wait_ms:g} ms in each gives"
        " k = {waiting:.1f} requests waiting at a time"
    ),
    "limit.failed": "{failed:,.0f} of {requests:,.0f} requests failed",
    "limit.workers": phrases.limit_workers,
    "limit.blocks": lambda f: f"so in {f['full']:.0f} of {counted(f['windows'], 'block', spec='.0f')} at this load",
    "limit.meanwhile": lambda f: f"meanwhile on the target {joined(f['target'], ', ')}",
    "limit.not-measured": "no step was measured",
    "limit.none-valid": "no step is valid",
    "limit.not-watched": lambda f: f"the target was not watched at {counted(f['users'], 'user')}",
    "limit.crowded": lambda f: (
        f"others used the rest of the server's cores at {counted(f['users'], 'user')}, the largest valid step:"
        f" {joined(f['target'])}"
    ),
    "limit.lower": _lower("something of it was full"),
    "limit.lower-generator": _lower("the generator was the limit"),
    "limit.few-blocks": lambda f: f"{f['tried']:.0f} of {counted(f['blocks'], 'block', spec='.0f')} tried this load",
    "limit.none-reached": lambda f: f"up to {counted(f['users'], 'user')}: {joined(f['target'])}",
    "limit.none-below": lambda f: (
        f"none was reached at {counted(f['users'], 'user')}, the largest valid step, and nothing is known of"
        f" {f['above']:,} and more: {joined(f['target'])}"
    ),
    "limit.step-above": _step_above,
    "compare.not-usable": phrases.not_usable,
    "compare.one-sided": "{model} is in one of the two campaigns only",
}
