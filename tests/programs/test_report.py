"""report.html in a real browser, wide and narrow, light and dark: it stays in its window and fetches nothing."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
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


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_stays_in_its_window_and_asks_nobody(
    page: chromium.Page, report: Path, width: int, dark: bool, scripts: bool
) -> None:
    page.scripts(scripts)
    page.open(report.as_uri(), width, dark)
    page.scripts(True)
    assert page.value("document.querySelectorAll('section.model').length") == len(MODELS)
    if scripts:
        open_everything(page)
    assert (page.value("document.querySelectorAll('button').length") > 0) == scripts
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


def open_everything(page: chromium.Page) -> None:
    """Every chart, and the seconds of the first run."""
    page.value("document.querySelectorAll('.tools button[aria-pressed]').forEach(button => button.click())")
    page.until("document.querySelectorAll('.course .uplot').length >= 4")


def test_without_scripts_nothing_is_missing_but_what_needs_them(page: chromium.Page, report: Path) -> None:
    words = "document.querySelector('main').innerText.split('\\n').filter(line => line.trim())"
    page.scripts(False)
    page.open(report.as_uri(), 1280, dark=False)
    without = page.value(words)
    page.scripts(True)
    page.open(report.as_uri(), 1280, dark=False)
    assert set(without) <= set(page.value(words))
    assert "Second by second" not in without


def test_what_is_folded_is_printed_open(page: chromium.Page, report: Path) -> None:
    page.scripts(False)
    page.open(report.as_uri(), 1280, dark=False)
    page.scripts(True)
    parts = "[...document.querySelectorAll('.folded table, .folded .lines')]"
    shown = "part => part.checkVisibility({contentVisibilityAuto: true}) && part.getBoundingClientRect().height > 10"
    assert page.value(f"{parts}.length") > 5
    assert not page.value(f"{parts}.some({shown})")
    page.ask("Emulation.setEmulatedMedia", media="print")
    page.until(f"{parts}.every({shown})")  # the style of print comes with the next frame


def values_at(page: chromium.Page, figure: str, x: str, panel: int = 0) -> dict[str, str]:
    """What the legend of a figure's chart says where the mouse is at this x: values by the line's name."""
    place = f"document.querySelectorAll('[data-figure={figure}] .uplot')[{panel}]"
    button = f"document.querySelector('[data-figure={figure}] button')"
    page.until("document.querySelectorAll('.course .uplot').length >= 4")
    page.value(f"{button}.getAttribute('aria-pressed') === 'true' || {button}.click()")
    page.value(f"{place}.scrollIntoView({{block: 'center'}})")
    left, top, wide, high = page.value(
        f"(() => {{ const box = {place}.querySelector('.u-over').getBoundingClientRect();"
        " return [box.left, box.top, box.width, box.height]; })()"
    )
    seen = []
    for at in range(0, int(wide), 6):
        page.move(left + at, top + high / 2)
        shown: list[list[str]] = page.value(
            f"[...{place}.querySelectorAll('.u-series')].map(row =>"
            " [row.querySelector('.u-label').textContent, row.querySelector('.u-value').textContent])"
        )
        if shown[0][1] == x:
            return dict(map(tuple, shown[1:]))  # type: ignore[arg-type]
        seen.append(shown[0][1])
    raise AssertionError(f"the chart of {figure} has no point at {x}: {seen}")


def test_a_chart_says_what_steps_csv_has(page: chromium.Page, report: Path) -> None:
    steps = pd.read_csv(report.parent / "steps.csv").query("kind == 'ladder' and block == 1")
    page.open(report.as_uri(), 1280, dark=False)
    for users in (10, 1000):
        rows = steps[steps["users"] == users].set_index("model")
        said = values_at(page, "rps", f"{users:,}")
        times = values_at(page, "response-time", f"{users:,}")
        for model in MODELS:
            verdict = rows.loc[model, "verdict"]
            for value, figure in ((said[model], rows.loc[model, "rps"]), (times[model], rows.loc[model, "p50_ms"])):
                assert value.endswith(str(verdict)) == (verdict != "valid")
                number = value.partition(", ")[0].removeprefix("≥ ").removeprefix("≤ ")
                assert float(number.replace(",", "")) == pytest.approx(figure, rel=6e-4)


def test_a_model_is_switched_off_in_all_panels_of_a_chart(page: chromium.Page, report: Path) -> None:
    page.open(report.as_uri(), 1280, dark=False)
    values_at(page, "response-time", "10")
    off = "[...document.querySelectorAll('[data-figure=response-time] .u-off .u-label')].map(each => each.textContent)"
    assert page.value(off) == []
    page.value("document.querySelectorAll('[data-figure=response-time] .u-series th')[1].click()")
    assert page.value(off) == [MODELS[0]] * 3


def test_downloads_are_the_figure_and_its_figures(page: chromium.Page, report: Path) -> None:
    page.open(report.as_uri(), 1280, dark=True)
    page.value(
        "var saved; HTMLAnchorElement.prototype.click = function () {};"
        " URL.createObjectURL = blob => { saved = blob; return 'data:,'; }; true"
    )
    press = "[...document.querySelectorAll('[data-figure=rps] button')].find(each => each.textContent === '{}').click()"
    page.value(press.format("SVG"))
    drawn = (report.parent / "figures" / "rps.svg").read_text(encoding="utf-8")
    assert page.value("saved.text()") == drawn
    page.value(press.format("CSV"))
    rows = pd.read_csv(io.StringIO(page.value("saved.text()")))
    steps = pd.read_csv(report.parent / "steps.csv").query("kind == 'ladder'").set_index(["model", "users"])
    mine = rows[rows["name"].isin(MODELS)]
    assert len(mine) == len(MODELS) * 4
    for row in mine.to_dict("records"):
        assert row["y"] == pytest.approx(steps.loc[(row["name"], int(row["x"])), "rps"], rel=1e-5)
    page.value("saved = null; " + press.format("PNG"))
    assert page.until("saved && saved.type") == "image/png"


def test_a_step_of_a_run_is_shown_second_by_second(page: chromium.Page, report: Path) -> None:
    page.open(report.as_uri(), 1280, dark=False)
    page.until("document.querySelectorAll('.course .uplot').length >= 4")
    selects = "document.querySelectorAll('#seconds-section select')"
    page.value(f"{selects}[0].value = 'process'; {selects}[0].dispatchEvent(new Event('change'))")
    step = page.until(f"[...{selects}[2].options].find(each => each.text.startsWith('1,000 users'))?.value")
    page.value(f"{selects}[2].value = '{step}'; {selects}[2].dispatchEvent(new Event('change'))")
    said = page.until("[...document.querySelectorAll('#seconds-section p.quiet')].map(each => each.textContent)"
                      ".find(text => text.startsWith('1-process at 1,000 users: overload'))")  # fmt: skip
    row = pd.read_csv(report.parent / "steps.csv").query("model == 'process' and users == 1000").iloc[0]
    assert f"goodput in requests/s {row['rps']:.4g}, " in said
    assert page.until("document.querySelector('#seconds-section h3').textContent").endswith("at 1,000 users")


def test_names_of_files_are_links_only_where_the_files_are(page: chromium.Page, report: Path, tmp_path: Path) -> None:
    links = "document.querySelectorAll('a[data-file][href]').length"
    page.open(report.as_uri(), 1280, dark=False)
    assert page.value(links) == page.value("document.querySelectorAll('a[data-file]').length") > 10
    sent = tmp_path / "report.html"
    sent.write_bytes(report.read_bytes())
    page.open(sent.as_uri(), 1280, dark=False)
    assert page.value(links) == 0
    latest = tmp_path / "latest"
    latest.symlink_to(report.parent)
    page.open((latest / "report.html").as_uri(), 1280, dark=False)
    assert page.value(links) > 10


def test_a_figure_turns_dark_with_the_page(page: chromium.Page, report: Path) -> None:
    """The figure's own corner, as it is painted: no script of the page could read it, so a screenshot does."""
    corners = []
    for dark in (False, True):
        page.open(report.as_uri(), 1280, dark)
        corner = page.value("(() => { const box = document.images[0].getBoundingClientRect();"
                            " return [box.x + scrollX + 2, box.y + scrollY + 2]; })()")  # fmt: skip
        corners.append(page.pixel(*corner))
    assert corners == [(255, 255, 255), (21, 24, 28)]
