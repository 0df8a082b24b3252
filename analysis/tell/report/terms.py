"""The words that the report uses in a sense of its own, a line each, before they are used."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.judge.thresholds import THRESHOLDS as T
from study.plan import Plan


def terms_of(plan: Plan) -> Iterator[tuple[str, str]]:
    """Each term that occurs in a report about this plan, with what it means."""
    low, high = plan.think_time
    then = "waits as the locustfile says" if plan.locustfile is not None else f"thinks for {low:g} to {high:g} s"
    then = "asks again at once" if not high and plan.locustfile is None else f"{then} and asks again"
    yield "model", "a server under test: one way to serve many clients at the same time."
    yield "user", f"a simulated client. It sends a request, waits for the answer, {then}."
    if plan.search is not None:
        limits = f"p99 ≤ {plan.slo.p99_ms:g} ms and at most {plan.slo.failures_percent:g} % failures"
        yield "capacity", f"the most users that a model carries within the plan's limits, its SLO: {limits}."
        yield (
            "trial",
            "a load that was tried in the search for the capacity: it passed within the SLO, or failed, or gave no"
            " clear result.",
        )
    else:
        yield "step", "a number of users that is held while the server settles and is then measured."
    blocks = "one block here" if plan.blocks == 1 else f"{plan.blocks} blocks here; figures are medians over them"
    yield "block", f"a round in which every model is measured once, in random order ({blocks})."
    yield (
        "goodput",
        "requests per second that were answered rightly. The peak is the most among the loads that more than half of"
        " the blocks measured.",
    )
    yield (
        "p50, p99",
        "the time within which half, or 99 of 100, of the requests were answered. One that timed out, or had no answer"
        " at the window's end, took at least so long. Averages are of the successes alone.",
    )
    if plan.mean_think_s:
        yield (
            "knee",
            "the number of users N* = (R1 + Z) Xmax at which a server is full: below it more users give more requests"
            " per second (the line N / Z), above it they only wait longer. R1 is the response time of the idle server,"
            " Z the mean think time, Xmax the peak.",
        )
    if plan.aa:
        yield (
            "A/A control",
            f"{plan.models[0]} measured a second time in each block under another name. What the two differ by is"
            " chance, and no smaller difference between models is claimed.",
        )
    yield (
        "valid",
        "the checks of a measurement let its figures count as the server's, and not as the load generator's, the ramp's"
        " or another program's. An overload counts, too: the server could not keep up.",
    )
    yield "tie", f"two models differ by less than {T.tie:.0%}, with 95 % certainty."
