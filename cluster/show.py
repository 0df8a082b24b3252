"""What the person at the keyboard sees: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster import calibration
from cluster.campaign import Study
from cluster.hosts import Host
from cluster.plan import Plan, Run
from cluster.preflight import Finding

PLAIN_EVERY_S = 10.0
STYLES = {"ok": "green", "warn": "yellow", "stop": "bold red"}


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"


def between(least: float, most: float) -> str:
    """A duration, or a range of it."""
    return duration(least) if most - least < 1 else f"{duration(least)} to {duration(most)}"


class Progress:
    """The campaign's Show. Use `with progress.shown()` around the campaign."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps = 0
        self._run_seconds = 0.0
        self._live: Live | None = None
        self._title = ""
        self._remaining_runs = 0
        self._run_began = 0.0
        self._last: tuple[object, object] = (None, None)
        self._last_at = 0.0

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        if not self._console.is_terminal:
            yield self
            return
        with Live(Text("starting"), console=self._console, transient=True, refresh_per_second=2) as self._live:
            yield self

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    def began(self, plan: Plan, run: Run, number: int, of: int) -> None:
        self._steps = len(plan.steps())
        self._run_seconds = plan.run_seconds()[0]
        self._title = f"run {number} of {of}: block {run.block}, {run.label}"
        self._remaining_runs = of - number
        self._run_began = time.monotonic()
        self._last = (None, None)
        if self._live is None:
            self.say(self._title)

    def live(self, figures: dict[str, Any]) -> None:
        """Called about every two seconds with the master's live.json."""
        if self._live is not None:
            self._live.update(self._table(figures))
            return
        where = (figures.get("step"), figures.get("phase"))
        if where != self._last or time.monotonic() - self._last_at >= PLAIN_EVERY_S:
            self._last, self._last_at = where, time.monotonic()
            self.say("  " + ", ".join(f"{name} {value}" for name, value in self._cells(figures)))

    def ended(self, run: Run, state: str, lines: list[str]) -> None:
        took = duration(time.monotonic() - self._run_began)
        self.say(f"block {run.block}, {run.label}: {state} after {took}")
        for line in lines:
            self.say(f"  {line}")

    def _cells(self, figures: dict[str, Any]) -> list[tuple[str, str]]:
        return [
            ("step", f"{figures.get('step', '-')} of {self._steps}"),
            ("phase", str(figures.get("phase", "start"))),
            ("users", f"{figures['running']} of {figures.get('users', '-')}"),
            ("requests/s", f"{figures['rps']:.0f}"),
            ("failures", str(figures["failures"])),
            ("time left", "about " + duration(self._left())),
        ]

    def _left(self) -> float:
        this = self._run_seconds - (time.monotonic() - self._run_began)
        return self._run_seconds * self._remaining_runs + max(this, 0.0)

    def _table(self, figures: dict[str, Any]) -> Group:
        table = Table(show_edge=False, pad_edge=False)
        cells = self._cells(figures)
        for name, _ in cells:
            table.add_column(name, justify="right")
        table.add_row(*(value for _, value in cells))
        return Group(Text(self._title, style="bold"), table)


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
    """What of the study runs where; a process that has ended and was not collected yet is shown as such."""
    table = Table("host", "process", "state", show_edge=False, pad_edge=False)
    for host in hosts:
        for name, ended in host.listed().items():
            table.add_row(host.entry.name, name, "running" if ended is None else f"{ended.how}, status {ended.status}")
    console.print(table if table.row_count else "nothing of the study runs")


def _seconds(planned: float | str) -> str:
    return planned if isinstance(planned, str) else f"{planned:g} s"
