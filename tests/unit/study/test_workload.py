"""A plan names any server by its command: what is read, what is refused, and what is run."""

from pathlib import Path

import pytest

from cluster.campaign import commands
from cluster.hosts.inventory import HostEntry
from cluster.remote import exec as launch
from study.errors import PlanError
from study.plan import Plan, parse_plan
from study.workload import Server

KNOWN = {"single": (), "pool": ("threads",)}
GOOD = """
name = "own"
models = ["single", "mine"]
users = [10]
[[servers]]
name = "mine"
"""
COMMAND = 'command = "serve --bind {host}:{port}"\n'


def read(text: str) -> Plan:
    return parse_plan(GOOD + text, "own.toml", KNOWN)


def wrong(text: str) -> str:
    with pytest.raises(PlanError) as caught:
        read(text)
    return str(caught.value)


def argv(text: str, address: str = "10.0.0.1") -> tuple[str, ...]:
    plan = read(text)
    target = HostEntry("target", address=address)
    return commands.server("/env/bin/python", plan, plan.server("mine"), target, 2, Path("/there/run"))


def test_a_command_is_split_once_and_its_placeholders_stay_one_word() -> None:
    text = """command = "{python} -m 'my server' --at {host}:{port} -w {cores} --dir '{scratch}/a b' ';rm'" """
    assert argv(text) == (
        *(
            "/env/bin/python",
            "-m",
            "cluster.remote.exec",
            "/env/bin/python",
            "-m",
            "my server",
            "--at",
            "10.0.0.1:8070",
        ),
        *("-w", "2", "--dir", "/there/run/a b", ";rm"),
    )


def test_an_ipv6_address_stands_in_brackets_before_its_port_alone() -> None:
    text = 'command = "gunicorn --bind {host}:{port} --host {host} --port {port}"'
    assert argv(text, "2001:db8::1")[4:] == ("--bind", "[2001:db8::1]:8070", "--host", "2001:db8::1", "--port", "8070")


def test_every_mistake_in_a_server_is_in_one_message_with_its_key() -> None:
    message = wrong(
        COMMAND.replace("{port}", "{prot}")
        + 'ready = "health"\npath = "no"\nmethod = "BREW"\nexpect = 99\nrequires = ["a b"]\n'
        + "work.cpu_ms = 1\ncolour = 1\n"
    )
    for part in (
        "{prot} stands for nothing (known: {host}, {port}, {cores}, {python}, {scratch}; a brace is written twice, {{)",
        "servers.mine.command: must hold {port}",
        "servers.mine.work: belongs to a model",
        "servers.mine.ready:",
        "servers.mine.path:",
        "servers.mine.method:",
        "servers.mine.expect:",
        "servers.mine.requires.0:",
        "servers.mine.colour: unknown key",
    ):
        assert part in message
    assert message.startswith("own.toml: 9 mistakes")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('command = "PORT={port} node server.js"', "begin it with `env PORT={port}`"),
        ('command = "cd /srv && serve {port}"', "no shell reads it, and && is for one: write sh -c"),
        ('command = "serve {port} > log"', "no shell reads it, and > is for one"),
        ('command = "serve {port} 2>&1"', "2>&1 is for one"),
        ('command = "serve {port}; true"', "; is for one"),
        ('command = "~/venv/bin/serve {port}"', "~/venv/bin/serve is no path"),
        ('command = "$HOME/serve {port}"', "$HOME/serve is for one"),
        ('command = "serve {port} {d}"', "{d} stands for nothing"),
        (COMMAND + "ready_s = 0", "servers.mine.ready_s"),
        (COMMAND + "ready_s = 1e9", "servers.mine.ready_s"),
        ('model = "single"\nready_s = 5', "servers.mine.ready_s: belongs to a server with a command"),
        ("", "servers.mine: needs either a model, a command or a url"),
        ('model = "single"\n' + COMMAND, "needs either a model, a command or a url, and one of them alone"),
        ('command = "serve \'half {port}"', "servers.mine.command: can't be split into words: no closing quotation"),
        ('command = " "', "servers.mine.command: is empty"),
        ('model = "single"\npath = "/x"', "servers.mine.path: belongs to a server with a command"),
        ('model = "nonesuch"', "servers.mine: unknown model 'nonesuch'"),
        ('model = "pool"\noptions.size = 8', "servers.mine.options: pool has no option 'size' (it has threads)"),
        ('model = "single"\noptions.size = 8', "single has no option 'size' (it has none)"),
        (COMMAND + 'method = "HEAD"\nexpect = "x"', "servers.mine.expect: the answer to HEAD has no body"),
    ],
)
def test_a_mistake_is_said_once(text: str, part: str) -> None:
    message = wrong(text)
    assert part in message
    assert message.startswith("own.toml: 1 mistake\n")


