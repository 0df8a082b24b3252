"""Tidy frames for the figures and their tables: medians and intervals over runs, knees, tails, ratios."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.judge.judging import RunResult
from analysis.judge.verdicts import SERVED, VALID
from analysis.judge.window import Window
from analysis.rank.family import known_ratio
from analysis.rank.load_outcomes import MOST_BLOCKS, verdict_of
from analysis.rank.medians import interval_rank
from analysis.rank.ranking import Ranking, reaches_peak, shown_ratios
from analysis.rank.steps import Steps
from analysis.read.histograms import highest_us, merge

MOST_KINDS = 8  # of failures, in figure and table
OTHER_KINDS = "other kinds"
TAIL_POINTS = 200
"""Points of a curve on a log scale: more can't be distinguished."""
LEAST_SLOWER = 10
"""A curve ends where fewer requests than this are slower."""


@dataclass(frozen=True)
class Point:
    """A median over runs, with the verdict of its step; whether only a bound is known, and whether `few` blocks tried
    the load."""

    value: float
    verdict: str
    at_least: bool
    at_most: bool
    few: bool = False


TIMES = ("mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms")
"""Columns that hold an upper bound where the step's response times do."""


def points(steps: pd.DataFrame, column: str, models: Collection[str]) -> pd.DataFrame:
    """One row for each of these models and each ladder step: `value`, the median over runs, with its interval (`low`,
    `high`), `verdict`, whether that is `valid` in most runs, whether only a lower bound (`at_least`) or an upper bound
    (`at_most`) is known in some, and whether `few` blocks, half of the model's or fewer, tried the load of a search.

    Where most runs of a step are valid or an overload, the others' figures are left out; where they are not, no figure
    is trusted. `verdict` is that of the load (`verdict_of`). A figure that half of the runs left or fewer have is left
    out.
    """
    return points_of(steps, [column], models)[column]


def points_of(steps: pd.DataFrame, columns: Iterable[str], models: Collection[str]) -> dict[str, pd.DataFrame]:
    """The points of several columns, by their names: the rows that all of them are made from are chosen once."""
    ladder = Steps(steps).ladder.frame
    ladder = ladder[ladder["model"].isin(list(models)) & (ladder["verdict"] != "not-measured")]
    most = Steps(ladder).of_most_blocks().frame if ladder["block"].nunique() > 1 else ladder
    few = ~ladder.index.isin(most.index)
    served = ladder["verdict"].isin(list(SERVED)).to_numpy()
    load = _loads(ladder)
    verdicts = np.asarray(ladder.groupby(["model", "users"])["verdict"].agg(verdict_of), dtype=object)
    kept = served | ~_in_most(served, load)
    shown = ladder[kept]
    return {column: _medians(shown, load[kept], few[kept], verdicts, column) for column in columns}


Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def _loads(rows: pd.DataFrame) -> Numbers:
    """For each row the number of its model and users, counted in their order."""
    return np.asarray(rows.groupby(["model", "users"]).ngroup(), dtype=np.int64)


def _in_most(flags: Flags, load: Numbers) -> Flags:
    """For each row whether more than half of the rows of its load have the flag."""
    share = np.bincount(load, flags) / np.maximum(1, np.bincount(load))
    return np.asarray(share[load] > MOST_BLOCKS, dtype=np.bool_)


