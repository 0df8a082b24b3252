"""Which files of a campaign the page serves: those of study/layout, known by their names, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from study.layout import CampaignFiles

_HERE = CampaignFiles(Path())
_RUN = _HERE.run("run")
_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_OWN = "|".join(
    re.escape(file.name)
    for file in (
        *(_HERE.plan, _HERE.manifest, _HERE.steps, _HERE.requests, _HERE.checks),
        *(_HERE.summary_csv, _HERE.summary_md, _HERE.summary_json, _HERE.report),
    )
)
_OF_RUN = "|".join(re.escape(file.name) for file in (_RUN.state, _RUN.ledger, _RUN.seconds, _RUN.live, _RUN.background))
KNOWN = re.compile(
    rf"(?:{_HERE.calibration.directory.name}/)?(?:{_OWN}|{_HERE.figures.name}/{_NAME}\.(?:png|svg)"
    rf"|{_HERE.runs.name}/{_NAME}/(?:{_OF_RUN}|{_RUN.locust_prefix.name}_{_NAME}\.csv|samples-{_NAME}\.csv"
    rf"|{_RUN.logs.name}/{_NAME}\.(?:log|out)))"
)
"""The whole of a path below the campaign's directory."""
TYPES = {".html": "text/html", ".png": "image/png", ".svg": "image/svg+xml", ".json": "application/json"}


def served_file(campaign: Path, asked: str) -> Path | None:
    """The file of that name; None for any other path, and for a link that leads out of the campaign."""
    if KNOWN.fullmatch(asked) is None:
        return None
    path, root = (campaign / asked).resolve(), campaign.resolve()
    return path if root in path.parents and path.is_file() else None


def media_type(path: Path) -> str:
    """As what a browser is to show the file: everything that isn't a page, a picture or JSON is text."""
    return TYPES.get(path.suffix, "text/plain")
