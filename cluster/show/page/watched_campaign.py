"""One campaign as its files have it at this moment, and what the fab that serves the page knows of it besides."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from cluster.campaign.observer import StepOutcome
from cluster.show.page.watched_run import MEASURE, WatchedRun
from study.duration import RUN_START_S, seconds_left
from study.errors import FormatError, PlanError, UsageError
from study.formats.bounded import read_text
from study.layout import CampaignFiles
from study.plan import Plan, parse_plan
from study.search import Outcome, Trial

FRESH_S = 0.4  # readers that come within this time after a look at the files share it
MOST_MESSAGES = 2_000
LOG_BYTES, LOG_LINES = 8_192, 40  # of the end of each log
RAMP = "ramp"  # the first phase of a step


@dataclass(frozen=True)
class Message:
    """A line of the log."""

    time: float
    text: str


class WatchedCampaign:
    """Any thread may call `say`, `judged` and `end`; everything else is read `with looked()`."""

    def __init__(self, directory: Path, name: str) -> None:
        """Raises UsageError where no campaign is there, PlanError where its plan can't be read."""
        self.name = name
        self.files = CampaignFiles(directory)
        self.plan = _plan(self.files)
        self.runs = tuple(WatchedRun(self.files.run(run.directory), run) for run in self.plan.runs())
        self.calibration: WatchedRun | None = None
        self.outcomes: dict[str, Sequence[StepOutcome]] = {}
        """Verdicts by run, of those that were judged."""
        self.messages: list[Message] = []
        self.said = 0
        """How many messages there were, those included that are no longer kept."""
        self.ended = ""
        """Why its fab has nothing left to do; empty while it goes on, or is another one."""
        self.revision = 0
        """Counts the changes of anything but the running figures."""
        self.has_report = False
        self._looked = float("-inf")
        self._lock = threading.RLock()

    # What the serving fab knows.

    def say(self, text: str) -> None:
        """A line for the log."""
        with self._lock:
            self.messages.append(Message(time.time(), text))
            self.said += 1
            del self.messages[:-MOST_MESSAGES]

    def judged(self, run: str, outcomes: Sequence[StepOutcome]) -> None:
        """The verdicts of a run."""
        with self._lock:
            self.outcomes[run] = outcomes
            self.revision += 1

    def end(self, why: str) -> None:
        """Nothing more will happen."""
        with self._lock:
            self.ended = why
            self.revision += 1

    # What the files say.

    @contextmanager
    def looked(self) -> Iterator[None]:
        """Look at the files, unless somebody did a moment ago; nothing changes until the block's end."""
        with self._lock:
            if time.monotonic() - self._looked >= FRESH_S:
                self._look()
                self._looked = time.monotonic()
            yield

    def _look(self) -> None:
        if self.calibration is None and self.files.calibration.plan.is_file():
            self.calibration = _calibration(self.files.calibration)
        changes = [run.refresh() for run in self._all]
        before, self.has_report = self.has_report, self.files.report.is_file()
        self.revision += any(changes) or before != self.has_report
        if (shown := self.shown) is not None:
            shown.read_seconds()

    def with_seconds(self, name: str) -> WatchedRun | None:
        """A run with its seconds, whether it is the shown one or not; None where the plan has no such run."""
        found = next((run for run in self.runs if run.name == name), None)
        if found is not None:
            found.read_seconds()
        return found

    @property
    def current(self) -> WatchedRun | None:
        """The run, or the calibration, that goes on."""
        return next((run for run in self._all if run.is_live), None)

    @property
    def shown(self) -> WatchedRun | None:
        """The current run; between two of them, and after the last, the one that ended last."""
        sealed = [run for run in self.runs if run.state is not None]
        return self.current or max(sealed, key=lambda run: run.state.ended if run.state else "", default=None)

    @property
    def sealed(self) -> int:
        """How many runs are done, failed or skipped."""
        return sum(run.state is not None for run in self.runs)

    def left_s(self) -> tuple[float, float] | None:
        """Shortest and longest time (s) that the rest of the runs takes; None where none goes on."""
        run = self.current
        if run is None or not run.seconds["time"]:
            return None
        now, began = time.time(), run.seconds["time"][0] or time.time()
        if run is self.calibration:
            calibrating = _plan(self.files.calibration)
            least, most = _left(calibrating, run, now - began + RUN_START_S, 0)
            own = seconds_left(self.plan, len(self.runs) - self.sealed, float("inf"))
            return least + own[0], most + own[1]
        return _left(self.plan, run, now - began + RUN_START_S, len(self.runs) - self.sealed - 1)

    def log_tails(self) -> dict[str, list[str]]:
        """The last lines of each log of the shown run, by its name."""
        run = self.shown
        return {} if run is None else {path.name: _tail(path) for path in run.logs()}

    @property
    def _all(self) -> tuple[WatchedRun, ...]:
        return self.runs if self.calibration is None else (self.calibration, *self.runs)


def _left(plan: Plan, run: WatchedRun, run_s: float, runs: int) -> tuple[float, float]:
    """What `seconds_left` says; the current trial began when the one before it had been measured, or with its ramp."""
    tried = () if run.live is None else run.live.trials
    trials = tuple(Trial(each.users, cast(Outcome, each.outcome), each.long) for each in tried)
    before = run.times(len(trials), MEASURE) if trials else run.times(1, RAMP)[:1]
    return seconds_left(plan, runs, run_s, trials, time.time() - before[-1] if before else None)


def _plan(files: CampaignFiles) -> Plan:
    try:
        return parse_plan(read_text(files.plan), f"plan {files.plan}")
    except OSError:
        text = f"{files.directory}: no campaign is there (it has no {files.plan.name}); `fab run-campaign` makes one"
        raise UsageError(text) from None


def _calibration(files: CampaignFiles) -> WatchedRun | None:
    try:
        (run,) = _plan(files).runs()
    except (PlanError, UsageError, FormatError, ValueError):
        return None
    return WatchedRun(files.run(run.directory), run)


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - LOG_BYTES))
            return stream.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]
    except OSError:
        return []
