"""Another program on the study's cores is named, and a control without it names nobody.

`python -m benchmarks.busy_neighbour` repeats this twenty times.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.local.beside import FULL, LIGHT, Whose, can_be_told, stranger, strangers, taken
from tests.local.one_run import Fault, Outcome, Shape, run, run_steps

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(120)]

SHARES = (0.2, 0.5, 1.0)
TRIES = 2
"""Where the kernel's ticks of a window count less than the study's own processes used, nobody can be named."""
QUIET = 0.01
"""Cores that other programs may use for a control to be one."""


@pytest.mark.parametrize("whose", ["server", "workers"])
def test_a_busy_loop_is_named(whose: Whose, tmp_path: Path) -> None:
    shape = replace(LIGHT, users=(59, 60, 61))
    for number in range(TRIES):
        outcomes = run_steps(tmp_path / f"run-{number}", shape, strangers(whose, SHARES))
        if all(whose in taken(outcome) or can_be_told(outcome, whose) for outcome in outcomes):
            break
    for share, outcome in zip(SHARES, outcomes, strict=True):
        found = taken(outcome)
        assert whose in found, str(outcome)
        # It takes as much as it wants; of the window's first second, in which it starts, a part at least.
        assert found[whose] == 0 or 0.6 * min(share, 0.8) <= found[whose]
        assert outcome.verdict != "overload"


def test_a_full_server_beside_a_busy_loop_is_disturbed(tmp_path: Path) -> None:
    outcome = run(tmp_path / "run", FULL, stranger("server", 1.0))
    assert outcome.verdict == "disturbed", str(outcome)
    assert "server" in taken(outcome)


@pytest.mark.parametrize(("shape", "verdict"), [(LIGHT, "valid"), (FULL, "overload")], ids=["light", "full"])
def test_without_another_program_nobody_is_named(shape: Shape, verdict: str, tmp_path: Path) -> None:
    """On a machine that does nothing else."""
    outcome, others = measured_beside_others(tmp_path / "run", shape)
    if others > QUIET:
        pytest.skip(f"other programs of this machine used {others:.0%} of a core")
    assert outcome.verdict == verdict, str(outcome)
    assert taken(outcome) == {}


def measured_beside_others(directory: Path, shape: Shape) -> tuple[Outcome, float]:
    """A run, and the cores that processes used meanwhile that are older than it and none of its ancestors."""
    mine = {process.pid for process in (psutil.Process(), *psutil.Process().parents())}
    watched = [process for process in psutil.process_iter(["cpu_times"]) if process.pid not in mine]
    began = time.monotonic()
    outcome = run(directory, shape, Fault())
    used = 0.0
    for process in watched:
        with contextlib.suppress(psutil.NoSuchProcess):
            now, before = process.cpu_times(), process.info["cpu_times"]
            used += now.user + now.system - before.user - before.system
    return outcome, used / (time.monotonic() - began)
