"""The results directory: every name in it. What is in the files is in study/formats; docs/results.md describes both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from study.errors import UsageError

LATEST = "latest"
HISTORY = "history"
"""Directory beside the campaigns, with their figures over time."""
FILES = "files"
"""Directory beside the plan, with what its requests need: SERVER.body, SERVER.paths, SERVER.ca, SERVER.headers."""
BODY, PATHS, CA, HEADERS = ".body", ".paths", ".ca", ".headers"


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, all below `directory`."""

    directory: Path

    @property
    def state(self) -> Path:
        """Written last, by rename: a run with it is complete, a run without it never happened."""
        return self.directory / "run.json"

    @property
    def ledger(self) -> Path:
        return self.directory / "ledger.jsonl"

    @property
    def live(self) -> Path:
        """The master's running figures, replaced once a second; of no use after the run."""
        return self.directory / "live.json"

    @property
    def seconds(self) -> Path:
        """The master's running figures, one row a second."""
        return self.directory / "seconds.csv"

    @property
    def fresh_servers(self) -> Path:
        """fab's answer to the master, which asks for a fresh server in live.json; of no use after the run."""
        return self.directory / "fresh-servers.json"

    @property
    def locust_prefix(self) -> Path:
        """Locust's --csv: it adds _stats.csv, _stats_history.csv, _failures.csv and _exceptions.csv."""
        return self.directory / "locust"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def background(self) -> Path:
        """One row a second and kind of the background clients, where the plan has any."""
        return self.directory / "bystanders.csv"

    def samples(self, host: str) -> Path:
        return self.directory / f"samples-{host}.csv"


@dataclass(frozen=True)
class CampaignFiles:
    """The files of one campaign, all below `directory`."""

    directory: Path

    @property
    def brought(self) -> Path:
        """The files that the plan names; without any, there is no such directory."""
        return self.directory / FILES

    @property
    def plan(self) -> Path:
        return self.directory / "plan.toml"

    @property
    def manifest(self) -> Path:
        return self.directory / "manifest.json"

    @property
    def own(self) -> Path:
        """A directory with the locustfile of one's own and what it needs, where the plan has one."""
        return self.directory / "locustfile"

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
    def requests(self) -> Path:
        """A row for each step and name of a request, with a locustfile of one's own."""
        return self.directory / "requests.csv"

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
    def summary_json(self) -> Path:
        return self.directory / "summary.json"

    @property
    def report(self) -> Path:
        return self.directory / "report.html"

    @property
    def figures(self) -> Path:
        return self.directory / "figures"

    @property
    def raw(self) -> tuple[Path, ...]:
        """Files and directories that a campaign writes and analysis reads; never edited."""
        return (self.plan, self.manifest, self.brought, self.own, self.runs, self.calibration.directory)

    @property
    def derived(self) -> tuple[Path, ...]:
        """Files and directories that analysis makes of the raw ones, and can make again. Parquet isn't among them."""
        tables = (self.steps, self.checks, self.requests, self.summary_csv)
        return (*tables, self.summary_md, self.summary_json, self.report, self.figures)

    @property
    def pack(self) -> Path:
        """In a pack alone: the list of its files with their sums."""
        return self.directory / "pack.json"


PROJECT = Path(__file__).resolve().parents[1]


def from_here(given: str | Path) -> Path:
    """A path as a person means it: from the working directory; within this checkout also from its top."""
    path = Path(given)
    above = PROJECT / path
    return above if PROJECT in Path.cwd().parents and not path.exists() and above.exists() else path


def campaign_directory(given: str) -> Path:
    """The directory of a campaign as a person names it. Raises UsageError where there is none."""
    directory = from_here(given)
    if not directory.is_dir():
        raise UsageError(f"{given}: no campaign is there; `make campaign` makes one, below results/")
    return directory


def results_directory() -> Path:
    """Where campaigns are kept: results/ of the checkout within it, elsewhere of the working directory."""
    return (PROJECT if PROJECT in Path.cwd().parents else Path.cwd()) / "results"


def require_writable(directory: Path) -> None:
    """Raise UsageError where an analysis can't write into the directory, or make it: before it begins."""
    existing = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise UsageError(f"{existing}: a file, where a directory for figures and tables is wanted")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"{directory}: can't be written to: --out DIR makes figures and tables elsewhere")


def require_place(given: str) -> None:
    """Raise UsageError where a file that is asked for can't be written: before anything begins. No name, no file."""
    if not given:
        return
    file = Path(given)
    if file.is_dir():
        raise UsageError(f"{given}: a directory, where the name of a file is wanted")
    existing = next(above for above in file.absolute().parents if above.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"{given}: can't be written there")


def point_latest(campaign: Path) -> None:
    """Make results/latest point to this campaign, in one step."""
    link = campaign.parent / LATEST
    temporary = link.with_name(f".{LATEST}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(campaign.name)
    os.replace(temporary, link)
