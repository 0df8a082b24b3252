"""The stream of one page: all that there is when it connects, then each second what is new (server-sent events)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from cluster.show.page.views import campaign_view, now_view, series_view
from cluster.show.page.watched_campaign import WatchedCampaign

EVERY_S = 1.0


class Stream:
    """What one page has been told already."""

    def __init__(self, watched: WatchedCampaign) -> None:
        self._watched = watched
        self._revision = -1
        self._said = 0
        self._logs: dict[str, list[str]] = {}
        self._run: tuple[bool, str, int] | None = None
        self._seconds = 0
        self._sampled: dict[tuple[str, str, str], int] = {}

    def news(self) -> str:
        """The events since the last call, as text. Reads the campaign's files."""
        with self._watched.looked():
            return "".join(self._events(self._watched))

    def _events(self, watched: WatchedCampaign) -> Iterator[str]:
        if watched.revision != self._revision:
            self._revision = watched.revision
            yield _event("campaign", campaign_view(watched))
        if (shown := watched.shown) is not None:
            run = (shown is watched.calibration, shown.name, shown.begun)
            kind = "more" if run == self._run else "series"
            if kind == "series":
                self._run, self._seconds, self._sampled = run, 0, {}
            yield _event(kind, series_view(shown, self._seconds, self._sampled))
            self._seconds = len(shown.seconds["time"])
            self._sampled = {key: len(each.columns["time"]) for key, each in shown.samples.items()}
        yield _event("now", now_view(watched))
        if new := watched.said - self._said:
            self._said = watched.said
            yield _event("log", [vars(each) for each in watched.messages[-new:]])
        if (logs := watched.log_tails()) != self._logs:
            self._logs = logs
            yield _event("tails", logs)


async def events(watched: WatchedCampaign, stopping: asyncio.Event) -> AsyncIterator[str]:
    """Until the server stops or the page goes away. Files are read in a thread, since a disk may take its time."""
    stream = Stream(watched)
    while True:
        last = stopping.is_set()
        yield await asyncio.to_thread(stream.news)
        if last:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), EVERY_S)


def _event(name: str, value: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(value, separators=(',', ':'), ensure_ascii=False)}\n\n"
