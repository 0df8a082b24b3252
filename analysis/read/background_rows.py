"""The background clients of a run (bystanders.csv): those of one window, and the sums over the whole run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from study.formats.background_csv import BackgroundRow
from study.formats.csv_rows import columns, number_columns

NAMES = {"idle": "idle connections", "slow": "slow clients"}
MOSTLY = 0.5  # failed requests from which on a server has stopped answering the others


@dataclass(frozen=True)
class BackgroundWindow:
    """The background clients of one kind in one window."""

    kind: str
    wanted: int
    held: float
    """Mean number of them that were connected; idle ones only once they had been answered."""
    turned_away: int
    """How often a client was refused, reset or left without an answer."""

    def sentence(self) -> str:
        lost = f" ({self.turned_away} refused, cut off or not answered)" if self.turned_away else ""
        return f"beside the load {self.held:.0f} of {self.wanted} {NAMES[self.kind]} were held{lost}"


@dataclass(frozen=True)
class BackgroundClients:
    """All rows of a run; empty where the plan has no background clients."""

    frame: pd.DataFrame

    def window(self, start: float, end: float) -> tuple[BackgroundWindow, ...]:
        """Rows of which at least half the interval lies in the window (Unix time, s)."""
        middle = self.frame["time"] - self.frame["seconds"] / 2
        rows = self.frame[(middle >= start) & (middle <= end)]
        return tuple(
            BackgroundWindow(
                kind=str(kind),
                wanted=int(mine["wanted"].max()),
                held=float(mine["held"].mean()),
                turned_away=int(mine[["refused", "reset", "timed_out"]].sum().sum()),
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
    whole = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")[0] if path.is_file() else ""
    frame = pd.read_csv(io.StringIO(whole or ",".join(columns(BackgroundRow))), on_bad_lines="skip")
    return BackgroundClients(frame.astype(dict.fromkeys(number_columns(BackgroundRow), "float64")))


def beside_lines(steps: pd.DataFrame, labels: Sequence[str]) -> list[str]:
    """Which servers go on answering the others: a line for each label, at the largest step that was measured."""
    lines: list[str] = []
    for label in labels:
        mine = steps[(steps["model"] == label) & (steps["kind"] == "ladder") & steps["requests"].notna()]
        rows = mine[mine["users"] == mine["users"].max()]
        held = [
            f"{rows[f'{kind}_held'].median():.0f} {name}"
            for kind, name in NAMES.items()
            if rows[f"{kind}_held"].notna().any()
        ]
        if not held:
            continue
        failed = float(rows["failures"].sum()) / max(1.0, float(rows["requests"].sum()))
        valid = bool((rows["verdict"] == "valid").mean() > MOSTLY)
        said = "goes on" if valid else "stops" if failed > MOSTLY else "is held up in"
        figures = f"{rows['rps'].median():.1f} requests/s, {failed:.1%} failed"
        lines.append(f"- {label} {said} answering the others: {figures}, with {' and '.join(held)} held")
    return lines
