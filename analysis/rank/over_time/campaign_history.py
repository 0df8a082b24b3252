"""What the campaigns of one plan on the same hosts came to, in the order in which they began.

The code may differ from one to the next: that is what a history shows. Every campaign is analysed again, by one set of
rules. Figures of two days are put side by side, and nothing is called better or worse: `day_effect.py` says when that
may be done.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.rank.outcome import CampaignOutcome, outcome_of
from analysis.read.results import load
from study.errors import StudyError
from study.formats.manifest_json import Manifest, short
from study.layout import CampaignFiles
from study.reading import read_as

MOST_CAMPAIGNS = 30
"""The newest so many of a plan are read: each takes seconds."""
FIGURES = (
    "capacity_users", "capacity_low", "capacity_high", "capacity_ended", "peak_rps", "peak_rps_low", "peak_rps_high",
    "peak_users", "blocks", "at_least",
)  # fmt: skip
"""Columns of summary.csv."""
COLUMNS = ("plan", "begun", "campaign", "commit", "model", *FIGURES)


@dataclass(frozen=True)
class PlanHistory:
    """The campaigns of one plan on the same hosts."""

    plan: str
    digest: str
    """Of the plan's text and the hosts: two plans of one name have two."""
    hosts: tuple[str, ...]
    """As `target (Xeon, 2 cores)`."""
    frame: pd.DataFrame
    """A row for each campaign and model, the earliest first; the columns are COLUMNS."""
    left_out: tuple[str, ...]
    """Older campaigns than MOST_CAMPAIGNS, and such as can't be read."""

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{re.sub(r'[^a-z0-9-]+', '-', self.plan)}-{self.digest[:8]}"

    @property
    def campaigns(self) -> int:
        """How many are in the frame."""
        return int(self.frame["campaign"].nunique())


def histories(results: Path) -> tuple[PlanHistory, ...]:
    """One for each plan and hosts of a results directory, that of the newest campaign first."""
    groups: dict[str, list[tuple[Manifest, Path]]] = {}
    for manifest, directory in sorted(
        _campaigns(results), key=lambda found: (found[0].created, found[1]), reverse=True
    ):
        groups.setdefault(_key(manifest), []).append((manifest, directory))
    return tuple(_history(key, found) for key, found in groups.items())


def _campaigns(results: Path) -> Iterator[tuple[Manifest, Path]]:
    """Directories with a manifest that says when they began; links, such as `latest`, would name one twice."""
    for directory in results.iterdir():
        if directory.is_dir() and not directory.is_symlink():
            try:
                manifest = read_as(Manifest, CampaignFiles(directory).manifest)
            except (StudyError, OSError):
                continue
            if manifest.created and manifest.identity:
                yield manifest, directory


def _key(manifest: Manifest) -> str:
    kept = {what: digest for what, digest in manifest.identity.items() if _is_asked(what)}
    processors = {name: facts.cpu for name, facts in manifest.hosts.items()}
    return hashlib.sha256(repr((sorted(kept.items()), sorted(processors.items()))).encode()).hexdigest()


def _is_asked(what: str) -> bool:
    """Whether a digest is the plan's, its files' or a host's, and not that of the code or of what is installed."""
    return what == "the plan" or what.startswith(("the file ", "the host "))


def _history(key: str, found: list[tuple[Manifest, Path]]) -> PlanHistory:
    rows: list[dict[str, object]] = []
    left_out = [directory.name for _, directory in found[MOST_CAMPAIGNS:]]
    for manifest, directory in reversed(found[:MOST_CAMPAIGNS]):
        try:
            outcome = outcome_of(load(directory))
        except (StudyError, OSError):
            left_out.append(directory.name)
            continue
        rows += _rows(manifest, directory, outcome)
    newest = found[0][0]
    return PlanHistory(
        plan=newest.plan or found[0][1].name,
        digest=key,
        hosts=tuple(f"{name} ({facts.cpu}, {len(facts.cores)} cores)" for name, facts in newest.hosts.items()),
        frame=pd.DataFrame.from_records(rows, columns=list(COLUMNS)),
        left_out=tuple(sorted(left_out)),
    )


def _rows(manifest: Manifest, directory: Path, outcome: CampaignOutcome) -> Iterator[dict[str, object]]:
    changed = "+" if manifest.uncommitted_changes else ""
    for row in outcome.summary.to_dict("records"):
        yield {
            "plan": manifest.plan or directory.name,
            "begun": manifest.created,
            "campaign": directory.name,
            "commit": f"{short(manifest.commit)}{changed}" if manifest.commit else "",
            "model": row["model"],
            **{name: row[name] for name in FIGURES},
        }
