"""The surroundings of a command, in real campaigns: files, setup, directory, environment, interpreter."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.running import fab, write_plan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

APP = """
import http.server, os, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = open("made/by-setup").read() + os.environ["GREETING"] + os.path.basename(sys.executable)
        body = said.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): ...

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
SERVER = """
[[servers]]
name = "mine"
files = ["app.py", "data"]
setup = "sh -c 'mkdir made && cat data/words >made/by-setup && echo once >>{count}'"
command = "{{python}} app.py {{port}}"
environment = {{ GREETING = "good day" }}
python = "/usr/bin/python3"
expect = {{ contains = "some words good daypython3" }}
"""


def write_own_plan(directory: Path, server: str) -> Path:
    (directory / "app.py").write_text(APP, encoding="utf-8")
    (directory / "data").mkdir(exist_ok=True)
    (directory / "data" / "words").write_text("some words ", encoding="utf-8")
    plan = write_plan(directory, models=("mine",), users=(5,), think=(0, 0), settle=0.3, measure=1)
    plan.write_text(plan.read_text(encoding="utf-8") + server, encoding="utf-8")
    return plan


def requests_of(directory: Path) -> list[tuple[int, str]]:
    with (directory / "results" / "latest" / "steps.csv").open(encoding="utf-8", newline="") as rows:
        return [(int(row["requests"]), row["failures"]) for row in csv.DictReader(rows) if row["kind"] == "ladder"]


def test_files_and_setup_come_once_and_again_where_they_changed(tmp_path: Path) -> None:
    count = tmp_path / "count"
    plan = write_own_plan(tmp_path, SERVER.format(count=count))
    for times in (1, 1):
        done = fab(tmp_path, "run-campaign", "--fresh", "--plan", str(plan))
        assert done.returncode in (0, 3), done.stdout + done.stderr
        ((requests, failures),) = requests_of(tmp_path)
        assert requests > 20
        assert failures == "0"
        assert count.read_text(encoding="utf-8").count("once") == times
    (tmp_path / "data" / "words").write_text("some words, others", encoding="utf-8")
    done = fab(tmp_path, "run-campaign", "--plan", str(plan))
    assert done.returncode == 1
    assert "doesn't answer as the plan says: no good answer: the body lacks what the plan says" in done.stdout
    assert count.read_text(encoding="utf-8").count("once") == 2


@pytest.mark.parametrize(
    ("server", "said", "status"),
    [
        ("setup = \"sh -c 'echo first; echo the last line >&2; exit 7'\"", "the setup of mine ended with 7", 1),
        ('files = ["nowhere"]', "nowhere isn't there", 2),
    ],
)
def test_what_fails_ends_the_campaign_before_it_begins(tmp_path: Path, server: str, said: str, status: int) -> None:
    table = f'[[servers]]\nname = "mine"\ncommand = "app {{port}}"\n{server}\n'
    done = fab(tmp_path, "run-campaign", "--plan", str(write_own_plan(tmp_path, table)))
    assert done.returncode == status
    assert said in done.stderr
    assert ("the last line" in done.stderr) == (status == 1)
    assert not (tmp_path / "results").exists()


def test_check_looks_for_directory_and_interpreter(tmp_path: Path) -> None:
    own = 'directory = "/no/such"\npython = "pypy99"'
    table = f'[[servers]]\nname = "mine"\ncommand = "no-such-program {{port}}"\n{own}\n'
    done = fab(tmp_path, "check", "--plan", str(write_own_plan(tmp_path, table)))
    assert "/no/such: not there, or can't be used" in done.stdout
    assert "pypy99: not there, or can't be used" in done.stdout
    assert "no-such-program: not there" in done.stdout


def test_one_model_under_two_interpreters(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, models=("epoll-loop", "other"), users=(5,), think=(0, 0), settle=0.3, measure=1)
    table = '[[servers]]\nname = "other"\nmodel = "epoll-loop"\npython = "/usr/bin/python3"\n'
    plan.write_text(plan.read_text(encoding="utf-8") + table, encoding="utf-8")
    done = fab(tmp_path, "run-campaign", "--plan", str(plan))
    assert done.returncode in (0, 3), done.stdout + done.stderr
    states = [json.loads(path.read_text("utf-8")) for path in (tmp_path / "results" / "latest").glob("runs/*/run.json")]
    assert {(state["label"], state["state"]) for state in states} == {("epoll-loop", "done"), ("other", "done")}
    assert all(requests > 100 and failures == "0" for requests, failures in requests_of(tmp_path))
