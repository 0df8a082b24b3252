"""The results directory: every name in it, how files are written whole, and their versions. See docs/results.md."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study.errors import FormatError

FORMAT = 1  # of run.json, manifest.json and ledger.jsonl; raised when a reader of the old one would be misled
PROGRAM = "load-study"
VERSION = "0.1.0"
LATEST = "latest"


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, all below `directory`."""

    directory: Path

    @property
    def state(self) -> Path:
        """Written last, by rename: a run with it is complete, one without it never happened."""
        return self.directory / "run.json"

    @property
    def ledger(self) -> Path:
        return self.directory / "ledger.jsonl"

    @property
    def live(self) -> Path:
        """The master's view of this second, replaced each second; of no use after the run."""
        return self.directory / "live.json"

    @property
    def locust_prefix(self) -> Path:
        """Locust's --csv: it adds _stats.csv, _stats_history.csv, _failures.csv and _exceptions.csv."""
        return self.directory / "locust"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def bystanders(self) -> Path:
        """One row a second and kind of the clients beside the load, where the plan has any."""
        return self.directory / "bystanders.csv"

    def samples(self, host: str) -> Path:
        return self.directory / f"samples-{host}.csv"


@dataclass(frozen=True)
class CampaignFiles:
    """The files of one campaign, all below `directory`."""

    directory: Path

    @property
    def plan(self) -> Path:
        return self.directory / "plan.toml"

    @property
    def manifest(self) -> Path:
        return self.directory / "manifest.json"

    @property
    def runs(self) -> Path:
        return self.directory / "runs"

    def run(self, name: str) -> RunFiles:
        return RunFiles(self.runs / name)

    @property
    def calibration(self) -> CampaignFiles:
        """The generator against the null responder, run before the campaign itself."""
        return CampaignFiles(self.directory / "calibration")

    @property
    def steps(self) -> Path:
        return self.directory / "steps.csv"

    @property
    def checks(self) -> Path:
        return self.directory / "checks.csv"

    @property
    def summary_csv(self) -> Path:
        return self.directory / "summary.csv"

    @property
    def summary_md(self) -> Path:
        return self.directory / "summary.md"

    @property
    def report(self) -> Path:
        return self.directory / "report.html"

    @property
    def figures(self) -> Path:
        return self.directory / "figures"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that at any moment the old one or the new one is there, whole, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(descriptor, 0o644)
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object whole, with the format's version and the program's name in it."""
    stamped = {"format": FORMAT, "made_by": made_by(), **value}
    write_whole(path, json.dumps(stamped, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read what write_json wrote. Raises FormatError for another version or a damaged file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: can't be read: {error}") from None
    return check_format(value, path)


def check_format(value: Any, path: Path) -> dict[str, Any]:
    """The object itself where its version is this program's. Raises FormatError, naming who made it."""
    if not isinstance(value, dict) or "format" not in value:
        raise FormatError(f"{path}: not a file of {PROGRAM}")
    if value["format"] != FORMAT:
        made = value.get("made_by", "an unknown program")
        raise FormatError(f"{path}: format {value['format']}, made by {made}; this program reads format {FORMAT}")
    return value


def made_by() -> str:
    """Program and version, for the stamp on every file."""
    return f"{PROGRAM} {VERSION}"


def point_latest(campaign: Path) -> None:
    """Make results/latest point to this campaign, in one step."""
    link = campaign.parent / LATEST
    temporary = link.with_name(f".{LATEST}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(campaign.name)
    os.replace(temporary, link)
