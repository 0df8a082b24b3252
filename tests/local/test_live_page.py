"""The live page in a browser that watches a whole campaign of two models, and what fab leaves behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.programs import chromium
from tests.running import begin, listening, ours, write_plan

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(240)]
SAID = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
CELLS = """Object.fromEntries([...document.querySelectorAll('#runs td[data-requests]')].map(
    cell => [cell.dataset.run + ' ' + cell.dataset.step, [+cell.dataset.requests, +cell.dataset.failures]]))"""
CUT = """[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1
    && !e.closest('.wide')).map(e => e.outerHTML.slice(0, 80))"""

VERDICTS = "document.querySelectorAll('#verdicts li').length"
JUDGED = (
    f"{VERDICTS} >= 4 || document.querySelector('#log').textContent.includes('no verdicts yet: a campaign runs from')"
)
"""Beside a campaign of somebody else on this machine nothing is judged."""


@dataclass
class SeenByBrowser:
    """What the browser saw of a campaign, and what was there when it had ended."""

    address: str
    campaign: Path
    status: int
    output: str
    seen: dict[str, list[int]]
    """Requests and failures of each run and step, as the page had them when that step's records had come."""
    ledger: dict[str, list[int]]
    """The same by the ledgers."""
    views: dict[str, list[str]] = field(default_factory=dict)
    """By width and scheme: what was wrong there."""
    lost: list[str] = field(default_factory=list)
    """What a reload in the middle lost."""
    said: list[Any] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    """Addresses that the page asked for something."""
    verdicts: int = 0
    """Those of the first run, while the second went on."""
    rates: int = 0
    """Seconds of the running step that the chart had."""


@contextmanager
def browser(profile: Path) -> Iterator[chromium.Page]:
    found = chromium.program()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium, and in CI the live page is looked at: apt-get install chromium")
        pytest.skip("there is no Chromium here (apt-get install chromium)")
    with chromium.browser(found, profile) as page:
        yield page


def counts(campaign: Path) -> dict[str, list[int]]:
    """Requests and failures of each run and step whose records of the measure window have all come."""
    found: dict[str, list[int]] = {}
    for path in campaign.glob("runs/*/ledger.jsonl"):
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        workers = lines[0]["workers"] if lines else []
        windows = [line for line in lines if line["record"] == "phase" and line["phase"] == "measure" and line["step"]]
        for step in {line["step"] for line in windows}:
            own = [line for line in windows if line["step"] == step]
            if len(own) == len(workers):
                attempts = sum(line["attempts"] - line["failures"].get("aborted", 0) for line in own)
                found[f"{path.parent.name} {step}"] = [attempts, attempts - sum(line["successes"] for line in own)]
    return found


def address_of(fab: subprocess.Popen[str]) -> tuple[str, str]:
    """The page's address, and what fab printed before it."""
    assert fab.stdout is not None
    before = ""
    for line in fab.stdout:
        if found := re.search(r"live page: (http://127\.0\.0\.1:\d+/)", line):
            return found[1], before
        before += line
    pytest.fail(f"no address: {before}{fab.communicate()[1]}")


def look(page: chromium.Page, watched: SeenByBrowser) -> None:
    watched.said += [event for event in page.events if event.get("method") in SAID]
    watched.asked |= {
        event["params"]["request"]["url"] for event in page.events if event.get("method") == "Network.requestWillBeSent"
    }


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> SeenByBrowser:
    """A ladder of two steps on two models, from the first second to fab's end."""
    directory = tmp_path_factory.mktemp("page")
    plan = write_plan(directory, users=[2, 4], think=(0, 0), measure=4)  # without think time: no calibration
    fab = begin(directory, "deploy", "run-campaign", "--plan", str(plan))
    try:
        with browser(tmp_path_factory.mktemp("profile")) as page:
            address, _ = address_of(fab)
            campaign = (directory / "results" / "latest").resolve()
            seen = SeenByBrowser(address, campaign, 0, "", {}, {})
            sizes = [(width, dark) for dark in (False, True) for width in (1280, 390)]
            page.open(address, 1280, False)
            while fab.poll() is None:
                watch(page, seen, sizes)
                time.sleep(0.2)
        output, errors = fab.communicate()
    finally:
        if fab.poll() is None:
            fab.kill()
    seen.status, seen.output, seen.ledger = fab.returncode, output + errors, counts(campaign)
    assert not ours(directory)
    assert not listening(directory)
    return seen


