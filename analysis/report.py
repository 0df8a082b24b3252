"""report.html: the summary and the figures in one file that needs no network."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment
from markdown_it import MarkdownIt
from markupsafe import Markup

FIGURES = {
    "rps": "Requests per second against users, one line a model, with the bound N / Z",
    "response-time": "Mean, median, 95th and 99th percentile of the response time against users, on a log scale",
    "failures": "Share of failed requests against users",
}
"""Alternative texts by the figure's file name."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ name }}: load study</title>
<style>
:root { color-scheme: light dark; --line: #8885; --paper: #fff; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1, h2 { line-height: 1.2; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }
figure { margin: 1.5rem 0; }
img { width: 100%; height: auto; background: var(--paper); border: 1px solid var(--line); }
</style>
</head>
<body>
<main>
{{ summary }}
<h2>Figures</h2>
{% for figure in figures %}
<figure><img src="{{ figure.source }}" alt="{{ figure.alt }}"><figcaption>{{ figure.alt }}</figcaption></figure>
{% endfor %}
</main>
</body>
</html>
"""


def report(name: str, summary: str, figures: Path) -> str:
    """The page, from summary.md's text and the directory of the figures; figures that aren't there are left out."""
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(summary)
    html = html.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    shown = [
        {"source": _inline(figures / f"{stem}.svg"), "alt": alt}
        for stem, alt in FIGURES.items()
        if (figures / f"{stem}.svg").is_file()
    ]
    template = Environment(autoescape=True).from_string(PAGE)
    # Markup: made from Markdown just now, with any HTML in it escaped.
    return template.render(name=name, summary=Markup(html), figures=shown)


def _inline(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
