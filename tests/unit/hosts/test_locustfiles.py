"""A locustfile of one's own that can't be used: one message each, with the line, before anything is started."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cluster.campaign.prepare import make_host
from cluster.deploy.locustfiles import OwnFiles, examine, own_files
from cluster.engine.own.takeover import takeovers
from cluster.hosts.inventory import load_inventory
from study.errors import PlanError
from study.plan import load_plan
from tests.running import PROJECT

PLAN = 'name = "own"\nmodels = ["thread"]\nusers = [10]\nlocustfile = "mine.py"\n'
HEAD = "from locust import HttpUser, LoadTestShape, events, task\nfrom locust.clients import HttpSession\n"
USER = "class Shopper(HttpUser):\n    @task\n    def ask(self):\n        self.client.get('/')\n"
SERVER = "http://127.0.0.1:8070"


def asked(directory: Path, source: str, more: str = "") -> OwnFiles:
    (directory / "mine.py").write_text(source, encoding="utf-8")
    (directory / "own.toml").write_text(PLAN + more, encoding="utf-8")
    own = own_files(load_plan(directory / "own.toml"))
    assert own is not None
    return own


def refusal(directory: Path, source: str, more: str = "") -> str:
    """What is said of a locustfile, which must be refused."""
    control = make_host(load_inventory(PROJECT / "inventory.ini", required=True).control)
    with pytest.raises(PlanError) as error:
        examine(asked(directory, source, more), control, SERVER)
    assert "Traceback" not in str(error.value)
    return str(error.value).removeprefix(f"{directory}/mine.py: ")


def test_all_classes_that_are_not_abstract_run_unless_some_are_chosen(tmp_path: Path) -> None:
    control = make_host(load_inventory(PROJECT / "inventory.ini", required=True).control)
    source = HEAD + "print('printed')\n" + USER + "class Other(Shopper):\n    pass\n"
    assert examine(asked(tmp_path, source), control, SERVER).user_classes == ("Shopper", "Other")


@pytest.mark.slow  # each imports Locust in a process of its own
@pytest.mark.parametrize(
    ("source", "more", "said"),
    [
        ("import no_such_library\n", "", "mine.py, line 1: there is no module no_such_library: if it is a library"),
        (HEAD + "1 / 0\n", "", "mine.py, line 3: can't be imported: ZeroDivisionError: division by zero"),
        (HEAD + "raise SystemExit(3)\n", "", "mine.py, line 3: can't be imported: SystemExit: 3"),
        (HEAD + "class Shopper(HttpUser)\n    pass\n", "", "mine.py, line 3: not valid Python: expected ':'"),
        (HEAD, "", "names no user class that isn't abstract"),
        (HEAD + USER, 'user_classes = ["Shoper"]', "there is no user class Shoper (did you mean Shopper?)"),
        (HEAD + USER, 'tags = ["fast"]', "Shopper has no task with a tag of fast"),
        (
            HEAD + USER + "class Waves(LoadTestShape):\n    def tick(self):\n        return 1, 1\n",
            "",
            "Waves: a load shape of its own",
        ),
        (
            HEAD + USER + "class Other(Shopper):\n    host = 'http://one'\nclass Third(Shopper):\n    host = 'http://two'\n",
            "",
            "several hosts (Other has http://one, Third has http://two): a plan measures one server",
        ),
        (
            HEAD + USER + "    def __init__(self, environment):\n        super().__init__(environment)\n"
            "        self.api = HttpSession('http://api.example', environment.events.request, self)\n",
            "",
            "mine.py, line 9: Shopper: a client for http://api.example: the plan measures one server",
        ),
        (
            HEAD + USER + "@events.quitting.add_listener\ndef end(environment, **_):\n    environment.runner.quit()\n",
            "",
            "mine.py, line 9: environment.runner.quit() in end takes over the run",
        ),
    ],
)  # fmt: skip
def test_a_locustfile_that_cant_be_used_is_refused(tmp_path: Path, source: str, more: str, said: str) -> None:
    message = refusal(tmp_path, source, more)
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("self.environment.runner.quit()", "self.environment.runner.quit()"),
        ("runner.stop()", "runner.stop()"),
        ("raise StopTest('enough')", "raise StopTest"),
        ("environment.shape_class = Waves()", "environment.shape_class = ..."),
        ("env.create_local_runner()", "env.create_local_runner()"),
        ("environment.runner = other", "environment.runner = ..."),
    ],
)
def test_what_takes_over_the_run_is_named_with_its_line_and_function(line: str, what: str) -> None:
    (found,) = takeovers(f"def mine(environment):\n    {line}\n", "mine.py")
    assert found.startswith(f"mine.py, line 2: {what} in mine takes over the run")


@pytest.mark.parametrize(
    "line",
    [
        "self.client.stop()",
        "self.runner_name = 1",
        "print(environment.runner.user_count)",
        "environment.runner.send_message('users', 1)",
    ],
)
def test_what_takes_nothing_over_passes(line: str) -> None:
    assert takeovers(f"def mine(self, environment):\n    {line}\n", "mine.py") == []


def test_files_are_digested_with_the_locustfile(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "users.csv").write_text("foo\n", encoding="ascii")
    own = asked(tmp_path, USER, 'files = ["data"]')
    assert own.files == ("data/users.csv", "mine.py")
    (tmp_path / "data" / "users.csv").write_text("bar\n", encoding="ascii")
    assert asked(tmp_path, USER, 'files = ["data"]').digest != own.digest
    assert asked(tmp_path, USER, 'files = ["data"]').digest == asked(tmp_path, USER, 'files = ["data"]').digest


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('files = ["absent.csv"]', "absent.csv: no such file or directory"),
        ('files = ["/etc/passwd"]', "is not below the locustfile's directory"),
        ('requirements = "absent.txt"', "absent.txt: can't be read: No such file or directory"),
        ('files = ["../"]', "is not below the locustfile's directory"),
        ('requirements = "without.txt"', "faker==1.0 has no hash"),
        ('requirements = "nested.txt"', "-r is not followed: the file itself lists all"),
        ('requirements = "address.txt"', "faker is an address: a name, ==, a version and hashes are wanted"),
    ],
)
def test_files_that_cant_be_brought_are_refused(tmp_path: Path, more: str, said: str) -> None:
    (tmp_path / "without.txt").write_text("# a comment\nfaker==1.0\n", encoding="utf-8")
    (tmp_path / "nested.txt").write_text("-r without.txt\n", encoding="utf-8")
    address = f"faker @ https://files.example/faker.whl --hash=sha256:{hashlib.sha256().hexdigest()}\n"
    (tmp_path / "address.txt").write_text(address, encoding="utf-8")
    with pytest.raises(PlanError, match=said):
        asked(tmp_path, USER, more)


def test_requirements_with_hashes_are_taken(tmp_path: Path) -> None:
    text = f"faker==1.0 \\\n    --hash=sha256:{hashlib.sha256().hexdigest()}\n"
    (tmp_path / "with.txt").write_text(text, encoding="utf-8")
    own = asked(tmp_path, USER, 'requirements = "with.txt"')
    assert own.requirements_digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('client = "fast"', "client: belongs to the study's own clients"),
        ("think_time = [1, 2]", "think_time: belongs to the study's own clients"),
        ('user_classes = ["not a name"]', "user_classes.0: names of Python classes are wanted"),
    ],
)
def test_keys_that_contradict_a_locustfile_are_mistakes(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        asked(tmp_path, USER, more)


def test_keys_of_a_locustfile_need_one(tmp_path: Path) -> None:
    plan = tmp_path / "own.toml"
    plan.write_text(PLAN.replace("locustfile", "tags = ['a']\n#"), encoding="utf-8")
    with pytest.raises(PlanError, match="tags: belongs to a locustfile, and there is none"):
        load_plan(plan)
