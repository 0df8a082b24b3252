"""The page's program: uPlot and the scripts of static/, and the policy that lets the browser run them alone."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from study.web import uplot_licence, uplot_script

STATIC = Path(__file__).parent / "static"
ORDER = ("charts.js", "seconds.js", "page.js")


def page_script() -> str:
    """One script, with uPlot's licence; it is run as it stands, and nothing is loaded."""
    own = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in ORDER)
    text = f'/*\n{uplot_licence()}*/\n{uplot_script()}\n(() => {{\n"use strict";\n{own}\n}})();\n'
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError("the page's script would end its element")
    return text


def policy(script: str) -> str:
    """The Content-Security-Policy: this very script, inline style, figures as data; nothing is fetched."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none';"
        " form-action 'none'"
    )
