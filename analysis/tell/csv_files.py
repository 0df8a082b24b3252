"""The frames as CSV files: the only place that turns typed cells into text. Columns are those of docs/results.md."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence

import pandas as pd
from pandas.api.types import is_numeric_dtype

from analysis.draw.request_frames import REQUEST_QUANTILES
from analysis.rank import model_summary, steps
from analysis.tell.sentences import NAMES, joined, sentence
from study.safe_text import csv_cell

CHECK_COLUMNS = ("block", "model", "step", "check", "name", "value", "threshold", "outcome", "detail", "code", "users")


def steps_table(rows: steps.Steps) -> pd.DataFrame:
    """The frame of steps as it is written."""
    frame = rows.frame[list(steps.COLUMNS)]
    return frame.assign(
        reasons=frame["reasons"].map(joined),
        saturated=_words(frame["saturated"], "yes"),
        at_least=frame["at_least"].map(lambda names: _names(names, list(steps.QUANTILES))),
        times_bound=_words(frame["times_bound"], "<="),
        failure_kinds=frame["failure_kinds"].map(_counts),
    )


def checks_table(checks: pd.DataFrame) -> pd.DataFrame:
    """The frame of checks as it is written: with the name of each check, and its finding as a sentence."""
    named = checks.assign(name=checks["code"].map(NAMES), detail=checks["finding"].map(sentence))
    return named[list(CHECK_COLUMNS)]


def summary_table(summary: pd.DataFrame) -> pd.DataFrame:
    """The frame of the models' summary as it is written."""
    return summary.assign(
        at_least=summary["at_least"].map(lambda names: _names(names, model_summary.BOUNDED)),
        at_most=summary["at_most"].map(lambda names: _names(names, model_summary.TIMES)),
    )


def history_table(history: pd.DataFrame) -> pd.DataFrame:
    """The frame of campaigns over time as it is written."""
    return history.assign(at_least=history["at_least"].map(lambda names: _names(names, model_summary.BOUNDED)))


def requests_table(requests: pd.DataFrame) -> pd.DataFrame:
    """The frame of requests by name as it is written."""
    return requests.assign(
        outside=_words(requests["outside"].astype(bool), "yes"),
        failure_texts=requests["failure_texts"].map(
            lambda texts: "; ".join(f"{count} x {text}" for text, count in texts.items())
        ),
        at_least=requests["at_least"].map(lambda names: _names(names, list(REQUEST_QUANTILES))),
        times_bound=_words(requests["times_bound"].astype(bool), "<="),
    )


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as a file: six significant digits, empty where nothing is known; a text never is a formula."""
    text = io.StringIO()
    safe = frame.apply(lambda column: column if is_numeric_dtype(column) else column.map(_cell))
    safe.to_csv(text, index=False, float_format="%.6g")
    return text.getvalue()


def _cell(value: object) -> object:
    return csv_cell(value) if isinstance(value, str) else value


def _words(column: pd.Series[bool], word: str) -> pd.Series[str]:
    return column.map({True: word, False: ""})


def _names(names: Collection[str], order: Sequence[str]) -> str:
    """Names of columns, with blanks between them."""
    return " ".join(name for name in order if name in names)


def _counts(counts: Mapping[str, int]) -> str:
    """As `reset=60 timed-out=40`."""
    return " ".join(f"{kind}={count}" for kind, count in counts.items())
