"""A finding: a code of `codes.CODES` with its figures. A check is a finding with its outcome.

    Finding("generator.lag", value=13.6, threshold=10.0, worker="load1-2", drawn_s=None, passed_s=None)

Neither holds a word that is shown: analysis/tell/sentences.py has the sentence of each code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from analysis.judge.codes import CODES

Outcome = Literal["pass", "flag", "fail", "not available"]
"""`flag`: the check passes, and a reader should know its finding. `not available`: the evidence was not recorded."""


@dataclass(frozen=True, init=False)
class Finding:
    """A code with its figures, compared by value."""

    code: str
    figures: Mapping[str, Any]
    """By name; the units are in `CODES`. None where a figure was not recorded."""

    def __init__(self, code: str, /, **figures: Any) -> None:
        """Raise ValueError where the code is unknown, or the figures aren't those that its entry in CODES declares."""
        if code not in CODES:
            raise ValueError(f"no such code: {code}")
        declared = CODES[code]
        if figures.keys() != declared.figures.keys():
            raise ValueError(f"{code}: figures {sorted(figures)}, declared are {sorted(declared.figures)}")
        for name, value in figures.items():
            if value is None and name in declared.may_lack:
                continue
            if not isinstance(value, declared.figures[name].types):
                raise ValueError(f"{code}: {name} is {value!r}, declared in {declared.figures[name].name}")
        frozen = {name: MappingProxyType(dict(v)) if isinstance(v, Mapping) else v for name, v in figures.items()}
        object.__setattr__(self, "code", code)
        object.__setattr__(self, "figures", MappingProxyType(frozen))

    def __hash__(self) -> int:
        return hash(self.code)  # equal findings have equal codes; counts by name have no hash

    def __getitem__(self, name: str) -> Any:
        """One figure. Raises KeyError where the code has no such figure."""
        return self.figures[name]


@dataclass(frozen=True)
class Check:
    """One line of checks.csv. A check of METHOD.md can have several lines, one for each figure that it compares."""

    finding: Finding
    outcome: Outcome

    @property
    def code(self) -> str:
        """The finding's code."""
        return self.finding.code

    @property
    def number(self) -> int:
        """The check's number in METHOD.md, 1 to 11."""
        number = CODES[self.code].check
        assert number is not None
        return number

    @property
    def value(self) -> float | None:
        """What was measured, in the unit that CODES declares; None where it was not recorded."""
        value: float | None = self.finding["value"]
        return value

    @property
    def threshold(self) -> float:
        """What the value is compared with."""
        threshold: float = self.finding["threshold"]
        return threshold


def check(outcome: Outcome, code: str, /, **figures: Any) -> Check:
    """A check of this outcome; raises ValueError as Finding does."""
    return Check(Finding(code, **figures), outcome)


def passed(holds: bool) -> Outcome:
    """`pass` where the rule holds, else `fail`."""
    return "pass" if holds else "fail"


Reason = Check | Finding
"""Why a step has its verdict: a check that failed, is a flag or lacks its evidence, or a finding that explains it."""
