"""What the figures show: lines, markers, hollow points and bounds, and that no text is cut or covered; not pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from analysis import analyze
from analysis.draw.figures import (
    FEW,
    KNEE,
    drawings,
    failures_by_kind,
    response_against_rps,
    response_against_users,
    rps_against_users,
    tails,
)
from analysis.draw.frames import failures_at_worst, knees, points
from analysis.draw.ratio_figure import ratio_forest
from analysis.draw.style import DARK, PAPER, save, styles
from study.palette import DARK_COLOURS
from tests.unit.synthetic import Load, plan, write_campaign

LABELS = ("single", "thread")
LADDER = (10, 20, 50, 100, 200, 500, 1000, 2000, 4000, 6000, 8000, 10_000)
FOUR = ("single", "process", "thread", "select")
MANY = tuple(f"a-model-with-a-long-name-{at:02d}" for at in range(15))


def frame(labels: Sequence[str] = LABELS, users: Sequence[int] = (100, 200, 400), blocks: int = 1) -> pd.DataFrame:
    """Rows of steps; the top step of the last model is an overload."""
    rows = [
        {
            "block": block,
            "model": model,
            "step": step,
            "kind": "ladder",
            "users": count,
            "requests": 1000,
            "failures": 100 if count == users[-1] and model == labels[-1] else 0,
            "failure_kinds": {"reset": 60, "timed-out": 40} if count == users[-1] and model == labels[-1] else {},
            "rps": count / 3 - at + block,
            "mean_ms": 5.0 + at,
            "p50_ms": 4.0 + at,
            "p95_ms": 9.0 + at,
            "p99_ms": np.nan if count == users[0] else 20.0 + at * 40,
            "server_cpu_ms": 0.05 * (at + 1),
            "server_pss_mb": 20.0 + at * step,
            "verdict": "overload" if count == users[-1] and model == labels[-1] else "valid",
            "saturated": False,
            "times_bound": False,
            "counts": True,
            "at_least": frozenset({"p99_ms"} if count == users[-1] and model == labels[-1] else ()),
        }
        for block in range(1, blocks + 1)
        for at, model in enumerate(labels)
        for step, count in enumerate(users, start=1)
    ]
    return pd.DataFrame(rows)


def few_tried() -> pd.DataFrame:
    """A search of three blocks, of which one alone tried 200 users."""
    rows = frame(blocks=3).assign(kind="trial")
    return rows[(rows["users"] != 200) | (rows["block"] == 1)]


def slower(labels: Sequence[str]) -> pd.DataFrame:
    share = np.geomspace(1, 0.001, 40)
    return pd.concat(
        pd.DataFrame({"model": label, "ms": (at + 1) * (1 - np.log(share)), "share": share})
        for at, label in enumerate(labels)
    )


def ratios(labels: Sequence[str]) -> pd.DataFrame:
    rows = [
        {
            "figure": name,
            "pair": f"{labels[0]} / {other}",
            "value": 1 + at / 4,
            "low": 0.95 + at / 4,
            "high": 1.1 + at / 4,
            "bound": "",
            "call": "more" if at else "undetermined",
            "blocks": 6,
        }
        for name in ("peak goodput", "mean response time")
        for at, other in enumerate(labels[1:])
    ]
    return pd.DataFrame(rows)


def all_figures(labels: Sequence[str], users: Sequence[int], blocks: int = 2) -> dict[str, Figure]:
    drawn = drawings(frame(labels, users, blocks), slower(labels), ratios(labels), labels, 3.0)
    return {name: figure for name, figure in drawn if figure is not None}


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


def shown_texts(figure: Figure) -> list[Text]:
    """Every text that is drawn: titles, names of axes, labels of ticks in view, the legend, notes."""
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        texts += [*ticks(axes.xaxis, axes.get_xlim()), *ticks(axes.yaxis, axes.get_ylim())]
    return [text for text in texts if text.get_text().strip() and text.get_visible()]


def ticks(axis: Axis, view: tuple[float, float]) -> list[Text]:
    low, high = sorted(view)
    return [
        tick.label1 for tick in axis.get_major_ticks() if tick.label1.get_visible() and low <= tick.get_loc() <= high
    ]


def test_rps_has_a_line_for_each_model_and_the_bound() -> None:
    figure = rps_against_users(frame(), LABELS, 3.0)
    axes = figure.axes[0]
    assert line(axes, "single") == pytest.approx({users: users / 3 + 1 for users in (100, 200, 400)})
    bound = "bound N / Z, Z = 3 s"
    assert line(axes, bound) == pytest.approx({users: users / 3 for users in (100, 200, 400)})
    assert legend(figure) == ["single", "thread", "a check failed: not valid", bound, KNEE]


def test_the_knee_of_a_model_that_was_full_and_of_no_other() -> None:
    found = knees(frame(), LABELS, 3.0).to_dict("records")
    assert found == [{"model": "thread", "users": pytest.approx(3.006 * 400 / 3), "rps": pytest.approx(400 / 3)}]
    axes = rps_against_users(frame(), LABELS, 3.0).axes[0]
    assert dots(axes, "_knee of thread")[0] == pytest.approx([3.006 * 400 / 3])


def test_points_of_steps_that_are_not_valid_are_hollow() -> None:
    axes = rps_against_users(frame(), LABELS, 3.0).axes[0]
    filled, colour = dots(axes, "_thread valid")
    assert filled == [100, 200]
    assert colour == styles(LABELS)["thread"].colour
    hollow, colour = dots(axes, "_thread not valid")
    assert hollow == [400]
    assert colour == PAPER


def test_lines_are_medians_and_bars_intervals_over_runs() -> None:
    shown = points(frame(blocks=9), "rps", LABELS).query("model == 'single' and users == 100")
    assert shown[["value", "low", "high"]].to_numpy()[0] == pytest.approx([100 / 3 + add for add in (5, 2, 8)])


def test_percentiles_have_a_panel_each_on_one_log_scale() -> None:
    figure = response_against_users(frame(), LABELS)
    assert [axes.get_ylabel() for axes in figure.axes] == ["p50 (median) in ms", "p95 in ms", "p99 in ms"]
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert sorted(line(figure.axes[2], "single")) == [200, 400]


def test_a_lower_bound_has_an_arrow() -> None:
    figure = response_against_users(frame(), LABELS)
    arrows = [drawn for drawn in figure.axes[2].collections if drawn.get_label() == "_at least"]
    assert [np.asarray(drawn.get_offsets())[:, 0].tolist() for drawn in arrows] == [[], [400]]
    assert "at least" in legend(figure)


def test_the_hockey_stick_follows_the_ladder_and_not_the_rate() -> None:
    steps = frame(("single",))
    steps.loc[steps["users"] == 400, "rps"] = 50.0
    drawn = response_against_rps(steps, ("single",)).axes[0].get_lines()[0]
    assert np.asarray(drawn.get_xdata(), dtype=float).tolist() == pytest.approx([100 / 3 + 1, 200 / 3 + 1, 50])


def test_tails_are_the_share_that_took_longer() -> None:
    axes = tails(slower(LABELS), LABELS).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert line(axes, "single")[1.0] == 1.0


def test_the_forest_has_an_interval_and_hollow_points_for_what_is_undetermined() -> None:
    axes = ratio_forest(ratios(FOUR)).axes[0]
    assert line(axes, "_single / thread") == {1.2: 1.0, 1.35: 1.0}
    faces = [np.asarray(drawn.get_facecolor(), dtype=float)[0].tolist() for drawn in axes.collections]
    assert [face == [1, 1, 1, 1] for face in faces] == [True, False, False]


def test_a_ratio_that_is_a_bound_has_an_arrow_and_no_interval_and_one_of_two_bounds_has_no_point() -> None:
    bounds = ratios(FOUR).head(3).assign(bound=["at least", "unknown", ""], value=[2.0, np.nan, 3.0])
    bounds.loc[bounds["bound"] != "", ["low", "high"]] = np.nan
    figure = ratio_forest(bounds)
    axes = figure.axes[0]
    assert [np.asarray(drawn.get_offsets())[0].tolist() for drawn in axes.collections] == [[2.0, 0.0], [3.0, 2.0]]
    assert [text.get_text() for text in axes.texts] == ["", "only bounds are known"]
    (arrow,) = (each for each in axes.texts if isinstance(each, Annotation))
    assert (arrow.xy, arrow.get_position()[0] > 0) == ((2.0, 0), True)
    assert "at least" in legend(figure)
    assert "at most" not in legend(figure)
    assert not any(np.isfinite(x) for x in line(axes, "_single / process"))


def test_failures_by_kind_are_in_percent_of_all_requests() -> None:
    worst = failures_at_worst(frame(blocks=3), LABELS).to_dict("records")
    assert worst == [
        {"model": "thread", "users": 400, "kind": "reset", "percent": 6.0, "verdict": "overload"},
        {"model": "thread", "users": 400, "kind": "timed-out", "percent": 4.0, "verdict": "overload"},
    ]
    bars = failures_by_kind(frame(blocks=3), LABELS).axes[0].patches
    assert [round(bar.get_width(), 6) for bar in bars] == [6.0, 4.0]  # type: ignore[attr-defined]


FOREIGN_KINDS = (
    "$x_{",
    "two words",
    "_hidden",
    "a" * 5000,
    "\x1b[31mred\x00",
    "",
    "  ",
    "1$ or 2$",
    "<b>&amp;",
    "ü\u202e\n",
)


def test_kinds_of_failures_from_elsewhere_are_drawn_and_none_is_dropped(tmp_path: Path) -> None:
    """More kinds than there are shades, with mathtext, blanks, control characters and 5,000 characters."""
    load = Load(failures={kind: 10 * at for at, kind in enumerate(FOREIGN_KINDS, start=1)})
    asked = plan(models=["single"], users=[100], blocks=1, aa=False, return_step=False)
    campaign = write_campaign(tmp_path / "c", asked, lambda _run, step: load if step.users == 100 else Load())
    steps = analyze(campaign.directory).steps
    counted = steps[steps["users"] == 100]["failure_kinds"].iloc[0]
    assert sum(counted.values()) == sum(load.failures.values())
    assert all(kind.isprintable() and 0 < len(kind) <= 60 for kind in counted)
    figure = failures_by_kind(steps, ("single",))
    bars = [bar.get_width() for bar in figure.axes[0].patches]  # type: ignore[attr-defined]
    requests = int(steps[steps["users"] == 100]["requests"].iloc[0])
    assert sum(bars) == pytest.approx(100 * sum(load.failures.values()) / requests)
    assert len(legend(figure)) == 8
    assert legend(figure)[-1] == "other kinds"
    for drawn in (campaign.directory / "figures").glob("*.svg"):
        ElementTree.parse(drawn)


def test_a_model_looks_the_same_in_every_figure_and_no_two_alike() -> None:
    looks = styles(MANY)
    assert len({(look.colour, look.marker, look.dash) for look in looks.values()}) == 15
    for name, figure in all_figures(FOUR, (100, 200, 400)).items():
        drawn = [each for axes in figure.axes for each in axes.get_lines() if each.get_label() == "thread"]
        assert all(to_hex(each.get_color()) == styles(FOUR)["thread"].colour for each in drawn)
        assert drawn or name in ("ratios", "failures") or name.startswith("model-")


def test_every_colour_shows_on_both_pages() -> None:
    for light, dark in DARK_COLOURS.items():
        assert contrast(light, PAPER) >= 2.2, light
        assert contrast(dark, DARK[PAPER]) >= 4.5, dark
    for ink in ("#262626", "#6b6b6b"):
        assert min(contrast(ink, PAPER), contrast(DARK[ink], DARK[PAPER])) >= 4.5


def contrast(first: str, second: str) -> float:
    """WCAG 2's ratio of relative luminances."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot((0.2126, 0.7152, 0.0722), linear))

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("labels", "users"),
    [
        pytest.param(FOUR, (60, 150, 400), id="4 models"),
        pytest.param(MANY, LADDER, id="15 models", marks=pytest.mark.slow),
    ],
)
def test_no_text_is_cut_or_covers_another(labels: Sequence[str], users: Sequence[int]) -> None:
    for name, figure in all_figures(labels, users).items():
        if name.startswith("model-") and name != f"model-{labels[-1]}":
            continue
        figure.canvas.draw()
        whole = figure.bbox
        boxes = [(text.get_text(), text.get_window_extent()) for text in shown_texts(figure)]
        assert len(boxes) > 3, name
        for said, box in boxes:
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= whole.x1 + 1 and box.y1 <= whole.y1 + 1
            assert inside, f"{name}: {said!r} is cut"
        for (one, first), (two, second) in combinations(boxes, 2):
            assert not first.overlaps(second), f"{name}: {one!r} and {two!r} overlap"
        key = figure.legends[0].get_window_extent() if figure.legends else None
        for axes in figure.axes:
            assert axes.get_window_extent().height > 60, name
            assert key is None or axes.get_window_extent().y0 >= key.y1, f"{name}: the legend covers the axes"


