"""Runs with a known course, written as each version of Locust writes them, read back equal to what happened."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.read.locust_csv import LocustRun, Origin, read_all
from analysis.read.locust_history import Span
from analysis.tell.locust_summary import analyze_locust
from study.errors import FormatError
from tests.unit.locust_writer import VERSIONS, Course, LoadPhase, write

TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from('\n,"|;'), min_size=1, max_size=12)
SOME = Course(
    (("GET", "/"), ("GET", "/b")), (LoadPhase(5, 10, (20, 0)), LoadPhase(10, 5, (3, 1)), LoadPhase(10, 5, (0, 0)))
)
VERSIONS_READ = {
    "0.13.0": "0.13.2 or older", "0.14.6": "0.13.3 to 0.14.6", "1.0": "1.0 to 1.1.1", "1.1": "1.0 to 1.1.1",
    "1.2": "1.2 or newer", "2.24": "1.2 or newer",
}  # fmt: skip


@st.composite
def courses(draw: st.DrawFn) -> Course:
    names = draw(
        st.lists(st.tuples(st.sampled_from(("GET", "POST", "grpc")), TEXTS), min_size=1, max_size=3, unique=True)
    )
    rate = st.integers(0, 30) | st.just(0)
    phases = draw(
        st.lists(
            st.builds(
                LoadPhase, st.sampled_from((1, 5, 10)), st.integers(1, 40), st.tuples(*[rate] * len(names))
            ),
            min_size=1, max_size=5,
        )
    )  # fmt: skip
    return Course(tuple(names), tuple(phases))


def read(course: Course, version: str, full: bool) -> LocustRun:
    with tempfile.TemporaryDirectory() as directory:
        write(course, Path(directory), version, full)
        (run,) = read_all([("", Path(directory))])
    return run


@settings(max_examples=25)
@given(courses(), st.sampled_from(VERSIONS), st.booleans())
def test_what_happened_is_read_back(course: Course, version: str, full: bool) -> None:
    run = read(course, version, full)
    assert run.gaps == ()
    assert run.versions == VERSIONS_READ[version]
    asked = {key: course.asked(0, course.length, at) for at, key in enumerate(course.names)}
    counts = {(row["type"], row["name"]): row["requests"] for row in run.stats.to_dict("records") if not row["total"]}
    assert counts == {key: count for key, count in asked.items() if count}
    (total,) = run.stats[run.stats["total"]].to_dict("records")
    assert total["requests"] == sum(asked.values())
    if version < "0.13.3":
        assert run.history.empty
        assert run.origins["p95_ms"] == Origin.DISTRIBUTION
        return
    over_time(run, course, version)
    if version < "1.0":
        assert run.origins["rps_held"] == Origin.NO_USERS
        assert run.held() is None
    else:
        at_most(run, course, version, full)


def over_time(run: LocustRun, course: Course, version: str) -> None:
    rows = run.totals
    every = 2 if version < "1.2" else 1
    ends = list(range(0, course.length + 1, every))
    assert rows["seconds"].tolist() == ends
    assert rows["requests"].tolist() == [course.asked(0, end) for end in ends]
    if version >= "1.0":
        assert rows["users"].tolist() == [course.at(min(end, course.length - 1))[1].users for end in ends]
    for end, rate in zip(ends, rows["rps"], strict=True):
        if end >= 13:
            before = [course.asked(second, second + 1) for second in range(end - 13, end)]
            if len(set(before)) == 1:
                assert rate == pytest.approx(before[0], abs=0.005)
    if run.percentiles == Span.LAST_TEN_SECONDS:
        idle = [end >= 10 and not course.asked(end - 10, end) for end in ends]
        assert rows.loc[idle, "p50_ms"].isna().all()


def at_most(run: LocustRun, course: Course, version: str, full: bool) -> None:
    ends = range(0, course.length + 1, 2 if version < "1.2" else 1)
    users = [course.at(min(end, course.length - 1))[1].users for end in ends]
    most = max(users)
    pairs = [(ends[at], ends[at + 1]) for at in range(len(users) - 1) if users[at] == users[at + 1] == most]
    held = run.held()
    if not pairs:
        assert held is None
        return
    seconds = sum(last - first for first, last in pairs)
    assert held is not None
    assert (held.users, held.seconds) == (most, seconds)
    assert held.rps == pytest.approx(sum(course.asked(*pair) for pair in pairs) / seconds)
    whole_ms = version < "1.2"
    assert (run.origins["mean_ms_held"] == Origin.WHOLE_MS) == whole_ms
    if not whole_ms and held.rps:
        assert held.mean_ms is not None
        assert 10 - 1e-6 <= held.mean_ms <= 20 + 1e-6
    if not full or not course.asked(0, ends[-1]):  # only totals, or the history ends before the first request
        assert run.held(*course.names[0], total=False) is None
        return
    names = [run.held(*key, total=False) for key in course.names]
    for at, mine in enumerate(names):
        assert mine is not None
        assert mine.rps == pytest.approx(sum(course.asked(*pair, at) for pair in pairs) / seconds)
    assert sum(mine.rps for mine in names if mine) == pytest.approx(held.rps)


@settings(max_examples=30)
@given(st.data(), st.sampled_from(VERSIONS))
def test_damaged_files_are_read_in_part_or_refused(data: st.DataObject, version: str) -> None:
    """Bytes are put into the files or cut out of them; whatever comes of it is a summary or one message."""
    with tempfile.TemporaryDirectory() as directory:
        write(SOME, Path(directory), version)
        for path in sorted(Path(directory).iterdir()):
            text = path.read_bytes()
            for _ in range(data.draw(st.integers(0, 3))):
                first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
                pieces = st.binary(max_size=8) | st.sampled_from(
                    (b'"', b",", b"\n", b"-1", b"1e999", b"nan", text[:400])
                )
                text = text[:first] + data.draw(pieces) + text[min(last, first + 300) :]
            path.write_bytes(text)
        with contextlib.suppress(FormatError):
            analyze_locust([("", Path(directory))], Path(directory) / "out", figures=False)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_percentiles_over_time_are_of(version: str) -> None:
    """The second half is faster: the slowest response time of ten seconds falls, that since the start does not."""
    course = Course((("GET", "/"),), (LoadPhase(1, 1, (0,)), LoadPhase(5, 30, (20,)), LoadPhase(5, 30, (20,))))
    spans = {
        "0.13.0": (Span.NONE, Span.NONE),
        "1.2": (Span.SINCE_START, Span.SEEM_SINCE_START),
        "2.24": (Span.SINCE_START, Span.LAST_TEN_SECONDS),
    }
    expected = spans.get(version, (Span.LAST_TEN_SECONDS, Span.LAST_TEN_SECONDS))
    assert tuple(read(course, version, full).percentiles for full in (False, True)) == expected
    if version == "2.24":
        short = Course(course.names, (LoadPhase(5, 8, (20,)),))
        assert read(short, version, True).percentiles == Span.UNTOLD
