"""The clients beside the load: what bystanders.csv says of a window, and of a whole run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

COUNTS = ("opened", "answered", "refused", "reset", "timed_out")
NUMBERS = ("time", "seconds", "wanted", "held", "waiting", *COUNTS)
NAMES = {"idle": "idle connections", "slow": "slow clients"}
MOSTLY = 0.5  # failed requests from which on a server has stopped answering the others


@dataclass(frozen=True)
class Beside:
    """The clients of one kind in one window."""

    kind: str
    wanted: int
    held: float
    """Mean number of them that were connected; idle ones only once they had been answered."""
    turned_away: int
    """How often one was refused, reset or left without an answer."""

    def sentence(self) -> str:
        lost = f" ({self.turned_away} refused, cut off or not answered)" if self.turned_away else ""
        return f"beside the load {self.held:.0f} of {self.wanted} {NAMES[self.kind]} were held{lost}"


@dataclass(frozen=True)
class Bystanders:
    """All rows of a run; empty where the plan has no clients beside the load."""

    frame: pd.DataFrame

    def window(self, start: float, end: float) -> tuple[Beside, ...]:
        """Rows of which at least half the interval lies in the window (Unix time, s)."""
        middle = self.frame["time"] - self.frame["seconds"] / 2
        rows = self.frame[(middle >= start) & (middle <= end)]
        return tuple(
            Beside(
                kind=str(kind),
                wanted=int(mine["wanted"].max()),
                held=float(mine["held"].mean()),
                turned_away=int(mine[["refused", "reset", "timed_out"]].sum().sum()),
            )
            for kind, mine in rows.groupby("kind")
        )

    @property
    def answered(self) -> int:
        return int(self.frame["answered"].sum())

    @property
    def opened(self) -> int:
        return int(self.frame["opened"].sum())

    @property
    def in_doubt(self) -> int:
        """Requests that the server may have answered, for all that the clients know."""
        idle = self.frame[self.frame["kind"] == "idle"]
        waiting = self.frame.groupby("kind")["waiting"].last().sum()
        return int(idle["reset"].sum() + self.frame["timed_out"].sum() + waiting)


def read_bystanders(path: Path) -> Bystanders:
    """Read a run's bystanders.csv, where there is one; a cut last line is left out."""
    whole = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")[0] if path.is_file() else ""
    frame = pd.read_csv(io.StringIO(whole or ",".join((*NUMBERS, "kind"))), on_bad_lines="skip")
    return Bystanders(frame.astype(dict.fromkeys(NUMBERS, "float64")))


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
