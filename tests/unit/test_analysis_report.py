"""report.html is one file that needs no network, and shows what summary.md says."""

import re
from html.parser import HTMLParser
from pathlib import Path

from analysis import analyze
from analysis.report import report
from tests.unit.synthetic import plan, write_campaign


class Page(HTMLParser):
    """Collects what a page refers to, its pictures' alternative texts, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.alts: list[str] = []
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.sources += [value for name, value in found.items() if name in ("src", "href") and value]
        if tag == "img":
            self.alts.append(found.get("alt") or "")

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_report_is_whole_in_itself(tmp_path: Path) -> None:
    write_campaign(tmp_path, plan())
    found = analyze(tmp_path)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(page.alts) == 3
    assert all(page.alts)
    assert all(source.startswith("data:") for source in page.sources)
    assert "table" in page.tags
    for word in re.findall(r"[a-z]{6,}", found.text):
        assert word in page.words


def test_html_in_a_summary_is_text(tmp_path: Path) -> None:
    assert "<script>" not in report("x", "a <script>alert(1)</script> b", tmp_path)
