"""Tables on the console: the preflight's checks, the plan, the processes that run."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cluster.campaign import calibration
from cluster.campaign.observer import DescribeCapacity
from cluster.campaign.preflight import HostCheck
from cluster.campaign.prepare import Setup
from cluster.campaign.resume import earlier_runs
from cluster.hosts.host import Host, try_all
from cluster.show.needs import load_needs, needs_text
from cluster.show.progress import between
from study.duration import campaign_seconds, run_seconds, whole_seconds
from study.errors import HostError
from study.plan import Plan
from study.safe_text import printable

STYLES = {"ok": "green", "warn": "yellow", "stop": "bold red"}


def show_checks(console: Console, checks: Sequence[HostCheck]) -> None:
    """The preflight's checks, and below them what to do about those that failed."""
    table = Table(show_edge=False, pad_edge=False)
    for name in ("host", "", "check", "value"):
        table.add_column(name, overflow="fold")
    for check in checks:
        table.add_row(check.host, Text(check.level, style=STYLES[check.level]), check.what, printable(check.value))
    console.print(table)
    for check in checks:
        if check.remedy:
            console.print(printable(f"{check.host}, {check.what}: {check.remedy}"), highlight=False, soft_wrap=True)


def show_plan(console: Console, setup: Setup, capacity: DescribeCapacity) -> None:
    """What would run, in which order, what it takes of the load hosts, and how long."""
    plan = setup.plan
    console.print(f"plan {plan.name}, on {setup.inventory.source}", highlight=False, soft_wrap=True)
    low, high = plan.think_time
    think = f"think time {low:g}{f'-{high:g}' if high > low else ''} s" if high else "no think time"
    for name, value in (
        ("users", f"{_load(plan)}; {plan.spawn_rate:g} more a second"),
        (
            "client",
            f"{plan.client}, connection {plan.connection}, {think}, timeout {plan.timeout:g} s"
            if setup.own is None
            else f"{plan.locustfile}: {', '.join(setup.own.user_classes)}; timeout {plan.timeout:g} s by default",
        ),
        (
            "each step" if plan.search is None else "each trial",
            f"ramp, settle {_seconds(plan.settle)}, measure {_seconds(plan.measure)}",
        ),
        ("workers", ", ".join(name for _, name in setup.workers())),
    ):
        console.print(f"  {name:<10} {value}", highlight=False, soft_wrap=True)
    calibration_s = (0.0, 0.0)
    if calibration.is_needed(plan):
        kept = calibration.is_done(calibration.kept_files(setup))
        calibration_s = (0.0, 0.0) if kept else calibration.duration_s(calibration.plan_text(plan))
        state = "kept of an earlier campaign" if kept else between(*calibration_s)
        console.print(f"    calibration of the generator    {state}", highlight=False)
    least, most = run_seconds(plan)
    for number, run in enumerate(plan.runs(), start=1):
        console.print(f"  {number:>3}. block {run.block}  {run.label:<20} {between(least, most)}", highlight=False)
    facts = [setup.facts[host.entry.name] for host in setup.load]
    if all(each.ephemeral_ports for each in facts):
        workers = len(setup.workers()) // len(facts)
        console.print(f"load hosts: {needs_text(load_needs(plan, facts, workers))}", highlight=False, soft_wrap=True)
    rate = None if calibration.foreign_request(plan) else calibration.need(plan)
    known = calibration.kept_files(setup)
    if rate is not None and calibration.is_done(known):
        console.print(capacity(known.directory, rate, setup.placement.load_cores()), highlight=False, soft_wrap=True)
    elif rate is not None:
        text = f"up to {rate:,.0f} requests/s; `fab calibrate` shows what the generator sustains"
        console.print(text, highlight=False, soft_wrap=True)
    whole, longest = (sum(both) for both in zip(campaign_seconds(plan), calibration_s, strict=True))
    text = f"{len(plan.runs())} runs, {between(whole, longest)} in all, calibration, start and analysis included"
    if longest - whole >= 1 and (earlier := earlier_runs(setup)) is not None:
        usual = between(*(whole_seconds(plan, earlier.seconds) + seconds for seconds in calibration_s))
        text += f"; {usual} where each run takes as long as in {earlier.campaign}"
    console.print(text, highlight=False, soft_wrap=True)


def show_processes(console: Console, hosts: Sequence[Host]) -> None:
    """The study's processes on each host: running, or how they ended where nobody has collected them yet.

    A host that doesn't answer has a row that says so. Raises HostError with all such hosts, after the table.
    """
    table = Table("host", "process", "state", show_edge=False, pad_edge=False)
    silent = []
    for host, known in try_all(hosts, lambda host: host.listed()).items():
        if isinstance(known, HostError):
            silent.append(known)
            table.add_row(host, "", Text("not known: can't be asked", style=STYLES["stop"]))
            continue
        for name, ended in known.items():
            state = "running" if ended is None else f"{ended.how}, status {ended.status}"
            table.add_row(host, printable(name), printable(state))
    console.print(table if table.row_count else "nothing of the study runs")
    if silent:
        raise HostError("\n".join(map(str, silent)))


def _load(plan: Plan) -> str:
    """The users of the steps, or what is searched for."""
    if plan.capacity_search is None:
        return ", ".join(f"{step.users}{' (return)' if step.kind == 'return' else ''}" for step in plan.load_steps())
    search, slo = plan.capacity_search, plan.slo
    goal = f"p99 <= {slo.p99_ms:g} ms, failures <= {slo.failures_percent:g} %"
    bound = f"{search.most_trials(search.most)} trials at most"
    return (
        f"search from {search.start} to {search.most} for the most with {goal}, within {search.resolution:.0%}, {bound}"
    )


def _seconds(planned: float | str) -> str:
    """A phase's length as the plan has it: "auto", or seconds."""
    return planned if isinstance(planned, str) else f"{planned:g} s"
