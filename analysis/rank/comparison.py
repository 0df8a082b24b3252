"""Two campaigns side by side: another machine, another Python, another version of a server.

    from analysis.rank import comparison as compare
    compare(Path("results/before"), Path("results/after")).frame

The run is the unit. Ratios are the second campaign over the first, unpaired (Welch on logs), with Holm's correction
over all comparisons made. Requests per second are compared at steps that are valid or overload in both, response times
at steps that are valid in both: a mean over an overloaded step counts only the survivors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from analysis.judge.thresholds import THRESHOLDS as T
from analysis.pipeline import Analysis, analyze, csv_text
from analysis.rank.differences import Difference, manifest_differences, of_the_load, plan_differences
from analysis.rank.ranking import usable
from analysis.rank.ratios import Ratio, corrected, welch_ratio
from analysis.tell.sections import listed, section, table
from study.errors import UsageError
from study.formats.json_files import write_whole

Verdict = Literal["better", "worse", "tie", "undetermined"]

COLUMNS = ("model", "users", "figure", "first", "second", "ratio", "low", "high", "p_holm", "runs", "verdict")
PEAK = "peak_rps"
NAMES = {PEAK: "peak requests/s", "rps": "requests/s", "mean_ms": "mean ms", "p99_ms": "p99 ms"}
FIGURES = {"rps": ("valid", "overload"), "mean_ms": ("valid",), "p99_ms": ("valid",)}
"""Columns of steps.csv, and the verdicts of the steps at which they may be compared."""
MORE_IS_BETTER = ("rps", PEAK)


@dataclass(frozen=True)
class Line:
    """One figure of one model, in both campaigns. `users` is None for the peak, which may be at different steps."""

    model: str
    users: int | None
    figure: str
    first: float
    second: float
    """Medians over runs."""
    ratio: Ratio

    @property
    def verdict(self) -> Verdict:
        """Of the second campaign; undetermined where the runs are too few to claim anything."""
        if self.ratio.blocks < T.least_blocks or self.ratio.call == "undetermined":
            return "undetermined"
        if self.ratio.call == "tie":
            return "tie"
        return "better" if (self.ratio.value > 1) == (self.figure in MORE_IS_BETTER) else "worse"


@dataclass(frozen=True)
class Comparison:
    first: Analysis
    second: Analysis
    lines: tuple[Line, ...]
    left_out: tuple[str, ...]
    """What was measured and can't be compared, in words."""
    plan: tuple[Difference, ...]
    manifest: tuple[Difference, ...]

    @property
    def worse(self) -> bool:
        return any(line.verdict == "worse" for line in self.lines)

    @property
    def frame(self) -> pd.DataFrame:
        """One row for each model, step and figure; the columns are those of docs/results.md."""
        rows = [
            (
                line.model, line.users, line.figure, line.first, line.second, line.ratio.value, line.ratio.low,
                line.ratio.high, line.ratio.p_holm, line.ratio.blocks, line.verdict,
            )
            for line in self.lines
        ]  # fmt: skip
        frame = pd.DataFrame.from_records(rows, columns=list(COLUMNS))
        numbers = dict.fromkeys(("first", "second", "ratio", "low", "high", "p_holm"), "float64")
        return frame.astype({**numbers, "users": "Int64", "runs": "Int64"})

    def write(self, path: Path) -> None:
        """The frame where the name ends in .csv, else the text."""
        write_whole(path, csv_text(self.frame) if path.suffix == ".csv" else self.text)

    @property
    def text(self) -> str:
        """The comparison as Markdown."""
        return _text(self)


def compare(first: Path | str, second: Path | str) -> Comparison:
    """Compare two campaigns' directories; nothing is written.

    Raises FormatError where one can't be read, UsageError where they can't be compared.
    """
    if Path(first).resolve() == Path(second).resolve():
        raise UsageError(f"{first} and {second} are the same campaign: there is nothing to compare")
    one, other = analyze(first, write=False), analyze(second, write=False)
    plans = plan_differences(one.campaign.plan, other.campaign.plan)
    if unlike := [str(difference) for difference in plans if of_the_load(difference)]:
        raise UsageError(
            f"{first} and {second} put different loads on their servers, so that no ratio would be the servers':\n  "
            + "\n  ".join(unlike)
        )
    models = [model for model in one.campaign.plan.models if model in other.campaign.plan.models]
    if not models:
        raise UsageError(f"{first} and {second} have no model in common")
    lines = [line for model in models for line in _lines(model, one, other)]
    ratios = corrected([line.ratio for line in lines])
    judged = tuple(replace(line, ratio=ratio) for line, ratio in zip(lines, ratios, strict=True))
    left_out = [said for model in models for said in _left_out(model, one, other)]
    left_out += [
        f"{model} is in one of the two campaigns only"
        for model in (*one.campaign.plan.models, *other.campaign.plan.models)
        if model not in models
    ]
    manifests = manifest_differences(one.campaign.manifest, other.campaign.manifest)
    return Comparison(one, other, judged, tuple(left_out), plans, manifests)


