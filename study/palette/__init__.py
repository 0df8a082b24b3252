"""The colour, marker and line of a model by its name: the same in every figure, page and campaign.

The models of servers/ have fixed ones. Any other name has those that a digest of it selects: so a name keeps its
colour whatever else a plan measures, and two such names may have one colour, but differ in marker or line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from study.plan import AA_SUFFIX

DARK_COLOURS = {
    "#0072b2": "#56b4ff",
    "#d55e00": "#ff8a3d",
    "#009e73": "#2fd0a2",
    "#cc79a7": "#f0a0cc",
    "#e69f00": "#ffc14d",
    "#56b4e9": "#9ad8ff",
    "#000000": "#f2f2f2",
    "#7f6a00": "#d6c05a",
}
"""Okabe and Ito's palette, which colour-blind readers tell apart, its yellow darkened to show on white; each with its
counterpart on a dark page."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d", "8", "H")
"""By Matplotlib's letters."""
LINES: tuple[tuple[float, ...], ...] = ((), (5, 2), (5, 1.5, 1, 1.5), (8, 2, 1, 2, 1, 2), (3, 1, 1, 1, 1, 1), (1, 1.2))
"""Lengths of dash and gap in turn, in widths of the line; the first is solid. The A/A control has the last one."""
CONTROL_LINE = len(LINES) - 1


@dataclass(frozen=True)
class Look:
    """How a model is drawn."""

    colour: str
    """On white, as #rrggbb."""
    marker: str
    """One of MARKERS."""
    line: int
    """Place in LINES."""

    @property
    def dark(self) -> str:
        """The colour on a dark page."""
        return DARK_COLOURS[self.colour]

    @property
    def dash(self) -> tuple[float, ...]:
        """Lengths of dash and gap; empty of a solid line."""
        return LINES[self.line]


MODELS = {
    "single": Look("#0072b2", "o", 0),
    "process": Look("#d55e00", "s", 0),
    "thread": Look("#009e73", "^", 0),
    "select": Look("#cc79a7", "D", 0),
    "select-loop": Look("#e69f00", "v", 0),
    "poll-loop": Look("#56b4e9", "P", 0),
    "epoll-loop": Look("#000000", "X", 0),
    "epoll-reuseport": Look("#7f6a00", "<", 0),
    "prefork": Look("#0072b2", "h", 1),
    "fork": Look("#d55e00", ">", 1),
    "thread-pool": Look("#009e73", "p", 1),
    "prefork-fdpass": Look("#cc79a7", "*", 1),
    "asyncio": Look("#e69f00", "d", 1),
    "uvloop": Look("#56b4e9", "8", 1),
    "null": Look("#000000", "H", 1),
    "gevent": Look("#7f6a00", "H", 1),
}
"""The first models of servers/. None is ever changed; a new model has the look that its name selects, as any other."""
SALT = 179
"""Chosen so that the servers of each of the project's own plans and examples get colours that differ."""
OTHER_LINES = range(2, CONTROL_LINE)
"""Places in LINES that names outside the table have, so that they never look like one in it."""


def look(name: str) -> Look:
    """The look of a label; the A/A control has its model's colour and marker, and a dotted line."""
    model = name.removesuffix(AA_SUFFIX)
    if model and model != name:
        return replace(look(model), line=CONTROL_LINE)
    return MODELS.get(name) or _selected(name)


def colour(name: str) -> str:
    """The colour of a label on white, as #rrggbb."""
    return look(name).colour


def marker(name: str) -> str:
    """The marker of a label, by Matplotlib's letter."""
    return look(name).marker


def looks(names: Sequence[str]) -> dict[str, Look]:
    """The look of each label. Of labels whose digests select the same one the later have another line."""
    taken: dict[str, Look] = {}
    for name in names:
        mine = look(name)
        others = (replace(mine, line=line) for line in (mine.line, *OTHER_LINES))
        taken[name] = next((each for each in others if each not in taken.values()), mine)
    return taken


def in_order(names: Sequence[str]) -> dict[str, Look]:
    """Looks by place, for names that are no models, such as those of requests; no two alike up to 120 names."""
    colours = tuple(DARK_COLOURS)
    return {
        name: Look(colours[at % len(colours)], MARKERS[at % len(MARKERS)], at % CONTROL_LINE)
        for at, name in enumerate(names)
    }


def _selected(name: str) -> Look:
    number = int.from_bytes(hashlib.sha256(f"{SALT}{name}".encode()).digest()[:8], "big")
    number, at = divmod(number, len(DARK_COLOURS))
    number, sign = divmod(number, len(MARKERS))
    return Look(tuple(DARK_COLOURS)[at], MARKERS[sign], OTHER_LINES[number % len(OTHER_LINES)])
