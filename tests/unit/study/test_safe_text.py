"""What comes from a host, a file or a server's answer is text: to a terminal, to a spreadsheet and in Markdown."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from analysis.tell.csv_files import csv_text
from analysis.tell.markdown_sections import listed, section, table
from analysis.tell.report.report_page import markdown
from study.formats.csv_rows import RowWriter
from study.safe_text import csv_cell, inert, printable

HOSTILE = (
    "![x](http://192.0.2.1/beacon.png)",
    "[click](http://192.0.2.1/)",
    "![x][r]\n\n[r]: http://192.0.2.1/",
    "[r]: http://192.0.2.1/\n\n[r]",
    "<img src=http://192.0.2.1/>",
    "\\<img src=http://192.0.2.1/>",
    "\\\\<img src=http://192.0.2.1/>",
    "`a\\`<img src=x>",
    "<http://192.0.2.1/>",
    "http://192.0.2.1/ and www.example.org",
    "\\![x\\](http://192.0.2.1/)",
    "![x]\\(y)![z](http://192.0.2.1)",
    "<!-- --><script>alert(1)</script>",
    "[x\n](http://192.0.2.1/)",
)
ACTIVE = re.compile(r"<(img|a|script|iframe|svg|!--)", re.IGNORECASE)
ANYTHING = st.text(st.sampled_from(list("[]()!<>\\`:/w.a \n#|")), max_size=30)


def liberal(text: str) -> str:
    """Rendered as a viewer would that lets HTML through and makes links of bare addresses."""
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


def test_the_hostile_texts_are_active_by_themselves() -> None:
    assert sum(bool(ACTIVE.search(liberal(text))) for text in HOSTILE) >= len(HOSTILE) - 4


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_active_is_left_in_summary_or_report(text: str) -> None:
    for written in (section("What is missing", listed([text])), table(("a", "b"), [(text, "1")])):
        assert not ACTIVE.search(liberal(written)), written
        assert not re.search(r"https?://|www\.\w", written)
    assert not ACTIVE.search(markdown([text]))


@given(ANYTHING)
def test_no_text_at_all_makes_a_link_an_image_or_html(text: str) -> None:
    assert not ACTIVE.search(liberal(inert(text)))
    assert not ACTIVE.search(liberal(f"- {inert(text)}\n- {inert(text)}"))


@pytest.mark.parametrize("text", ["thread = 1.12 x single [1.08, 1.16], a tie", "`>` and `<` hold, 3 < 4", "*a* <= 2"])
def test_ordinary_sentences_stay_as_they_are(text: str) -> None:
    assert inert(text) == text


def test_no_escape_sequence_reaches_a_terminal() -> None:
    assert printable("a\x1b[31mb\x07\r\n\tc\x9b2Jd\u202e") == "a\\x1b[31mb\\x07\\r\n\tc\\x9b2Jd\\u202e"


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1+2", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_is_never_a_formula(text: str) -> None:
    @dataclass
    class Named:
        name: str
        count: float

    assert csv_cell(text).startswith("'")
    rows = io.StringIO()
    RowWriter(rows, Named).write(Named(text, -1.5))
    frame = pd.DataFrame({"name": [text], "count": [-1.5]})
    for written in (rows.getvalue(), csv_text(frame)):
        name, count = list(csv.reader(io.StringIO(written)))[1]
        assert name.startswith("'")
        assert float(count) == -1.5
    assert csv_cell("single") == "single"