def watch(page: chromium.Page, seen: SeenByBrowser, sizes: list[tuple[int, bool]]) -> None:
    """Compare what has come with the ledger; after each step's end, look at the page anew in another size."""
    known = counts(seen.campaign)
    try:
        cells = page.value(CELLS)
        seen.rates = max(seen.rates, page.value("streamed ? streamed.seconds.rps.filter(x => x > 0).length : 0"))
        seen.verdicts = max(seen.verdicts, page.value(VERDICTS))
        new = {name: cells[name] for name in known if name in cells and name not in seen.seen}
        seen.seen |= new
        if new and sizes:
            width, dark = sizes.pop(0)
            look(page, seen)
            page.open(seen.address, width, dark)
            until = time.monotonic() + 5
            while not (again := page.value(CELLS)) and time.monotonic() < until:
                time.sleep(0.1)
            seen.lost += [name for name in seen.seen if again.get(name) != seen.seen[name]]
            wrong = page.value(CUT)
            wrong += [] if page.value("document.documentElement.scrollWidth <= innerWidth") else ["scrolls sideways"]
            wrong += [] if page.value("document.querySelectorAll('.uplot canvas').length") == 3 else ["no charts"]
            seen.views[f"{width} {'dark' if dark else 'light'}"] = wrong
            look(page, seen)
    except RuntimeError:
        if (seen.campaign / "report.html").exists():
            return  # fab has ended, and the page with it
        raise


def test_the_counts_on_the_page_are_the_ledgers_at_the_end_of_each_step(watched: SeenByBrowser) -> None:
    assert watched.status in (0, 3), watched.output
    assert len(watched.ledger) == 4
    assert watched.seen == watched.ledger
    assert watched.rates >= 5
    assert watched.verdicts >= 2


def test_a_reload_in_the_middle_loses_nothing_in_any_size(watched: SeenByBrowser) -> None:
    assert watched.lost == []
    assert len(watched.views) >= 3
    assert {name: wrong for name, wrong in watched.views.items() if wrong} == {}


def test_no_error_is_said_and_nobody_else_is_asked(watched: SeenByBrowser) -> None:
    assert watched.said == []
    assert len(watched.asked) >= 6
    assert {url for url in watched.asked if not url.startswith((watched.address, "data:"))} == set()


def test_the_page_ends_with_fab_and_serve_shows_the_report(watched: SeenByBrowser, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="refused"):
        urlopen(watched.address, timeout=5)
    served = begin(tmp_path, "serve", str(watched.campaign))
    try:
        assert served.stdout is not None
        found = re.search(r"http://\S+", served.stdout.readline())
        assert found is not None
        with browser(tmp_path / "profile") as page:
            page.open(found[0], 1280, False)
            until = time.monotonic() + 30
            while not page.value(JUDGED) and time.monotonic() < until:
                time.sleep(0.2)
            assert page.value(JUDGED)
            assert page.value(CELLS) == watched.ledger
            page.events.clear()
            report = page.value("document.querySelector('#report a').href")
            page.open(report, 1280, False)
            assert page.value("document.querySelectorAll('section.model').length") == 2
            assert page.value("[...document.images].every(image => image.complete && image.naturalWidth > 100)")
            assert [event for event in page.events if event.get("method") in SAID] == []
    finally:
        served.terminate()
        served.communicate(timeout=20)
    assert served.returncode == 130
