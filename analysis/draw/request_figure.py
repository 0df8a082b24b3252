"""The figure of a locustfile of one's own: 95th percentile and rate of each name against users, one model."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from analysis.draw.style import canvas, legend, line_of, log_axis, styles_in_order, users_axis
from analysis.judge.verdicts import SERVED

MOST_LINES = 8
"""Names in one figure: those with the most requests."""


def request_drawings(frame: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """`requests-<label>` for each label, from the frame of `requests_frame`."""
    for label, rows in request_lines(frame).groupby("model", sort=False):
        yield f"requests-{label}", one_models_requests(rows)


def request_lines(frame: pd.DataFrame) -> pd.DataFrame:
    """Medians of the blocks by model, request and users: `p95_ms`, `rps`; steps whose figures are the server's own.

    `at_least` and `at_most` say whether some block's `p95_ms` is a lower or an upper bound.
    """
    kept = frame[frame["verdict"].isin(list(SERVED)) & ~frame["outside"].astype(bool) & (frame["step"] > 0)]
    named = kept.assign(request=kept["method"] + " " + kept["name"])
    counts = named.groupby(["model", "request"])["requests"].sum()
    most = counts.groupby(level="model", group_keys=False).nlargest(MOST_LINES).index
    shown = named[pd.MultiIndex.from_frame(named[["model", "request"]]).isin(most)]
    bounds = shown.assign(
        at_least=shown["at_least"].map(lambda names: "p95_ms" in names).astype(bool),
        at_most=shown["times_bound"].astype(bool),
    )
    return bounds.groupby(["model", "request", "users"], as_index=False, sort=False).agg(
        p95_ms=("p95_ms", "median"), rps=("rps", "median"), at_least=("at_least", "max"), at_most=("at_most", "max")
    )


def one_models_requests(rows: pd.DataFrame) -> Figure:
    """One model's rows of `request_lines`: a line a name, its rate above and its 95th percentile below."""
    figure, (above, below) = canvas(2.4, 2.4)
    looks = styles_in_order(sorted(rows["request"].unique()))
    for request, look in looks.items():
        mine = rows[rows["request"] == request].sort_values("users")
        for axes, column in ((above, "rps"), (below, "p95_ms")):
            axes.plot(mine["users"], mine[column], color=look.colour, marker=look.marker, ls=look.dash, lw=1.6, ms=5)
    above.set(ylabel="requests per second", xlabel="", ylim=(0, None))
    users_axis(below, sorted(int(users) for users in rows["users"].unique()))
    below.set_ylabel("p95 in ms")
    times = rows["p95_ms"].dropna()
    if len(times):
        log_axis(below, "y", float(times.min()), float(times.max()))
    legend(figure, [line_of(request, look) for request, look in looks.items()])
    return figure