def _lines(model: str, one: Analysis, other: Analysis) -> Iterator[Line]:
    """Peak goodput where both found it, then every figure at every common step."""
    if model in one.ranking.reached and model in other.ranking.reached:
        peaks = [list(each.ranking.goodput.figures[model].values()) for each in (one, other)]
        yield from _line(model, None, PEAK, *peaks)
    for users in _common_users(one, other):
        for figure, verdicts in FIGURES.items():
            yield from _line(
                model, users, figure, *(_runs(each, model, users, figure, verdicts) for each in (one, other))
            )


def _line(model: str, users: int | None, figure: str, mine: list[float], theirs: list[float]) -> Iterator[Line]:
    ratio = welch_ratio(f"{model} B", f"{model} A", theirs, mine)
    if ratio is not None:
        yield Line(model, users, figure, float(pd.Series(mine).median()), float(pd.Series(theirs).median()), ratio)


def _runs(analysis: Analysis, model: str, users: int, figure: str, verdicts: tuple[str, ...]) -> list[float]:
    """The figure of each run at a step that counts; a quantile of which only a lower bound is known is none."""
    rows = usable(_ladder(analysis, model), verdicts)
    rows = rows[(rows["users"] == users) & rows[figure].notna()]
    bounded = rows["at_least"].fillna("").str.split().map(lambda names: figure in names).astype(bool)
    return [] if bounded.any() else [float(value) for value in rows[figure]]


def _ladder(analysis: Analysis, model: str) -> pd.DataFrame:
    steps = analysis.steps
    measured = (steps["kind"] == "ladder") & (steps["verdict"] != "not-measured")
    return steps[measured & (steps["model"] == model)]


def _common_users(one: Analysis, other: Analysis) -> list[int]:
    return [users for users in one.campaign.plan.users if users in other.campaign.plan.users]


def _left_out(model: str, one: Analysis, other: Analysis) -> Iterator[str]:
    """Common steps whose verdict allows no comparison, and on which side."""
    for users in _common_users(one, other):
        unfit: list[str] = []
        for letter, analysis in (("A", one), ("B", other)):
            rows = _ladder(analysis, model)
            rows = rows[rows["users"] == users]
            if usable(rows, FIGURES["rps"]).empty:
                verdicts = ", ".join(dict.fromkeys(rows["verdict"])) or "not-measured"
                unfit.append(f"{verdicts} in {letter}")
        if unfit:
            yield f"{model} at {users} users: {', '.join(unfit)}"


def _text(found: Comparison) -> str:
    names = [each.campaign.files.directory.resolve().name for each in (found.first, found.second)]
    tally = ", ".join(f"{sum(line.verdict == word for line in found.lines)} {word}" for word in get_args(Verdict))
    gaps = [f"{letter}: {gap}" for letter, each in (("A", found.first), ("B", found.second)) for gap in each.gaps]
    differences = [str(difference) for difference in (*found.plan, *found.manifest)]
    parts = [
        f"# {names[0]} against {names[1]}",
        f"A is {names[0]}, B is {names[1]}; ratios are B / A. More requests/s are better, more ms are worse.",
        *(_judged(found, tally) if found.lines else ["No step counts in both campaigns: nothing is compared."]),
        section("What differs", listed(differences or ["nothing that was recorded"])),
        section("Not compared", listed(found.left_out)),
        section("What is missing", listed(gaps)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _judged(found: Comparison, tally: str) -> list[str]:
    heads = ("model", "users", "figure", "A", "B", "B / A", "runs of each", "verdict of B")
    few = any(line.ratio.blocks < T.least_blocks for line in found.lines)
    unclaimed = f" With fewer than {T.least_blocks} runs of each nothing is claimed." if few else ""
    return [
        f"{len(found.lines)} comparisons: {tally}.{unclaimed}",
        table(heads, [_cells(line, found) for line in found.lines]),
        "A and B are medians over runs. Intervals are 95 % (Welch's t on log ratios); better and worse hold after"
        f" Holm's correction over all comparisons, a tie lies within {T.tie:.0%} with its whole interval. Whatever else"
        " changed on the machines between the two campaigns is in the ratios as well. Below the knee requests/s are"
        " the users' own rate, whatever the server.",
    ]


def _cells(line: Line, found: Comparison) -> tuple[str, ...]:
    ratio = line.ratio
    interval = "" if ratio.low is None else f" [{ratio.low:.3f}, {ratio.high:.3f}]"
    peaks = dict.fromkeys(str(each.ranking.peak_users.get(line.model)) for each in (found.first, found.second))
    return (
        line.model,
        " and ".join(peaks) if line.users is None else str(line.users),
        NAMES[line.figure],
        f"{line.first:.4g}",
        f"{line.second:.4g}",
        f"{ratio.value:.3f}{interval}",
        str(ratio.blocks),
        line.verdict,
    )
