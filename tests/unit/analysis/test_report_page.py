"""report.html is one file that needs no network, answers first, links its numbers, and can be read without seeing."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from analysis import Analysis, analyze
from analysis.tell.limit_sentence import limit_text
from analysis.tell.report.class_report import REPORTED, effective_users, same_set_up
from analysis.tell.report.page import Table, cells
from analysis.tell.report.report_page import markdown
from analysis.tell.words import number
from study.formats.json_files import read_json, write_json
from study.plan import Run, Step
from tests.unit.synthetic import Load, plan, write_campaign

ASKED = plan(models=["single", "process"], users=[100, 400], blocks=2)
VOID = {"meta", "link", "img", "br", "hr", "input"}


class ReportParser(HTMLParser):
    """What a page refers to and says, and whether its tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self.headings: list[int] = []
        self.words = ""
        self.folded = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words += data
            self.folded += data if "details" in self.open else ""

    def all(self, tag: str) -> list[dict[str, str]]:
        return [found for name, found in self.attributes if name == tag]


def full_process(run: Run, step: Step) -> Load:
    """`process` is full at 400 users."""
    if run.model == "process" and step.users == 400:
        return Load(rate=90.0, response=400 / 90 - 3, spread=0.1, seconds=60.0, server_cpu=0.99, ended_share=0.8)
    return Load()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Analysis, ReportParser]:
    directory = tmp_path_factory.mktemp("campaign")
    files = write_campaign(directory, ASKED, full_process)
    about = {"model": "process", "summary": "a process each", "docstring": "Forks.\n\nWaits: in\nreceive."}
    write_json(files.manifest, {"models": {"process": about}, "hosts": {"target": {"cpu": "A <fast> one"}}})
    found = analyze(directory)
    return found, ReportParser(files.report.read_text(encoding="utf-8"))


def test_nothing_is_fetched(made: tuple[Analysis, ReportParser]) -> None:
    page = made[1]
    assert [image["src"][:24] for image in page.all("img")] == ["data:image/svg+xml;base6"] * 9
    assert [script.get("type", "") for script in page.all("script")] == ["application/json", "application/json", ""]
    assert not any("src" in script for script in page.all("script"))
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert {"default-src 'none'", "img-src data:", "base-uri 'none'", "form-action 'none'"} <= set(policy.split("; "))
    assert all(link["href"] == "data:," for link in page.all("link"))
    assert not any("://" in anchor.get("href", "") for anchor in page.all("a"))


def test_every_link_and_every_named_file_is_there(made: tuple[Analysis, ReportParser]) -> None:
    found, page = made
    names = [values["id"] for _, values in page.attributes if "id" in values]
    assert len(names) == len(set(names))
    assert all(anchor["href"].startswith("#") for anchor in page.all("a") if "href" in anchor)
    assert {anchor["href"][1:] for anchor in page.all("a") if "href" in anchor} <= set(names)
    outside = {anchor["data-file"] for anchor in page.all("a") if "href" not in anchor}
    assert {f"runs/{run.directory}/" for run in ASKED.runs()} <= outside
    assert all((found.campaign.files.directory / href).exists() for href in outside)


def test_it_can_be_read_without_seeing(made: tuple[Analysis, ReportParser]) -> None:
    page = made[1]
    assert page.all("html")[0]["lang"] == "en"
    assert page.headings[:2] == [1, 2]
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert all(any(sign.isdigit() for sign in image["alt"]) for image in page.all("img"))
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    assert "No request failed in the windows that are shown." in page.words
    assert len(page.all("caption")) == len(page.all("table"))
    scrolled = [box for box in page.all("div") if box.get("class") == "wide"]
    assert len(scrolled) == len(page.all("table"))
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in scrolled)


