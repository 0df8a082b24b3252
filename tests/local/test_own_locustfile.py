"""A locustfile of one's own, unmodified: each kind of user class that Locust's documentation shows, in one campaign."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.running import PROJECT, fab, free_ports, listening, ours

OWN = PROJECT / "tests" / "locustfiles"
SHOP = PROJECT / "tests" / "local" / "shop.py"
PLAN = """
name = "own"
models = ["shop"]
locustfile = "{own}/kinds.py"
files = ["{own}/helpers.py", "{own}/items.txt"]
tags = ["run"]
users = [15, 30]
spawn_rate = 100
settle = 2
measure = 5
timeout = 5
return_step = false
aa = false
port = {port}
master_port = {master_port}

[[servers]]
name = "shop"
command = "{{python}} {shop} {{host}} {{port}}"
"""
KINDS = {
    "basic": ["/basic", "/basic/about"],
    "sequential": ["/sequential/1", "/sequential/2", "/sequential/3"],
    "nested": ["/nested/enter", "/nested/thread", "/nested/top"],
    "tags": ["/tagged"],
    "own wait": ["/own-wait"],
    "fast client": ["/fast"],
    "own client on HttpUser": ["/needs-key"],
    "parameterised names": ["/items/[id]?page=[page]"],
    "catch_response": ["/absent"],
    "on_start login": ["/post"],
    "redirects": ["/old"],
    "constant pacing": ["/paced"],
}
"""Names of requests by the kind of user class that sends them, none of which may fail."""

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module")
def own_campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished campaign of two steps with all kinds of classes at once."""
    directory = tmp_path_factory.mktemp("own")
    port, master_port = free_ports(2)
    plan = directory / "short.toml"
    plan.write_text(PLAN.format(own=OWN, shop=SHOP, port=port, master_port=master_port), encoding="utf-8")
    done = fab(directory, "run-campaign", "--plan", str(plan))
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: no step valid, which a busy machine may cause
    assert "Traceback" not in done.stderr
    assert not ours(directory)
    assert not listening(directory)
    return directory / "results" / "latest"


@pytest.fixture(scope="module")
def requests(own_campaign: Path) -> pd.DataFrame:
    return pd.read_csv(own_campaign / "requests.csv")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_user_class_runs_unmodified_in_both_steps(requests: pd.DataFrame, kind: str) -> None:
    for name in KINDS[kind]:
        rows = requests[(requests["name"] == name) & (requests["step"] > 0)]
        assert sorted(rows["step"]) == [1, 2] or name == "/nested/enter", name
        assert (rows["failures"] == 0).all()
        assert (rows["requests"] > 0).all()


def test_the_laws_hold_for_iterations_and_for_requests(own_campaign: Path) -> None:
    checks = pd.read_csv(own_campaign / "checks.csv")
    loaded = checks[checks["step"] > 0]
    for code in ("load.population", "law.iterations", "law.little", "law.counts", "samples.iterations"):
        rows = loaded[loaded["code"] == code]
        assert list(rows["outcome"]) == ["pass", "pass"], rows["detail"].to_list()


def test_what_a_locustfile_refuses_is_a_failure_by_its_own_text(requests: pd.DataFrame, own_campaign: Path) -> None:
    refused = requests[requests["name"] == "/catch refused"]
    assert (refused["failures"] == refused["requests"]).all()
    assert refused["failure_texts"].str.contains("this body isn't wanted").all()
    steps = pd.read_csv(own_campaign / "steps.csv")
    for row in steps[steps["step"] > 0].to_dict("records"):
        failures = int(refused.loc[refused["step"] == row["step"], "failures"].sum())
        assert row["failure_kinds"] == f"rejected={failures}"


def test_exceptions_of_tasks_are_counted_with_their_traceback(own_campaign: Path) -> None:
    report = (own_campaign / "report.html").read_text(encoding="utf-8")
    assert "KeyError" in report
    assert "kinds.py" in report
    lines = (own_campaign / "runs" / "1-shop" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    own = [json.loads(line).get("own") for line in lines]
    raised = [each for part in own if part for each in part["exceptions"]]
    assert {each["text"] for each in raised} == {"KeyError: 'a task of its own'"}
    assert all("in ask" in each["traceback"] for each in raised)


def test_requests_by_name_add_up_to_those_of_the_step(requests: pd.DataFrame, own_campaign: Path) -> None:
    steps = pd.read_csv(own_campaign / "steps.csv")
    summed = requests.groupby("step")["requests"].sum()
    loaded = steps[steps["step"] > 0]  # the one user of the idle step may be one whose requests are never reported
    assert summed[summed.index > 0].to_dict() == dict(zip(loaded["step"], loaded["requests"], strict=True))


def test_the_campaign_keeps_the_locustfile_and_draws_its_requests(own_campaign: Path) -> None:
    kept = own_campaign / "locustfile"
    assert (kept / "kinds.py").read_bytes() == (OWN / "kinds.py").read_bytes()
    assert (kept / "helpers.py").is_file()
    assert (own_campaign / "figures" / "requests-shop.svg").is_file() or not _any_served(own_campaign)


def _any_served(campaign: Path) -> bool:
    steps = pd.read_csv(campaign / "steps.csv")
    return bool(steps.loc[steps["step"] > 0, "verdict"].isin(["valid", "overload"]).any())
