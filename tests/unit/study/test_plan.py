"""A plan is validated whole, and says the same runs in the same order each time."""

from pathlib import Path

import pytest

from cluster.campaign import calibration
from study import models
from study.duration import run_seconds
from study.errors import PlanError
from study.plan import Plan, load_plan, parse_plan
from study.search import Search
from study.workload import Work

KNOWN = dict.fromkeys(("single", "process", "thread", "select"), ())
CAMPAIGNS = Path(__file__).parents[3] / "campaigns"

GOOD = """
name = "good"
models = ["single", "thread"]
users = [10, 20, 50]
"""


def plan(text: str = "") -> Plan:
    return parse_plan(GOOD + text, "good.toml", KNOWN)


def test_five_mistakes_are_reported_in_one_message() -> None:
    text = """
        name = "bad"
        models = ["thread", "nonesuch"]
        users = [10, 5]
        spawn_rate = -1
        colour = "red"
        think_time = [3, 1]
        [work]
        cpu_ms = -2
    """
    with pytest.raises(PlanError) as caught:
        parse_plan(text, "bad.toml", KNOWN)
    message = str(caught.value)
    assert message.startswith("bad.toml: 6 mistakes")
    for part in ("unknown model 'nonesuch'", "users: must ascend", "spawn_rate:", "colour: unknown key", "think_time:"):
        assert part in message
    assert "work.cpu_ms" in message
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("users = [0]", "users.0"),
        ('settle = "never"', "settle"),
        ("port = 5557", "master_port: must differ"),
        ('models = ["single", "single"]', "names a model twice"),
        ("blocks = 0", "blocks"),
        ('client = "curl"', "client"),
        ("this is not TOML", "not valid TOML"),
    ],
)
def test_each_mistake_is_named_by_its_key(text: str, part: str) -> None:
    lines = [line for line in GOOD.splitlines() if line.split(" ")[0] != text.split(" ")[0]]
    with pytest.raises(PlanError, match=part):
        parse_plan("\n".join([*lines, text]), "bad.toml", KNOWN)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("think_time = 1", "think_time: two numbers are wanted, as [1, 5] (got 1)"),
        ("think_time = [1]", "think_time: two numbers are wanted, as [1, 5] (got [1])"),
        ("think_time = [1, 2, 3]", "think_time: two numbers are wanted, as [1, 5] (got [1, 2, 3])"),
        ("think_time = ['a', 2]", "think_time.0: a number is wanted (got 'a')"),
        ("think_time = [nan, 2]", "think_time.0: a number is wanted (got nan)"),
        ("uesrs = [1]", "uesrs: unknown key (did you mean users?)"),
        ("work = {cpu = 1}", "work.cpu: unknown key (did you mean cpu_ms?)"),
        ("colour = 1", "colour: unknown key"),
        ("settle = 'soon'", "settle: a number is wanted, or: 'auto' is wanted (got 'soon')"),
        ("client = 'x'", "client: 'lean', 'fast' or 'http' is wanted (got 'x')"),
        ("blocks = 1.5", "blocks: a whole number is wanted (got 1.5)"),
        ("aa = []", "aa: true or false is wanted (got [])"),
        ("work = 3", "work: a table is wanted (got 3)"),
        ("servers = 3", "servers: [[servers]] tables are wanted (got 3)"),
        ("timeout = 0", "timeout: must be more than 0 (got 0)"),
        ("spawn_rate = 5e-324", "spawn_rate: must be at least 0.001 (got 5e-324)"),
        ("[[servers]]\nname = [1]\nmodel = 'thread'", "servers.1.name: text in quotation marks is wanted (got [1])"),
        ("[[servers]]\nnmae = 'x'\nname = 'x'\nmodel = 'thread'", "servers.x.nmae: unknown key (did you mean name?)"),
    ],
)
def test_what_is_wanted_of_a_key_is_said_in_the_studys_words(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        plan(f"{text}\n")
    assert str(caught.value) == f"good.toml: 1 mistake\n  {message}"


def test_an_unreadable_plan_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="No such file"):
        load_plan(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PlanError, match=r"binary\.toml: line 1 is not UTF-8"):
        load_plan(tmp_path / "binary.toml")


def test_the_return_step_is_the_largest_at_or_below_half_of_the_top() -> None:
    assert [(step.kind, step.users) for step in plan().steps()] == [
        ("idle", 1),
        ("ladder", 10),
        ("ladder", 20),
        ("ladder", 50),
        ("return", 20),
    ]
    assert [step.kind for step in plan("return_step = false").steps()] == ["idle", *["ladder"] * 3]


def test_each_run_begins_with_a_short_idle_step_without_think_time() -> None:
    asked = plan("settle = 7\nmeasure = 9")
    idle, first, *_ = asked.steps()
    assert (idle.number, idle.users, first.number) == (0, 1, 1)
    assert (asked.phases(idle), asked.phases(first)) == ((0.3, 1.0), (7.0, 9.0))
    assert (asked.during(idle).mean_think_s, asked.during(first)) == (0.0, asked)
    assert asked.load_steps() == asked.steps()[1:]
    ramp = 0.15 + 1 / asked.spawn_rate  # and one user less is started afterwards
    alone = Plan.model_validate({**asked.model_dump(), "models": ("null",)})
    assert run_seconds(asked)[0] - run_seconds(alone)[0] == pytest.approx(ramp + 0.3 + 1.0 - 1 / asked.spawn_rate)


