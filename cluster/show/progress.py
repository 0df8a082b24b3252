"""The campaign while it runs: a table of models and steps on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cluster.campaign.observer import StepOutcome
from study.duration import seconds_left
from study.formats.live_json import LiveFigures
from study.plan import Plan, Run, Step
from study.safe_text import printable
from study.search import Outcome, Trial

PLAIN_EVERY_S = 10.0
MARKS = {
    "valid": ("✓", "+", "green"),
    "overload": ("▲", "^", "yellow"),
    "not-measured": ("–", "-", "dim"),
}
"""A verdict's sign, its sign on an ASCII terminal, its colour. Another verdict shows as its first letter, in red."""


def duration(seconds: float) -> str:
    """A duration as minutes and seconds, or from an hour on as hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min {rest:02d} s"


def between(least: float, most: float) -> str:
    """A duration, or a range of it."""
    return duration(least) if most - least < 1 else f"{duration(least)} to {duration(most)}"


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


class Progress:
    """The campaign's Observer. The campaign runs within `with progress.displayed()`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._plan: Plan | None = None
        self._run: Run | None = None
        self._title = ""
        self._remaining_runs = 0
        self._run_began = 0.0
        self._trials: tuple[Trial, ...] = ()
        self._trial_began: float | None = None
        self._last: tuple[object, object] = (None, None)
        self._last_at = 0.0
        self._rates: dict[tuple[str, int], float] = {}
        self._tried: dict[str, dict[int, int]] = {}
        self._verdicts: dict[tuple[str, int], list[str]] = {}

    @contextmanager
    def displayed(self) -> Iterator[Progress]:
        """Draw the table for as long as the block lasts, where the console is a terminal."""
        if not self._console.is_terminal:
            yield self
            return
        with Live(Text("starting"), console=self._console, transient=True, refresh_per_second=2) as self._live:
            try:
                yield self
            finally:
                self._live = None

    def message(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(printable(text), highlight=False, soft_wrap=True)

    def run_started(self, plan: Plan, run: Run, number: int, total: int) -> None:
        """Show the run's title; another plan (the calibration's) empties the table."""
        if plan != self._plan:
            self._rates, self._verdicts, self._tried = {}, {}, {}
        self._plan, self._run = plan, run
        self._title = f"run {number} of {total}: block {run.block}, {run.label}"
        self._remaining_runs = total - number
        self._run_began, self._trials, self._trial_began = time.monotonic(), (), None
        self._last = (None, None)
        if self._live is None:
            self.message(self._title)
        else:
            self._live.update(Group(Text(self._title, style="bold"), self._table(0)))

    def progress(self, figures: LiveFigures) -> None:
        """Show the running figures: in the table, or as a line at each new phase and every PLAIN_EVERY_S seconds."""
        assert self._run is not None
        where = (figures.step, figures.phase)
        self._follow(figures)
        line = ", ".join(f"{name} {value}" for name, value in self._now(figures))
        if figures.step and figures.users and figures.phase == "ramp":
            self._tried.setdefault(self._run.label, {})[figures.step] = figures.users
        if self._live is not None:
            step = figures.step or 0
            if figures.phase in ("settle", "measure") and figures.rps is not None:
                self._rates[self._run.label, step] = figures.rps
            self._live.update(Group(Text(self._title, style="bold"), Text(line), self._table(step)))
        elif where != self._last or time.monotonic() - self._last_at >= PLAIN_EVERY_S:
            self._last, self._last_at = where, time.monotonic()
            self.message(f"  {line}")

    def run_ended(self, run: Run, state: str, outcomes: Sequence[StepOutcome]) -> None:
        """Print the run's state and verdicts, and put them into the table."""
        took = duration(time.monotonic() - self._run_began)
        self.message(f"block {run.block}, {run.label}: {state} after {took}")
        for step in outcomes:
            self.message(f"  {step}")
            self._verdicts.setdefault((run.label, step.step), []).append(step.verdict)
            if step.rps is not None:
                self._rates[run.label, step.step] = step.rps
        if self._live is not None:
            self._live.update(Group(Text(self._title, style="bold"), self._table(0)))

    def _now(self, figures: LiveFigures) -> list[tuple[str, str]]:
        """Names and values of the line below the title."""
        steps = len(self._plan.load_steps()) if self._plan is not None else 0
        number = f"{_or_dash(figures.step)} of {steps}" if steps else f"trial {_or_dash(figures.step)}"
        return [
            ("step", "idle" if figures.kind == "idle" else number),
            ("phase", figures.phase or "start"),
            ("users", f"{figures.running} of {_or_dash(figures.users)}"),
            ("requests/s", _or_dash(None if figures.rps is None else round(figures.rps))),
            ("failures", str(figures.failures)),
            ("time left", "about " + between(*self._left())),
        ]

    def _follow(self, figures: LiveFigures) -> None:
        """Take the trials so far. The first begins after the idle step, another when that before it is judged."""
        trials = tuple(Trial(each.users, cast(Outcome, each.outcome), each.long) for each in figures.trials)
        begins = self._trial_began is None and figures.kind == "trial"
        if begins or trials != self._trials:
            self._trial_began = time.monotonic()
        self._trials = trials

    def _left(self) -> tuple[float, float]:
        """Seconds that the rest of the campaign takes at least and at most."""
        if self._plan is None:
            return 0.0, 0.0
        now = time.monotonic()
        trial_s = None if self._trial_began is None else now - self._trial_began
        return seconds_left(self._plan, self._remaining_runs, now - self._run_began, self._trials, trial_s)

    def _table(self, current: int) -> Group:
        """Requests per second and a sign for each block's verdict, for as many steps as fit around the current one."""
        if self._plan is None:
            return Group()
        labels = list(dict.fromkeys(run.label for run in self._plan.runs()))
        if self._plan.search is not None:
            return Group(self._trial_table(labels))
        steps = self._fitting(self._plan, labels, current)
        table = Table(show_edge=False, pad_edge=False)
        table.add_column("users")
        for step in steps:
            table.add_column(f"{step.users}{' again' if step.kind == 'return' else ''}", justify="right", no_wrap=True)
        for label in labels:
            running = self._run is not None and label == self._run.label
            cells = [self._cell(label, step.number, running and step.number == current) for step in steps]
            table.add_row(Text(label, style="bold" if running else ""), *cells)
        verdicts = dict.fromkeys(verdict for each in self._verdicts.values() for verdict in each)
        legend = Text("  ").join(Text.assemble(self._mark(verdict), f" {verdict}") for verdict in verdicts)
        return Group(table, legend)

    def _trial_table(self, labels: Sequence[str]) -> Table:
        """The loads that each model's last search has tried, in order."""
        table = Table("model", "users tried", show_edge=False, pad_edge=False)
        for label in labels:
            loads = (f"{users:,}" for _, users in sorted(self._tried.get(label, {}).items()))
            table.add_row(label, " ".join(loads))
        return table

    def _fitting(self, plan: Plan, labels: Sequence[str], current: int) -> tuple[Step, ...]:
        steps = plan.load_steps()
        column = max(9 + plan.blocks, *(len(str(step.users)) + 6 for step in steps)) + 2
        fit = max(1, (self._console.width - max(map(len, labels)) - 2) // column)
        first = min(max(0, current - fit + 1), max(0, len(steps) - fit))
        return steps[first : first + fit]

    def _cell(self, label: str, step: int, running: bool) -> Text:
        rate = self._rates.get((label, step))
        text = Text("" if rate is None else f"{rate:,.0f}/s", style="reverse" if running else "")
        for verdict in self._verdicts.get((label, step), ()):
            text = Text.assemble(text, " " if not text.plain or text.plain[-1] == "s" else "", self._mark(verdict))
        return text

    def _mark(self, verdict: str) -> tuple[str, str]:
        sign, plain, colour = MARKS.get(verdict, (verdict[:1].upper(), verdict[:1].upper(), "bold red"))
        return (plain if self._console.options.ascii_only else sign), colour
