"""What a person who types the wrong thing gets: one message that says what to do, an exit status, no traceback."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from study.layout import from_here, results_directory
from study.plan import Slo
from tests.forked import forked_fab
from tests.running import FAB, PROJECT, environment, fab, write_plan
from tests.unit.synthetic import Load, plan, write_campaign

NAMES = (
    "analyze", "check", "clean", "deploy", "history", "plan", "report", "run-campaign", "serve", "status", "stop",
    "verify",
)  # fmt: skip


def test_the_list_of_tasks_has_their_names(tmp_path: Path) -> None:
    listed = fab(tmp_path, "-l").stdout
    assert all(f"  {name} " in listed for name in NAMES)


def test_the_plan_is_printed_without_running_anything(tmp_path: Path) -> None:
    done = forked_fab(tmp_path, "plan", "--plan", str(write_plan(tmp_path)))
    assert done.returncode == 0
    assert "2 runs," in done.stdout
    assert not (tmp_path / "results").exists()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a plan, a bad plan and a campaign."""
    directory = tmp_path_factory.mktemp("place")
    write_plan(directory)
    (directory / "bad.toml").write_text(
        'name = "bad"\nmodels = ["nonesuch"]\nusers = [1]\nspawn_rate = -1\n', encoding="utf-8"
    )
    write_campaign(directory / "c", plan(models=["single"], users=[100], blocks=1))
    return directory


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (("plan", "--plan", "absent.toml"), 2, "absent.toml"),
        (("check", "--inventory", "absent.ini"), 2, "absent.ini"),
        (("plan", "--plan", "bad.toml"), 2, "unknown model 'nonesuch'"),
        (("run-campaign", "--plan", "bad.toml"), 2, "spawn_rate"),
        (("plan", "--plan", "short.toml", "check", "--plan", "bad.toml"), 2, "holds for the whole command line"),
        (("analyze", "--campaign", "absent"), 2, "make campaign"),
        (("analyze", "absent"), 2, "absent: no campaign is there"),
        (("serve",), 2, "no campaign is there"),
        (("serve", "c", "absent"), 2, "absent: no campaign is there"),
        (("run-campain",), 2, "no task is called 'run-campain': did you mean run-campaign?"),
        (("plan", "--plam", "short.toml"), 2, "no option of plan is called '--plam': did you mean --plan?"),
        (("plan", "absent.toml"), 2, "absent.toml"),
        (("deploy", "run-campaign", "--inventory", "absent.ini"), 2, "absent.ini"),
        (("deploy", "run-campaign", "--plan", "bad.toml"), 2, "spawn_rate"),
        (("analyze", "c", "--out", "bad.toml"), 2, "bad.toml: a file, where a directory for figures and tables is"),
        (("plan", "--plan", "shor.toml"), 2, "(did you mean short?)"),
        (("check", "absent.toml"), 2, "'absent.toml' is no task; to name a file: --plan absent.toml"),
        (("deploy", "run-campaign", "absent.ini"), 2, "--inventory absent.ini"),
        (("report", "absent", "--pack"), 2, "absent: no campaign is there"),
        (("report", "c", "--out", "c.zip"), 2, "--out names the .zip: it goes with --pack"),
        (("report", "c", "--pack", "--out", "bad.toml/c.zip"), 2, "bad.toml/c.zip: can't be written there"),
        (("verify", "absent.zip"), 2, "absent.zip: no such file"),
        (("verify", "bad.toml"), 2, "not a .zip file"),
        (("verify",), 2, "verify needs FILE"),
        (("history", "c/runs"), 2, "c/runs: no campaign is there"),
        (("analyze", "c", "--junit", "c"), 2, "c: a directory, where the name of a file is wanted"),
        (("compare", "one"), 2, "compare needs SECOND: `fab --help compare` explains"),
        (("--plan", "bad.toml", "deploy", "plan"), 2, "spawn_rate"),
        (("--inventory=absent.ini", "status"), 2, "absent.ini"),
        (("--plan", "bad.toml", "status"), 2, "no task of this command line has --plan"),
        (("status", "check", "--plan", "short.toml", "plan", "--plan", "bad.toml"), 2, "whole command line"),
    ],
)
def test_a_mistake_is_one_message(place: Path, arguments: tuple[str, ...], status: int, part: str) -> None:
    before = sorted(place.rglob("*"))
    done = forked_fab(place, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    assert part in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("key", ["port", "master_port"])
def test_a_port_in_use_stops_the_campaign_before_it_starts(tmp_path: Path, key: str) -> None:
    plan = write_plan(tmp_path)
    line = next(line for line in plan.read_text(encoding="utf-8").splitlines() if line.startswith(f"{key} "))
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", int(line.split()[-1])))
        busy.listen()
        done = forked_fab(tmp_path, "run-campaign", "--plan", str(plan))
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
    assert f"set {key} in the plan" in done.stderr
    assert not (tmp_path / "results").exists()


def test_options_hold_for_the_tasks_before_them(tmp_path: Path) -> None:
    """Nothing is deployed with another inventory than the campaign's."""
    plan = write_plan(tmp_path)
    (tmp_path / "mine.ini").write_text("[all]\na\nb\n[all:vars]\nansible_connection=local\n[target]\na\n[load]\nb\n")
    done = forked_fab(tmp_path, "deploy", "plan", "--inventory", str(tmp_path / "mine.ini"), "--plan", str(plan))
    assert done.returncode == 0, done.stderr
    assert "deploy: mine.ini" in done.stdout
    assert f"plan {plan.stem}" in done.stdout or "2 runs," in done.stdout


def test_a_plan_is_named_without_its_option(tmp_path: Path) -> None:
    plan = write_plan(tmp_path)
    done = forked_fab(tmp_path, "plan", str(plan), "check")
    assert "2 runs," in done.stdout
    assert "free disk" in done.stdout


def test_options_before_the_first_task_hold_too(tmp_path: Path) -> None:
    done = forked_fab(tmp_path, "--plan", str(write_plan(tmp_path)), "status", "plan")
    assert done.returncode == 0, done.stderr
    assert "2 runs," in done.stdout


@pytest.mark.parametrize("task", NAMES)
def test_the_help_of_a_task_explains_each_of_its_options(tmp_path: Path, task: str) -> None:
    done = forked_fab(tmp_path, "--help", task)
    options = [line for line in done.stdout.splitlines() if re.match(" +-", line)]
    assert all(re.search(r"--(\[no-\])?[a-z-]+(=STRING)?\s+\S", line) for line in options), done.stdout
    assert options


def test_fab_alone_lists_the_tasks(tmp_path: Path) -> None:
    done = forked_fab(tmp_path)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in NAMES)