def test_no_figure_is_drawn_that_would_be_empty() -> None:
    nothing, whole = frame().iloc[:0], frame()
    empty = dict(drawings(nothing, slower(LABELS).iloc[:0], ratios(FOUR).iloc[:0], LABELS, 3.0))
    assert len(empty) == 8 + len(LABELS)
    assert not any(empty.values())
    sound = whole.assign(failures=0)
    left_out = [name for name, figure in drawings(sound, slower(LABELS), ratios(FOUR), LABELS, 3.0) if figure is None]
    assert left_out == ["capacity", "failures"]
    alone = rps_against_users(nothing, LABELS, 3.0)  # asked for by itself, it says so in its middle
    assert "no step was measured" in [text.get_text() for text in shown_texts(alone)]


def test_figures_are_the_same_each_time(tmp_path: Path) -> None:
    def drawn(directory: Path) -> list[bytes]:
        return [path.read_bytes() for path in save(rps_against_users(frame(), LABELS, 3.0), directory, "rps")]

    assert drawn(tmp_path / "a") == drawn(tmp_path / "b")


def test_a_line_does_not_join_loads_that_half_of_the_blocks_or_fewer_tried() -> None:
    figure = response_against_users(few_tried(), LABELS)
    axes = figure.axes[0]
    (line,) = [line for line in axes.get_lines() if line.get_label() == "single"]
    assert list(np.asarray(line.get_xdata())) == [100, 400]
    by_users = {
        float(users): float(dots.get_sizes()[0])  # type: ignore[attr-defined]
        for dots in axes.collections if dots.get_label() == "_single valid"
        for users in np.asarray(dots.get_offsets(), dtype=float)[:, 0]
    }  # fmt: skip
    assert by_users[200.0] < by_users[100.0] == by_users[400.0]
    assert FEW in [text.get_text() for text in figure.legends[0].get_texts()]


def test_loads_of_a_ladder_and_of_one_block_are_joined() -> None:
    whole = frame(blocks=3)
    for rows in (whole[(whole["users"] != 200) | (whole["block"] == 1)], frame().assign(kind="trial")):
        assert not points(rows, "rps", LABELS)["few"].any()
        figure = rps_against_users(rows, LABELS)
        assert FEW not in [text.get_text() for text in figure.legends[0].get_texts()]
