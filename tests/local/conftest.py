"""Campaigns that several tests read. Each is run once a session, and no test changes one.

A campaign takes about a minute, so they are few: between them they have every client, servers of this project and
servers named by a command, and an end of every kind.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.local.interrupted import Abandoned, Resumed, Stopped, after_kill, after_nothing, after_signal
from tests.running import fab, listening, ours, write_plan

APP = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"well" if self.path == "/health" else b"hello"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 100

Server((sys.argv[1], int(sys.argv[2])), Hello).serve_forever()
"""

SERVERS = """
slow_clients = 2

[[servers]]
name = "mine"
command = "{{python}} {app} {{host}} {{port}}"
ready = "/health"
path = "/hello"
expect = "hello"
requires = ["http.server"]

[[servers]]
name = "absent"
command = "no-such-server {{port}}"
requires = ["no-such-server"]

[[servers]]
name = "broken"
command = "{{python}} -c 'import sys; sys.exit(7)' {{port}}"
"""


def run_to_its_end(directory: Path, plan: Path) -> subprocess.CompletedProcess[str]:
    """Run a campaign as a person would. Fails where it leaves a process or a listening port behind."""
    done = fab(directory, "deploy", "run-campaign", "--plan", str(plan), "--junit", str(directory / "junit.xml"))
    assert "Traceback" not in done.stdout + done.stderr
    assert not ours(directory)
    assert not listening(directory)
    return done


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished campaign of two models and two steps, with the lean client and drawn paths.

    test_calibrations.py has one with a calibration, which takes longer than the runs.
    """
    directory = tmp_path_factory.mktemp("campaign")
    done = run_to_its_end(directory, write_plan(directory, drawn=True))
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: no step was valid, which a busy machine may cause
    return directory / "results" / "latest"


@pytest.fixture(scope="session")
def campaign_of_commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished campaign with Locust's FastHttpUser: a model, and three servers named by their commands.

    One of the three answers, one is not installed and one ends at once. Two slow clients are connected meanwhile.
    """
    directory = tmp_path_factory.mktemp("commands")
    models = ["mine", "absent", "broken", "thread"]
    plan = write_plan(directory, client="fast", models=models, users=[10], think=(0, 0))
    app = directory / "app.py"
    app.write_text(APP, encoding="utf-8")
    with plan.open("a", encoding="utf-8") as stream:
        stream.write(SERVERS.format(app=app))
    done = run_to_its_end(directory, plan)
    assert done.returncode == 1, done.stdout + done.stderr  # a run failed: that of `broken`
    assert "failed: 1-broken" in done.stderr
    return directory / "results" / "latest"


@pytest.fixture(scope="session")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """A campaign with Locust's HttpUser that SIGINT ended in the measure window of its second run."""
    return after_signal(tmp_path_factory.mktemp("interrupted"))


@pytest.fixture(scope="session")
def terminated(interrupted: Stopped) -> Stopped:
    """The same campaign gone on with, and ended by SIGTERM in its second run again."""
    return after_signal(interrupted.directory, signal.SIGTERM)


@pytest.fixture(scope="session")
def abandoned(terminated: Stopped) -> Abandoned:
    """The same campaign gone on with; its fab was killed in the second run, and everything ended by itself."""
    return after_nothing(terminated.directory)


@pytest.fixture(scope="session")
def resumed(abandoned: Abandoned) -> Resumed:
    """The same campaign finished after another kill and `fab stop`, and what was seen on the way."""
    return after_kill(abandoned.directory)
