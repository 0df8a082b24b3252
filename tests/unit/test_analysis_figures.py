"""What the figures show: lines, markers, hollow points and bounds; not their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from analysis.figures import (
    FIGURES,
    draw_all,
    failures_against_users,
    points,
    response_against_users,
    rps_against_users,
)
from analysis.style import styles
from tests.unit.synthetic import plan

ASKED = plan(models=["single", "thread"], users=[100, 200, 400])
LABELS = ("single", "thread")


def frame(labels: tuple[str, ...] = LABELS, users: tuple[int, ...] = (100, 200, 400), blocks: int = 1) -> pd.DataFrame:
    """Rows of steps.csv; the top step of the last model is not valid."""
    rows = [
        {
            "block": block,
            "model": model,
            "step": step,
            "kind": "ladder",
            "users": count,
            "requests": 1000,
            "failures": 100 if count == users[-1] and model == labels[-1] else 0,
            "rps": count / 3 - at + block,
            "mean_ms": 5.0 + at,
            "p50_ms": 4.0 + at,
            "p95_ms": 9.0 + at,
            "p99_ms": np.nan if count == users[0] else 20.0 + at,
            "verdict": "overload" if count == users[-1] and model == labels[-1] else "valid",
            "at_least": "p99_ms" if count == users[-1] and model == labels[-1] else "",
        }
        for block in range(1, blocks + 1)
        for at, model in enumerate(labels)
        for step, count in enumerate(users, start=1)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def line(axes: Axes, label: str) -> dict[float, float]:
    """The drawn y for each x."""
    found = next(drawn for drawn in axes.get_lines() if drawn.get_label() == label)
    x, y = np.asarray(found.get_xdata(), dtype=float), np.asarray(found.get_ydata(), dtype=float)
    return dict(zip(x.tolist(), y.tolist(), strict=True))


def dots(axes: Axes, label: str) -> tuple[list[float], str]:
    """The x of the points under this label, and the colour that fills them."""
    found = next(drawn for drawn in axes.collections if drawn.get_label() == label)
    faces = np.asarray(found.get_facecolor(), dtype=float)
    x = np.asarray(found.get_offsets(), dtype=float)[:, 0]
    return x.tolist(), to_hex((faces[0, 0], faces[0, 1], faces[0, 2])) if len(faces) else ""


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_rps_has_a_line_for_each_model_and_the_bound() -> None:
    figure = rps_against_users(frame(), ASKED, LABELS)
    axes = figure.axes[0]
    assert line(axes, "single") == pytest.approx({users: users / 3 + 1 for users in (100, 200, 400)})
    bound = "N / Z, Z = 3 s\n(no closed system passes it)"
    assert line(axes, bound) == pytest.approx({users: users / 3 for users in (100, 200, 400)})
    assert legend(figure) == ["single", "thread", "step isn't valid", bound]


def test_points_of_steps_that_are_not_valid_are_hollow() -> None:
    axes = rps_against_users(frame(), ASKED, LABELS).axes[0]
    filled, colour = dots(axes, "_thread valid")
    assert filled == [100, 200]
    assert colour == styles(LABELS)["thread"].colour.lower()
    hollow, colour = dots(axes, "_thread not valid")
    assert hollow == [400]
    assert colour == "#ffffff"


def test_lines_are_medians_over_blocks() -> None:
    shown = points(frame(blocks=3), "rps").query("model == 'single' and users == 100")
    assert shown[["value", "least", "most"]].to_numpy()[0] == pytest.approx([100 / 3 + add for add in (2, 1, 3)])


def test_response_times_have_a_panel_for_each_statistic_on_a_log_scale() -> None:
    figure = response_against_users(frame(), ASKED, LABELS)
    assert [axes.get_title() for axes in figure.axes] == ["mean", "p50 (median)", "p95", "p99"]
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    assert sorted(line(figure.axes[3], "single")) == [200, 400]


def test_a_lower_bound_has_an_arrow() -> None:
    figure = response_against_users(frame(), ASKED, LABELS)
    arrows = [drawn for drawn in figure.axes[3].collections if drawn.get_label() == "_at least"]
    assert [np.asarray(drawn.get_offsets())[:, 0].tolist() for drawn in arrows] == [[], [400]]
    mean = [drawn for drawn in figure.axes[0].collections if drawn.get_label() == "_at least"]
    assert not any(len(np.asarray(drawn.get_offsets())) for drawn in mean)


def test_failures_are_in_percent() -> None:
    axes = failures_against_users(frame(), ASKED, LABELS).axes[0]
    assert line(axes, "thread") == {100: 0, 200: 0, 400: 10}


def test_a_model_looks_the_same_in_every_figure_and_no_two_alike() -> None:
    labels = tuple(f"model-{at}" for at in range(16))
    looks = styles(labels)
    assert len({(look.colour, look.marker, look.dash) for look in looks.values()}) == 16
    assert len({look.marker for look in looks.values()}) == 15
    for draw in FIGURES.values():
        axes = draw(frame(), ASKED, LABELS).axes[0]
        drawn = next(each for each in axes.get_lines() if each.get_label() == "thread")
        assert to_hex(drawn.get_color()) == styles(LABELS)["thread"].colour.lower()


@pytest.mark.parametrize("name", FIGURES)
def test_fifteen_models_cut_and_cover_nothing(name: str) -> None:
    labels = tuple(f"a-model-with-a-long-name-{at:02d}" for at in range(15))
    users = (10, 20, 50, 100, 200, 500, 1000, 2000, 4000, 6000, 8000, 10_000)
    figure = FIGURES[name](frame(labels, users, blocks=2), plan(models=list(labels), users=list(users)), labels)
    figure.canvas.draw()
    whole, key = figure.bbox, figure.legends[0].get_window_extent()
    assert (key.x0, key.y0) >= (whole.x0, whole.y0)
    assert key.x1 <= whole.x1 + 1
    assert key.y1 <= whole.y1 + 1
    for axes in figure.axes:
        assert axes.get_window_extent().x1 <= key.x0
        ticks = [text.get_window_extent() for text in axes.get_xticklabels() if text.get_text()]
        inside = sorted((box.x0, box.x1) for box in ticks)
        assert all(left[1] <= right[0] for left, right in pairwise(inside))


def test_nothing_measured_still_makes_figures(tmp_path: Path) -> None:
    paths = draw_all(frame().iloc[:0], ASKED, LABELS, tmp_path)
    assert sorted(path.name for path in paths) == sorted(
        f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")
    )
    assert all(path.stat().st_size > 1000 for path in paths)


def test_figures_are_the_same_each_time(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in draw_all(frame(), ASKED, LABELS, tmp_path / "a")]
    again = [path.read_bytes() for path in draw_all(frame(), ASKED, LABELS, tmp_path / "b")]
    assert first == again
