"""What a campaign means: results directory -> tidy frames -> checks -> statistics -> figures and summary.

Reads files and starts nothing; works on a directory copied from elsewhere and on an unfinished campaign. The public
names are imported when they are first used, since pandas and what comes with it take seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.packing import Packed, pack, verify
    from analysis.pipeline import Analysis, Comparison, History, analyze, compare, history, verdicts_of
    from analysis.rank.generator_rate import Capacity, capacity
    from analysis.read.packs.verification import Verification
    from analysis.read.results import Campaign, load
    from analysis.tell.archive.pack_text import pack_lines, verification_text
    from analysis.tell.calibration_sentence import capacity_sentence
    from analysis.tell.step_verdict import StepVerdict

__all__ = [
    "Analysis",
    "Campaign",
    "Capacity",
    "Comparison",
    "History",
    "Packed",
    "StepVerdict",
    "Verification",
    "analyze",
    "capacity",
    "capacity_sentence",
    "compare",
    "history",
    "load",
    "pack",
    "pack_lines",
    "verdicts_of",
    "verification_text",
    "verify",
]

_MODULES = {
    "analysis.packing": ("Packed", "pack", "verify"),
    "analysis.pipeline": ("Analysis", "Comparison", "History", "analyze", "compare", "history", "verdicts_of"),
    "analysis.rank.generator_rate": ("Capacity", "capacity"),
    "analysis.read.packs.verification": ("Verification",),
    "analysis.read.results": ("Campaign", "load"),
    "analysis.tell.archive.pack_text": ("pack_lines", "verification_text"),
    "analysis.tell.calibration_sentence": ("capacity_sentence",),
    "analysis.tell.step_verdict": ("StepVerdict",),
}
"""The public names by the modules that define them."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(module), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
