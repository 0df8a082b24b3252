"""What a person who types the wrong thing gets: one message that says what to do, an exit status, no traceback."""

import socket
from pathlib import Path

import pytest

from tests.running import fab, write_plan

NAMES = ("analyze", "check", "clean", "deploy", "plan", "run-campaign", "status", "stop")


def test_the_list_of_tasks_has_their_names(tmp_path: Path) -> None:
    listed = fab(tmp_path, "-l").stdout
    assert all(f"  {name} " in listed for name in NAMES)


def test_the_plan_is_printed_without_running_anything(tmp_path: Path) -> None:
    done = fab(tmp_path, "plan", "--plan", str(write_plan(tmp_path)))
    assert done.returncode == 0
    assert "2 runs," in done.stdout
    assert not (tmp_path / "results").exists()


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
        (("run-campain",), 2, "no task is called 'run-campain': did you mean run-campaign?"),
        (("plan", "--plam", "short.toml"), 2, "no option of plan is called '--plam': did you mean --plan?"),
        (("plan", "absent.toml"), 2, "absent.toml"),
        (("deploy", "run-campaign", "--inventory", "absent.ini"), 2, "absent.ini"),
        (("deploy", "run-campaign", "--plan", "bad.toml"), 2, "spawn_rate"),
        (("status", "check", "--plan", "short.toml", "plan", "--plan", "bad.toml"), 2, "whole command line"),
    ],
)
def test_a_mistake_is_one_message(tmp_path: Path, arguments: tuple[str, ...], status: int, part: str) -> None:
    write_plan(tmp_path)
    (tmp_path / "bad.toml").write_text(
        'name = "bad"\nmodels = ["nonesuch"]\nusers = [1]\nspawn_rate = -1\n', encoding="utf-8"
    )
    done = fab(tmp_path, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    assert part in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("key", ["port", "master_port"])
def test_a_port_in_use_stops_the_campaign_before_it_starts(tmp_path: Path, key: str) -> None:
    plan = write_plan(tmp_path)
    line = next(line for line in plan.read_text(encoding="utf-8").splitlines() if line.startswith(f"{key} "))
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", int(line.split()[-1])))
        busy.listen()
        done = fab(tmp_path, "run-campaign", "--plan", str(plan))
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
    assert f"set {key} in the plan" in done.stderr
    assert not (tmp_path / "results").exists()


def test_options_hold_for_the_tasks_before_them(tmp_path: Path) -> None:
    """Nothing is deployed with another inventory than the campaign's."""
    plan = write_plan(tmp_path)
    (tmp_path / "mine.ini").write_text("[all]\na\nb\n[all:vars]\nansible_connection=local\n[target]\na\n[load]\nb\n")
    done = fab(tmp_path, "deploy", "plan", "--inventory", str(tmp_path / "mine.ini"), "--plan", str(plan))
    assert done.returncode == 0, done.stderr
    assert "deploy: mine.ini" in done.stdout
    assert f"plan {plan.stem}" in done.stdout or "2 runs," in done.stdout


def test_a_plan_is_named_without_its_option(tmp_path: Path) -> None:
    plan = write_plan(tmp_path)
    done = fab(tmp_path, "plan", str(plan), "check")
    assert "2 runs," in done.stdout
    assert "free disk" in done.stdout


def test_fab_alone_lists_the_tasks(tmp_path: Path) -> None:
    done = fab(tmp_path)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in NAMES)


def test_the_environment_names_plan_and_inventory_too(tmp_path: Path) -> None:
    plan = write_plan(tmp_path)
    done = fab(tmp_path, "plan", STUDY_PLAN=str(plan), STUDY_INVENTORY=str(tmp_path / "absent.ini"))
    assert done.returncode == 2
    assert "absent.ini" in done.stderr