def test_the_answer_comes_first_and_says_how_sure_it_is(made: tuple[Analysis, ReportParser]) -> None:
    found, page = made
    peak = found.summary.set_index("model")["peak_rps"]
    first = page.words[page.words.index("At their peak") :]
    assert first.startswith(
        f"At their peak, observed: single at least {number(peak['single'])}/s at 400 users, process "
    )
    assert "no order is claimed: 2 blocks were measured, and a ranking needs 5." in first
    assert "At 100 users, the largest step that is valid for all models, observed: single " in first


def test_each_model_has_its_limit_its_docstring_and_its_runs(made: tuple[Analysis, ReportParser]) -> None:
    found, page = made
    for limit in found.limits:
        assert limit_text(limit) in page.words
    assert "Waits: in receive." in page.words
    for run in ASKED.runs():
        assert run.directory in page.words


def test_what_few_read_is_folded(made: tuple[Analysis, ReportParser]) -> None:
    found, page = made
    for words in ("How often each check passed", "Waits: in receive.", "process: what it used of the target"):
        assert words in page.folded
    for words in ("single: what its users got", "Verdict of each model and step", limit_text(found.limits[0])):
        assert words in page.words
        assert words not in page.folded


def test_a_column_that_is_empty_throughout_is_not_shown() -> None:
    table = Table("t", ("a", "b", "c"), (cells("1", "", ""), cells("2", "", "x")))
    assert table.without_empty_columns() == Table("t", ("a", "c"), (cells("1", ""), cells("2", "x")))
    assert Table("t", ("a", "b"), ()).without_empty_columns().heads == ("a", "b")


def test_texts_from_files_are_text(made: tuple[Analysis, ReportParser]) -> None:
    assert "A <fast> one" in made[1].words
    assert "<script>" not in markdown("a <script>alert(1)</script> b")


def test_what_it_does_not_show_is_said(made: tuple[Analysis, ReportParser]) -> None:
    rest = made[1].words[made[1].words.rindex("What this does not show") :]
    assert "2 blocks were measured" in rest
    assert "The limit of single: it was valid and not full at 400 users" in rest
    assert "TLS" in rest


def test_the_class_reports_table_stands_beside_ours_where_the_set_up_is_the_same(tmp_path: Path) -> None:
    same = plan(models=["thread"], users=[100, 10_000], spawn_rate=1000.0, think_time=[1.0, 5.0], aa=False)
    assert same_set_up(same)
    assert not same_set_up(ASKED)
    write_campaign(tmp_path, same)
    found = analyze(tmp_path, figures=False)
    page = ReportParser((tmp_path / "report.html").read_text(encoding="utf-8"))
    top = found.steps.query("kind == 'ladder' and users == 10_000").iloc[0]
    ours = effective_users(float(top["rps"]), float(top["mean_ms"]), 3.0)
    assert ours == pytest.approx(10_000, rel=0.03)
    assert f"{ours:,.0f}" in page.words
    accounted = {model: effective_users(row.rps, row.mean_ms, 3.0) for model, row in REPORTED.items()}
    assert {model: round(users) for model, users in accounted.items()} == {
        "single": 641, "process": 316, "thread": 989, "select": 877,
    }  # fmt: skip
    assert all(f"{users:,.0f}" in page.words for users in accounted.values())


def test_an_unfinished_campaign_has_a_report_too(tmp_path: Path) -> None:
    write_campaign(tmp_path, ASKED, skip=[run.directory for run in ASKED.runs()])
    (tmp_path / "manifest.json").unlink()
    analyze(tmp_path, figures=False)
    page = ReportParser((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Of requests per second nothing can be said" in page.words
    assert "the manifest is missing" in page.words.lower()
    assert page.words.count("not there") >= len(ASKED.runs())


def test_a_manifest_of_before_is_enough(tmp_path: Path) -> None:
    files = write_campaign(tmp_path, ASKED)
    assert "models" not in json.loads(json.dumps(read_json(files.manifest)))
    analyze(tmp_path, figures=False)
    assert files.report.stat().st_size > 5000