def test_a_calibration_has_no_idle_step() -> None:
    assert parse_plan(calibration.plan_text(plan()), "calibration").steps() == ()


def test_every_block_has_every_model_once_and_the_first_one_twice() -> None:
    runs = plan("blocks = 4").runs()
    for block in range(1, 5):
        labels = [run.label for run in runs if run.block == block]
        assert sorted(labels) == ["single", "single-aa", "thread"]
    assert len({run.directory for run in runs}) == len(runs)
    assert {run.model for run in runs if run.label == "single-aa"} == {"single"}


def test_the_order_is_drawn_from_the_seed() -> None:
    orders = {tuple(run.label for run in plan(f"blocks = 6\nseed = {seed}").runs()) for seed in range(5)}
    assert len(orders) == 5
    assert plan("blocks = 6").runs() == plan("blocks = 6").runs()


def test_a_model_can_run_under_another_name_with_work_of_its_own() -> None:
    text = """
        name = "slower"
        models = ["single", "single-slow"]
        users = [10]
        [work]
        cpu_ms = 1.0
        [[servers]]
        name = "single-slow"
        model = "single"
        work.cpu_ms = 1.2
    """
    read = parse_plan(text, "slower.toml", KNOWN)
    assert (read.server("single-slow").model, read.server("single-slow").work) == ("single", Work(cpu_ms=1.2))
    assert (read.server("single").model, read.server("single").work) == ("single", Work(cpu_ms=1.0))


@pytest.mark.parametrize("path", sorted(CAMPAIGNS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_plans_are_valid_and_named_like_their_files(path: Path) -> None:
    assert load_plan(path, known_models=models.options()).plan.name == path.stem


def test_the_quick_plan_takes_four_minutes_at_most() -> None:
    quick = load_plan(CAMPAIGNS / "quick.toml").plan
    assert run_seconds(quick)[1] * len(quick.runs()) <= 235  # the analysis takes the rest


SEARCH = 'name = "one"\nmodels = ["single"]\n[search]\nfrom = 40\nmost = 1000\n'


def test_a_plan_has_either_users_or_a_search() -> None:
    asked = parse_plan(SEARCH, "one")
    assert asked.capacity_search == Search(40, 1000, 0.1)
    assert (asked.users, asked.most_users, asked.load_steps()) == ((), 1000, ())
    assert [step.kind for step in asked.steps()] == ["idle"]
    for text, message in (
        ('name = "one"\nmodels = ["single"]', "users: is missing"),
        (SEARCH.replace("[search]", "users = [1]\n[search]"), "users: stands beside [search]"),
        (SEARCH.replace("1000", "39"), "search.most: must be at least from"),
        (SEARCH + "start = 3", "search.start: unknown key"),
    ):
        with pytest.raises(PlanError) as caught:
            parse_plan(text, "one")
        assert message in str(caught.value)


def test_a_search_takes_as_long_as_its_trials() -> None:
    timed = parse_plan(SEARCH.replace("[search]", "settle = 1\nmeasure = 2\n[search]"), "one")
    least, most = run_seconds(timed)
    # From 40: 40, 80, 160, 320, 640, 1000; three between; one confirmed, whose window is twice as long.
    assert 10 * (1 + 2) + 2 < most - least < 10 * (1 + 2 + 1) + 2 + 4 * 2.1 + 2 * 1000 / timed.spawn_rate + 10
    assert timed.most_steps == 1 + 2 * timed.capacity_search.most_trials(1000)  # type: ignore[union-attr]


def test_two_runs_never_share_a_name() -> None:
    text = """
        name = "clash"
        models = ["single", "single-aa"]
        users = [10]
        [[servers]]
        name = "single-aa"
        model = "thread"
        [[servers]]
        name = "single-aa"
        model = "select"
    """
    with pytest.raises(PlanError) as caught:
        parse_plan(text, "clash.toml", KNOWN)
    assert "servers.single-aa: named twice" in str(caught.value)
    assert "A/A control's name" in str(caught.value)


@pytest.mark.parametrize(
    ("load", "most"), [("users = [10, 400]", 400), ("[search]\nfrom = 10\nmost = 300", 300)]
)  # fmt: skip
def test_users_that_no_step_has_can_not_be_shown_to_be_carried(load: str, most: int) -> None:
    text = 'name = "most"\nmodels = ["single"]\n{}\n[slo]\nmust_carry = {}\n'
    assert parse_plan(text.format(load, most), "most.toml", KNOWN).slo.must_carry == most
    with pytest.raises(PlanError, match=f"slo.must_carry: no step has {most + 1} users: the largest one has {most}"):
        parse_plan(text.format(load, most + 1), "most.toml", KNOWN)


def test_one_mistake_is_one_line() -> None:
    text = 'name = "one"\nmodels = ["single"]\nusers = [-1]\nmeasure = "x"\n'
    with pytest.raises(PlanError, match="2 mistakes"):
        parse_plan(text, "one.toml", KNOWN)
