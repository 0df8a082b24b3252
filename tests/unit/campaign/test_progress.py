"""The table that fills while a campaign runs, on a terminal and elsewhere."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import pytest
from rich.console import Console

from cluster.show.progress import Progress
from study.formats.live_json import LiveFigures, TriedLoad
from study.plan import Plan, parse_plan
from tests.unit.synthetic import plan

SEARCH = """
name = "searched"
models = ["single"]
aa = false
spawn_rate = 1000
settle = 1
measure = 2
[search]
from = 50
most = 6400
"""
ASKED = plan(models=["single", "thread"], users=[100, 200, 400], aa=False, blocks=2)


@dataclass(frozen=True)
class ShownStep:
    step: int
    verdict: str
    rps: float | None
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"step {self.step}: {self.verdict}"


def printed(asked: Plan, terminal: bool, width: int = 100) -> str:
    """What is printed of one finished run and the second's first step, with the table as it then stands."""
    text = io.StringIO()
    progress = Progress(Console(file=text, force_terminal=terminal, width=width, height=40, color_system=None))
    first, second = asked.runs()[:2]
    with progress.displayed():
        progress.run_started(asked, first, 1, 4)
        last = len(asked.steps())
        progress.progress(figures(running=100, rps=30.0, failures=0))
        progress.run_ended(
            first,
            "done",
            [ShownStep(1, "valid", 33.0), ShownStep(2, "overload", 1250.0), ShownStep(last, "unsteady", None)],
        )
        progress.run_started(asked, second, 2, 4)
        progress.progress(figures(running=98, rps=77.0, failures=5))
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue()) if terminal else text.getvalue()


def figures(running: int, rps: float, failures: int) -> LiveFigures:
    return LiveFigures(
        time=0.0, step=1, phase="measure", users=100, running=running, rps=rps, requests=900, failures=failures
    )


def test_a_terminal_sees_models_and_steps_with_rates_and_verdicts() -> None:
    text = printed(ASKED, terminal=True)
    table = text[text.rindex("run 2 of 4") :]
    for part in ("100", "200", "400", "200 again", "33/s ✓", "1,250/s ▲", "77/s", "users 98 of 100", "failures 5"):
        assert part in table, part
    assert "✓ valid" in table
    assert "▲ overload" in table
    assert "U unsteady" in table
    assert "step 2: overload" in text  # each verdict's line stays above the table


def test_a_long_ladder_shows_the_steps_that_fit_and_the_current_one_among_them() -> None:
    asked = plan(**{**ASKED.model_dump(), "users": [100 * step for step in range(1, 13)]})
    text = printed(asked, terminal=True, width=60)
    table = text[text.rindex("run 2 of 4") :]
    assert max(len(line) for line in table.splitlines()) <= 60
    assert "100" in table
    assert "1200" not in table


def test_the_time_left_counts_down_within_a_search_and_holds_what_still_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    asked = parse_plan(SEARCH, "searched")
    progress, seen = Progress(Console(file=io.StringIO())), []
    (run,) = asked.runs()
    progress.run_started(asked, run, 1, 1)
    tried: list[TriedLoad] = []
    for users, outcome in ((50, "passed"), (100, "passed"), (200, "failed"), (141, "passed")):
        for _ in range(4):
            now[0] += 1.0
            progress.progress(LiveFigures(
                time=0.0, step=1, kind="trial", phase="measure", users=users, running=users, requests=9, failures=0,
                trials=tuple(tried),
            ))  # fmt: skip
            seen.append(progress._left())
        tried.append(TriedLoad(users, outcome))
    most = [high for _, high in seen]
    assert most == sorted(most, reverse=True)
    assert len(set(most)) > 8
    assert all(0 <= low <= high for low, high in seen)
    # After 141 two more between, each with a recovery, and the confirmation.
    assert 10 < seen[-1][1] < 23


def test_elsewhere_it_is_plain_lines() -> None:
    text = printed(ASKED, terminal=False)
    assert "\x1b" not in text
    assert "  step 1 of 4, phase measure, users 98 of 100, requests/s 77, failures 5, time left about" in text
    assert "  step 2: overload\n" in text
