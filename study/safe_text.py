"""Text from elsewhere (a host, a file, a server's answer) made safe for a terminal, a spreadsheet and Markdown."""

from __future__ import annotations

import re
import sys
from io import TextIOWrapper

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins with one of these is a formula to a spreadsheet."""
MOST_NAME = 60
_TAG = re.compile(r"((?:^|[^\\])(?:\\\\)*)<(?=[A-Za-z/!?])")
"""The beginning of an HTML tag or of `<http://...>`, not escaped by an odd number of backslashes."""


def printable(text: str) -> str:
    """A text without control characters besides tab and line end: an escape sequence shows as `\\x1b[31m`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def short_name(text: str) -> str:
    """A name from elsewhere, such as a kind of failure, as one printable line of at most MOST_NAME characters."""
    shown = " ".join(printable(text[: 2 * MOST_NAME]).split())
    return (shown if len(shown) <= MOST_NAME else f"{shown[: MOST_NAME - 3]}...") or "(no name)"


def csv_cell(text: str) -> str:
    """A text that a spreadsheet takes for text: with `'` before what would be a formula (CWE-1236)."""
    shown = printable(text)
    return f"'{shown}" if text.startswith(FORMULA_SIGNS) else shown


def inert(text: str) -> str:
    """A line of Markdown in which no link, image or HTML is left; emphasis and code stay.

    A link needs `](`, `][` or a definition `]:` (CommonMark 0.31, 4.7 and 6.3); GitHub's Markdown also makes links of
    bare addresses.
    """
    without = re.sub(r"\](?=[(\[:])", r"]\\", printable(text))
    without = _TAG.sub(r"\1&lt;", without)
    return without.replace("://", ":\\//").replace("www.", "www\\.")


def accept_any_terminal() -> None:
    """Print `?` for a character that the terminal's encoding lacks, in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
