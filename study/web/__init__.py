"""uPlot 1.6.32, the chart library of the report and of the live page: its files as texts, to be put into a page."""

from __future__ import annotations

from pathlib import Path

_FILES = Path(__file__).parent / "uplot"


def uplot_script() -> str:
    """The library; a page that has run it has `uPlot`."""
    return (_FILES / "uPlot.iife.min.js").read_text(encoding="utf-8")


def uplot_style() -> str:
    """Its style sheet."""
    return (_FILES / "uPlot.min.css").read_text(encoding="utf-8")


def uplot_licence() -> str:
    """Its licence, which every copy of it must carry."""
    return (_FILES / "LICENSE").read_text(encoding="utf-8")