def test_the_environment_names_plan_and_inventory_too(tmp_path: Path) -> None:
    plan = write_plan(tmp_path)
    done = forked_fab(tmp_path, "plan", STUDY_PLAN=str(plan), STUDY_INVENTORY=str(tmp_path / "absent.ini"))
    assert done.returncode == 2
    assert "absent.ini" in done.stderr


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    """`fab -l | head`, with nobody left to read before anything was written."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*FAB, "-l"], cwd=tmp_path, env=environment(), stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.stderr == b""


@pytest.mark.parametrize("arguments", [("plan", "campaigns/quick.toml"), ("plan", "--plan", "../campaigns/quick.toml")])
def test_it_works_in_a_directory_of_the_checkout(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [FAB[0], *arguments], cwd=PROJECT / "docs", env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "plan quick" in done.stdout


def test_results_of_the_checkout_have_one_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(PROJECT / "docs")
    assert results_directory() == PROJECT / "results"
    assert from_here("campaigns/quick.toml") == PROJECT / "campaigns" / "quick.toml"
    assert from_here("results.md") == Path("results.md")
    monkeypatch.chdir(tmp_path)
    assert results_directory() == tmp_path / "results"
    assert from_here("campaigns/quick.toml") == Path("campaigns/quick.toml")


@pytest.mark.slow
def test_a_terminal_that_is_not_utf8_gets_question_marks(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path / "c", plan(models=["single", "thread"], users=[100], blocks=1)).directory
    done = fab(tmp_path, "analyze", str(campaign), PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    again = subprocess.run(
        [sys.executable, "-m", "analysis", str(campaign), "--no-figures"],
        cwd=PROJECT, env=environment(PYTHONIOENCODING="ascii"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
def test_a_campaign_that_can_not_be_written_to_is_analysed_elsewhere(tmp_path: Path) -> None:
    campaign = write_campaign(tmp_path / "c d", plan(models=["single", "thread"], users=[100], blocks=1)).directory
    before = {path: path.stat().st_mtime_ns for path in campaign.rglob("*")}
    done = fab(tmp_path, "analyze", str(campaign), "--out", "elsewhere")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in campaign.rglob("*")} == before
    made = tmp_path / "elsewhere"
    assert {path.name for path in made.iterdir()} >= {"steps.csv", "summary.md", "report.html", "figures"}
    page = (made / "report.html").read_text(encoding="utf-8")
    links = [unquote(link) for link in re.findall(r'<a data-file="([^"#]+)"', page)]
    assert any("runs/" in link for link in links)
    own = {"steps.csv", "checks.csv", "summary.csv"}
    assert all((made / link).exists() for link in links), links
    assert own <= set(links)


@pytest.mark.slow
def test_a_model_that_misses_what_it_must_carry_ends_the_command_with_its_status(tmp_path: Path) -> None:
    asked = plan(models=["single"], users=[100, 200], aa=False, slo=Slo(p99_ms=50, must_carry=200))
    full = Load(seconds=60.0, server_cpu=1.0, response=0.5)
    write_campaign(tmp_path / "c", asked, lambda _run, step: full if step.users == 200 else Load(seconds=60.0))
    summary = tmp_path / "step.md"
    done = fab(tmp_path, "analyze", "c", "--junit", "junit.xml", GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 5, done.stdout + done.stderr
    assert "Each model must carry 200 users: single misses it." in done.stdout
    assert "single misses it" in summary.read_text(encoding="utf-8")
    assert '<failure type="misses"' in (tmp_path / "junit.xml").read_text(encoding="utf-8")
