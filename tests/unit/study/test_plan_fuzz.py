"""Whatever a plan's text holds, it is a plan or one PlanError in the study's own words: soon, and in little memory."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from study.duration import run_seconds
from study.errors import PlanError
from study.plan import Plan, parse_plan
from tests.bounds import Bounds

KNOWN = {"thread": (), "thread-pool": ("threads",)}
GOOD = 'name = "good"\nmodels = ["thread"]\nusers = [10, 20]\n'
SERVER = '[[servers]]\nname = "x"\n'
BOUNDS = Bounds()

_keys = st.sampled_from(
    [
        *Plan.model_fields,
        *(
            "work.bytes",
            "work.cpu_ms",
            "work.wait_ms",
            "slo.p99_ms",
            "slo.failures_percent",
            "work.x",
            "uesrs",
            "a.b.c",
        ),
    ]
)
_server_keys = st.sampled_from(
    [
        "name",
        "model",
        "work",
        "work.bytes",
        "options",
        "options.threads",
        "command",
        "ready",
        "path",
        "method",
        "expect",
    ]
)
_numbers = st.one_of(
    st.integers().map(str),
    st.integers(min_value=10**50, max_value=10**60).map(str),
    st.integers(min_value=4000, max_value=6000).map(lambda digits: "9" * digits),
    st.integers(min_value=1, max_value=6000).map(lambda digits: "0x" + "f" * digits),
    st.floats().map(lambda value: repr(value).replace("inf", "inf")),
    st.sampled_from(["5e-324", "1e308", "-0.0", "nan", "-inf", "1e400", "0b1", "0o7", "1_000"]),
)
_strings = st.one_of(
    st.text(max_size=40).map(lambda text: "'" + text.replace("'", "") + "'"),
    st.text(max_size=40).map(lambda text: '"' + "".join(f"\\U{ord(c):08x}" for c in text) + '"'),
    st.sampled_from(["'thread'", "'thread-aa'", "'{port}'", "'x {port} {host} {'", "'auto'", "'lean'", "''", "'/'"]),
    st.integers(min_value=100, max_value=20_000).map(lambda length: "'" + "a" * length + "'"),
)
_scalars = st.one_of(
    _numbers, _strings, st.sampled_from(["true", "false", "2020-01-01", "12:30:00", "1979-05-27T07:32:00Z"])
)
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"k{at}={x}" for at, x in enumerate(items)) + "}"
        ),
    ),
    max_leaves=8,
)
_deep = st.integers(min_value=100, max_value=3000).flatmap(
    lambda depth: st.sampled_from(["[" * depth + "]" * depth, "{a=" * depth + "1" + "}" * depth, "[" * depth])
)
_lines = st.tuples(_keys, st.one_of(_values, _deep)).map(lambda pair: f"{pair[0]} = {pair[1]}\n")
_servers = st.lists(st.tuples(_server_keys, _values), max_size=6, unique_by=lambda pair: pair[0]).map(
    lambda pairs: "[[servers]]\n" + "".join(f"{key} = {value}\n" for key, value in pairs)
)


def _plan_text(lines: list[str], servers: list[str], whole: bool) -> str:
    given = {line.partition(" ")[0] for line in lines}
    own = [line for line in GOOD.splitlines(keepends=True) if whole and line.partition(" ")[0] not in given]
    return "".join([*own, *lines, *servers])


_plans = st.builds(_plan_text, st.lists(_lines, max_size=4), st.lists(_servers, max_size=3), st.booleans())


@pytest.fixture(scope="module", autouse=True)
def reported() -> Iterator[None]:
    yield
    print(f"\n{__name__}: {BOUNDS}")


def check(text: str) -> None:
    with BOUNDS.kept():
        tried(text)


def tried(text: str) -> None:
    for known in (None, KNOWN):
        try:
            plan = parse_plan(text, "fuzz.toml", known)
        except PlanError as error:
            message = str(error)
            assert message.startswith("fuzz.toml: ")
            assert len(message) < 20_000
            assert not [
                word for word in ("Input should", "Field required", "String should", "Tuple") if word in message
            ]
            assert all(character.isprintable() or character == "\n" for character in message if ord(character) < 128)
        else:
            assert all(math.isfinite(seconds) and seconds < 1e12 for seconds in run_seconds(plan))
            assert len(plan.runs()) == plan.blocks * (len(plan.models) + plan.aa)
            assert plan.steps()


@settings(max_examples=120)
@given(_plans)
@example(GOOD.replace("10, 20", "1" + "0" * 58))
@example(GOOD.replace("10, 20", "9" * 5000))
@example(GOOD.replace("10, 20", "0x" + "f" * 5000))
@example(GOOD + "spawn_rate = 5e-324\n")
@example(GOOD + SERVER.replace('"x"', "[1]"))
@example(GOOD + SERVER.replace('"x"', "{a = 1}"))
@example(GOOD + "think_time = " + "[" * 900 + "]" * 900)
@example("a = " + "[" * 90_000)
@example(".".join("a" * 45_000) + " = 1\n")
@example(("[" + ".".join("a" * 200) + "]\n") * 200)
@example(SERVER * 4000)
@example("a = 1\n" * 10_000)
@example("".join(f"k{number} = 1\n" for number in range(10_000)))
@example(GOOD + f"seed = 0x{'f' * 3000}\nmemory_floor_mb = 0x{'f' * 3000}\n")
def test_a_plan_is_a_value_or_one_plan_error(text: str) -> None:
    check(text)


@settings(max_examples=80)
@given(st.text(max_size=500))
def test_any_text_is_a_value_or_one_plan_error(text: str) -> None:
    check(text)
