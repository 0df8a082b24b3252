"""The page's server, in a thread of fab: it ends with fab, however fab ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from cluster.campaign.observer import Judge, Observer, StepOutcome
from cluster.campaign.prepare import refuse_beside_campaign
from cluster.hosts.inventory import LOOPBACK
from cluster.show.page.guard import Guard
from cluster.show.page.routes import Routes
from cluster.show.page.watched_campaign import WatchedCampaign
from study.errors import StudyError
from study.formats.live_json import LiveFigures
from study.layout import CampaignFiles
from study.plan import Plan, Run

NICENESS = 10  # the campaign has priority on the core that the page shares with it
STOP_S = 3.0  # for the last events to be sent
NO_VERDICTS = "no verdicts yet"
CLOSED_S = 3.0  # without any open page after which they are closed: a reload takes less


class LivePage:
    """Serves campaigns, by name, on a free port of this machine's loopback; a context for the time of that."""

    def __init__(self, campaigns: Mapping[str, WatchedCampaign]) -> None:
        """Raises OSError where no port can be had."""
        self._socket = socket.create_server((LOOPBACK, 0))
        self._port: int = self._socket.getsockname()[1]
        self._routes = Routes(campaigns)
        self._server = uvicorn.Server(
            uvicorn.Config(
                Guard(self._routes.app, self._port), loop="asyncio", http="h11", ws="none", lifespan="off",
                log_config=None, log_level="critical", access_log=False, server_header=False,
                timeout_graceful_shutdown=1,
            )
        )  # fmt: skip
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="live page", daemon=True)

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self._port}/"

    @property
    def open_pages(self) -> int:
        """How many browsers show a campaign."""
        return self._routes.open_pages

    def __enter__(self) -> LivePage:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._routes.stop)
        self._server.should_exit = True
        self._thread.join(STOP_S)
        self._socket.close()

    def _run(self) -> None:
        if sys.platform == "linux":  # elsewhere this would be the whole process
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve(sockets=[self._socket])


class AlsoOnPage:
    """An observer that tells another one and the page."""

    def __init__(self, observer: Observer, watched: WatchedCampaign) -> None:
        self._observer, self._watched = observer, watched

    def message(self, text: str) -> None:
        """Say it on both."""
        self._watched.say(text)
        self._observer.message(text)

    def run_started(self, plan: Plan, run: Run, number: int, total: int) -> None:
        """Say so on both."""
        self._watched.say(f"run {number} of {total}: block {run.block}, {run.label}")
        self._observer.run_started(plan, run, number, total)

    def progress(self, figures: LiveFigures) -> None:
        """The page reads the files."""
        self._observer.progress(figures)

    def run_ended(self, run: Run, state: str, outcomes: Sequence[StepOutcome]) -> None:
        """Give both the verdicts."""
        say_verdicts(self._watched, run, state, outcomes)
        self._observer.run_ended(run, state, outcomes)


def say_verdicts(watched: WatchedCampaign, run: Run, state: str, outcomes: Sequence[StepOutcome]) -> None:
    """A run's state and its verdicts, for the table and the log."""
    watched.say(f"block {run.block}, {run.label}: {state}")
    for outcome in outcomes:
        watched.say(str(outcome))
    watched.judged(run.directory, outcomes)


@contextmanager
def campaign_page(files: CampaignFiles, observer: Observer, judge: Judge, stays: bool) -> Iterator[Observer]:
    """Serve the page of a campaign that is about to run; yields the observer that it is to have.

    With `stays` it is served after the campaign's end until it is closed, since it ends in a link to the report.
    Without a port there is no page, and the campaign runs.
    """
    watched = WatchedCampaign(files.directory, files.directory.name)
    try:
        page = LivePage({watched.name: watched})
    except OSError as error:
        observer.message(f"no live page: {error}")
        yield observer
        return
    _judge_all(watched, judge)  # runs of an earlier fab, now that nothing is measured
    with page:
        observer.message(f"live page: {page.address}")
        yield AlsoOnPage(observer, watched)
        watched.end("the campaign has ended")
        if stays and page.open_pages:
            observer.message("the live page stays until it is closed, or until Ctrl-C")
            with contextlib.suppress(KeyboardInterrupt):
                _wait_until_closed(page)


def _wait_until_closed(page: LivePage) -> None:
    last = time.monotonic()
    while time.monotonic() - last < CLOSED_S:
        if page.open_pages:
            last = time.monotonic()
        time.sleep(CLOSED_S / 10)


def named(directories: Sequence[Path]) -> dict[str, WatchedCampaign]:
    """The campaigns of these directories by their names; of two with one name, the second has a number added.

    Raises UsageError or PlanError for one that is no campaign.
    """
    found: dict[str, WatchedCampaign] = {}
    for directory in dict.fromkeys(path.resolve() for path in directories):
        base, number = directory.name or "campaign", 1
        name = base
        while name in found:
            number += 1
            name = f"{base}-{number}"
        found[name] = WatchedCampaign(directory, name)
    return found


def judge_sealed(campaigns: Iterable[WatchedCampaign], judge: Judge) -> None:
    """Judge each run that has ended and has no verdict, unless a campaign is measured meanwhile."""
    for watched in campaigns:
        _judge_all(watched, judge, refuse_beside_campaign)


def _judge_all(watched: WatchedCampaign, judge: Judge, may: Callable[[], None] = lambda: None) -> None:
    """Judge the runs that have ended and have no verdict, for as long as `may` raises no StudyError.

    A judgement that can't be made is a line of the log: the files may be damaged.
    """
    with watched.looked():
        states = [(run.run, run.state.state) for run in watched.runs if run.state is not None]
    for run, state in states:
        if run.directory in watched.outcomes:
            continue
        try:
            may()
        except StudyError as error:
            if not any(each.text.startswith(NO_VERDICTS) for each in watched.messages):
                watched.say(f"{NO_VERDICTS}: {error}")
            return
        try:
            outcomes = judge(watched.files.directory, run.directory)
        except StudyError as error:
            watched.say(f"block {run.block}, {run.label} can't be judged: {error}")
            outcomes = ()
        say_verdicts(watched, run, state, outcomes)
