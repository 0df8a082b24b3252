"""`import analysis` is quick, and each public name is what it says."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import analysis

PROJECT = Path(__file__).resolve().parents[3]
HELP_CPU_S = 0.5


def cpu_seconds(*arguments: str) -> float:
    """CPU time in s of a Python process of its own, which must end with status 0."""
    argv = [sys.executable, *arguments]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(sys.executable, argv, {**os.environ, "PYTHONPATH": str(PROJECT)}, file_actions=quiet)
    _, status, used = os.wait4(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return used.ru_utime + used.ru_stime


def test_help_takes_little_time_and_imports_no_pandas() -> None:
    assert cpu_seconds("-m", "analysis", "--help") < HELP_CPU_S
    cpu_seconds("-c", "import sys, analysis; sys.exit('pandas' in sys.modules)")


@pytest.mark.parametrize("name", analysis.__all__)
def test_every_public_name_is_there_and_hides_no_module(name: str) -> None:
    assert getattr(analysis, name).__name__ == name
    assert name in dir(analysis)
    assert find_spec(f"analysis.{name}") is None


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        analysis.nothing  # noqa: B018
