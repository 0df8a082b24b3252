"""The table of thresholds, and the page that shows it."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from analysis.judge.thresholds import FALSE_ALARMS, THRESHOLDS, Thresholds

PAGE = Path(__file__).parents[3] / "docs" / "method.md"


def test_the_documented_false_alarm_rates_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+)% \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name, _, _ in rows] == list(FALSE_ALARMS)
    for name, value, alarms in rows:
        assert float(value) == getattr(THRESHOLDS, name)
        assert float(alarms) / 100 == FALSE_ALARMS[name]


def test_every_threshold_that_counts_standard_errors_says_for_how_many_false_alarms() -> None:
    chances = {each.name for each in fields(Thresholds) if each.name.endswith(("sigmas", "alarms"))}
    assert chances <= FALSE_ALARMS.keys()
    assert all(0 < alarms <= 0.05 for alarms in FALSE_ALARMS.values())