def _medians(
    shown: pd.DataFrame, load: Numbers, few: Flags, verdicts: npt.NDArray[np.object_], column: str
) -> pd.DataFrame:
    """One column's points of these rows; `load` numbers their loads, `verdicts` are the loads'."""
    known = shown[column].notna().to_numpy()
    at = np.flatnonzero(known & _in_most(known, load))
    at = at[np.lexsort((shown[column].to_numpy(dtype=float, na_value=np.nan)[at], load[at]))]
    rows, load = shown.iloc[at], load[at]
    first = np.flatnonzero(np.diff(load, prepend=-1))
    size = np.diff(first, append=len(load))
    rank = np.array([interval_rank(runs) for runs in size.tolist()], dtype=np.int64)
    group = np.repeat(np.arange(len(first)), size)

    def in_any(flags: Iterable[bool]) -> Flags:
        return np.bincount(group, np.fromiter(flags, float, len(group)), len(first)) > 0

    value, verdict = rows[column].to_numpy(dtype=float), verdicts[load[first]]
    late = rows["times_bound"] if column in TIMES and "times_bound" in rows else np.zeros(len(rows))
    return pd.DataFrame(
        {
            "model": rows["model"].to_numpy()[first],
            "users": rows["users"].to_numpy(dtype=int)[first],
            "value": (value[first + (size - 1) // 2] + value[first + size // 2]) / 2,
            "low": value[first + rank - 1],
            "high": value[first + size - rank],
            "valid": np.asarray(verdict == "valid", dtype=bool),
            "at_least": in_any(Steps(rows).bounded(column)),
            "at_most": in_any(late),
            "few": in_any(few[at]),
            "verdict": verdict,
        }
    )


def knees(steps: pd.DataFrame, models: Collection[str], think_s: float) -> pd.DataFrame:
    """N* = (R1 + Z) Xmax for each model whose limit stands: `model`, `users` and `rps`.

    R1 is the mean response time at the idle step, which must count in most runs; in campaigns without one at the lowest
    step, which must be valid and not full. Xmax is the peak over valid and overload steps, at or below a step at which
    the server was full. Source: Jain, ch. 33.
    """
    rows = []
    for model in models:
        every = Steps(steps).of_model(model).measured
        ladder = every.ladder
        full = ladder.full_users()
        peaks = {users: each.median("rps") or 0.0 for users, each in ladder.usable(SERVED).by_users()}
        r1_ms = unloaded_ms(every)
        if not full or not peaks or r1_ms is None:
            continue
        at = max(peaks, key=lambda users: peaks[users])
        if full[-1] >= at and reaches_peak(ladder, at):
            rows.append({"model": model, "users": (r1_ms / 1000 + think_s) * peaks[at], "rps": peaks[at]})
    return pd.DataFrame(rows, columns=["model", "users", "rps"])


def unloaded_ms(every: Steps) -> float | None:
    """R1 in ms; None where no step shows it."""
    idle = Steps(every.frame[every.frame["kind"] == "idle"])
    if idle.known("mean_ms"):
        trusted = Steps(idle.frame[idle.frame["counts"].astype(bool)])
        return trusted.median("mean_ms") if len(trusted.frame) > MOST_BLOCKS * len(idle.frame) else None
    lowest = every.ladder.at(min(every.ladder.users, default=None))
    sound = lowest.usable(VALID)
    return None if sound.empty or lowest.mostly_full() else sound.median("mean_ms")


def failures_at_worst(steps: pd.DataFrame, models: Collection[str]) -> pd.DataFrame:
    """For each model with failures, the step with the largest share of them: `kind`, `percent` of all requests there,
    and the `verdict` of that load. With more than MOST_KINDS kinds the rarest are one, OTHER_KINDS.
    """
    ladder = Steps(steps[steps["requests"] > 0]).ladder
    rows = []
    for model in models:
        mine = ladder.of_model(model)
        sums = mine.frame.groupby("users")[["failures", "requests"]].sum()
        sums = sums[sums["failures"] > 0]
        if sums.empty:
            continue
        users = int(str((sums["failures"] / sums["requests"]).astype(float).idxmax()))
        requests, here = int(sums["requests"][users]), mine.at(users)
        rows += [
            {"model": model, "users": users, "kind": kind, "percent": 100 * number / requests, "verdict": here.verdict}
            for kind, number in here.failure_kinds().items()
        ]
    found = pd.DataFrame(rows, columns=["model", "users", "kind", "percent", "verdict"])
    kinds = found.groupby("kind")["percent"].sum().sort_values(ascending=False, kind="stable").index
    if len(kinds) <= MOST_KINDS:
        return found
    found["kind"] = found["kind"].replace(dict.fromkeys(kinds[MOST_KINDS - 1 :], OTHER_KINDS))
    keys = [name for name in found.columns if name != "percent"]
    return found.groupby(keys, as_index=False, sort=False).agg({"percent": "sum"})[list(found.columns)]


def tails_frame(results: Iterable[RunResult], steps: pd.DataFrame, users: int | None) -> pd.DataFrame:
    """The complementary distribution at one ladder step: for each label times in `ms` and the `share` slower than each.

    Histograms of the valid runs are added bin by bin, of labels whose step is valid in most; of several trials of a
    load in one run only the one that counts (`Steps.ladder`). A request that timed out is slower than all that were
    answered. Ends where fewer than ten requests are slower: beyond it is chance.
    """
    rows = Steps(steps).ladder.measured.usable(VALID).at(users).frame
    valid = {(int(block), str(model), int(step)) for block, model, step in rows[["block", "model", "step"]].to_numpy()}
    windows: dict[str, list[Window]] = {}
    for result in results:
        run = result.data.run
        for step in result.steps:
            if (run.block, run.label, step.step.number) in valid and step.window is not None:
                windows.setdefault(run.label, []).append(step.window)
    curves = [_tail(label, mine) for label, mine in windows.items()]
    return pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=["model", "ms", "share"])


def _tail(label: str, windows: Sequence[Window]) -> pd.DataFrame:
    times = merge(window.response for window in windows)
    longer = sum(window.timed_out.total for window in windows)
    slower = times.total + longer - np.cumsum(times.counts)
    known = slower >= LEAST_SLOWER
    ms, share = highest_us(times.index[known]) / 1000, slower[known] / max(1, times.total + longer)
    if not len(share):
        return pd.DataFrame(columns=["model", "ms", "share"])
    wanted = np.geomspace(share[0], share[-1], TAIL_POINTS)  # evenly spread over the axis, which is a log one
    at = np.unique(np.searchsorted(-share, -wanted).clip(max=len(share) - 1))
    return pd.DataFrame({"model": label, "ms": ms[at], "share": share[at]})


def ratios_frame(ranking: Ranking) -> pd.DataFrame:
    """The pairs in the report: `figure`, `pair`, `value`, `low`, `high`, `bound`, `call` and `blocks`.

    The interval is empty of one run and of a bound, the value where both sides are bounds.
    """
    rows = [
        {
            "figure": name,
            "pair": f"{pair.first} / {pair.second}",
            "value": known.ratio,
            "low": known.low,
            "high": known.high,
            "bound": known.bound,
            "call": pair.claim,
            "blocks": pair.blocks,
        }
        for name, figure in (
            ("capacity", ranking.capacity),
            ("peak goodput", ranking.goodput),
            ("mean response time", ranking.response),
        )
        for pair in shown_ratios(figure)
        for known in (known_ratio(pair, figure.ranked),)
    ]
    return pd.DataFrame(rows, columns=["figure", "pair", "value", "low", "high", "bound", "call", "blocks"]).astype(
        {"value": float, "low": float, "high": float}
    )


def matrix(steps: pd.DataFrame, column: str, models: Sequence[str]) -> dict[str, dict[int, Point]]:
    """Medians by model and users: the table of a figure."""
    rows = points(steps, column, models)
    medians: dict[str, dict[int, Point]] = {model: {} for model in models}
    for row in rows.to_dict("records"):
        signs = (bool(row[name]) for name in ("at_least", "at_most", "few"))
        point = Point(float(row["value"]), str(row["verdict"]), *signs)
        medians[row["model"]][int(row["users"])] = point
    return medians
