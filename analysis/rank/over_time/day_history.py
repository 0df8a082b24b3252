"""Earlier campaigns of one plan, code and hosts: what shows how far two days of one version lie apart."""

from __future__ import annotations

from pathlib import Path

from analysis.rank.outcome import CampaignOutcome, outcome_of
from analysis.rank.over_time.comparison import day_of, hosts_of
from analysis.read.results import Campaign, load
from study.errors import StudyError
from study.formats.manifest_json import Manifest
from study.layout import CampaignFiles
from study.reading import read_as

MOST_CAMPAIGNS = 30
"""The newest so many are read: each takes seconds, and no more days are needed to know their spread."""


def past_days(first: CampaignOutcome, second: CampaignOutcome) -> tuple[CampaignOutcome, ...]:
    """The campaigns in the first one's results directory that are of its plan, code and hosts, on other days.

    Campaigns of the days of the two compared are left out: they share a day's effect with one of them.
    """
    manifest = first.campaign.manifest
    if manifest is None or not manifest.identity or hosts_of(first) != hosts_of(second):
        return ()
    days = {day_of(first), day_of(second)}
    found = [
        campaign
        for directory in _siblings(first.campaign.files.directory)
        if (campaign := _alike(directory, manifest)) is not None
        and campaign.manifest is not None
        and campaign.manifest.created[:10] not in days
    ]
    found.sort(key=lambda campaign: campaign.manifest.created if campaign.manifest is not None else "")
    return tuple(outcome_of(campaign) for campaign in found[-MOST_CAMPAIGNS:])


def _siblings(directory: Path) -> list[Path]:
    """Directories beside this one; links, such as `latest`, would name one twice."""
    own = directory.resolve()
    return sorted(path for path in own.parent.iterdir() if path.is_dir() and not path.is_symlink() and path != own)


def _alike(directory: Path, manifest: Manifest) -> Campaign | None:
    """The campaign in this directory, where it has the same identity and a date; else None."""
    try:
        other = read_as(Manifest, CampaignFiles(directory).manifest)
        same = other.identity == manifest.identity and bool(other.created)
        return load(directory) if same else None
    except (StudyError, OSError):
        return None
