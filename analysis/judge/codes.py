"""The one table of what the analysis can report: each code with its check, its figures and their units.

Verdicts, limits and ranks are decided from codes and figures. analysis/tell/sentences.py has the sentence of each code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FigureUnit:
    """A unit of a figure, and the Python types that its values have."""

    name: str
    types: tuple[type, ...]


MS = FigureUnit("ms", (int, float))
S = FigureUnit("s", (int, float))
PER_S = FigureUnit("1/s", (int, float))
SHARE = FigureUnit("0-1", (int, float))
"""A share or a relative difference; it may exceed 1, and the change of a rate may be negative."""
CORES = FigureUnit("cores", (int, float))
COUNT = FigureUnit("count", (int, float))
"""A number of things: a float where it is a mean or a median."""
RATIO = FigureUnit("ratio", (int, float))
FIGURE = FigureUnit("in the unit named by the code", (int, float))
YES = FigureUnit("yes or no", (bool,))
TEXT = FigureUnit("text", (str,))
"""A name, or what another program recorded. It is shown, and nothing is decided from it."""
NAMES = FigureUnit("names", (tuple,))
COUNTS = FigureUnit("counts by name", (Mapping,))
SPAN_COUNTS = FigureUnit("bounds of counts by name", (Mapping,))
"""Values of `analysis.read.counter_span`."""
SPANS = FigureUnit("pairs of start and end in s", (tuple,))
FINDINGS = FigureUnit("findings or checks", (tuple,))


@dataclass(frozen=True)
class Code:
    """What one code means. `check` is the number of the check that it belongs to, if any (METHOD.md).

    A finding of the code has all of `figures`; those named in `may_lack` may be None, where they were not recorded.
    """

    check: int | None
    meaning: str
    figures: Mapping[str, FigureUnit]
    may_lack: tuple[str, ...] = ()


def _check(number: int, meaning: str, unit: FigureUnit, may_lack: tuple[str, ...] = (), **figures: FigureUnit) -> Code:
    """A code of a check: it has a value and the threshold that the value is compared with, both in the same unit."""
    return Code(number, meaning, {"value": unit, "threshold": unit, **figures}, may_lack)


ROOM = {"cpu": CORES, "cores": CORES, "others": CORES, "queue": COUNT, "open": COUNT, "limit": COUNT}

CODES: Mapping[str, Code] = {
    # 1 population
    "load.population": _check(
        1, "least share of the window in which a worker ran its users", SHARE,
        users=COUNT, workers=COUNT, wrong=FINDINGS,
    ),
    "load.no-record": Code(None, "workers whose record of the measure window did not come", {"workers": NAMES}),
    "load.worker-short": Code(
        None, "a worker ran too few users", {"worker": TEXT, "least": COUNT, "wanted": COUNT, "right": SHARE}
    ),
    "load.worker-over": Code(
        None, "a worker ran too many users", {"worker": TEXT, "mean": COUNT, "wanted": COUNT, "right": SHARE}
    ),
    "load.told-otherwise": Code(
        None, "the workers were told to run another number of users", {"told": COUNT, "wanted": COUNT}
    ),
    "load.host-lost": Code(None, "a load host was lost, and its records with it", {"host": TEXT}),
    # 2 interactive law, and the work that each request was to cost
    "law.interactive": _check(
        2, "users that are neither in flight nor thinking: N against L + X Z", SHARE,
        users=COUNT, in_flight=COUNT, thinking=COUNT, turning=COUNT, cut=COUNT, accounted=COUNT,
    ),
    "law.iterations": _check(
        2, "users that are neither in an iteration nor wait: N against X (R + Z) of iterations", SHARE,
        users=COUNT, iterating=COUNT, waiting=COUNT, accounted=COUNT,
    ),
    "law.clocks": _check(
        2, "how fast the worst worker's clock ran", SHARE, ("value",), workers=NAMES, fast=SHARE
    ),
    "law.clock-step": _check(2, "largest step of a worker's wall clock", MS),
    "work.cpu": _check(
        2, "CPU time that the server used over what the plan asks for", RATIO, ("value", "used"),
        rate=PER_S, cpu_ms=MS, asked=CORES, used=CORES,
    ),
    "work.wait": _check(
        2, "median response time over the wait that the plan asks for", RATIO, median_ms=MS, wait_ms=MS
    ),
    # 3 Little's law
    "law.little": _check(
        3, "difference of L and X R, less what the window's ends cut off", COUNT,
        in_flight=COUNT, by_law=COUNT, edges=COUNT,
    ),
    "law.counts": _check(
        3, "requests that began and neither ended nor are in flight, or ended twice", SHARE, ("value", "before"),
        started=COUNT, ended=COUNT, before=COUNT, after=COUNT,
    ),
    "law.oldest": _check(3, "age of the oldest request in flight", S, in_flight=COUNT, timeout_s=S),
    # 4 generator
    "generator.lag": _check(
        4, "think-time lag, p99 of the worst worker", MS, ("value", "worker", "drawn_s", "passed_s"),
        worker=TEXT, drawn_s=S, passed_s=S,
    ),
    "generator.turnaround": _check(
        4, "mean time from an answer to the next request, without think time", MS, share=SHARE
    ),
    "generator.loop-lag": _check(
        4, "event-loop lag, p99 of the worst worker", MS, ("value", "worker"), worker=TEXT
    ),
    "generator.standstill": _check(4, "event-loop lag so long that the worker stood still", MS, worker=TEXT),
    "generator.cpu": _check(4, "CPU of the busiest worker, p95", CORES, ("value", "worker"), worker=TEXT),
    "generator.shared-cpu": _check(
        4, "CPU of a host's workers over the cores that they share, p95", SHARE
    ),
    "generator.descriptors": _check(4, "a worker's descriptors in use", SHARE, ("value", "worker"), worker=TEXT),
    "generator.ports": _check(4, "a load host's local ports in use", SHARE, ("value",)),
    "generator.think": _check(
        4, "mean think time drawn against the plan's", SHARE, ("value", "drawn_s"), drawn_s=S, planned_s=S
    ),
    "generator.busy-worker": Code(None, "a worker busy enough to be the limit", {"worker": TEXT, "cpu": CORES}),
    "generator.busy-host": Code(None, "a load host's workers busy enough to be the limit", {"cpu": SHARE}),
    "generator.suspected": Code(None, "slow answers that nothing on the target explains", {}),
    # 5 stationarity
    "steady.drift": _check(
        5, "drift of goodput over the window", SHARE, ("value", "change", "seconds"), change=SHARE, seconds=S
    ),
    "steady.drift-response": _check(
        5, "drift of the mean response time over the window", SHARE, ("value", "change", "seconds"),
        change=SHARE, seconds=S,
    ),
    "steady.warm-up": _check(5, "how much longer answers took in the first quarter than in the last half", SHARE),
    "steady.silent": _check(5, "seconds without answers", COUNT, spans=SPANS, expected=PER_S),
    # 6 samples
    "samples.cycles": _check(
        6, "requests of each user", COUNT, ("rate_error",), requests=COUNT, users=COUNT, seconds=S, rate_error=SHARE
    ),
    "samples.iterations": _check(
        6, "iterations of each user", COUNT, ("rate_error",), iterations=COUNT, users=COUNT, seconds=S, rate_error=SHARE
    ),
    # 7 errors
    "errors.failures": _check(7, "share of failed requests", SHARE, failed=COUNT, requests=COUNT, kinds=COUNTS),
    "errors.unanswered": _check(
        7, "share of requests left without an answer", SHARE, timed_out=COUNT, hanging=COUNT, held=SHARE
    ),
    "errors.counts": _check(
        7, "requests by which the counts of generator and server differ", COUNT, ("value", "server"),
        attempts=COUNT, answered=COUNT, beyond=COUNT, never_sent=COUNT, in_doubt=COUNTS, besides=COUNTS,
        server=COUNT, refused=COUNT, probes=COUNT, background=COUNT, by_kernel=YES, missing=NAMES,
    ),
    "tasks.raised": Code(
        None, "exceptions that user classes of a locustfile of one's own raised, since the step's ramp",
        {"count": COUNT, "iterations": COUNT, "most": TEXT},
    ),
    # 8 who was the limit
    "target.slow": _check(
        8, "R over R1", RATIO, ("value", "response_ms", "unloaded_ms"),
        response_ms=MS, unloaded_ms=MS, at_most=YES, watched=YES, own=YES, full=FINDINGS, room=FINDINGS,
    ),
    "target.short": _check(
        8, "X under N / (R + Z) with R = R1 / (1 - U), U the measured utilisation", SHARE,
        rate=PER_S, bound=PER_S, at_least=YES, room=FINDINGS,
    ),
    "baseline.untrusted": Code(
        None, "an idle step that isn't trusted, and the users of the load whose R is a bound of R1 instead",
        {"run": TEXT, "verdict": TEXT, "users": COUNT}, ("users",),
    ),
    "full.cpu": Code(None, "the server's process tree used up its cores", {"cpu": CORES, "usable": CORES}),
    "full.thread": Code(None, "the server's busiest thread used up a core", {"cpu": CORES}),
    "full.accept-queue": Code(
        None, "connections waited to be accepted, mean over time, how many M/D/1 gives, and how many chance allows",
        {"queue": COUNT, "expected": COUNT, "allowed": COUNT, "busy": SHARE, "backlog": COUNT}, ("backlog",)
    ),
    "full.pool": Code(
        None, "all of a pool of known size was busy: X x time held", {"slots": COUNT, "rate": PER_S, "held_ms": MS}
    ),
    "full.held": Code(
        None, "all of a pool of known size was held by background clients", {"slots": COUNT, "clients": COUNT}
    ),
    "full.overflows": Code(
        None, "connections that the server's listening socket dropped, at least and at most",
        {"drops": COUNT, "most": COUNT, "requests": COUNT}, ("most",)
    ),
    "full.descriptors": Code(None, "the server's descriptors were used up", {"open": COUNT, "limit": COUNT}),
    "full.watched": Code(
        None, "as many descriptors were open as the server's design can watch", {"open": COUNT, "limit": COUNT}
    ),
    "target.saturated": Code(None, "a valid step in which something on the target was full", {"full": FINDINGS}),
    "target.room": Code(None, "what the target had left", ROOM, tuple(ROOM)),
    "target.crowded": Code(None, "others took what the server left of its cores", ROOM, ("queue", "open", "limit")),
    "target.not-watched": Code(None, "no samples of the target fell into the window", {}),
    "target.had-room": Code(None, "the target had room while the generator was the limit", {"room": FINDINGS}),
    "target.no-sign": Code(None, "requests failed, and nothing on the target was full", {"room": FINDINGS}),
    "step.shortfall": Code(
        None, "goodput under N / (R1 + Z), at least where R1 is at most what is taken for it",
        {"rate": PER_S, "under": SHARE, "bound": PER_S, "at_least": YES},
    ),
    "step.divided": Code(
        None, "the shortfall of X divided between late users and the server",
        {"under": SHARE, "generator": SHARE, "server": SHARE, "late_ms": MS, "at_least": YES},
    ),
    # 9 the target's kernel
    "target.kernel": _check(
        9, "connections that the target's kernel dropped at least, over the attempts", SHARE, ("value", "counters"),
        counters=SPAN_COUNTS,
    ),
    "evidence.kernel": Code(None, "the target's kernel dropped connections", {"counters": SPAN_COUNTS}),
    "evidence.refused": Code(
        None, "requests that the server itself refused",
        {"refused": COUNT, "turned_away": COUNT, "open": COUNT}, ("open",),
    ),
    # 10 repeatability
    "repeat.blocks": _check(
        10, "coefficient of variation of X over the blocks", SHARE, ("value", "low", "high"),
        low=PER_S, high=PER_S, blocks=COUNT,
    ),
    "repeat.return-rps": _check(
        10, "goodput of the return step against the ladder's", SHARE, ("value", "first", "again"),
        first=PER_S, again=PER_S,
    ),
    "repeat.return-mean": _check(
        10, "mean response time of the return step against the ladder's", SHARE, ("value", "first", "again"),
        first=MS, again=MS,
    ),
    "repeat.control-rps": _check(
        10, "peak goodput of the A/A control over its model's", RATIO, ("low", "high"),
        control=TEXT, model=TEXT, low=RATIO, high=RATIO,
    ),
    "repeat.control-mean": _check(
        10, "mean response time of the A/A control over its model's", RATIO, ("low", "high"),
        control=TEXT, model=TEXT, low=RATIO, high=RATIO,
    ),
    "repeat.control-capacity": _check(
        10, "capacity of the A/A control over its model's", RATIO, ("low", "high"),
        control=TEXT, model=TEXT, low=RATIO, high=RATIO,
    ),
    # 11 strangers
    "strangers.share": _check(
        11, "busy time of others and steal on a group of cores", SHARE, ("value", "host", "cores", "steal", "more"),
        whose=TEXT, host=TEXT, cores=CORES, steal=SHARE, more=SHARE,
    ),
    "strangers.second": _check(
        11, "what others took in one second of a group of cores", SHARE, whose=TEXT, host=TEXT
    ),
    "strangers.untested": Code(
        None, "others used the cores, and too few undisturbed blocks have this load", {"blocks": COUNT, "wanted": COUNT}
    ),
    "strangers.outside": Code(
        None, "a disturbed step's figures against those of the undisturbed blocks",
        {"rate": PER_S, "low": PER_S, "high": PER_S, "mean_ms": MS, "low_ms": MS, "high_ms": MS, "blocks": COUNT},
    ),
    # background clients
    "background.held": Code(
        None, "background clients of one kind that were held, and how often one was turned away, at least and at most",
        {"kind": TEXT, "held": COUNT, "wanted": COUNT, "turned_away": COUNT, "most": COUNT}, ("most",)
    ),
    # steps that were not measured, and what is missing on disk
    "run.absent": Code(None, "the run is not on disk", {"reason": TEXT}),
    "run.skipped": Code(None, "the run was skipped", {"reason": TEXT}),
    "run.failed": Code(None, "the run failed before this step", {"reason": TEXT}),
    "step.damaged": Code(None, "the records of the step can't be read", {"error": TEXT}),
    "step.not-in-ledger": Code(None, "the ledger holds no measure window of the step", {}),
    "file.damaged": Code(None, "a record that can't be read", {"file": TEXT, "error": TEXT}),
    "file.ends-early": Code(None, "a ledger that ends before the ladder does", {"file": TEXT}),
    "file.note": Code(None, "what the reader of a file reported", {"text": TEXT}),
    # the limit of a model: medians over the blocks of one step
    "cost.cpu": Code(None, "CPU time of a request", {"cpu_ms": MS, "rate": PER_S}),
    "cost.kernel": Code(None, "the kernel's share of the busy time of the server's cores", {"share": SHARE}),
    "cost.ended": Code(
        None, "share of the CPU time that ended children used", {"share": SHARE, "starts": COUNT}, ("starts",)
    ),
    "target.busy": Code(
        None, "CPU that the server used, and others of its cores",
        {"cpu": CORES, "cores": CORES, "others": CORES, "cpu_ms": MS}, ("others",),
    ),
    "target.queue": Code(None, "connections in the accept queue", {"queue": COUNT}),
    "target.descriptors": Code(None, "descriptors that the server had open", {"open": COUNT, "limit": COUNT}),
    "target.queue-most": Code(None, "most connections in the accept queue", {"most": COUNT, "backlog": COUNT}),
    "target.dropped": Code(None, "connections that the kernel dropped", {"counters": SPAN_COUNTS, "requests": COUNT}),
    "target.overflowed": Code(
        None, "the lowest step from the limit on at which the accept queue overflowed",
        {"users": COUNT, "dropped": FINDINGS}
    ),
    "waiting.planned": Code(
        None, "requests that wait at a time, by X and the plan's wait", {"rate": PER_S, "wait_ms": MS, "waiting": COUNT}
    ),
    "limit.failed": Code(None, "requests that failed at the limit", {"failed": COUNT, "requests": COUNT}),
    "limit.workers": Code(
        None, "the generator's own figures, medians over windows that it limited",
        {"lag_ms": MS, "cpu": CORES, "windows": COUNT}, ("lag_ms", "cpu")
    ),
    "limit.blocks": Code(None, "in how many windows of this load it was so", {"full": COUNT, "windows": COUNT}),
    "limit.meanwhile": Code(None, "what the target did while the generator was the limit", {"target": FINDINGS}),
    "limit.not-measured": Code(None, "no step of the model was measured", {}),
    "limit.none-valid": Code(None, "no step of the model is valid", {}),
    "limit.not-watched": Code(None, "the target was not watched at the largest valid step", {"users": COUNT}),
    "limit.crowded": Code(
        None, "others left nothing of the server's cores at the largest valid step",
        {"users": COUNT, "target": FINDINGS},
    ),
    "limit.lower": Code(
        None, "the lowest load below the limit's at which the server was full in some run",
        {"users": COUNT, "shown": COUNT, "tried": COUNT},
    ),
    "limit.lower-generator": Code(
        None, "the lowest load below the limit's at which the generator was the limit in some run",
        {"users": COUNT, "shown": COUNT, "tried": COUNT},
    ),
    "limit.few-blocks": Code(None, "how many of the model's blocks tried this load", {"tried": COUNT, "blocks": COUNT}),
    "limit.none-reached": Code(None, "no limit up to the largest step", {"users": COUNT, "target": FINDINGS}),
    "limit.none-below": Code(
        None, "no limit at the largest valid step, and nothing known of larger ones",
        {"users": COUNT, "above": COUNT, "target": FINDINGS},
    ),
    "limit.step-above": Code(
        None, "the smallest measured step above the valid ones, and how many of its runs have its verdict",
        {"users": COUNT, "verdict": TEXT, "shown": COUNT, "runs": COUNT, "reasons": FINDINGS},
    ),
    # two campaigns
    "compare.not-usable": Code(
        None, "verdicts that exclude a step from the comparison",
        {"model": TEXT, "users": COUNT, "first": NAMES, "second": NAMES},
    ),
    "compare.one-sided": Code(None, "a model that only one of the two campaigns has", {"model": TEXT}),
}  # fmt: skip
