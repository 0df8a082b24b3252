"""Rows of samples as arrays: a campaign's windows take thousands of small selections of them, each of which would cost
a frame a millisecond."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Column = npt.NDArray[Any]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SampleRows:
    """Some rows of the columns of a frame, numbers as floats with NaN for what isn't known."""

    columns: Mapping[str, Column]
    at: npt.NDArray[np.intp]
    """Which rows, by their place."""

    @classmethod
    def of(cls, frame: pd.DataFrame) -> SampleRows:
        """All rows of a frame."""
        return cls({str(name): values.to_numpy() for name, values in frame.items()}, np.arange(len(frame)))

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, name: str) -> Column:
        return self.columns[name][self.at]

    def where(self, chosen: npt.ArrayLike) -> SampleRows:
        """The rows for which this is true."""
        return SampleRows(self.columns, self.at[np.asarray(chosen, dtype=bool)])

    def having(self, column: str, value: str) -> SampleRows:
        """The rows with this text in a column."""
        return self.where(self[column] == value)

    def knowing(self, column: str) -> SampleRows:
        """The rows in which this figure is known."""
        return self.where(~np.isnan(self[column]))

    def of_hosts(self, hosts: Iterable[str]) -> SampleRows:
        """The rows of hosts of these names, with the role of a host."""
        names = set(hosts)
        mine = self.having("role", "host")
        return mine.where([host in names for host in mine["host"]])

    def each(self, column: str) -> Mapping[str, SampleRows]:
        """The rows by the text of a column, sorted; without those that have none."""
        values = self[column]
        texts = sorted({value for value in values.tolist() if isinstance(value, str)})
        return {text: self.where(values == text) for text in texts}


def quotients(part: Numbers, whole: Numbers) -> Numbers:
    """The quotient of each pair; NaN or infinite where the second is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(part / whole, dtype=np.float64)


def known_mean(values: Numbers) -> float | None:
    """The mean of what is known."""
    count = np.count_nonzero(~np.isnan(values))
    return float(np.nansum(values)) / count if count else None


def known_median(values: Numbers) -> float | None:
    """The median of what is known."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def known_max(values: Numbers) -> float | None:
    """The largest of what is known."""
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else None
