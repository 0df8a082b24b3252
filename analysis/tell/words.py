"""Numbers and lists in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from analysis.read.counter_span import CounterSpan

COUNTERS = {
    "listen_overflows": ("listen overflow", "listen overflows"),
    "listen_drops": ("listen drop", "listen drops"),
    "syn_cookies": ("SYN cookie", "SYN cookies"),
    "retransmits": ("retransmit", "retransmits"),
    "tcp_timeouts": ("TCP timeout", "TCP timeouts"),
}
"""The kernel's counters: one, and several."""


def counted(number: float, one: str, several: str = "", spec: str = ",.0f") -> str:
    """A number with its noun, as `1 connection` and `2 connections`; `several` where it isn't `one` with an s."""
    text = format(number, spec)
    return f"{text} {one if text == '1' else several or one + 's'}"


def span_text(low: float, high: float) -> str:
    """As `1-5`, or `2` where the ends are the same."""
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def was(number: float, spec: str = ",.0f") -> str:
    """`was` after a number that is shown as 1, else `were`."""
    return "was" if format(number, spec) == "1" else "were"


def series(names: Sequence[str]) -> str:
    """As `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""


def shortened(names: Sequence[str], longest: int = 5, kept: int = 3) -> str:
    """All names of a short list; of one longer than `longest` the first `kept` and how many more there are."""
    return series(names) if len(names) <= longest else f"{', '.join(names[:kept])} and {len(names) - kept} more"


def between(least: float, most: float | None, one: str, several: str = "", spec: str = ",.0f") -> str:
    """A number of which two bounds are known, as `3 drops`, `3 to 5 drops`, `at most 5 drops`, `at least 3 drops`."""
    if most is None:
        return f"at least {counted(least, one, several, spec)}"
    low, high = format(least, spec), counted(most, one, several, spec)
    if low == format(most, spec):
        return high
    return f"{low} to {high}" if least else f"at most {high}"


def counters(spans: Mapping[str, CounterSpan]) -> str:
    """The kernel's counters that may have moved, as `3 to 5 listen drops, at most 1 retransmit`; else empty."""
    moved = {name: span for name, span in spans.items() if span.least or span.most}
    return ", ".join(between(span.least, span.most, *COUNTERS[name]) for name, span in moved.items())


def number(value: float | None, prefix: str = "") -> str:
    """Three significant digits, or all digits before the point; empty where the value is None or NaN."""
    if value is None or value != value:
        return ""
    if value == 0 or abs(value) >= 100:
        return f"{prefix}{value:,.0f}"
    return f"{prefix}{value:.3g}"


def ratio_digits(value: float) -> str:
    """A ratio with two decimals, or as many as two significant digits take."""
    leading = math.floor(math.log10(value)) if 0 < value < math.inf else 0
    return f"{value:.{max(2, 1 - leading)}f}"


def percent_digits(share: float) -> str:
    """A share in percent with one decimal, or as many as two significant digits take, as `0.041%`."""
    leading = math.floor(math.log10(100 * share)) if 0 < share < math.inf else 0
    return f"{share:.{max(1, 1 - leading)}%}"


def bounded(at_least: bool, at_most: bool, signs: tuple[str, str, str] = ("at least ", "at most ", "about ")) -> str:
    """What stands before a figure of which only a bound is known; of both kinds at once neither holds."""
    least, most, about = signs
    return about if at_least and at_most else least if at_least else most if at_most else ""


ASCII_BOUNDS = (">= ", "<= ", "~ ")
BOUNDS = ("\u2265 ", "\u2264 ", "\u2248 ")
"""Signs of bounds in tables: of summary.md, and of the report."""


def apart(value: float, threshold: float) -> tuple[str, str]:
    """A figure and its threshold with three significant digits, or as many as it takes to tell the two apart."""
    for digits in range(3, 17):
        texts = format(value, f".{digits}g"), format(threshold, f".{digits}g")
        if texts[0] != texts[1]:
            return texts
    return format(value, ".3g"), format(threshold, ".3g")