def test_a_models_options_are_its_flags() -> None:
    assert argv('model = "pool"\noptions.threads = 8')[-2:] == ("--threads", "8")


@pytest.mark.parametrize(
    ("text", "status", "body"),
    [("", 200, None), ("expect = 204", 204, None), ('expect = "hello\\n"', 200, b"hello\n")],
)
def test_what_a_good_answer_is(text: str, status: int, body: bytes | None) -> None:
    of = read(COMMAND + text).server("mine")
    assert (of.status, of.body, of.echoes) == (status, body, False)


def test_the_plans_work_is_that_of_its_models_and_not_of_a_command() -> None:
    text = GOOD.replace("users", "work = { bytes = 7 }\nusers") + COMMAND
    plan = parse_plan(text, "own.toml", KNOWN)
    assert (plan.server("single").body, plan.server("mine").body) == (b"x" * 7, None)


def test_what_is_missing_is_found_out_beside_this_python_and_among_its_modules() -> None:
    assert launch.missing(["python3", "json", "locust", "sh", "no-such-program", "no.such.module", ".."]) == [
        *("no-such-program", "no.such.module", ".."),
    ]


def test_the_server_keeps_connections_for_idle_ones_even_if_the_users_do_not() -> None:
    plan = parse_plan('name = "i"\nmodels = ["single"]\nusers = [1]\nidle_connections = 3', "i", KNOWN)
    said = commands.server("py", plan, plan.server("single"), HostEntry("target"), 1, Path("x"))
    assert said[said.index("--connection") + 1] == "keep-alive"
    probed = commands.probe("py", plan, Server(name="s", model="single"), HostEntry("target"), 1.0)
    assert probed[probed.index("--connection") + 1] == "close"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sh -c 'cd /srv && exec serve {port} > log'", ("sh", "-c", "cd /srv && exec serve 8070 > log")),
        ("serve --url 'http://a/?b=1&c=2' {port}", ("serve", "--url", "http://a/?b=1&c=2", "8070")),
        ("serve '>' '|' {port}", ("serve", ">", "|", "8070")),
        ("env PORT={port} serve", ("env", "PORT=8070", "serve")),
        ("""serve '{{"port": {port}}}' ${{HOME}}""", ("serve", '{"port": 8070}', "${HOME}")),
    ],
)
def test_what_a_shell_would_read_stays_possible(command: str, words: tuple[str, ...]) -> None:
    quoted = command.replace("\\", "\\\\").replace('"', '\\"')
    assert argv(f'command = "{quoted}"')[3:] == words


def test_a_server_may_take_its_time() -> None:
    assert read(COMMAND + "ready_s = 60").server("mine").ready_s == 60
    assert read(COMMAND).server("mine").ready_s is None


def test_the_program_of_a_command_is_its_first_word() -> None:
    assert read(COMMAND).server("mine").program == "serve"
    assert read('command = "{python} -m it {port}"').server("mine").program == ""
    assert read(COMMAND).server("single").program == ""
