"""What the person at the keyboard is shown before and after a campaign: findings, the plan, processes."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cluster.campaign import calibration
from cluster.campaign.preflight import Finding
from cluster.campaign.run import Study
from cluster.hosts.host import Host, tried
from cluster.show.progress import duration
from study.errors import HostError

STYLES = {"ok": "green", "warn": "yellow", "stop": "bold red"}


def between(least: float, most: float) -> str:
    """A duration, or a range of it."""
    return duration(least) if most - least < 1 else f"{duration(least)} to {duration(most)}"


def show_findings(console: Console, findings: list[Finding]) -> None:
    """The preflight's table; what to do stands below what needs doing."""
    table = Table(show_edge=False, pad_edge=False)
    for name in ("host", "", "what", "found"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        table.add_row(finding.host, Text(finding.level, style=STYLES[finding.level]), finding.what, finding.value)
    console.print(table)
    for finding in findings:
        if finding.remedy:
            console.print(f"{finding.host}, {finding.what}: {finding.remedy}", highlight=False, soft_wrap=True)


def show_plan(console: Console, study: Study) -> None:
    """What would run, in which order, and how long it takes."""
    plan = study.plan
    console.print(f"plan {plan.name}, on {study.inventory.source}", highlight=False, soft_wrap=True)
    steps = ", ".join(f"{step.users}{' (return)' if step.kind == 'return' else ''}" for step in plan.steps())
    low, high = plan.think_time
    for name, value in (
        ("users", f"{steps}; {plan.spawn_rate:g} more a second"),
        (
            "client",
            f"{plan.client}, connection {plan.connection}, think time {low:g}-{high:g} s, timeout {plan.timeout:g} s",
        ),
        ("each step", f"ramp, settle {_seconds(plan.settle)}, measure {_seconds(plan.measure)}"),
        ("workers", ", ".join(name for _, name in study.workers())),
    ):
        console.print(f"  {name:<10} {value}", highlight=False, soft_wrap=True)
    if text := calibration.plan_text(plan):
        before = calibration.seconds(text)
        console.print(f"    calibration of the generator    {duration(before)}", highlight=False)
    least, most = plan.run_seconds()
    for number, run in enumerate(plan.runs(), start=1):
        console.print(f"  {number:>3}. block {run.block}  {run.label:<20} {between(least, most)}", highlight=False)
    runs = len(plan.runs())
    console.print(f"{runs} runs, {between(least * runs, most * runs)} in all", highlight=False)


def show_processes(console: Console, hosts: tuple[Host, ...]) -> None:
    """What of the study runs where; a process that has ended and was not collected yet is shown as such.

    A host that can't be asked has a row that says so; raises HostError with all of them, once the others are shown.
    """
    table = Table("host", "process", "state", show_edge=False, pad_edge=False)
    silent = []
    for host, known in tried(hosts, lambda host: host.listed()).items():
        if isinstance(known, HostError):
            silent.append(known)
            table.add_row(host, "", Text("not known: can't be asked", style=STYLES["stop"]))
            continue
        for name, ended in known.items():
            table.add_row(host, name, "running" if ended is None else f"{ended.how}, status {ended.status}")
    console.print(table if table.row_count else "nothing of the study runs")
    if silent:
        raise HostError("\n".join(map(str, silent)))


def _seconds(planned: float | str) -> str:
    return planned if isinstance(planned, str) else f"{planned:g} s"
