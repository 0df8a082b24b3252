"""The seconds of a window: its workers' ticks, joined where they are very short, and added over the workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.formats.ledger_jsonl import Ticks

SHORTEST_TICK_S = 0.5  # a shorter one, such as the last of a phase, is added to the one before


@dataclass(frozen=True)
class Second:
    """One tick of the window, all workers together."""

    start: float
    """Seconds since the window began."""
    seconds: float
    successes: float
    response_s: float
    in_flight_s: float


def joined(ticks: Ticks) -> Ticks:
    """Without very short ticks, whose rates are noise. Counts are cumulative: the next tick includes one left out."""
    kept: list[int] = []
    last = len(ticks.at) - 1
    for position, at in enumerate(ticks.at):
        if kept and at - ticks.at[kept[-1]] < SHORTEST_TICK_S:
            if position == last:
                kept[-1] = position
        elif at > 0:
            kept.append(position)
    return Ticks(**{name: tuple(values[position] for position in kept) for name, values in vars(ticks).items()})


def pooled(ticks: Sequence[Ticks]) -> tuple[Second, ...]:
    """The sum of all workers' ticks at the times of the first worker's, the others interpolated.

    Rates are made from each worker's own phase length; ticks serve only drift, stalls and batch means.
    """
    if not all(each.at for each in ticks):
        return ()
    grid = np.asarray(ticks[0].at)
    grid = grid[grid <= min(each.at[-1] for each in ticks) + SHORTEST_TICK_S]

    def total(name: str) -> list[float]:
        sums = sum(np.interp(grid, (0.0, *each.at), (0.0, *getattr(each, name))) for each in ticks)
        return [float(value) for value in np.diff(sums, prepend=0.0)]

    starts = (0.0, *(float(at) for at in grid[:-1]))
    lengths = [float(length) for length in np.diff(grid, prepend=0.0)]
    columns = zip(starts, lengths, total("successes"), total("response_s"), total("in_flight_s"), strict=False)
    return tuple(Second(*row) for row in columns)
