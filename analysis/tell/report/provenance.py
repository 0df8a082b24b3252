"""Where a campaign ran, by its manifest, and what the campaign does not show."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.judge.thresholds import THRESHOLDS as T
from analysis.rank.outcome import CampaignOutcome
from analysis.rank.steps import LADDER_KINDS
from analysis.tell.phrases import BACKGROUND_CLIENTS
from analysis.tell.report.page import Cell, Table, cells
from analysis.tell.words import counted, series, shortened, span_text
from study.formats.manifest_json import Manifest, short
from study.plan import Plan

HEADS = ("host", "machine", "processor", "cores", "memory", "kernel", "Python", "Locust")


def where_table(manifest: Manifest | None) -> Table | None:
    """A row for each host; None where nothing is known of any."""
    rows = tuple(
        (
            Cell(name),
            *cells(
                facts.hostname,
                facts.cpu,
                str(len(facts.cores)) if facts.cores else "",
                f"{facts.memory_mb / 1024:.0f} GiB" if facts.memory_mb else "",
                facts.kernel,
                facts.python,
                facts.packages.get("locust") or "",
            ),
        )
        for name, facts in (manifest.hosts if manifest else {}).items()
    )
    return Table("Hosts of the campaign", HEADS, rows) if rows else None


def origin(manifest: Manifest | None) -> str:
    """By which code the campaign was run, and when."""
    if manifest is None:
        return "The manifest is missing: where and when it ran isn't known."
    parts = [f"Made by {manifest.made_by}"]
    if manifest.commit:
        changed = " with uncommitted changes" if manifest.uncommitted_changes else ""
        parts.append(f"commit {short(manifest.commit)}{changed}")
    if manifest.created:
        parts.append(f"begun {manifest.created}")
    return ", ".join(parts) + "."


def not_shown(outcome: CampaignOutcome) -> list[str]:
    """What the study can't show, from its plan, its hosts and its results."""
    return [*_of_the_result(outcome), *_of_the_set_up(outcome.campaign.plan, outcome.campaign.manifest)]


def _of_the_result(outcome: CampaignOutcome) -> Iterator[str]:
    steps, ranking = outcome.steps, outcome.ranking
    if ranking.blocks < T.least_blocks:
        blocks = {0: "no block was", 1: "one block was"}.get(ranking.blocks, f"{ranking.blocks} blocks were")
        yield f"How much the figures vary from run to run: {blocks} measured, and a ranking needs {T.least_blocks}."
    if ranking.blocks > 1:
        yield "What another day gives: intervals and ranks are of this campaign, and days differ."
    tops = {limit.model: limit.top for limit in outcome.limits if limit.top is not None}
    unknown = [limit.model for limit in outcome.limits if limit.kind == "not known"]
    for top in sorted(set(tops.values())):
        idle = [model for model, users in tops.items() if users == top]
        they = "it was" if len(idle) == 1 else "they were"
        yield f"The limit of {shortened(idle)}: {they} valid and not full at {counted(top, 'user')}."
    if ended := [limit.model for limit in outcome.limits if limit.kind == "generator"]:
        yield f"The limit of {shortened(ended)}: the load generator's was reached first."
    if unknown:
        yield f"The limit of {shortened(unknown)}: what was measured doesn't show it."
    ladder = steps[steps["kind"].isin(LADDER_KINDS)]
    bad = ladder[~ladder["verdict"].isin(["valid", "overload"])]
    if len(bad):
        kinds = ", ".join(f"{count} {verdict}" for verdict, count in bad["verdict"].value_counts().items())
        steps_bad = f"{len(bad)} of {counted(len(ladder), 'step')}"
        yield f"What the server did at {steps_bad}, whose figures are not trusted: {kinds}."
    if len(ladder) and (shortest := ladder["seconds"].min()) > 0:
        yield f"What happens less often than once in {shortest:.2g} s: so long is the shortest window of measurement."
    yield "Threads and processes that live for less than a second: samples are taken once a second."


def _of_the_set_up(plan: Plan, manifest: Manifest | None) -> Iterator[str]:
    machines = {facts.boot_id for facts in (manifest.hosts if manifest else {}).values()}
    if len(machines) == 1:
        yield "What a network does: server and load ran on one machine, and shared its memory and caches."
    then = "then ask again"
    if plan.locustfile is not None:
        then = "go on with their tasks"
    elif plan.mean_think_s:
        then = f"then think {span_text(*plan.think_time)} s"
    yield (
        f"Clients that come whatever the server does: its users, {plan.most_users:,} at most, wait for each answer and"
        f" {then}, so that a slow server is asked less."
    )
    if plan.locustfile is not None:
        yield "Whether a body is right, beyond what the locustfile checks, and requests outside Locust's HTTP clients."
    background = [
        counted(count, *BACKGROUND_CLIENTS[kind])
        for kind, count in (("idle", plan.idle_connections), ("slow", plan.slow_clients))
        if count
    ]
    if background:
        yield f"The server without background clients: the plan asks for {series(background)} throughout."
    if plan.locustfile is not None:
        yield "Clients with other connections than its users', which keep or close them as the locustfile says."
    elif plan.connection == "close":
        yield "Connections that are kept: each request opened one of its own."
    else:
        yield "Clients that connect anew each time: connections were kept."
    servers = [plan.server(name) for name in plan.models]
    if unchecked := [server.name for server in servers if server.tls and not server.verify]:
        yield f"That {series(unchecked)} is the server that was meant: its certificate was not checked."
    if any(server.model is not None for server in servers):
        yield _work_of_a_request(plan)
    tls = () if any(server.tls for server in servers) else ("TLS",)
    bodies = () if any(server.asked.has_body for server in servers) else ("bodies sent by clients",)
    yield f"{series((*tls, *bodies, 'HTTP/2', 'proxies', 'other machines, kernels and versions of Python'))}."


def _work_of_a_request(plan: Plan) -> str:
    work = plan.work
    does = [f"burn {work.cpu_ms:g} ms of CPU"] if work.cpu_ms else []
    does += [f"wait {work.wait_ms:g} ms"] if work.wait_ms else []
    does += [f"send {counted(work.bytes, 'byte')}"] if work.bytes else ["echo the request"]
    return f"An application: a request made a model {series(does)}, and nothing else."
