"""report.html in a real browser, wide and narrow, light and dark: it stays in its window and fetches nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis import analyze
from study.plan import Run, Step
from tests.programs import chromium
from tests.unit.synthetic import Load, plan, write_campaign

MODELS = ["single", "process", *(f"a-model-with-a-long-name-{at:02d}" for at in range(4))]
pytestmark = pytest.mark.slow
SAID = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")


def full_process(run: Run, step: Step) -> Load:
    if run.model == "process" and step.users == 1000:
        return Load(rate=200.0, response=1000 / 200 - 3, spread=0.1, server_cpu=0.99, failures={"reset": 90})
    return Load(seconds=30.0)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    asked = plan(models=MODELS, users=[10, 100, 500, 1000], return_step=False)
    files = write_campaign(tmp_path_factory.mktemp("campaign"), asked, full_process)
    analyze(files.directory)
    return files.report


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    found = chromium.program()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium, and in CI the report is looked at: apt-get install chromium")
        pytest.skip("there is no Chromium here (apt-get install chromium)")
    with chromium.browser(found, tmp_path_factory.mktemp("profile")) as shown:
        yield shown


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_stays_in_its_window_and_asks_nobody(
    page: chromium.Page, report: Path, width: int, dark: bool
) -> None:
    page.open(report.as_uri(), width, dark)
    assert page.value("document.querySelectorAll('section.model').length") == len(MODELS)
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
    cut = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1"
    cut += " && !e.closest('.wide') && !e.closest('.skip')).map(e => e.outerHTML.slice(0, 80))"
    assert page.value(cut) == []
    assert page.value("[...document.images].every(image => image.complete && image.naturalWidth > 100)")
    paper = page.value("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(21, 24, 28)" if dark else "rgb(255, 255, 255)")
    said = [event for event in page.events if event.get("method") in SAID]
    assert said == []
    asked = [
        event["params"]["request"]["url"] for event in page.events if event.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]


def test_a_figure_turns_dark_with_the_page(page: chromium.Page, report: Path) -> None:
    """The figure's own corner, as it is painted: no script of the page could read it, so a screenshot does."""
    corners = []
    for dark in (False, True):
        page.open(report.as_uri(), 1280, dark)
        corner = page.value("(() => { const box = document.images[0].getBoundingClientRect();"
                            " return [box.x + scrollX + 2, box.y + scrollY + 2]; })()")  # fmt: skip
        corners.append(page.pixel(*corner))
    assert corners == [(255, 255, 255), (21, 24, 28)]
