"""The background clients of a run (bystanders.csv): those of one window, and the sums over the whole run."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.read.counter_span import CounterSpan, spans_of
from analysis.read.sample_rows import SampleRows
from study.formats.background_csv import BackgroundRow
from study.formats.bounded import MOST_COLUMNS, read_text
from study.formats.csv_rows import columns, number_columns

TURNED_AWAY = ("refused", "reset", "timed_out")


@dataclass(frozen=True)
class BackgroundWindow:
    """The background clients of one kind in one window."""

    kind: str
    wanted: int
    held: float
    """Mean number of them that were connected; idle ones only once they had been answered."""
    turned_away: CounterSpan
    """How often a client was refused, reset or left without an answer."""
    ended: int = 0
    """Requests of theirs that ended, in the rows of which at least half lies in the window."""


@dataclass(frozen=True)
class BackgroundClients:
    """All rows of a run; empty where the plan has no background clients."""

    frame: pd.DataFrame

    def window(self, start: float, end: float) -> tuple[BackgroundWindow, ...]:
        """Means are of the rows of which at least half the interval lies in the window (Unix time, s)."""
        if self.frame.empty:
            return ()
        every = self.frame.assign(turned_away=self.frame[list(TURNED_AWAY)].sum(axis=1))
        middle = every["time"] - every["seconds"] / 2
        rows = every[(middle >= start) & (middle <= end)]
        return tuple(
            BackgroundWindow(
                kind=str(kind),
                wanted=int(mine["wanted"].max()),
                held=float(mine["held"].mean()),
                turned_away=spans_of(SampleRows.of(every[every["kind"] == kind]), ("turned_away",), start, end)[
                    "turned_away"
                ],
                ended=int(mine[["answered", "turned_away"]].sum().sum()),
            )
            for kind, mine in rows.groupby("kind")
        )

    @property
    def answered(self) -> int:
        """Answers over the whole run."""
        return int(self.frame["answered"].sum())

    @property
    def opened(self) -> int:
        """Connections made over the whole run."""
        return int(self.frame["opened"].sum())

    @property
    def in_doubt(self) -> int:
        """Requests of which the clients can't tell whether the server answered them."""
        idle = self.frame[self.frame["kind"] == "idle"]
        waiting = self.frame.groupby("kind")["waiting"].last().sum()
        return int(idle["reset"].sum() + self.frame["timed_out"].sum() + waiting)


def read_background(path: Path) -> BackgroundClients:
    """Read a run's bystanders.csv, where there is one; a last line that is cut is left out."""
    try:
        whole = read_text(path).rpartition("\n")[0]
    except OSError:
        whole = ""
    known = columns(BackgroundRow)
    head = whole.partition("\n")[0].rstrip("\r").split(",", MOST_COLUMNS)
    text = whole if len(head) < MOST_COLUMNS and {*known} <= {*head} else ",".join(known)
    frame = pd.read_csv(io.StringIO(text), on_bad_lines="skip")
    numbers = frame[list(number_columns(BackgroundRow))].apply(pd.to_numeric, errors="coerce").astype("float64")
    return BackgroundClients(frame.assign(**{name: numbers[name] for name in numbers}))
