"""The page's addresses. All of them are read-only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from cluster.show.page.event_stream import events
from cluster.show.page.guard import FILE_POLICY
from cluster.show.page.metrics import CONTENT_TYPE, metrics_text
from cluster.show.page.served_files import media_type, served_file
from cluster.show.page.views import JSONObject, campaign_view, now_view, series_view
from cluster.show.page.watched_campaign import WatchedCampaign
from study.web import uplot_script, uplot_style

HERE = Path(__file__).parent
SCRIPT, STYLE = "text/javascript", "text/css"


class Routes:
    """The application, and how many pages are open."""

    def __init__(self, campaigns: Mapping[str, WatchedCampaign]) -> None:
        self._campaigns = campaigns
        self._stopping = asyncio.Event()
        self.open_pages = 0
        self.app = Starlette(
            routes=[
                Route("/", self._index),
                Route("/metrics", self._metrics),
                Route("/static/{name}", self._static),
                Route("/campaign/{name}/", self._page),
                Route("/campaign/{name}/events", self._events),
                Route("/campaign/{name}/state", self._state),
                Route("/campaign/{name}/series/{run}", self._series),
                Route("/campaign/{name}/{file:path}", self._file),
            ]
        )

    def stop(self) -> None:
        """End every stream with what is new; call it in the server's loop."""
        self._stopping.set()

    async def _index(self, request: Request) -> Response:
        if len(self._campaigns) == 1:
            return RedirectResponse(f"/campaign/{next(iter(self._campaigns))}/")
        shown = [(name, await asyncio.to_thread(_line, watched)) for name, watched in self._campaigns.items()]
        return HTMLResponse(_template("index.html").render(campaigns=shown))

    async def _page(self, request: Request) -> Response:
        watched = self._watched(request)
        return HTMLResponse(_template("campaign.html").render(name=watched.name, several=len(self._campaigns) > 1))

    async def _events(self, request: Request) -> Response:
        return StreamingResponse(self._counted(self._watched(request)), media_type="text/event-stream")

    async def _counted(self, watched: WatchedCampaign) -> Any:
        self.open_pages += 1
        try:
            async for text in events(watched, self._stopping):
                yield text
        finally:
            self.open_pages -= 1

    async def _state(self, request: Request) -> Response:
        return _json(await asyncio.to_thread(_state_of, self._watched(request)))

    async def _series(self, request: Request) -> Response:
        found = await asyncio.to_thread(_series_of, self._watched(request), request.path_params["run"])
        if found is None:
            raise HTTPException(404)
        return _json(found)

    async def _file(self, request: Request) -> Response:
        path = served_file(self._watched(request).files.directory, request.path_params["file"])
        if path is None:
            raise HTTPException(404)
        return FileResponse(path, media_type=media_type(path), headers={"content-security-policy": FILE_POLICY})

    async def _metrics(self, request: Request) -> Response:
        text = await asyncio.to_thread(metrics_text, tuple(self._campaigns.values()))
        return Response(text, media_type=CONTENT_TYPE)

    async def _static(self, request: Request) -> Response:
        found = _static_texts().get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        text, kind = found
        return Response(text, media_type=kind)

    def _watched(self, request: Request) -> WatchedCampaign:
        watched = self._campaigns.get(request.path_params["name"])
        if watched is None:
            raise HTTPException(404)
        return watched


def _json(value: Any) -> Response:
    return Response(json.dumps(value), media_type="application/json")


def _state_of(watched: WatchedCampaign) -> JSONObject:
    with watched.looked():
        return campaign_view(watched) | {"now": now_view(watched)}


def _series_of(watched: WatchedCampaign, run: str) -> JSONObject | None:
    with watched.looked():
        found = watched.with_seconds(run)
        return None if found is None else series_view(found)


def _line(watched: WatchedCampaign) -> str:
    with watched.looked():
        running = "" if watched.current is None else ", running"
        return f"{watched.sealed} of {len(watched.runs)} runs{running}"


@cache
def _static_texts() -> dict[str, tuple[str, str]]:
    own = {path.name: path.read_text(encoding="utf-8") for path in sorted((HERE / "static").iterdir())}
    texts = {**own, "uplot.js": uplot_script(), "uplot.css": uplot_style()}
    return {name: (text, SCRIPT if name.endswith(".js") else STYLE) for name, text in texts.items()}


@cache
def _template(name: str) -> Any:
    loader = FileSystemLoader(HERE / "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template(name)
